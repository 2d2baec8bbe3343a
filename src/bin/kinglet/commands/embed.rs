//! `kinglet embed`: encoder models are not run yet, and say so.

use crate::{arguments::Embed, failure::Failure};

pub fn run(options: &Embed) -> Result<(), Failure> {
    let (model, text) = (options.model.model.display(), options.text.chars().count());
    let message = format!("{model} cannot embed the text of {text} characters: encoder models are not supported; decoders are");
    Err(Failure::input("unsupported", message))
}
