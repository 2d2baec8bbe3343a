//! How tokens are drawn, from the caller's parameters to what the device reads.

use super::request::{SessionError, out_of_bounds};
use crate::plan::Sampling;

/// How to draw. The order of the stages stands at [`Sampling`].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct SamplingParams {
    /// 0 takes the best token; higher is freer. 0 to 100.
    pub temperature: f32,
    /// Only the k best tokens; 0 is off.
    pub top_k: u32,
    /// Only the best tokens that make up this probability; above 0, 1 is off.
    pub top_p: f32,
    /// Only tokens with at least this share of the best one's probability; 0 to 1, 0 is off.
    pub min_p: f32,
    /// Above 1 makes tokens that occurred less likely; above 0, 1 is off.
    pub repetition_penalty: f32,
}

impl Default for SamplingParams {
    fn default() -> SamplingParams {
        SamplingParams { temperature: 0.7, top_k: 0, top_p: 0.9, min_p: 0.0, repetition_penalty: 1.0 }
    }
}

impl SamplingParams {
    /// The best token at each step.
    pub const GREEDY: SamplingParams = SamplingParams { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0 };

    pub(super) fn check(&self) -> Result<(), SessionError> {
        bounded("temperature", self.temperature, "0 to 100", (0.0..=100.0).contains(&self.temperature))?;
        bounded("top_p", self.top_p, "above 0, at most 1", self.top_p > 0.0 && self.top_p <= 1.0)?;
        bounded("min_p", self.min_p, "0 to 1", (0.0..=1.0).contains(&self.min_p))?;
        let penalty = self.repetition_penalty;
        bounded("repetition_penalty", penalty, "above 0, at most 100", penalty > 0.0 && penalty <= 100.0)
    }

    pub(super) fn uniform(&self, seed: u64, end: &[u32], boost: f32, scored: bool) -> Sampling {
        let mut end_tokens = [0; 16];
        end_tokens[..end.len()].copy_from_slice(end);
        Sampling {
            seed_low: seed as u32,
            seed_high: (seed >> 32) as u32,
            temperature: self.temperature,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            top_k: self.top_k,
            num_end_tokens: end.len() as u32,
            end_tokens,
            boost,
            scored: u32::from(scored),
            reserved: [0; 2],
        }
    }
}

fn bounded(what: &'static str, found: f32, expected: &str, holds: bool) -> Result<(), SessionError> {
    if holds { Ok(()) } else { Err(out_of_bounds(what, expected, found)) }
}

/// The token mask `[2, ceil(vocab_size / 32)]`: a bit for each token never drawn, then for each boosted; ids past the vocabulary have no
/// effect.
pub(super) fn mask(banned: &[u32], boosted: &[u32], vocab_size: u32) -> Vec<u32> {
    let words = vocab_size.div_ceil(32) as usize;
    let mut mask = vec![0; 2 * words];
    for (plane, ids) in mask.chunks_exact_mut(words).zip([banned, boosted]) {
        for id in ids.iter().filter(|id| **id < vocab_size) {
            plane[*id as usize / 32] |= 1 << (id % 32);
        }
    }
    mask
}
