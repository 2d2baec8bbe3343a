//! A running generation: tokens of several drafts, turned to text, with stop strings.

use super::{Engine, SamplingOverrides};
use crate::{
    Result,
    compose::StopReason,
    session::End,
    text::{Detokenizer, Message, Tokenizer},
};

/// What a generation starts from.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Ids as they are.
    Tokens(Vec<u32>),
    /// Text; specials are added and parsed, as the model's tokenizer does.
    Prompt(String),
    /// A conversation, rendered by the model's template.
    Messages(Vec<Message>),
}

/// What to generate. `sampling` is put over the model's own.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateRequest {
    /// Where to start.
    pub input: Input,
    /// Drafts of it.
    pub count: u32,
    /// Most tokens of a draft.
    pub max_tokens: u32,
    /// What the caller set.
    pub sampling: SamplingOverrides,
    /// Same seed, same drafts.
    pub seed: u64,
    /// Texts that end a draft; they are not part of it.
    pub stop: Vec<String>,
    /// Go on past end tokens.
    pub ignore_end: bool,
    /// Compute the whole prompt, even what is known of it from the request before.
    pub fresh: bool,
}

/// One token further in one draft.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Generated {
    /// Which draft.
    pub index: u32,
    /// The token just drawn.
    pub token: u32,
    /// The draft so far.
    pub text: String,
    /// Set with the draft's last token.
    pub stop: Option<StopReason>,
}

/// A running generation.
pub struct Generation {
    drafts: Vec<Detokenizer>,
    stop: Vec<String>,
}

impl Generation {
    pub(super) fn new(count: u32, stop: Vec<String>, tokenizer: &Tokenizer) -> Generation {
        let stop = stop.into_iter().filter(|stop| !stop.is_empty()).collect();
        Generation { drafts: (0..count).map(|_| tokenizer.detokenizer(true)).collect(), stop }
    }

    /// The next token of any draft, or `None` when all have ended.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn next(&mut self, engine: &mut Engine) -> Result<Option<Generated>> {
        let Some(step) = engine.session.next().await? else { return Ok(None) };
        let detokenizer = &mut self.drafts[step.draft as usize];
        let mut stop = step.end.map(|end| match end {
            End::EndToken => StopReason::End,
            End::Limit => StopReason::Limit,
        });
        if step.end != Some(End::EndToken) {
            detokenizer.push(step.token);
        }
        if stop.is_some() {
            detokenizer.flush();
        }
        let mut text = detokenizer.text().to_string();
        if let Some(cut) = self.stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
            text.truncate(cut);
            stop = Some(StopReason::StopString);
            engine.session.stop(step.draft);
        }
        Ok(Some(Generated { index: step.draft, token: step.token, text, stop }))
    }
}
