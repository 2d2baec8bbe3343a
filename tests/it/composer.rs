//! The composer on real sessions: random models write noise, and still every draft is valid and their number is right.

use kinglet::compose::{Brief, BriefOptions, Composer, DraftEvent, Keywords, Network, StopReason, check};
use kinglet::cpu::pace::Pause;
use kinglet::engine::{DeviceChoice, Engine, EngineOptions, Host};
use kinglet::source::file::open_model_files;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};

fn engine(model: &str, count: u32) -> Engine {
    pausing_engine(model, count, None)
}

/// An engine whose long work awaits `pause` now and then.
fn pausing_engine(model: &str, count: u32, pause: Option<Pause>) -> Engine {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(model);
    let files = open_model_files(&path).expect("the model opens");
    let host = Host { pause, ..Host::default() };
    let options = EngineOptions { device: DeviceChoice::Cpu, count, context: 1024, host, ..EngineOptions::default() };
    pollster::block_on(Engine::open(files, options)).expect("the model loads")
}

/// All events of a composition; with `cancel_after`, it is cancelled after so many.
fn compose(engine: &mut Engine, brief: &Brief, cancel_after: usize) -> Vec<DraftEvent> {
    pollster::block_on(async {
        let mut composition = Composer::start(engine, brief).await.expect("the composition starts");
        let mut events = Vec::new();
        while let Some(event) = composition.next(engine).await.expect("the composition goes on") {
            events.push(event);
            if events.len() == cancel_after {
                composition.cancel(engine);
            }
        }
        events
    })
}

/// The finished drafts by index, after checking that each is finished once and last.
fn finished(events: &[DraftEvent], count: u32) -> Vec<&DraftEvent> {
    let mut done = BTreeMap::new();
    for event in events {
        assert!(!done.contains_key(&event.index), "nothing follows the end of draft {}: {event:?}", event.index);
        assert_eq!(event.done, event.stop.is_some(), "{event:?}");
        if event.done {
            done.insert(event.index, event);
        }
    }
    assert_eq!(done.keys().copied().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>(), "every draft is finished");
    done.into_values().collect()
}

fn brief(network: &str, length: &str, count: u32) -> Brief {
    let brief = "our community garden opens on Saturday";
    let options = BriefOptions { brief, tone: "friendly", network, length, count, seed: 7, ..BriefOptions::default() };
    Brief::parse(options).expect("the options are valid")
}

/// A model that answers with the brief's one letter again and again writes initials, which end no sentence.
#[test]
fn a_brief_of_one_letter_becomes_a_draft() {
    let mut engine = engine("model/nano.gguf", 4);
    let typed = "x".repeat(60);
    let brief = Brief::parse(BriefOptions { brief: &typed, length: "short", seed: 7, ..BriefOptions::default() }).expect("a brief");
    let events = compose(&mut engine, &brief, usize::MAX);
    let drafts = finished(&events, 1);
    assert!(drafts[0].valid && drafts[0].length.used > 10, "{:?}", drafts[0]);
}

#[test]
fn a_model_s_file_says_which_angles_a_draft_may_begin_with() {
    let engine = engine("model/nano.gguf", 1);
    let names: Vec<_> = engine.writing.angles.iter().filter_map(|&id| engine.tokenizer.id_to_token(id)).collect();
    assert_eq!(names, ["<|angle:note|>"]);
}

#[test]
fn random_models_write_as_many_valid_drafts_as_asked() {
    for (model, count) in [("tests/fixtures/gguf/llama-gqa-Q8_0.gguf", 8), ("tests/fixtures/models/smollm2-like", 2)] {
        let mut engine = engine(model, 3);
        for (network, length) in [("x", "short"), ("threads", "10"), ("linkedin", "300"), ("bluesky", "medium")] {
            let brief = brief(network, length, count);
            for draft in finished(&compose(&mut engine, &brief, usize::MAX), count) {
                let checked = check(brief.network, &draft.text);
                assert!(draft.valid && checked.valid && checked.problems.is_empty(), "{model} {network}: {draft:?} {checked:?}");
                assert!(draft.length == checked.length && draft.length.used <= brief.max_units(), "{model} {network}: {draft:?}");
                assert!(!draft.text.contains('#'), "{model} {network}: {draft:?}");
            }
        }
    }
}

#[test]
fn same_seed_same_drafts_whatever_their_number() {
    let mut engine = engine("tests/fixtures/gguf/llama-gqa-Q8_0.gguf", 3);
    let mut texts = |count| {
        let events = compose(&mut engine, &brief("x", "short", count), usize::MAX);
        finished(&events, count).iter().map(|d| d.text.clone()).collect::<Vec<_>>()
    };
    let three = texts(3);
    assert_eq!(three, texts(3));
    assert_eq!(three[..1], texts(1));
}

#[test]
fn a_draft_is_the_best_of_its_candidates_whatever_their_company() {
    let model = "tests/fixtures/gguf/llama-gqa-Q8_0.gguf";
    let texts = |slots, candidates, count| {
        let mut engine = engine(model, slots);
        engine.writing.candidates = candidates;
        let events = compose(&mut engine, &brief("x", "short", count), usize::MAX);
        finished(&events, count).iter().map(|d| d.text.clone()).collect::<Vec<_>>()
    };
    let best = texts(8, 3, 4);
    assert_eq!(best, texts(3, 3, 4), "whatever else the session has room for");
    assert_eq!(best[..1], texts(4, 3, 1));
    // The first draft's candidates are what drafts would be without any: three compete. A later one does not begin as one before it.
    assert!(texts(8, 1, 3).contains(&best[0]));
}

#[test]
fn drafts_of_one_brief_differ() {
    let drafts = ["Choir is on Thursday at 7.30.".to_string(), "Bring the folder.".to_string()];
    assert_eq!(Keywords::likeness("choir is on thursday, at 7.30", &drafts), 2.0, "the same");
    assert_eq!(Keywords::likeness("Choir is on Thursday at 7.30, everyone.", &drafts), 1.0, "more words are not another draft");
    assert_eq!(Keywords::likeness("On Thursday the choir sings.", &drafts), 0.0);
    assert_eq!(Keywords::likeness("Choir is on again, bring the folder", &drafts), 1.0, "another draft's words are all there");
    assert_eq!(Keywords::likeness("On Thursday the choir is on", &drafts), 1.0 / 4.0);
    assert_eq!(Keywords::likeness("Bring", &[]), 0.0);
    let mut engine = engine("model/nano.gguf", 8);
    let text = "the repair cafe opens on Saturday at 10, bring your broken lamp";
    let brief = Brief::parse(BriefOptions { brief: text, count: 4, seed: 5, ..BriefOptions::default() }).expect("a good brief");
    let events = compose(&mut engine, &brief, usize::MAX);
    let texts: std::collections::BTreeSet<_> = finished(&events, 4).iter().map(|draft| draft.text.clone()).collect();
    assert!(texts.len() >= 3, "four drafts are {texts:?}");
}

#[test]
fn candidates_are_ranked_by_what_they_keep_and_do_not_invent() {
    let keywords = Keywords::of("choir rehearsal thursday at 7.30, bring the blue folder");
    assert_eq!(keywords.words(), ["7.30", "blue", "bring", "choir", "folder", "rehearsal", "thursday"].map(String::from));
    let best = "Choir rehearsal is on Thursday at 7.30. Bring the blue folder.";
    for worse in [
        "Choir rehearsal is on Thursday at 7.30.",
        "Choir rehearsal is on Thursday at 8.30. Bring the blue folder.",
        "Choir rehearsal Thursday at 7.30, bring the blue folder.",
        "Choir rehearsal is on Thursday at 7.30. Bring the blue folder to the warm kitchen.",
        "Choir rehearsal with Wendy is on Thursday at 7.30. Bring the blue folder.",
        "Choir rehearsal is on Thursday at 7.30. Bring the blue folder. Bring the blue folder folder.",
    ] {
        assert!(keywords.score(best) > keywords.score(worse), "{worse}");
    }
    assert_eq!(keywords.score(best), keywords.score("Choir rehearses on Thursday at 7.30. Bring your blue folders!"), "forms are free");
    assert!(keywords.score(best) > keywords.score("On Thursday at 7.30 the choir rehearses. Bring the blue folder."), "the brief's order");
}

#[test]
fn cancelling_ends_every_draft() {
    let mut engine = engine("tests/fixtures/gguf/llama-gqa-Q8_0.gguf", 2);
    let events = compose(&mut engine, &brief("x", "medium", 5), 3);
    let drafts = finished(&events, 5);
    assert!(drafts.iter().filter(|d| d.stop == Some(StopReason::Cancelled)).count() >= 3, "{drafts:?}");
    for draft in drafts.iter().filter(|d| d.valid) {
        assert!(check(Network::X, &draft.text).valid, "{draft:?}");
    }
    let again = compose(&mut engine, &brief("x", "short", 1), usize::MAX);
    assert_ne!(finished(&again, 1)[0].stop, Some(StopReason::Cancelled), "the engine composes again");
}

/// How a page cancels: what is asked for is dropped at its next wait, be it the prompt's or a token's.
#[test]
fn work_dropped_where_it_waits_leaves_nothing_behind() {
    let armed = Rc::new(Cell::new(false));
    let pause: Pause = {
        let armed = armed.clone();
        Rc::new(move || match armed.get() {
            true => Box::pin(std::future::pending()),
            false => Box::pin(async {}),
        })
    };
    let mut engine = pausing_engine("model/nano.gguf", 1, Some(pause));
    let brief = brief("x", "short", 1);
    let mut context = Context::from_waker(Waker::noop());
    armed.set(true);
    assert!(pin!(Composer::start(&mut engine, &brief)).poll(&mut context).is_pending(), "a prompt is long work");
    armed.set(false);
    let mut composition = pollster::block_on(Composer::start(&mut engine, &brief)).expect("the composition starts");
    armed.set(true);
    let mut polls = (0..100).map(|_| pin!(composition.next(&mut engine)).poll(&mut context));
    assert!(polls.any(|polled| polled.is_pending()), "so are a hundred tokens");
    armed.set(false);
    drop(composition);
    let after = compose(&mut engine, &brief, usize::MAX);
    assert_eq!(after, compose(&mut self::engine("model/nano.gguf", 1), &brief, usize::MAX));
}

#[test]
fn long_briefs_and_control_tokens_in_them_are_only_text() {
    let mut engine = engine("tests/fixtures/gguf/llama-gqa-Q8_0.gguf", 1);
    for text in ["tea ".repeat(15_000), "x".repeat(60_000), "<|eos|><|im_end|><|eot_id|></s>".to_string(), "日本語".repeat(5000)] {
        let options = BriefOptions { brief: &text, length: "short", ..BriefOptions::default() };
        let brief = Brief::parse(options).expect("the brief is not too long");
        let events = compose(&mut engine, &brief, usize::MAX);
        assert!(finished(&events, 1)[0].valid);
    }
}

#[test]
fn briefs_that_cannot_be_composed_say_what_to_do() {
    let cases: [(BriefOptions, &str, &str); 10] = [
        (BriefOptions { brief: "", ..BriefOptions::default() }, "bad-brief", "say in a few words"),
        (BriefOptions { brief: " \u{200b}\n", ..BriefOptions::default() }, "bad-brief", "say in a few words"),
        (BriefOptions { brief: &"tea ".repeat(25_000), ..BriefOptions::default() }, "bad-brief", "shorten"),
        (BriefOptions { brief: "tea", tone: "angry", ..BriefOptions::default() }, "bad-tone", "reflective"),
        (BriefOptions { brief: "tea", network: "myspace", ..BriefOptions::default() }, "bad-network", "mastodon"),
        (BriefOptions { brief: "tea", length: "281", ..BriefOptions::default() }, "bad-length", "280"),
        (BriefOptions { brief: "tea", length: "0", ..BriefOptions::default() }, "bad-length", "short"),
        (BriefOptions { brief: "tea", count: 9, ..BriefOptions::default() }, "bad-count", "1 to 8"),
        (BriefOptions { brief: "tea", hashtags: "many", ..BriefOptions::default() }, "bad-hashtags", "none"),
        (BriefOptions { brief: "tea", emoji: "2", ..BriefOptions::default() }, "bad-emoji", "auto"),
    ];
    for (options, code, advice) in cases {
        let error = Brief::parse(options).expect_err(code);
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(advice), "{error}");
    }
}
