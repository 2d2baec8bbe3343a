//! Logits and greedy continuations of tiny random models against golden files, on every device.
//!
//! The golden numbers are transformers' in f32 (F32, F16, BF16) or exact arithmetic on de-quantised weights (GGUF blocks).

use crate::devices::{self, Golden, assert_close, golden, options, ran, session};
use kinglet::{
    cpu::Cpu,
    gpu::Variant,
    plan::Machine,
    session::{Request, SamplingParams, Session},
};

/// f32 sums in another order differ by about 3e-5 on logits of this scale; 1e-3 is what the golden files allow.
const TOLERANCE: f32 = 1e-3;

/// Model, golden pair.
const MODELS: [(&str, &str); 11] = [
    ("models/llama-gqa", "models/llama-gqa/golden"),
    ("models/llama-gqa-f16", "models/llama-gqa-f16/golden"),
    ("models/llama-gqa-bf16", "models/llama-gqa-bf16/golden"),
    ("models/llama-gqa-sharded", "models/llama-gqa/golden"),
    ("models/llama3-rope-tied", "models/llama3-rope-tied/golden"),
    ("models/smollm2-like", "models/smollm2-like/golden"),
    ("gguf/llama-gqa-Q4_0.gguf", "gguf/llama-gqa-Q4_0.golden"),
    ("gguf/llama-gqa-Q8_0.gguf", "gguf/llama-gqa-Q8_0.golden"),
    ("gguf/llama-k256-Q4_K_M.gguf", "gguf/llama-k256-Q4_K_M.golden"),
    ("gguf/llama3-rope-tied-Q8_0.gguf", "gguf/llama3-rope-tied-Q8_0.golden"),
    ("gguf/smollm2-like-F16.gguf", "gguf/smollm2-like-F16.golden"),
];

/// Greedy ids after a prompt.
pub fn greedy(session: &mut Session, prompt: &[u32], count: u32, max_tokens: u32) -> Vec<Vec<u32>> {
    let request = Request {
        prompt: prompt.to_vec(),
        count,
        max_tokens,
        sampling: SamplingParams::GREEDY,
        seed: 7,
        end_tokens: Vec::new(),
        ..Request::default()
    };
    crate::devices::collect(session, &request)
}

fn logits_agree(name: &str, session: &mut Session, prompt: &Golden) {
    let vocab_size = session.config().vocab_size as usize;
    for chunk in [1, 7, 64] {
        let logits = pollster::block_on(session.logits(&prompt.ids, chunk)).expect("logits");
        let got = &logits[prompt.first * vocab_size..];
        assert_close(&format!("{name}, {} tokens in chunks of {chunk}", prompt.ids.len()), got, &prompt.logits, TOLERANCE);
    }
}

fn model_agrees(name: &str, stem: &str, machine: Box<dyn Machine>) {
    let mut session = session(name, machine, options(1));
    for prompt in golden(stem) {
        logits_agree(name, &mut session, &prompt);
        let tokens = greedy(&mut session, &prompt.ids, 1, 24);
        assert_eq!(tokens[0][..prompt.safe], prompt.greedy[..prompt.safe], "{name}: greedy after {} tokens", prompt.ids.len());
    }
}

#[test]
fn golden_logits_and_greedy_tokens_on_cpu() {
    for (name, stem) in MODELS {
        model_agrees(name, stem, devices::cpu());
    }
    ran("cpu", MODELS.len());
}

/// Activations of 8 bits: not worse than 1.5 times what llama.cpp's own differ by from exact arithmetic, over all prompts of a file.
#[test]
fn rounded_activations_stay_as_close_as_llama_cpp() {
    let files =
        MODELS.iter().filter(|(name, _)| name.ends_with("Q4_0.gguf") || name.ends_with("Q8_0.gguf") || name.ends_with("Q4_K_M.gguf"));
    let mut count = 0;
    for (name, stem) in files {
        let mut session = session(name, Box::new(Cpu::rounding(None)), options(1));
        let vocab_size = session.config().vocab_size as usize;
        let (mut squares, mut allowed, mut num) = (0.0, 0.0, 0.0);
        for prompt in golden(stem) {
            let mut logits = |chunk| pollster::block_on(session.logits(&prompt.ids, chunk)).expect("logits");
            let whole = logits(64);
            assert_eq!(logits(7), whole, "{name}: chunks of 7 differ");
            let got = &whole[prompt.first * vocab_size..];
            let llama_cpp = prompt.llama_cpp_rms.expect("a GGUF file's golden has llama.cpp's difference");
            let off = got.iter().zip(&prompt.logits).map(|(got, want)| f64::from(got - want).powi(2)).sum::<f64>();
            squares += off;
            allowed += llama_cpp.powi(2) * got.len() as f64;
            num += got.len() as f64;
        }
        let (rms, llama_cpp) = ((squares / num).sqrt(), (allowed / num).sqrt());
        println!("{name}: rms {rms:.4}, llama.cpp {llama_cpp:.4}");
        assert!(rms <= 1.5 * llama_cpp, "{name}: off by {rms} (rms), llama.cpp by {llama_cpp}");
        assert!(rms > 0.0, "{name}: nothing was rounded");
        count += 1;
    }
    assert_eq!(count, 4);
    ran("cpu", count);
}

#[test]
fn golden_logits_and_greedy_tokens_on_vulkan() {
    for (name, stem) in MODELS {
        let Some(gpu) = devices::gpu(None) else { return };
        model_agrees(name, stem, gpu);
    }
    // The kernels that real GPUs get run on software adapters too, only slowly.
    for (name, stem) in [MODELS[4], MODELS[7], MODELS[8]] {
        let Some(gpu) = devices::gpu(Some(Variant::Lanes)) else { return };
        model_agrees(name, stem, gpu);
    }
    ran("vulkan", MODELS.len() + 3);
}
