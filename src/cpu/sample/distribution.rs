//! The sampler alone, over one vector of logits: every parameter of the sampler fixtures, on the host.
//!
//! Scores are processed in f32, as transformers does, and the softmax of what is left is taken in f64. A name that is no parameter is an
//! error, never ignored: a sampler that silently drops a wish is wrong in a way nobody sees.

use crate::cpu::sample::filters::{self, Scratch, Weights};
use std::collections::BTreeMap;

/// What to apply, in the order of the fields; `None` is off. Names as in transformers.
#[derive(Clone, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleParams {
    /// Added to the score of a token.
    pub logit_bias: BTreeMap<u32, f32>,
    /// Above 0; 1 is off.
    pub repetition_penalty: Option<f32>,
    /// No run of so many tokens occurs twice; 0 is off.
    pub no_repeat_ngram_size: Option<usize>,
    /// Runs of tokens that never occur.
    pub bad_words_ids: Vec<Vec<u32>>,
    /// Before so many new tokens, none of `eos` is drawn.
    pub min_new_tokens: Option<usize>,
    /// End tokens, for `min_new_tokens`.
    pub eos: Vec<u32>,
    /// How much of the history is prompt, for `min_new_tokens`.
    pub prompt_len: usize,
    /// Tokens never drawn.
    pub suppress: Vec<u32>,
    /// 0 takes the best token.
    pub temperature: Option<f32>,
    /// 0 is off.
    pub top_k: Option<usize>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// 0 to 1.
    pub min_p: Option<f64>,
    /// Above 0; 1 is off.
    pub typical_p: Option<f64>,
    /// 0 to 1.
    pub epsilon_cutoff: Option<f64>,
    /// 0 to 1.
    pub eta_cutoff: Option<f64>,
}

/// Why there is no distribution.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SampleError {
    /// Not JSON, an unknown name, or a value of the wrong type.
    #[error("sampling parameters: {reason}")]
    Params {
        /// What the parser expected and found.
        reason: String,
    },
    /// A number that its parameter does not take.
    #[error("sampling parameter {name}: expected {expected}, found {found}")]
    OutOfRange {
        /// The parameter.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it got.
        found: f64,
    },
    /// A logit that is not a number, or +inf.
    #[error("logit {index}: expected a number or -inf, found {found}")]
    Logit {
        /// Which.
        index: usize,
        /// What it is.
        found: f32,
    },
    /// Every token was removed.
    #[error("the sampling parameters leave none of {vocab_size} tokens to draw; relax them")]
    NothingLeft {
        /// Logits given.
        vocab_size: usize,
    },
}

impl SampleError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        "bad-sampling"
    }
}

impl SampleParams {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// If it is none, or names or values are not known.
    pub fn from_json(json: &str) -> Result<SampleParams, SampleError> {
        let bad = |error: serde_json::Error| SampleError::Params { reason: error.to_string() };
        // Read as an object first: a struct would take an array of its fields as well.
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(json).map_err(bad)?;
        let params: SampleParams = serde_json::from_value(object.into()).map_err(bad)?;
        params.check()?;
        Ok(params)
    }

    fn check(&self) -> Result<(), SampleError> {
        let unit = [
            ("top_p", self.top_p),
            ("min_p", self.min_p),
            ("typical_p", self.typical_p),
            ("epsilon_cutoff", self.epsilon_cutoff),
            ("eta_cutoff", self.eta_cutoff),
        ];
        for (name, value) in unit {
            in_range(name, value, "a number from 0 to 1", |value| (0.0..=1.0).contains(&value))?;
        }
        let finite = |value: f64| value.is_finite() && value >= 0.0;
        in_range("temperature", self.temperature.map(f64::from), "a number of 0 or more", finite)?;
        let above = |value: f64| value.is_finite() && value > 0.0;
        in_range("repetition_penalty", self.repetition_penalty.map(f64::from), "a number above 0", above)
    }
}

/// What may be drawn, and how probable it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Ids, ascending.
    pub kept: Vec<u32>,
    /// Their probabilities, in the order of `kept`; the sum is 1.
    pub probs: Vec<f64>,
}

impl Distribution {
    /// The softmax over the scores that are left.
    pub fn of(scores: &[f32]) -> Distribution {
        let weights = Weights::of(scores);
        let kept: Vec<u32> = (0u32..).zip(scores).filter(|(_, score)| **score > f32::NEG_INFINITY).map(|(id, _)| id).collect();
        let probs = kept.iter().map(|id| weights.probability(*id as usize)).collect();
        Distribution { kept, probs }
    }

    /// The smallest id whose cumulative probability exceeds `u` of [0, 1); none if nothing is left.
    pub fn draw(&self, u: f64) -> Option<u32> {
        let mut mass = 0.0;
        let drawn = self.probs.iter().position(|probability| {
            mass += probability;
            mass > u
        });
        // Rounding may leave the whole mass a hair below u: then the last token that can occur at all.
        let drawn = drawn.or_else(|| self.probs.iter().rposition(|probability| *probability > 0.0));
        drawn.map(|index| self.kept[index])
    }
}

/// Applies the parameters to `logits: [vocab_size]`, with `history` as what was fed and drawn so far.
///
/// # Errors
/// If a logit is not a number, or nothing is left.
pub fn distribution(logits: &[f32], params: &SampleParams, history: &[u32]) -> Result<Distribution, SampleError> {
    let bad = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY);
    if let Some(index) = bad {
        return Err(SampleError::Logit { index, found: logits[index] });
    }
    params.check()?;
    let mut scores = logits.to_vec();
    restrict(&mut scores, params, history);
    shape(&mut scores, params);
    let distribution = Distribution::of(&scores);
    if distribution.kept.is_empty() { Err(SampleError::NothingLeft { vocab_size: logits.len() }) } else { Ok(distribution) }
}

/// The parameters that look at tokens.
fn restrict(scores: &mut [f32], params: &SampleParams, history: &[u32]) {
    for (token, bias) in &params.logit_bias {
        if let Some(score) = scores.get_mut(*token as usize) {
            *score += bias;
        }
    }
    filters::repetition_penalty(scores, history.iter().copied(), params.repetition_penalty.unwrap_or(1.0), &mut Scratch::default());
    filters::ban(scores, repeats(history, params.no_repeat_ngram_size.unwrap_or(0)));
    filters::ban(scores, bad_words(history, &params.bad_words_ids, &params.eos));
    let new_tokens = history.len().saturating_sub(params.prompt_len);
    if new_tokens < params.min_new_tokens.unwrap_or(0) {
        filters::ban(scores, params.eos.iter().copied());
    }
    filters::ban(scores, params.suppress.iter().copied());
}

/// The parameters that look at probabilities.
fn shape(scores: &mut [f32], params: &SampleParams) {
    match params.temperature {
        Some(0.0) => {
            let best = filters::best(scores) as usize;
            let score = scores.get(best).copied();
            scores.fill(f32::NEG_INFINITY);
            if let Some(score) = score {
                scores[best] = score;
            }
        }
        Some(temperature) => filters::temperature(scores, temperature),
        None => {}
    }
    let mut scratch = Scratch::default();
    filters::top_k(scores, params.top_k.unwrap_or(0), &mut scratch);
    filters::top_p(scores, params.top_p.unwrap_or(1.0), &mut scratch);
    filters::min_p(scores, params.min_p.unwrap_or(0.0));
    filters::typical_p(scores, params.typical_p.unwrap_or(1.0));
    filters::epsilon_cutoff(scores, params.epsilon_cutoff.unwrap_or(0.0));
    filters::eta_cutoff(scores, params.eta_cutoff.unwrap_or(0.0));
}

/// Tokens that would repeat a run of `size` tokens.
fn repeats(history: &[u32], size: usize) -> Vec<u32> {
    if size == 0 || history.len() < size {
        return Vec::new();
    }
    let end = &history[history.len() + 1 - size..];
    history.windows(size).filter(|run| run[..size - 1] == *end).map(|run| run[size - 1]).collect()
}

/// Tokens that would complete a bad word. As in transformers, an end token alone is never bad, nor a word longer than the history.
fn bad_words<'a>(history: &'a [u32], words: &'a [Vec<u32>], eos: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    words.iter().filter_map(move |word| {
        let (last, start) = word.split_last()?;
        let bad = if start.is_empty() { !eos.contains(last) } else { word.len() <= history.len() && history.ends_with(start) };
        bad.then_some(*last)
    })
}

fn in_range(name: &'static str, value: Option<f64>, expected: &'static str, fits: impl Fn(f64) -> bool) -> Result<(), SampleError> {
    match value {
        Some(found) if !fits(found) => Err(SampleError::OutOfRange { name, expected, found }),
        _ => Ok(()),
    }
}
