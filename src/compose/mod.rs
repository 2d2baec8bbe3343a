//! A brief becomes drafts that fit a network: what a post may be (`network`, `length`), when a draft is finished (`guard`), how a model
//! is asked (`prompt`), and the loop that streams tokens into drafts (`composer`).
//!
//! Everything but `composer` is a pure function over text: the same rules run natively, in a page and in the tests.

mod characters;
mod emoji;
mod emoji_tables;
mod error;
mod length;
mod links;
mod network;
mod punycode;
mod sentence;
mod tidy;
mod tlds;

pub use error::ComposeError;
pub use length::{Check, Length, Problem, check, measure};
pub use network::{Network, Unit};

use error::excerpt;
