//! `kinglet bench`: load, time to first token, prefill and decoding, next to what the adapter can read.
//!
//! Times are medians of three runs, each with a prompt of its own so that no prefix is reused; the first run warms up and does not count.

use crate::{
    arguments::{Bench, Common},
    failure::Failure,
    host,
};
use kinglet::{
    engine::{self, Loaded},
    session::{Request, SamplingParams, Session},
};
use serde_json::json;
use std::time::Instant;

const RUNS: u64 = 3;

/// One timed run, in milliseconds.
struct Run {
    first_token: f64,
    step: f64,
}

pub fn run(options: &Bench, common: &Common) -> Result<(), Failure> {
    let needed = options.prompt_tokens.saturating_add(options.max_tokens).saturating_add(1);
    let start = Instant::now();
    let files = host::files(&options.model.model)?;
    let mut loaded = pollster::block_on(engine::load(files, &host::options(common, options.count, needed)))?;
    let load_ms = milliseconds(start);
    let mut runs = Vec::new();
    for index in 0..=RUNS {
        let run = pollster::block_on(time(&mut loaded.session, options, index))?;
        if index > 0 {
            runs.push(run);
        }
    }
    let first_token = median(runs.iter().map(|r| r.first_token).collect());
    let step = median(runs.iter().map(|r| r.step).collect());
    let roofline = pollster::block_on(roofline(&mut loaded.session))?;
    report(&loaded, options, common, Measured { load_ms, first_token, step, roofline });
    Ok(())
}

async fn time(session: &mut Session, options: &Bench, index: u64) -> kinglet::Result<Run> {
    let vocab_size = u64::from(session.config().vocab_size);
    let prompt = (0..u64::from(options.prompt_tokens)).map(|i| ((i * 7919 + index * 104_729 + 11) % vocab_size) as u32).collect();
    let request = Request {
        prompt,
        count: options.count,
        max_tokens: options.max_tokens,
        sampling: SamplingParams::default(),
        seed: index,
        end_tokens: Vec::new(),
        ..Request::default()
    };
    let start = Instant::now();
    session.start(&request).await?;
    let mut tokens = 0;
    let mut first_token = 0.0;
    while session.next().await?.is_some() {
        tokens += 1;
        if tokens == 1 {
            first_token = milliseconds(start);
        }
    }
    let steps = f64::from(tokens) / f64::from(options.count) - 1.0;
    Ok(Run { first_token, step: (milliseconds(start) - first_token) / steps.max(1.0) })
}

/// GB/s at which the device streams its memory: two lengths, the shortest of three times each, so that fixed costs cancel.
async fn roofline(session: &mut Session) -> kinglet::Result<f64> {
    const SHORT: u64 = 128 << 20;
    const LONG: u64 = 1152 << 20;
    let (mut short, mut long) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..RUNS {
        for (length, shortest) in [(SHORT, &mut short), (LONG, &mut long)] {
            let start = Instant::now();
            session.stream_read(length).await?;
            *shortest = shortest.min(milliseconds(start));
        }
    }
    Ok((LONG - SHORT) as f64 / (long - short).max(1e-3) / 1e6)
}

/// What was measured; times in milliseconds.
struct Measured {
    load_ms: f64,
    first_token: f64,
    step: f64,
    roofline: f64,
}

fn report(loaded: &Loaded, options: &Bench, common: &Common, measured: Measured) {
    let Measured { load_ms, first_token, step, roofline } = measured;
    let weight_bytes = loaded.session.weights().bytes_per_step();
    let decode = f64::from(options.count) * 1e3 / step;
    let prefill = f64::from(options.prompt_tokens.saturating_sub(1)) * 1e3 / (first_token - step).max(1e-3);
    let read = weight_bytes as f64 / step / 1e6;
    if common.json {
        let line = json!({
            "load_ms": load_ms, "ttft_ms": first_token, "prefill_tok_s": prefill, "decode_tok_s": decode,
            "dispatches_per_token": loaded.session.dispatches_per_step(options.count), "weight_bytes": weight_bytes,
            "read_gb_s": read, "roofline_gb_s": roofline, "roofline_fraction": read / roofline,
            "adapter": loaded.device.info.adapter, "device": loaded.device,
        });
        host::print_line(&line.to_string());
        return;
    }
    let info = &loaded.device.info;
    host::print_line(&format!("{} on {} ({}, {})", loaded.info.name, info.adapter, info.kind, info.variants));
    host::print_line(&format!("load {load_ms:.0} ms, first token after {first_token:.1} ms, prefill {prefill:.1} tok/s"));
    host::print_line(&format!("decode {decode:.1} tok/s for {} together, {step:.2} ms a step", options.count));
    host::print_line(&format!("reads {read:.2} of {roofline:.2} GB/s ({:.0} %)", 100.0 * read / roofline));
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
