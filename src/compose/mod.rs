//! A brief becomes drafts that fit a network: what a post may be (`network`, `length`), when a draft is finished (`guard`), how a model
//! is asked (`prompt`), and the loop that streams tokens into drafts (`composer`).
//!
//! Everything but `composer` is a pure function over text: the same rules run natively, in a page and in the tests.

mod brief;
mod characters;
mod composer;
mod draft;
mod emoji;
mod emoji_tables;
mod error;
mod guard;
mod length;
mod links;
mod network;
mod prompt;
mod punycode;
mod rank;
mod repair;
mod sentence;
mod tidy;
mod tlds;
mod vocabulary;

pub use brief::{Brief, BriefOptions, EmojiRule, Hashtags, MAX_BRIEF_BYTES, MAX_COUNT, MIN_UNITS, TargetLength, Tone};
pub use composer::{Composer, Composition};
pub use draft::{Action, DraftEvent, DraftState, MAX_RETAKES, StopReason};
pub use error::ComposeError;
pub use guard::{DraftGuard, Ending, Fault, Verdict};
pub use length::{Check, Length, Problem, check, measure};
pub use network::{Network, Unit};
pub use prompt::PromptStyle;
pub use rank::{Keywords, MAX_CANDIDATES};
