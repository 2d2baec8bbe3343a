//! Runs → figures, each with its least, median and most, and the same as lines for people.

use super::Run;
use crate::arguments::Bench;
use kinglet::session::Session;
use serde_json::{Value, json};

/// What does not change from run to run.
pub struct Model {
    /// Packed bytes of the matrices that a step reads.
    pub weight_bytes: u64,
    /// Bytes of keys and values that a step reads, halfway through decoding.
    pub cache_bytes: u64,
    pub dispatches: usize,
    /// Multiply-adds of the matrices, for a prompt token and for a token written.
    pub multiply_adds: [u64; 2],
}

impl Model {
    pub fn new(session: &Session, options: &Bench) -> Model {
        let config = session.config();
        let position = 2 * 4 * u64::from(config.num_hidden_layers) * u64::from(config.num_key_value_heads) * u64::from(config.head_dim);
        let (prompt, own) = (u64::from(options.prompt_tokens), u64::from(options.max_tokens) / 2);
        Model {
            weight_bytes: session.weights().bytes_per_step(),
            // The prompt's part is one in memory, however many drafts read it.
            cache_bytes: position * (prompt + u64::from(options.count) * own),
            dispatches: session.dispatches_per_step(options.count),
            multiply_adds: [false, true].map(|head| session.weights().multiply_adds(head)),
        }
    }
}

/// Figures by name, one value a run.
pub struct Figures(Vec<(&'static str, Vec<f64>)>);

impl Figures {
    pub fn new(runs: &[Run], options: &Bench, model: &Model) -> Figures {
        let mut figures: Vec<(&'static str, Vec<f64>)> = Vec::new();
        for run in runs {
            for (name, value) in of_run(run, options, model) {
                match figures.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, values)) => values.push(value),
                    None => figures.push((name, vec![value])),
                }
            }
        }
        Figures(figures)
    }

    /// One object: each figure's median under its name, and all three numbers under `spread`.
    pub fn json(&self, facts: Value, kernels: Option<Value>) -> Value {
        let mut object = facts;
        for (name, values) in &self.0 {
            object[name] = json!(spread(values)[1]);
        }
        object["spread"] = self.0.iter().map(|(name, values)| (name.to_string(), json!(spread(values)))).collect();
        if let Some(kernels) = kernels {
            object["kernels"] = kernels;
        }
        object
    }

    pub fn lines(&self, options: &Bench, model: &Model) -> Vec<String> {
        let g = |name: &str, digits: usize| match self.spread(name) {
            Some([least, median, most]) => format!("{median:.digits$} ({least:.digits$} to {most:.digits$})"),
            None => "unknown".to_string(),
        };
        let together = match options.count {
            1 => String::new(),
            count => format!(", {count} together over one alone {}", g("together_ratio", 2)),
        };
        let vendor =
            options.bandwidth.map_or(String::new(), |gb_s| format!(" (maker: {gb_s} GB/s; the bound takes {})", g("bandwidth_gb_s", 1)));
        let mega = |bytes: u64| bytes as f64 / 1e6;
        vec![
            format!("first token after {} ms, prefill {} tok/s", g("ttft_ms", 1), g("prefill_tok_s", 1)),
            format!("decode {} tok/s{together}", g("decode_tok_s", 1)),
            format!("a step takes {} ms, a token {} ms of CPU time", g("step_ms", 3), g("cpu_ms_per_token", 3)),
            format!(
                "a step is {} dispatches, {} submits, {} readbacks; it reads {:.1} MB of weights and {:.1} MB of cache",
                model.dispatches,
                g("submits_per_token", 3),
                g("readbacks_per_token", 3),
                mega(model.weight_bytes),
                mega(model.cache_bytes)
            ),
            format!("the device streams {} GB/s{vendor}", g("roofline_gb_s", 2)),
            format!("a dispatch costs {} us, submit and map {} us", g("dispatch_us", 3), g("round_trip_us", 1)),
            format!("bound of a step: {} ms for weights + {} ms for dispatches", g("bound_read_ms", 4), g("bound_dispatch_ms", 4)),
            format!("reached: {} of the bound", g("bound_fraction", 3)),
            match self.spread("multiply_gmac_s") {
                Some(_) => format!(
                    "the integer loop alone: {} GMAC/s; prefill reaches {} of it, decoding {}",
                    g("multiply_gmac_s", 1),
                    g("prefill_multiply_fraction", 2),
                    g("decode_multiply_fraction", 2)
                ),
                None => "no integer loop on this device".to_string(),
            },
        ]
    }

    fn spread(&self, name: &str) -> Option<[f64; 3]> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, values)| spread(values))
    }
}

fn of_run(run: &Run, options: &Bench, model: &Model) -> Vec<(&'static str, f64)> {
    let Run { timed, alone_step_ms, roofline } = run;
    let count = f64::from(options.count);
    let read = model.weight_bytes as f64 / timed.step_ms / 1e6;
    // A stream that was measured too low would flatter: three quarters of what the maker states is what good kernels reach.
    let bandwidth = roofline.read_gb_s.max(0.75 * options.bandwidth.unwrap_or(0.0));
    let (bound_read, bound_dispatch) =
        kinglet::session::Roofline { read_gb_s: bandwidth, ..*roofline }.bound_ms(model.weight_bytes, model.dispatches);
    let mut figures = vec![
        ("ttft_ms", timed.first_token_ms),
        ("prefill_tok_s", f64::from(options.prompt_tokens.saturating_sub(1)) * 1e3 / (timed.first_token_ms - timed.step_ms).max(1e-3)),
        ("decode_tok_s", count * 1e3 / timed.step_ms),
        ("step_ms", timed.step_ms),
        ("submits_per_token", timed.submits_per_step),
        ("readbacks_per_token", timed.readbacks_per_step),
        ("read_gb_s", read),
        ("roofline_gb_s", roofline.read_gb_s),
        ("roofline_fraction", read / roofline.read_gb_s),
        ("dispatch_us", roofline.dispatch_us),
        ("round_trip_us", roofline.round_trip_us),
        ("bandwidth_gb_s", bandwidth),
        ("bound_read_ms", bound_read),
        ("bound_dispatch_ms", bound_dispatch),
        ("bound_ms", bound_read + bound_dispatch),
        ("bound_fraction", (bound_read + bound_dispatch) / timed.step_ms),
    ];
    if roofline.multiply_gmac_s > 0.0 {
        let prefill_tok_s = figures.iter().find(|(name, _)| *name == "prefill_tok_s").map_or(0.0, |(_, value)| *value);
        figures.push(("multiply_gmac_s", roofline.multiply_gmac_s));
        figures.push(("prefill_multiply_fraction", prefill_tok_s * model.multiply_adds[0] as f64 / 1e9 / roofline.multiply_gmac_s));
        let decode = count * model.multiply_adds[1] as f64 / timed.step_ms / 1e6;
        figures.push(("decode_multiply_fraction", decode / roofline.multiply_gmac_s));
    }
    figures.extend(timed.cpu_step_ms.map(|ms| ("cpu_ms_per_token", ms / count)));
    figures.extend(alone_step_ms.map(|alone| ("alone_tok_s", 1e3 / alone)));
    figures.extend(alone_step_ms.map(|alone| ("together_ratio", count * alone / timed.step_ms)));
    figures
}

/// Least, median and most.
pub fn spread(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    [sorted[0], (sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0, sorted[last]]
}
