//! One file for each command or pair of commands.

pub mod bench;
pub mod compose;
pub mod embed;
pub mod generate;
pub mod inspect;
pub mod logits;
pub mod sample;
pub mod text;
