//! What a draft is must not depend on how it was computed: flight, company, rewinds, reused prefixes.

use crate::devices::{self, collect, options, ran, session};
use kinglet::{
    cpu::{Cpu, pace::Pause},
    gpu::Variant,
    plan::Machine,
    session::{End, Request, SamplingParams, Session, SessionError},
};
use std::{
    cell::Cell,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

const MODEL: &str = "gguf/llama-gqa-Q8_0.gguf";

/// A machine, and how many submissions it may have aloft.
struct Device {
    name: &'static str,
    machine: fn() -> Box<dyn Machine>,
    submissions: usize,
}

const CPU: Device = Device { name: "cpu", machine: devices::cpu, submissions: 1 };
const CPU_ROUNDING: Device = Device { name: "cpu", machine: || Box::new(Cpu::rounding(None)), submissions: 1 };
const VULKAN: Device = Device { name: "vulkan", machine: || gpu(None), submissions: 2 };
const VULKAN_LANES: Device = Device { name: "vulkan", machine: || gpu(Some(Variant::Lanes)), submissions: 2 };

fn gpu(variant: Option<Variant>) -> Box<dyn Machine> {
    devices::gpu(variant).expect("the test has asked whether there is one")
}

fn request(count: u32, sampling: SamplingParams) -> Request {
    let prompt = vec![378, 83, 256, 345, 279, 314, 260, 12, 200, 31];
    Request {
        prompt,
        count,
        max_tokens: 24,
        sampling,
        seed: 0x1234_5678_9abc_def0,
        end_tokens: vec![382],
        banned: vec![5, 383],
        ..Request::default()
    }
}

/// Everything that has state in the sampler is on.
fn free() -> SamplingParams {
    SamplingParams { temperature: 1.1, top_k: 40, top_p: 0.95, min_p: 0.01, repetition_penalty: 1.2 }
}

fn penalised_greedy() -> SamplingParams {
    SamplingParams { repetition_penalty: 1.3, ..SamplingParams::GREEDY }
}

fn flight_does_not_change_drafts(device: &Device) -> usize {
    let mut session = session(MODEL, (device.machine)(), options(4));
    let mut runs = Vec::new();
    let flights = [(1, 1), (2, 1), (8, 1), (1, device.submissions), (3, device.submissions), (8, device.submissions)];
    for (steps, submissions) in flights {
        session.pin_flight(steps, submissions);
        runs.push(collect(&mut session, &request(4, free())));
    }
    assert!(runs[0].iter().all(|draft| draft.len() > 4), "the drafts are long enough to tell: {:?}", runs[0]);
    assert!(runs[0][0] != runs[0][1], "drafts of one prompt differ");
    for (run, (steps, submissions)) in runs.iter().zip(flights) {
        assert_eq!(run, &runs[0], "{steps} steps, {submissions} aloft");
    }
    flights.len()
}

fn a_draft_is_the_same_in_any_company(device: &Device) -> usize {
    let mut session = session(MODEL, (device.machine)(), options(8));
    let together = collect(&mut session, &request(8, free()));
    for count in [1, 2, 3, 4, 5] {
        assert_eq!(collect(&mut session, &request(count, free())), together[..count as usize], "{count} drafts");
    }
    5
}

fn rewinding_equals_never_having_gone_there(device: &Device) -> usize {
    let mut session = session(MODEL, (device.machine)(), options(2));
    session.pin_flight(4, device.submissions);
    let straight = collect(&mut session, &request(2, penalised_greedy()));
    for distance in 1..=16 {
        let mut drafts = [Vec::new(), Vec::new()];
        let mut rewound = false;
        pollster::block_on(async {
            session.start(&request(2, penalised_greedy())).await.expect("start");
            while let Some(step) = session.next().await.expect("next") {
                drafts[step.draft as usize].push(step.token);
                if step.draft == 1 && drafts[1].len() == 17 && !rewound {
                    rewound = true;
                    drafts[1].truncate(17 - distance);
                    session.rewind(1, drafts[1].len() as u32, None);
                }
            }
        });
        assert!(rewound, "draft 1 has 17 tokens: {:?}", straight[1]);
        assert_eq!(drafts.as_slice(), straight, "after a rewind by {distance}");
    }
    16
}

fn a_rewound_draft_avoids_the_ban_once_and_draws_anew(device: &Device) -> usize {
    let mut session = session(MODEL, (device.machine)(), options(1));
    let straight = collect(&mut session, &request(1, penalised_greedy())).remove(0);
    pollster::block_on(async {
        session.start(&request(1, penalised_greedy())).await.expect("start");
        for expected in &straight[..6] {
            assert_eq!(session.next().await.expect("next").expect("a step").token, *expected);
        }
        session.rewind(0, 3, Some(straight[3]));
        let next = session.next().await.expect("next").expect("a step").token;
        assert_ne!(next, straight[3], "the banned token");
        session.stop(0);
        assert_eq!(session.next().await.expect("next"), None, "a stopped draft has no further token");
        session.rewind(0, 3, None);
        assert_eq!(session.next().await.expect("next").expect("a step").token, straight[3], "the ban held for one step");
    });
    1
}

fn drafts_end_at_end_tokens_and_limits(device: &Device) -> usize {
    let mut session = session(MODEL, (device.machine)(), options(1));
    let plain = Request { end_tokens: Vec::new(), ..request(1, penalised_greedy()) };
    let straight = collect(&mut session, &plain).remove(0);
    assert_eq!(straight.len(), 24);
    let ended = Request { end_tokens: vec![straight[9]], ..plain.clone() };
    let first = straight.iter().position(|t| *t == straight[9]).expect("it is there");
    assert_eq!(collect(&mut session, &ended)[0], straight[..=first]);
    let short = Request { max_tokens: 5, ..plain };
    pollster::block_on(async {
        session.start(&short).await.expect("start");
        for index in 0..5 {
            let step = session.next().await.expect("next").expect("a step");
            assert_eq!(step.end, (index == 4).then_some(End::Limit));
        }
        assert_eq!(session.next().await.expect("next"), None);
    });
    2
}

fn a_reused_prefix_gives_the_same_draft(device: &Device) -> usize {
    let mut fresh = session(MODEL, (device.machine)(), options(2));
    let longer = Request { prompt: [request(2, free()).prompt, vec![90, 91, 92]].concat(), ..request(2, free()) };
    let expected = collect(&mut fresh, &longer);
    assert_eq!(fresh.counters().reused, 0);
    let mut warm = session(MODEL, (device.machine)(), options(2));
    collect(&mut warm, &request(2, free()));
    assert_eq!(collect(&mut warm, &longer), expected);
    assert_eq!(warm.counters().reused, 9, "all but the last token of the first prompt");
    1
}

fn the_context_is_never_overrun(device: &Device) -> usize {
    let small = kinglet::session::SessionOptions { context: 16, ..options(1) };
    let mut session = session(MODEL, (device.machine)(), small);
    let long = Request { max_tokens: 1000, end_tokens: Vec::new(), ..request(1, free()) };
    assert_eq!(collect(&mut session, &long)[0].len(), 16 - 9, "positions 10 to 16");
    let error = pollster::block_on(session.start(&Request { prompt: vec![1; 17], ..long })).expect_err("17 tokens in 16 positions");
    assert_eq!(error.code(), "prompt-too-long");
    2
}

fn every_equality_holds(device: &Device) {
    let count = flight_does_not_change_drafts(device)
        + a_draft_is_the_same_in_any_company(device)
        + rewinding_equals_never_having_gone_there(device)
        + a_rewound_draft_avoids_the_ban_once_and_draws_anew(device)
        + drafts_end_at_end_tokens_and_limits(device)
        + a_reused_prefix_gives_the_same_draft(device)
        + the_context_is_never_overrun(device);
    ran(device.name, count);
}

#[test]
fn drafts_do_not_depend_on_how_they_are_computed_on_cpu() {
    every_equality_holds(&CPU);
    every_equality_holds(&CPU_ROUNDING);
}

#[test]
fn drafts_do_not_depend_on_how_they_are_computed_on_vulkan() {
    if devices::gpu(None).is_some() {
        every_equality_holds(&VULKAN);
        every_equality_holds(&VULKAN_LANES);
    }
}

fn refused(session: &mut Session, request: Request) -> SessionError {
    match pollster::block_on(session.start(&request)).expect_err("out of bounds") {
        kinglet::Error::Session(error) => error,
        other => panic!("another error: {other}"),
    }
}

#[test]
fn requests_out_of_bounds_are_refused_with_what_was_expected() {
    let mut session = session(MODEL, devices::cpu(), options(2));
    let good = request(1, free());
    let bad = |change: fn(&mut Request)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    type Change = fn(&mut Request);
    let cases: [(&str, Change); 8] = [
        ("count: expected 1 to 2, found 3", |r| r.count = 3),
        ("count: expected 1 to 2, found 0", |r| r.count = 0),
        ("prompt: expected at least one token, found 0", |r| r.prompt.clear()),
        ("token id: expected below 384, found 384", |r| r.prompt.push(384)),
        ("temperature: expected 0 to 100, found NaN", |r| r.sampling.temperature = f32::NAN),
        ("top_p: expected above 0, at most 1, found 0", |r| r.sampling.top_p = 0.0),
        ("end_tokens: expected at most 16, found 17", |r| r.end_tokens = vec![1; 17]),
        ("max_tokens: expected 1 to 1048576, found 0", |r| r.max_tokens = 0),
    ];
    for (message, change) in cases {
        assert_eq!(refused(&mut session, bad(change)).to_string(), message);
    }
}

/// By a real clock: what is measured has no other. Bounds are of magnitude only.
fn roofline_and_kernel_times(device: &Device) -> usize {
    let mut session = session(MODEL, (device.machine)(), options(1));
    let on_cpu = session.machine().device().kind == "cpu";
    let start = std::time::Instant::now();
    let roofline = pollster::block_on(session.roofline(&|| start.elapsed().as_secs_f64() * 1e3)).unwrap();
    assert!((0.05..1e5).contains(&roofline.read_gb_s), "{roofline:?}");
    let in_bounds = if on_cpu { 0.0..0.01 } else { 0.01..1e4 };
    assert!(in_bounds.contains(&roofline.dispatch_us) && in_bounds.contains(&roofline.round_trip_us), "{roofline:?}");
    let multiplies = session.machine().device().variants == "cpu-int8";
    assert!(if multiplies { (0.05..1e4).contains(&roofline.multiply_gmac_s) } else { roofline.multiply_gmac_s == 0.0 }, "{roofline:?}");
    let (read_ms, dispatch_ms) = roofline.bound_ms(1_000_000_000, 1000);
    assert!((read_ms * roofline.read_gb_s - 1e3).abs() < 1e-6 && (dispatch_ms - roofline.dispatch_us).abs() < 1e-9);

    let expected = collect(&mut session, &request(1, free()));
    let counters = session.counters();
    assert!(counters.readbacks > 0 && counters.readbacks <= counters.submissions, "{counters:?}");
    pollster::block_on(session.start(&request(1, free()))).unwrap();
    pollster::block_on(session.next()).unwrap();
    let times = pollster::block_on(session.time_kernels()).unwrap();
    assert_eq!(times.len(), if on_cpu { 0 } else { session.dispatches_per_step(1) }, "every dispatch is timed");
    assert!(on_cpu || times.iter().map(|time| time.us).sum::<f64>() > 0.0, "{times:?}");
    assert_eq!(collect(&mut session, &request(1, free())), expected, "measuring leaves nothing behind");
    1
}

#[test]
fn roofline_and_kernel_times_on_cpu() {
    ran("cpu", roofline_and_kernel_times(&CPU) + roofline_and_kernel_times(&CPU_ROUNDING));
}

#[test]
fn roofline_and_kernel_times_on_gpu() {
    if devices::gpu(None).is_some() {
        ran("vulkan", roofline_and_kernel_times(&VULKAN));
    }
}

#[test]
fn a_fresh_request_computes_its_whole_prompt() {
    let mut session = session(MODEL, devices::cpu(), options(1));
    let warm = collect(&mut session, &request(1, free()));
    assert_eq!(collect(&mut session, &request(1, free())), warm);
    assert_eq!((session.counters().reused, session.counters().prefilled), (9, 0), "the prompt was known");
    assert_eq!(collect(&mut session, &Request { fresh: true, ..request(1, free()) }), warm, "and a fresh one writes the same");
    assert_eq!((session.counters().reused, session.counters().prefilled), (0, 9));
}

/// Submissions of the dropped call are taken up by the next one, and no draw is lost.
#[test]
fn a_dropped_next_loses_no_token() {
    let many = request(8, free());
    let expected = collect(&mut session(MODEL, devices::cpu(), options(8)), &many);
    let armed = Rc::new(Cell::new(false));
    let pause: Pause = {
        let armed = armed.clone();
        Rc::new(move || match armed.get() {
            true => Box::pin(std::future::pending()),
            false => Box::pin(async {}),
        })
    };
    let mut session = session(MODEL, Box::new(Cpu::new(Some(pause))), options(8));
    let mut dropped = 0;
    // Some 100 million multiply-adds lie between two pauses: several requests.
    for _ in 0..200 {
        pollster::block_on(session.start(&many)).expect("start");
        let mut drafts = vec![Vec::new(); 8];
        loop {
            armed.set(true);
            let polled = pin!(session.next()).poll(&mut Context::from_waker(Waker::noop()));
            armed.set(false);
            match polled {
                Poll::Pending => dropped += 1,
                Poll::Ready(step) => match step.expect("next") {
                    Some(step) => drafts[step.draft as usize].push(step.token),
                    None => break,
                },
            }
        }
        assert_eq!(drafts, expected, "after {dropped} dropped calls");
        if dropped >= 2 {
            return;
        }
    }
    panic!("{dropped} calls met a pause");
}

#[test]
fn what_abandons_a_request_leaves_nothing_to_go_on_with() {
    let mut session = session(MODEL, devices::cpu(), options(2));
    let expected = collect(&mut session, &request(2, free()));
    // Each time measured is far longer than the one before.
    let ticks = Cell::new(0.0f64);
    let clock = || ticks.replace(ticks.get() + 1.0).powi(3);
    for ask in 0..4 {
        pollster::block_on(async {
            session.start(&request(2, free())).await.expect("start");
            session.next().await.expect("next").expect("a step");
            match ask {
                0 => drop(session.logits(&[1, 2, 3], 8).await.expect("logits")),
                1 => drop(session.decoding_logits(&[1, 2, 3]).await.expect("logits")),
                2 => drop(session.roofline(&clock).await.expect("a roofline")),
                _ => drop(session.time_kernels().await.expect("times")),
            }
            assert_eq!(session.next().await.expect("next"), None, "the request is abandoned: {ask}");
        });
        assert_eq!(collect(&mut session, &request(2, free())), expected, "a new one is as before: {ask}");
    }
}
