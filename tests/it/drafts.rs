//! Drafts keep their promises whatever a model writes: scripted streams for each rule, then noise.

use kinglet::compose::{Action, Brief, BriefOptions, DraftGuard, DraftState, Ending, Fault, Network, StopReason, Verdict, check};
use kinglet::session::End;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

const END: u32 = u32::MAX;

fn brief(options: BriefOptions) -> Brief {
    Brief::parse(options).expect("the options are valid")
}

/// Runs a draft against a model: `next(tokens so far, ban)` gives the next token, `piece` its text. Returns the text, why, and the steps.
fn write(
    guard: &DraftGuard,
    max_tokens: usize,
    mut next: impl FnMut(&[u32], Option<u32>) -> u32,
    piece: impl Fn(u32) -> String,
) -> (Option<(String, StopReason)>, usize) {
    let (mut state, mut tokens, mut ban) = (DraftState::default(), Vec::new(), None);
    for step in 1..200_000 {
        let token = next(&tokens, ban.take());
        tokens.push(token);
        let raw: String = tokens.iter().filter(|&&t| t != END).map(|&t| piece(t)).collect();
        let end = match token {
            END => Some(End::EndToken),
            _ if tokens.len() == max_tokens => Some(End::Limit),
            _ => None,
        };
        match state.push(guard, token, 0.0, &raw, end) {
            Action::Continue => assert!(end.is_none(), "a draft that has ended cannot go on: {raw:?}"),
            Action::Rewind { keep, ban: banned } => {
                assert!((keep as usize) < tokens.len(), "a rewind takes something back");
                assert_eq!(tokens[keep as usize], banned, "the token that is taken back is banned");
                tokens.truncate(keep as usize);
                ban = Some(banned);
            }
            Action::Finish { text, stop } => return (Some((text, stop)), step),
            Action::Abandon => return (None, step),
        }
    }
    panic!("the draft never finished");
}

/// Plays scripts one after another: after each rewind the next one goes on from what is kept.
fn play(options: BriefOptions, scripts: &[&str]) -> (Option<(String, StopReason)>, usize) {
    let guard = DraftGuard::new(&brief(options));
    let mut pieces: Vec<String> = Vec::new();
    let mut queue: Vec<u32> = Vec::new();
    let mut attempts = 0;
    let lists: Vec<Vec<String>> = scripts.iter().map(|s| split(s)).collect();
    for list in &lists {
        for word in list {
            if !pieces.contains(word) {
                pieces.push(word.clone());
            }
        }
    }
    let id = |word: &str| if word == "<end>" { END } else { pieces.iter().position(|p| p == word).expect("every piece is known") as u32 };
    let outcome = write(
        &guard,
        10_000,
        |tokens, ban| {
            if tokens.is_empty() && ban.is_none() || ban.is_some() {
                queue = lists[attempts.min(lists.len() - 1)].iter().map(|w| id(w)).rev().collect();
                attempts += 1;
            }
            queue.pop().unwrap_or(END)
        },
        |token| pieces[token as usize].clone(),
    );
    (outcome.0, attempts)
}

/// A script's tokens: words with the space before them, and `<end>`.
fn split(script: &str) -> Vec<String> {
    script.split_inclusive(' ').map(|w| w.to_string()).collect::<Vec<_>>().join("").split('|').map(str::to_string).collect()
}

fn finished(options: BriefOptions, scripts: &[&str]) -> (String, StopReason) {
    play(options, scripts).0.expect("the draft has words")
}

const GARDEN: BriefOptions = BriefOptions {
    brief: "our community garden opens on Saturday",
    tone: "friendly",
    length: "medium",
    network: "x",
    hashtags: "none",
    emoji: "auto",
    count: 1,
    seed: 0,
};

#[test]
fn a_draft_the_model_ends_stands_as_it_is() {
    let got = finished(GARDEN, &["We| open| on| Saturday|.| Come| by|!|<end>"]);
    assert_eq!(got, ("We open on Saturday. Come by!".to_string(), StopReason::End));
    let got = finished(GARDEN, &["Gates| open| Saturday| 🌿|<end>"]);
    assert_eq!(got, ("Gates open Saturday 🌿".to_string(), StopReason::End));
}

#[test]
fn a_draft_that_runs_over_stops_at_its_last_sentence() {
    let first = "The gate opens at nine and the kettle is already on for everyone";
    let second = "Bring gloves and a friend";
    let got = finished(BriefOptions { length: "short", ..GARDEN }, &[&format!("{first}|.| {second}| {}", "and more ".repeat(20))]);
    assert_eq!(got, (format!("{first}."), StopReason::Limit));
}

#[test]
fn a_draft_without_a_sentence_in_reach_is_written_again() {
    let endless = format!("We{}", "| go".repeat(200));
    let (got, attempts) = play(BriefOptions { length: "short", ..GARDEN }, &[&endless, &endless, "We| open| on| Saturday|.|<end>"]);
    let (text, stop) = got.expect("the draft has words");
    assert!(text.ends_with("open on Saturday."), "{text}");
    assert_eq!((stop, attempts), (StopReason::End, 3));
}

#[test]
fn after_eight_attempts_a_draft_is_cut_at_a_word() {
    let endless = format!("We{}", "| will| plant| carrots| and".repeat(100));
    let (got, attempts) = play(BriefOptions { length: "short", ..GARDEN }, &[&endless]);
    let (text, stop) = got.expect("the draft has words");
    assert_eq!((stop, attempts), (StopReason::Repaired, 9));
    assert!(text.ends_with("carrots.") && text.len() <= 100 && text.len() > 80, "{text}");
}

#[test]
fn a_draft_that_ends_too_soon_goes_on() {
    let got = finished(GARDEN, &["Ok|.|<end>", " Gates| open| at| nine|.|<end>"]);
    assert_eq!(got, ("Ok. Gates open at nine.".to_string(), StopReason::End));
    let got = finished(GARDEN, &["We| open| at| nine|<end>", " sharp|.|<end>"]);
    assert_eq!(got, ("We open at nine sharp.".to_string(), StopReason::End));
}

#[test]
fn what_was_not_asked_for_is_taken_back() {
    let cases: [(BriefOptions, &str, &str); 7] = [
        (GARDEN, "We| open| at| 4|5|.|<end>", "4"),
        (GARDEN, "We| open| at| nine|.| #|Garden|.|<end>", "#"),
        (BriefOptions { emoji: "none", ..GARDEN }, "We| open| at| nine| 🌿|.|<end>", "🌿"),
        (GARDEN, "See| it| at| example|.com| now|.|<end>", "example.com"),
        (GARDEN, "See| it| at| https|://|x| now|.|<end>", "://"),
        (GARDEN, "Thanks| to| @|ada| for| it|.|<end>", "@"),
        (GARDEN, "We| open| now|.| We| open| now|.| And| more|.|<end>", "now. We open now"),
    ];
    for (options, script, unwanted) in cases {
        let (text, _) = finished(options, &[script, " The| kettle| is| on|.|<end>"]);
        assert!(!text.contains(unwanted) && text.ends_with("The kettle is on."), "{script}: {text}");
    }
}

#[test]
fn a_word_that_nobody_knows_is_taken_back_to_where_it_goes_wrong() {
    let guard = DraftGuard::new(&brief(BriefOptions { brief: "silent disco between the bookshelves at Okoro's", ..GARDEN }));
    let known = ["the", "dance", "and", "quiet"].map(String::from);
    for text in ["The bookshearts and", "A plonkish dance"] {
        assert_eq!(guard.slip(text, Ending::Model), None, "{text}: any word goes where none is said to be known");
    }
    let guard = guard.knowing(known.into());
    for text in [
        "The silent disco, a quiet bookshelf!",
        "It's at Okoro's, isn't it?",
        "The bookshea",
        "Disco at 8pm: the d\u{e9}j\u{e0} and X2 dance",
    ] {
        assert_eq!(guard.slip(text, Ending::Open), None, "{text}");
    }
    for (text, kept) in [("The bookshearts and", "The bookshe"), ("A plonkish dance", "A "), ("The disorder", "The dis")] {
        assert_eq!(guard.slip(text, Ending::Model), Some(kept.len()), "{text}");
    }
}

#[test]
fn numbers_are_the_briefs_and_saying_something_again_is_noticed() {
    let guard = DraftGuard::new(&brief(BriefOptions { brief: "ferries at 7.15 and 12:00, 1,000 seats, tick tick boom", ..GARDEN }));
    for text in ["A ferry at 12:00.", "A ferry at 7:15 has 1,000 seats."] {
        assert!(matches!(guard.judge(text, Ending::Model), Verdict::Stop { .. }), "{text}");
    }
    for (text, kept) in [
        ("A ferry at 12:15.", "A ferry at "),
        ("A ferry at 7 leaves.", "A ferry at "),
        ("There are 100 seats.", "There are "),
        ("A ferry at 12,00.", "A ferry at "),
    ] {
        assert_eq!(guard.judge(text, Ending::Model), Verdict::Rewind { keep: kept.len(), fault: Fault::Forbidden }, "{text}");
    }
    for (text, kept) in
        [("The ferry ferry is full.", "The ferry "), ("The sea is calm and the sea is blue.", "The sea is calm and the sea ")]
    {
        assert_eq!(guard.slip(text, Ending::Model), Some(kept.len()), "{text}");
    }
    for text in ["We sing tick tick boom.", "It is very very full.", "The sea is calm, the sea is"] {
        assert_eq!(guard.slip(text, Ending::Open), None, "{text}");
    }
    for text in ["A ferry at 7", "A ferry at 7.", "A ferry at 7.1", "There are 1,0"] {
        assert_eq!(guard.judge(text, Ending::Open), Verdict::Continue, "{text}");
    }
}

#[test]
fn dates_stay_whole_and_a_minus_stays() {
    let guard = DraftGuard::new(&brief(BriefOptions { brief: "-5 degrees on 2026-03-18, gate 12/05, mon-fri 8-12", ..GARDEN }));
    for text in ["It is -5 on 2026-03-18.", "It is minus 5 degrees today.", "Gate 12/05 opens 8-12.", "From 8 to 12 in 2026."] {
        assert!(matches!(guard.judge(text, Ending::Model), Verdict::Stop { .. }), "{text}");
    }
    for (text, kept) in [
        ("It is on 2026-18 now.", "It is on "),
        ("It is on 2026-03 now.", "It is on "),
        ("Gate 05/12 is open.", "Gate "),
        ("It is 5 degrees today.", "It is "),
        ("The \u{bc} hens are here.", "The "),
    ] {
        assert_eq!(guard.judge(text, Ending::Model), Verdict::Rewind { keep: kept.len(), fault: Fault::Forbidden }, "{text}");
    }
    for text in ["It is on 2026-0", "It is on 2026-", "It is on 2026", "It is -"] {
        assert_eq!(guard.judge(text, Ending::Open), Verdict::Continue, "{text}");
    }
}

#[test]
fn names_keep_their_capitals_where_words_are_known() {
    let guard = DraftGuard::new(&brief(BriefOptions { brief: "LinkedIn workshop at NASA, PhD welcome", ..GARDEN }));
    let guard = guard.knowing(["the", "come", "and"].map(String::from).into());
    for text in ["The LinkedIn workshop", "The linkedin Workshop at Nasa", "NASA, WORKSHOP, PhD and PHD"] {
        assert_eq!(guard.slip(text, Ending::Model), None, "{text}");
    }
    for (text, kept) in [("The linkedIn workshop", "The "), ("At nASA", "At "), ("Come, phD", "Come, ")] {
        assert_eq!(guard.slip(text, Ending::Model), Some(kept.len()), "{text}");
    }
}

#[test]
fn sentences_begin_with_a_capital_and_articles_fit_where_words_are_known() {
    let guard =
        DraftGuard::new(&brief(BriefOptions { brief: "iPhone lost at 9 a.m. by a owl, an uncle and a unicycle, example.org", ..GARDEN }));
    let known = [
        "an", "b", "mp", "the", "orchard", "user", "hour", "usher", "rained", "stayed", "we", "had", "for", "saw", "was", "and", "ribbon",
        "about",
    ];
    let guard = guard.knowing(known.map(String::from).into());
    for text in [
        "At 9 a.m. we stayed. iPhone lost!",
        "example.org had an owl.",
        "For a user and a unicycle, an hour and an uncle. A usher saw a owl.",
        "We saw an orchard. A ribbon, and",
        "We had a B for an MP.",
    ] {
        assert_eq!(guard.slip(text, Ending::Model), None, "{text}");
    }
    for (text, kept) in [
        ("it rained.", ""),
        ("It rained. we stayed.", "It rained. "),
        ("We had 2.10. we stayed.", "We had 2.10. "),
        ("We had! the orchard", "We had! "),
        ("We saw I'mrained.", "We saw "),
        ("We had a 11 and an 18.", "We had "),
        ("We had an 8 and an 7.", "We had an 8 and "),
        ("We had a orchard.", "We had "),
        ("An ribbon.", ""),
        ("We saw a hour.", "We saw "),
    ] {
        assert_eq!(guard.slip(text, Ending::Model), Some(kept.len()), "{text}");
    }
    assert_eq!(guard.slip("We had a orchar", Ending::Open), None, "the word is not finished");
}

#[test]
fn pictures_that_are_text_by_default_are_emoji_too_where_none_are_wanted() {
    let none = DraftGuard::new(&brief(BriefOptions { emoji: "none", ..GARDEN }));
    for (text, kept) in [("A fair \u{2603} is on.", "A fair "), ("We \u{2764} the garden.", "We ")] {
        assert_eq!(none.judge(text, Ending::Model), Verdict::Rewind { keep: kept.len(), fault: Fault::Forbidden }, "{text}");
    }
    for text in ["It is \u{a9} by the garden.", "A fair \u{2603}\u{fe0e} is on."] {
        assert!(matches!(none.judge(text, Ending::Model), Verdict::Stop { .. }), "{text}");
    }
}

#[test]
fn what_the_brief_holds_may_be_used() {
    let options = BriefOptions { brief: "ask @ada or see https://example.com/a for tickets", hashtags: "2", ..GARDEN };
    let script = "Ask| @|ada|,| or| see| https|://|example|.com|/a| today|.| #|Tickets| #Garden|<end>";
    let (text, stop) = finished(options, &[script]);
    assert_eq!((text.as_str(), stop), ("Ask @ada, or see https://example.com/a today. #Tickets #Garden", StopReason::End));
    let other = "Ask| @|adam| now| please|.|<end>";
    let (text, _) = finished(options, &[other, " everyone| about| it|.|<end>"]);
    assert_eq!(text, "Ask everyone about it.");
}

/// The words of the garden's brief, each with how probable it was; which token is taken back each time that they are all written.
#[test]
fn an_echo_is_taken_back_where_the_model_was_least_sure() {
    let guard = DraftGuard::new(&brief(GARDEN));
    let said = [(" Our", -0.1), (" community", -0.7), (" garden", -0.2), (" opens", -0.3), (" on", -2.0), (" Saturday", -0.1), (".", -3.0)];
    let mut state = DraftState::default();
    let mut at = 0;
    let mut kept = Vec::new();
    while kept.len() < 7 {
        let raw: String = said[..=at].iter().map(|(piece, _)| *piece).collect();
        let end = (at + 1 == said.len()).then_some(End::EndToken);
        match state.push(&guard, at as u32, said[at].1, &raw, end) {
            Action::Continue => at += 1,
            Action::Rewind { keep, ban } => {
                assert_eq!(keep, ban, "the token that stood there");
                kept.push(keep);
                at = keep as usize;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(kept, [4, 1, 3, 2, 0, 5, 0], "each word once, then from the beginning");
}

#[test]
fn the_brief_is_not_echoed() {
    let echo = "Our| community| garden| opens| on| Saturday|.|<end>";
    let fresh = "Gates| open| soon|,| bring| tea|.|<end>";
    assert_eq!(finished(GARDEN, &[echo, fresh]).0, "Gates open soon, bring tea.");
    let longer = "our| community| garden| opens| on| Saturday| and| we| are| glad|.|<end>";
    assert_eq!(finished(GARDEN, &[longer, fresh]).0, "Gates open soon, bring tea.");
    let short = BriefOptions { brief: "tea and cake", ..GARDEN };
    assert_eq!(finished(short, &["Tea| and| cake|!|<end>", " Yes|,| today| at| nine|.|<end>"]).0, "Yes, today at nine.");
}

#[test]
fn only_the_first_post_is_taken() {
    let (text, stop) = finished(GARDEN, &["Sure, here is a post:|\n\n|\"|We| open| now|.|\"|\n\n|Or| this|:|\n|We| do|.|<end>"]);
    assert_eq!((text.as_str(), stop), ("We open now.", StopReason::End));
}

#[test]
fn sentences_do_not_end_at_abbreviations() {
    let guard = DraftGuard::new(&brief(BriefOptions { brief: "open until 3", ..GARDEN }));
    for text in ["We ask Dr.", "Bring tools, e.g.", "It is open now, says J."] {
        assert!(matches!(guard.judge(text, Ending::Model), Verdict::Rewind { .. }), "{text}");
    }
    assert!(matches!(guard.judge("We open at 3.", Ending::Model), Verdict::Stop { .. }));
    assert_eq!(guard.judge("We open at 3.", Ending::Open), Verdict::Continue);
}

/// What is demanded of every finished draft, checked without the code that made it.
fn assert_kept(brief: &Brief, text: &str, stop: StopReason) {
    let checked = check(brief.network, text);
    let context = format!("{brief:?} {stop:?} {text:?} {checked:?}");
    assert!(checked.valid && checked.problems.is_empty(), "{context}");
    assert!(checked.length.used <= brief.max_units(), "{context}");
    assert_eq!(text.trim(), text, "{context}");
    let last = text.trim_end_matches(['"', '\'', '”', '’', '»', ')', ']', '}', '」', '』', '）', '›', '】', '》']);
    let marked = last.ends_with(['.', '!', '?', '…', '。', '！', '？', '｡', '．', '؟', '।', '‽', '⁉', '‼']);
    let tagged = text.rsplit(' ').next().is_some_and(|w| w.starts_with('#'));
    let pictured = text.chars().next_back().is_some_and(|c| "🌿😀👍🏽🚒️🇪⃣👩❤☀".contains(c));
    assert!(marked || tagged || pictured, "{context}");
    assert!(!["e.g.", "Dr."].iter().any(|a| text.ends_with(a)), "{context}");
    let hidden = |c: char| matches!(u32::from(c), 0..=0x1F | 0x7F..=0x9F | 0x200B..=0x200C | 0x200E..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFFFD | 0xE0000..=0xE0FFF);
    assert!(!text.chars().any(hidden), "{context}");
    assert!(brief.hashtags.most() > 0 || !text.contains('#') || text.contains("#\u{fe0f}") || text.contains("#\u{20e3}"), "{context}");
    let linked = text.match_indices("example.com").any(|(at, link)| !text[at + link.len()..].starts_with(char::is_alphanumeric));
    assert!(!linked && !text.contains("://") && !text.contains("@ada"), "{context}");
}

#[test]
fn noise_becomes_valid_drafts() {
    let pieces: Vec<&str> = concat!(
        " the| a| open|ing|s|ed| and| Saturday| garden|,| tea|!|?|.|.|…| 3|.|5| e|.g|.| Dr|.| \"|\"| (|)|'|’s|-|–| —|:|;| #| #Tag|#|@|ada| @ada| 🌿|😀|👍|🏽|\u{200d}|🚒|👩|❤|\u{fe0f}|☀",
        "|🇩|🇪|1|\u{20e3}| example|.com|.|md| https|://|www.|/| 日本|語|。|！| 한국|어| हिन्|दी|।|é|e\u{301}|\u{301}|\u{200b}|\u{202e}|\u{feff}|\u{fffd}|\u{0}|\u{7}|\n|\n\n| |\t|*|**|\u{e0041}| Garden|Open| We| our| community",
        "| garden| opens| on|_|=|<|>|&|%|$|~|Supercalifragilistic|expialidocious"
    )
    .split('|')
    .collect();
    let mut random = Random(7);
    let (mut repaired, mut ended, mut limited) = (0, 0, 0);
    for round in 0..700 {
        let options = BriefOptions {
            network: Network::ALL[round % 5].id(),
            length: ["short", "medium", "10", "47", "280"][random.below(5)],
            hashtags: ["none", "auto", "1"][random.below(3)],
            emoji: ["none", "auto"][random.below(2)],
            brief: "our community garden opens on Saturday: 1, 3, 5, 13, 31, 35, 51, 53",
            ..GARDEN
        };
        let brief = brief(options);
        // Some rounds use a few pieces only, so that streams of nothing but marks or emoji occur too.
        let few: Vec<usize> = (0..[3, 12, 400][random.below(3)]).map(|_| random.below(pieces.len())).collect();
        let end_share = [0, 40, 400][random.below(3)];
        let max_tokens = [30, 300, 3000][random.below(3)];
        let draw = |random: &mut Random, ban: Option<u32>| loop {
            let token = if end_share > 0 && random.below(end_share) == 0 { END } else { few[random.below(few.len())] as u32 };
            if Some(token) != ban || few.iter().all(|&f| Some(f as u32) == ban) {
                return token;
            }
        };
        let mut source = Random(round as u64);
        let guard = DraftGuard::new(&brief);
        let (written, _) = write(&guard, max_tokens, |_, ban| draw(&mut source, ban), |token| pieces[token as usize].to_string());
        // Else there is nothing but marks or emoji: the composer takes over with words alone.
        if let Some((text, stop)) = written {
            assert_kept(&brief, &text, stop);
            match stop {
                StopReason::Repaired => repaired += 1,
                StopReason::End => ended += 1,
                _ => limited += 1,
            }
        }
    }
    assert!(repaired > 50 && ended > 50 && limited > 50, "repaired {repaired}, ended {ended}, at the limit {limited}");
}

#[test]
fn a_link_is_blamed_where_it_begins_in_any_case() {
    let guard = DraftGuard::new(&brief(GARDEN));
    for link in ["Www.", "wWw.", "WWW.", "www.", "Https://", "HTTP://x"] {
        let verdict = guard.judge(&format!("Come and see {link}"), Ending::Open);
        assert_eq!(verdict, Verdict::Rewind { keep: "Come and see ".len(), fault: Fault::Forbidden }, "{link}");
    }
}
