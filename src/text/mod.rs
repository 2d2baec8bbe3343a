//! Text to token ids and back, and the model's own chat template.
//!
//! The vocabulary comes from `tokenizer.json` or from GGUF metadata; both end in one [`Tokenizer`], so that nothing else in the crate
//! knows which it was. What surprises: text of the writer must never become a control token, so there are three ways to encode
//! ([`Tokenizer::encode`], [`Tokenizer::encode_plain`], [`ChatTemplate::encode`]) and only the right one for user text is safe.

mod chat;
mod detokenizer;
mod gguf;
mod jinja;
mod json;
mod paying;
mod pre;
mod print;
mod provenance;
mod special;
mod tokenizer;
mod vocabulary;

pub use chat::{ChatTemplate, Message};
pub use detokenizer::Detokenizer;
pub use tokenizer::Tokenizer;

use std::borrow::Cow;

/// A text in Unicode's normalisation form C, by the tables that the tokenizers bring along anyway.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut normalized = tokenizers::NormalizedString::from(text);
    normalized.nfc();
    normalized.get().to_owned().into()
}

/// What can be wrong with a vocabulary or a chat template.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TextError {
    /// A field of the vocabulary has a value that no valid file has.
    #[error("{what}: expected {expected}, found {found}")]
    Tokenizer {
        /// File and field.
        what: String,
        /// What a valid file has there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A valid vocabulary, but of a kind that is not read here.
    #[error("{what} is {found}, which is not supported; supported: {supported}")]
    UnsupportedTokenizer {
        /// File and field.
        what: String,
        /// What stands there.
        found: String,
        /// What would be read.
        supported: String,
    },
    /// The model comes without something that speaking needs.
    #[error("the model has no {what}; {instead}")]
    Missing {
        /// What is not there.
        what: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// The chat template does not parse, fails, or refuses the messages; the reason is the template engine's or the template's own.
    #[error("chat template: {reason}")]
    Template {
        /// Where and why.
        reason: String,
    },
    /// The chat template was stopped before it used up the machine.
    #[error("chat template: {what} is over the limit of {limit}")]
    TemplateLimit {
        /// What grew.
        what: String,
        /// How far it may grow.
        limit: String,
    },
}

impl TextError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            TextError::Tokenizer { .. } => "bad-tokenizer",
            TextError::UnsupportedTokenizer { .. } => "unsupported-tokenizer",
            TextError::Missing { what: "chat template", .. } => "no-template",
            TextError::Missing { .. } => "no-tokenizer",
            TextError::Template { .. } => "bad-template",
            TextError::TemplateLimit { .. } => "template-limit",
        }
    }

    /// A conversation was given to a model without a chat template.
    pub fn no_template() -> TextError {
        TextError::Missing { what: "chat template", instead: "give it a prompt instead" }
    }

    /// Whether something is not there at all, rather than wrong.
    pub fn is_absence(&self) -> bool {
        matches!(self, TextError::Missing { .. })
    }

    fn tokenizer(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> TextError {
        TextError::Tokenizer { what: what.into(), expected: expected.into(), found: found.into() }
    }

    fn unsupported(what: impl Into<String>, found: impl Into<String>, supported: impl Into<String>) -> TextError {
        TextError::UnsupportedTokenizer { what: what.into(), found: found.into(), supported: supported.into() }
    }
}
