//! `kinglet bench`: load, time to first token, prefill and decoding, next to what bounds the very device they run on.
//!
//! Each run times a generation with a prompt of its own, so that no prefix is reused, and then measures the device's roofline: both are
//! from the same moments. The first run warms up and does not count.

mod figures;

use crate::{
    arguments::{Bench, Common},
    failure::Failure,
    host,
};
use figures::{Figures, Model};
use kinglet::{
    engine,
    plan::KernelTime,
    session::{Request, Roofline, SamplingParams, Session},
};
use serde_json::json;
use std::{collections::BTreeMap, time::Instant};

/// One timed generation.
struct Timed {
    first_token_ms: f64,
    /// Per decoding step after the first token, whatever the number of sequences.
    step_ms: f64,
    cpu_step_ms: Option<f64>,
    submits_per_step: f64,
    readbacks_per_step: f64,
}

/// What one run measured.
struct Run {
    timed: Timed,
    /// One sequence, where several are asked for.
    alone_step_ms: Option<f64>,
    roofline: Roofline,
}

pub fn run(options: &Bench, common: &Common) -> Result<(), Failure> {
    if options.bandwidth.is_some_and(|bandwidth| !bandwidth.is_finite() || bandwidth <= 0.0) {
        return Err(Failure::input("bad-usage", "--bandwidth: expected GB/s above 0"));
    }
    let needed = options.prompt_tokens.saturating_add(options.max_tokens).saturating_add(1);
    let start = Instant::now();
    let files = host::files(&options.model.model)?;
    let mut loaded = pollster::block_on(engine::load(files, &host::options(common, options.count, needed)))?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    let session = &mut loaded.session;
    let mut runs = Vec::new();
    for index in 0..=u64::from(options.runs) {
        let run = pollster::block_on(time_run(session, options, index))?;
        if index > 0 {
            runs.push(run);
        }
    }
    let kernels = if options.profile { pollster::block_on(profile(session, options))? } else { BTreeMap::new() };
    let model = Model::new(session, options);
    let figures = Figures::new(&runs, options, &model);
    match common.json {
        true => {
            let facts = json!({
                "load_ms": load_ms, "dispatches_per_token": model.dispatches, "weight_bytes": model.weight_bytes,
                "bytes_per_token": model.weight_bytes + model.cache_bytes, "count": options.count, "runs": options.runs,
                "prompt_tokens": options.prompt_tokens, "max_tokens": options.max_tokens, "vendor_gb_s": options.bandwidth,
                "model": loaded.info.name, "adapter": loaded.device.info.adapter, "device": loaded.device,
            });
            host::print_line(&figures.json(facts, kernels_json(&kernels, options)).to_string());
        }
        false => {
            let info = &loaded.device.info;
            host::print_line(&format!("{} on {} ({}, {})", loaded.info.name, info.adapter, info.kind, info.variants));
            host::print_line(&format!("load {load_ms:.0} ms; below: median (least to most) of {} runs", options.runs));
            figures.lines(options, &model).iter().for_each(|line| host::print_line(line));
            kernel_lines(&kernels, options).iter().for_each(|line| host::print_line(line));
        }
    }
    Ok(())
}

async fn time_run(session: &mut Session, options: &Bench, index: u64) -> kinglet::Result<Run> {
    let timed = time(session, options, options.count, 2 * index).await?;
    let alone_step_ms = match options.count {
        1 => None,
        _ => Some(time(session, options, 1, 2 * index + 1).await?.step_ms),
    };
    let start = Instant::now();
    let roofline = session.roofline(&move || start.elapsed().as_secs_f64() * 1e3).await?;
    Ok(Run { timed, alone_step_ms, roofline })
}

async fn time(session: &mut Session, options: &Bench, count: u32, index: u64) -> kinglet::Result<Timed> {
    let request = request(session, options, count, index);
    let start = Instant::now();
    session.start(&request).await?;
    let mut tokens = 0;
    let (mut first_token_ms, mut cpu_start) = (0.0, None);
    while session.next().await?.is_some() {
        tokens += 1;
        if tokens == 1 {
            first_token_ms = start.elapsed().as_secs_f64() * 1e3;
            cpu_start = host::cpu_ms();
        }
    }
    let all_steps = f64::from(tokens) / f64::from(count);
    let steps = (all_steps - 1.0).max(1.0);
    let counters = session.counters();
    Ok(Timed {
        first_token_ms,
        step_ms: (start.elapsed().as_secs_f64() * 1e3 - first_token_ms) / steps,
        cpu_step_ms: host::cpu_ms().zip(cpu_start).map(|(end, start)| (end - start) / steps),
        submits_per_step: f64::from(counters.submissions) / all_steps,
        readbacks_per_step: f64::from(counters.readbacks) / all_steps,
    })
}

fn request(session: &Session, options: &Bench, count: u32, index: u64) -> Request {
    let vocab_size = u64::from(session.config().vocab_size);
    let prompt = (0..u64::from(options.prompt_tokens)).map(|i| ((i * 7919 + index * 104_729 + 11) % vocab_size) as u32).collect();
    let sampling = SamplingParams::default();
    Request { prompt, count, max_tokens: options.max_tokens, sampling, seed: index, ..Request::default() }
}

/// Kernel and workgroups → how often it ran, and the microseconds of each step in all.
type Kernels = BTreeMap<(&'static str, [u32; 3]), (usize, Vec<f64>)>;

/// Times the kernels of one step in each run, as soon as the first token is there.
async fn profile(session: &mut Session, options: &Bench) -> kinglet::Result<Kernels> {
    let mut kernels = Kernels::new();
    for index in 0..u64::from(options.runs) {
        session.start(&request(session, options, options.count, 1_000_003 + index)).await?;
        session.next().await?;
        let mut step = BTreeMap::new();
        for KernelTime { kernel, grid, us } in session.time_kernels().await? {
            let (count, sum) = step.entry((kernel, grid)).or_insert((0, 0.0));
            (*count, *sum) = (*count + 1, *sum + us);
        }
        for (kernel, (count, sum)) in step {
            let (known, sums) = kernels.entry(kernel).or_insert((count, Vec::new()));
            *known = count;
            sums.push(sum);
        }
    }
    Ok(kernels)
}

fn kernels_json(kernels: &Kernels, options: &Bench) -> Option<serde_json::Value> {
    let lines = kernels
        .iter()
        .map(|((kernel, grid), (count, sums))| json!({ "kernel": kernel, "grid": grid, "count": count, "us": figures::spread(sums) }));
    options.profile.then(|| lines.collect())
}

/// The table, dearest first.
fn kernel_lines(kernels: &Kernels, options: &Bench) -> Vec<String> {
    if options.profile && kernels.is_empty() {
        return vec!["no kernel times: the device has no timestamps".to_string()];
    }
    let mut rows: Vec<_> = kernels.iter().map(|(kernel, (count, sums))| (kernel, count, figures::spread(sums)[1])).collect();
    rows.sort_by(|a, b| b.2.total_cmp(&a.2));
    let total: f64 = rows.iter().map(|(_, _, us)| us).sum();
    let line = |((kernel, grid), count, us): &(&(&str, [u32; 3]), &usize, f64)| {
        format!("{kernel:<18} {:<14} {count:>5} times {us:>11.1} us {:>5.1} %", format!("{grid:?}"), 100.0 * us / total)
    };
    rows.iter().map(line).collect()
}
