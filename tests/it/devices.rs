//! Devices to run fixture models on, golden data, and comparing numbers.

use crate::support::fixture;
use kinglet::{
    cpu::Cpu,
    gpu::Variant,
    model::{arch, weights},
    plan::Machine,
    session::{Session, SessionOptions},
    source::{Checkpoint, file::open_model_files},
};

/// Opens a fixture model.
pub fn checkpoint(name: &str) -> Checkpoint {
    let files = open_model_files(&fixture(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    pollster::block_on(Checkpoint::open(files)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Loads a fixture model onto a machine.
pub fn session(name: &str, mut machine: Box<dyn Machine>, options: SessionOptions) -> Session {
    let checkpoint = checkpoint(name);
    pollster::block_on(async {
        let blueprint = arch::interpret(&checkpoint).await?;
        let weights = weights::reserve(&checkpoint, &blueprint, machine.as_mut())?;
        let mut session = Session::new(machine, blueprint.config, weights, options).await?;
        let (weights, machine) = session.weights_to_stream();
        weights.stream(&checkpoint, machine, &mut |_, _| {}).await?;
        Ok::<_, kinglet::Error>(session)
    })
    .unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The CPU.
pub fn cpu() -> Box<dyn Machine> {
    Box::new(Cpu::new(None))
}

/// Options for `count` drafts with no clock.
pub fn options(count: u32) -> SessionOptions {
    SessionOptions { count, context: 256, chunk: 64, clock: None }
}

/// Fails with the worst element unless all are within `tolerance`.
pub fn assert_close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    let off = |i: &usize| (got[*i] - want[*i]).abs();
    let worst = (0..got.len()).max_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(0);
    let fine = got.iter().zip(want).all(|(g, w)| (g - w).abs() <= tolerance);
    assert!(fine, "{what}: worst at {worst}: got {}, want {}, off by {} > {tolerance}", got[worst], want[worst], off(&worst));
}

/// Golden data of one prompt: ids, logits `[rows, vocab_size]` from `first` on, and the greedy continuation.
pub struct Golden {
    pub ids: Vec<u32>,
    pub logits: Vec<f32>,
    pub first: usize,
    pub greedy: Vec<u32>,
    /// Greedy tokens whose margin is above 1e-3.
    pub safe: usize,
    /// Root mean square of what llama.cpp's logits differ by, which multiplies 8-bit activations; of GGUF files.
    pub llama_cpp_rms: Option<f64>,
}

/// Every prompt of a golden pair `<stem>.safetensors`, `<stem>.json`.
pub fn golden(stem: &str) -> Vec<Golden> {
    let bytes = std::fs::read(fixture(&format!("{stem}.safetensors"))).expect("golden tensors");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("golden tensors");
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture(&format!("{stem}.json"))).expect("golden json")).expect("golden json");
    let prompts = json["prompts"].as_array().expect("prompts");
    let words = |name: String| -> Vec<u32> {
        let tensor = tensors.tensor(&name).expect("a golden tensor");
        tensor.data().as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    };
    let read = |(index, prompt): (usize, &serde_json::Value)| {
        let margins = prompt["greedy_margins"].as_array().expect("margins");
        let unsafe_from = margins.iter().position(|m| m.as_f64().expect("a margin") <= 1e-3);
        Golden {
            ids: words(format!("prompt.{index}.ids")),
            logits: words(format!("prompt.{index}.logits")).into_iter().map(f32::from_bits).collect(),
            first: prompt["logits_first_position"].as_u64().unwrap_or(0) as usize,
            greedy: words(format!("prompt.{index}.greedy")),
            safe: unsafe_from.unwrap_or(margins.len()),
            llama_cpp_rms: prompt["llama_cpp_rms_logit_diff"].as_f64(),
        }
    };
    prompts.iter().enumerate().map(read).collect()
}

/// Says, for the closing lines of `npm test`, that `count` checks ran on a device.
pub fn ran(device: &str, count: usize) {
    assert!(count > 0, "nothing ran on {device}");
    println!("ran on {device}: {count}");
}

/// Runs a request to its end: tokens of each draft.
pub fn collect(session: &mut Session, request: &kinglet::session::Request) -> Vec<Vec<u32>> {
    let mut drafts = vec![Vec::new(); request.count as usize];
    pollster::block_on(async {
        session.start(request).await.expect("start");
        while let Some(step) = session.next().await.expect("next") {
            drafts[step.draft as usize].push(step.token);
        }
    });
    drafts
}

/// A GPU for tests with the kernels that it would choose, or a given set; `None` if there is none and none is required.
pub fn gpu(variant: Option<Variant>) -> Option<Box<dyn Machine>> {
    crate::machines::open(variant).map(|gpu| Box::new(gpu) as Box<dyn Machine>)
}
