//! `kinglet generate`: text as it comes, or one JSON object per sequence.

use crate::{
    arguments::{Common, Generate, Sampling},
    failure::Failure,
    host,
};
use kinglet::{
    compose::StopReason,
    engine::{GenerateRequest, Generated, Input, SamplingOverrides},
    text::Message,
};
use std::io::Write;

#[derive(Clone, Default)]
struct Sequence {
    tokens: Vec<u32>,
    text: String,
    stop: Option<StopReason>,
    printed: usize,
}

pub fn run(options: &Generate, common: &Common) -> Result<(), Failure> {
    let input = match (&options.prompt, &options.chat, &options.tokens) {
        (Some(prompt), ..) => Input::Prompt(prompt.clone()),
        (_, Some(chat), _) => Input::Messages(vec![Message::new("user", chat)]),
        (.., tokens) => Input::Tokens(tokens.clone().unwrap_or_default()),
    };
    let mut engine = host::engine(&options.model.model, common, options.count, context(&input, options.max_tokens))?;
    let seed = options.sampling.seed.unwrap_or_else(host::random_seed);
    let request = GenerateRequest {
        input,
        count: options.count,
        max_tokens: options.max_tokens,
        sampling: overrides(&options.sampling),
        seed,
        stop: options.stop.clone(),
        ignore_end: options.ignore_eos,
        fresh: false,
    };
    let mut sequences = vec![Sequence::default(); options.count as usize];
    pollster::block_on(async {
        let mut generation = engine.generate(request).await?;
        while let Some(step) = generation.next(&mut engine).await? {
            let index = step.index as usize;
            receive(&mut sequences[index], step);
            if !common.json && options.count == 1 {
                print_new(&mut sequences[0]);
            }
        }
        Ok::<(), kinglet::Error>(())
    })?;
    if !common.json && options.sampling.seed.is_none() {
        eprintln!("seed {seed}");
    }
    for (index, sequence) in sequences.iter_mut().enumerate() {
        match common.json {
            true => host::print_line(&json(index, sequence, seed)),
            false if options.count == 1 => host::print_line(""),
            false => host::print_line(&format!("--- {index}\n{}", sequence.text)),
        }
    }
    Ok(())
}

/// Positions that are certainly enough: text has no more tokens than bytes, and a template adds less than is spare.
fn context(input: &Input, max_tokens: u32) -> u32 {
    const SPARE: usize = 512;
    let prompt = match input {
        Input::Tokens(tokens) => tokens.len(),
        Input::Prompt(text) => text.len(),
        Input::Messages(messages) => messages.iter().map(|message| message.content.to_string().len()).sum(),
    };
    u32::try_from(prompt + SPARE).unwrap_or(u32::MAX).saturating_add(max_tokens).min(1 << 20)
}

/// The sampling parameters that were given on the command line.
pub fn overrides(sampling: &Sampling) -> SamplingOverrides {
    let Sampling { temperature, top_k, top_p, min_p, repetition_penalty, .. } = *sampling;
    SamplingOverrides { temperature, top_k, top_p, min_p, repetition_penalty }
}

fn receive(sequence: &mut Sequence, step: Generated) {
    if step.stop != Some(StopReason::End) {
        sequence.tokens.push(step.token);
    }
    sequence.text = step.text;
    sequence.stop = step.stop;
}

fn print_new(sequence: &mut Sequence) {
    let new = sequence.text.get(sequence.printed..).unwrap_or_default();
    if write!(std::io::stdout(), "{new}").and_then(|()| std::io::stdout().flush()).is_err() {
        std::process::exit(0);
    }
    sequence.printed = sequence.text.len().max(sequence.printed);
}

fn json(index: usize, sequence: &Sequence, seed: u64) -> String {
    let Sequence { tokens, text, stop, .. } = sequence;
    serde_json::json!({ "index": index, "tokens": tokens, "text": text, "stop": stop, "seed": seed }).to_string()
}
