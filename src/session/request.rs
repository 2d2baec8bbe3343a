//! What a session is asked and what it answers, as plain data.

use super::SamplingParams;
use std::rc::Rc;

/// What a generation asks for that cannot be done.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// A number is out of bounds.
    #[error("{what}: expected {expected}, found {found}")]
    OutOfBounds {
        /// The parameter.
        what: &'static str,
        /// What would run.
        expected: String,
        /// What was asked for.
        found: String,
    },
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {found} tokens, the context holds {context}; shorten it")]
    PromptTooLong {
        /// Tokens of the prompt.
        found: usize,
        /// Positions of the context.
        context: u32,
    },
}

impl SessionError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SessionError::OutOfBounds { .. } => "bad-request",
            SessionError::PromptTooLong { .. } => "prompt-too-long",
        }
    }
}

/// Sizes that are fixed when a session is made.
#[derive(Clone)]
pub struct SessionOptions {
    /// Most drafts decoded together, 1 to 8.
    pub count: u32,
    /// Positions a draft may have, prompt included; cut to what the model was made for.
    pub context: u32,
    /// Prompt tokens that are computed together, rounded up to a multiple of 8.
    pub chunk: u32,
    /// Milliseconds from any fixed point, if the host has a clock: lets submissions grow while they stay under 100 ms.
    pub clock: Option<Rc<dyn Fn() -> f64>>,
}

/// What to generate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// Prompt ids, at least one.
    pub prompt: Vec<u32>,
    /// Drafts of it, 1 to the session's count.
    pub count: u32,
    /// Most tokens of a draft; cut to the room the context leaves.
    pub max_tokens: u32,
    /// How to draw.
    pub sampling: SamplingParams,
    /// Same seed, same drafts.
    pub seed: u64,
    /// Tokens that end a draft, at most 16.
    pub end_tokens: Vec<u32>,
    /// Tokens that are never drawn.
    pub banned: Vec<u32>,
    /// Tokens that are likelier until they are drawn.
    pub boosted: Vec<u32>,
    /// What is added to their scores; 0 is off.
    pub boost: f32,
    /// Whether steps are to tell how probable their tokens were.
    pub scored: bool,
    /// Whether the whole prompt is computed, even what the cache still holds of it: for measuring.
    pub fresh: bool,
    /// The first draft's number in the random counter: drafts 0 to 3 with 4 here are drafts 4 to 7 of a larger request.
    pub first_draft: u32,
}

/// One token of one draft. Tokens of a draft come in order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Which draft.
    pub draft: u32,
    /// The token; an end token too.
    pub token: u32,
    /// Natural logarithm of its probability, if the request is scored; else 0.
    pub log_probability: f32,
    /// Set with a draft's last token.
    pub end: Option<End>,
}

/// Why a draft has no further tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The model drew an end token.
    EndToken,
    /// `max_tokens` or the context is used up.
    Limit,
}

/// Counts since the last start, for measurements.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counters {
    /// Prompt tokens that were computed.
    pub prefilled: u32,
    /// Prompt tokens that were still in the cache.
    pub reused: u32,
    /// Decoding steps submitted.
    pub steps: u32,
    /// Submissions of decoding steps.
    pub submissions: u32,
    /// Submissions whose draws the host has waited for.
    pub readbacks: u32,
}

pub(super) fn within(what: &'static str, found: u32, least: u32, most: u32) -> Result<(), SessionError> {
    match found {
        _ if (least..=most).contains(&found) => Ok(()),
        _ => Err(out_of_bounds(what, &format!("{least} to {most}"), found)),
    }
}

pub(super) fn out_of_bounds(what: &'static str, expected: &str, found: impl std::fmt::Display) -> SessionError {
    SessionError::OutOfBounds { what, expected: expected.to_string(), found: found.to_string() }
}
