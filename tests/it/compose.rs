//! Posts by the networks' rules, and drafts that keep them.

use kinglet::compose::{Network, Problem, check, measure};
use serde::Deserialize;

#[derive(Deserialize)]
struct Weighed {
    text: String,
    weight: u32,
    valid: bool,
}

/// A file of texts that X's published counter has weighed.
fn weighed(path: &str) -> Vec<Weighed> {
    let path = format!("{}/tests/fixtures/posts/{path}", env!("CARGO_MANIFEST_DIR"));
    let json = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    serde_json::from_str(&json).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn x_weighs_as_its_published_counter() {
    let rows = weighed("x-weights.json");
    assert!(rows.len() > 1000, "only {} rows", rows.len());
    let mut wrong = Vec::new();
    for Weighed { text, weight, .. } in &rows {
        let got = measure(Network::X, text).used;
        if got != *weight {
            wrong.push(format!("{text:?}: got {got}, want {weight}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), rows.len(), wrong[..wrong.len().min(40)].join("\n"));
}

#[test]
fn x_takes_what_its_published_counter_takes_unless_blank() {
    for Weighed { text, valid, .. } in weighed("x-weights.json") {
        let checked = check(Network::X, &text);
        let blank = checked.problems.contains(&Problem::Blank);
        assert_eq!(checked.valid, valid && !blank, "{text:?}: {:?}", checked.problems);
    }
}

#[test]
fn each_network_counts_in_its_own_way() {
    use Network::{Bluesky, LinkedIn, Mastodon, Threads, X};
    let cases: &[(Network, &str, u32)] = &[
        (X, "हिन्दी", 6),
        (Bluesky, "हिन्दी", 2),
        (Bluesky, "👨‍👩‍👧‍👦 e\u{301}", 3),
        (Bluesky, "https://example.com/a", 21),
        (Mastodon, "https://example.com/a", 23),
        (Mastodon, "see https://example.com/a/very/long/path/that/goes/on. ok", 31),
        (Mastodon, "example.com", 11),
        (Mastodon, "https://example.com/путь/日本語", 23),
        (Mastodon, "@ada@mastodon.example.org hi", 7),
        (Mastodon, "@ada hi", 7),
        (Mastodon, "mail@ada@example.org", 20),
        (Mastodon, "👨‍👩‍👧‍👦", 1),
        (Threads, "👍", 4),
        (Threads, "👍🏽 ok", 11),
        (Threads, "👨‍👩‍👧‍👦", 25),
        (Threads, "1️⃣ ©️ © ™ 7", 7 + 1 + 5 + 6),
        (Threads, "日本", 2),
        (LinkedIn, "👍é", 3),
    ];
    for &(network, text, want) in cases {
        assert_eq!(measure(network, text).used, want, "{network:?} {text:?}");
    }
}

#[test]
fn limits_hold_to_the_unit() {
    for network in Network::ALL {
        let limit = network.limit() as usize;
        assert!(check(network, &"a".repeat(limit)).valid, "{network:?} at the limit");
        let over = check(network, &"a".repeat(limit + 1));
        assert!(!over.valid && matches!(over.problems[..], [Problem::TooLong(l)] if l.used == l.limit + 1), "{network:?}: {over:?}");
    }
}

#[test]
fn bluesky_counts_bytes_beside_graphemes() {
    let family = "👨‍👩‍👧‍👦";
    assert_eq!(family.len(), 25);
    assert!(check(Network::Bluesky, &family.repeat(120)).valid);
    let over = check(Network::Bluesky, &family.repeat(121));
    assert_eq!(over.problems, [Problem::TooManyBytes { used: 3025, limit: 3000 }]);
    assert!(!over.valid);
}

#[test]
fn threads_takes_five_different_links() {
    let five = "a.com b.com c.com d.com e.com a.com";
    assert!(check(Network::Threads, five).valid);
    let over = check(Network::Threads, &format!("{five} f.com"));
    assert_eq!(over.problems, [Problem::TooManyLinks { used: 6, limit: 5 }]);
}

#[test]
fn blank_posts_are_invalid_everywhere() {
    for network in Network::ALL {
        for blank in ["", " ", "\n\t", "\u{200b}\u{2060}", "\u{202e}\u{fe0f}", "\u{3000}\u{2800}", "\0"] {
            let checked = check(network, blank);
            assert!(!checked.valid && checked.problems.contains(&Problem::Blank), "{network:?} {blank:?}: {checked:?}");
        }
        assert!(check(network, ".").valid);
    }
}

#[test]
fn control_characters_are_reported_and_do_not_make_a_post_invalid() {
    let checked = check(Network::X, "a\u{7}b\u{7}c\nd");
    assert!(checked.valid);
    assert_eq!(checked.problems, [Problem::Control('\u{7}')]);
}

#[test]
fn check_serialises_as_contracted() {
    let json = serde_json::to_string(&check(Network::X, "a\u{feff}")).expect("plain data serialises");
    assert_eq!(
        json,
        r#"{"valid":false,"length":{"used":3,"limit":280,"unit":"x-weight"},"problems":["The character U+FEFF is refused by the network; remove it."]}"#
    );
    let units = Network::ALL.map(|n| serde_json::to_value(measure(n, "a").unit).expect("a unit is a name"));
    assert_eq!(units, ["x-weight", "graphemes", "characters", "characters", "utf16"]);
}

#[test]
fn networks_are_named_in_lower_case_only() {
    for network in Network::ALL {
        assert_eq!(Network::parse(network.id()), Ok(network));
    }
    for wrong in ["", "X", "twitter", "x ", "linked-in"] {
        let error = Network::parse(wrong).expect_err(wrong);
        assert_eq!(error.code(), "bad-network");
        assert!(error.to_string().contains("bluesky"), "{error}");
    }
}

#[test]
fn hostile_texts_are_measured_at_once() {
    // A quadratic scan of these takes minutes each, a linear one milliseconds.
    let started = std::time::Instant::now();
    for piece in [
        "a.",
        "a.com.",
        "a_b.com.",
        "http://",
        "(",
        "a(",
        "a/(",
        "@a",
        "1️⃣",
        "👩‍",
        "é.",
        "a.com/((",
        "@a@",
        "-._",
        "http://a.com/?",
        "日.",
        "a@a.",
    ] {
        let text = piece.repeat(50_000 / piece.len());
        for network in Network::ALL {
            measure(network, &text);
        }
    }
    assert!(started.elapsed().as_secs() < 60, "took {:?}", started.elapsed());
}
