//! `kinglet tokenize` and `kinglet chat-template`.

use crate::{
    arguments::{ChatTemplate, Common, Tokenize},
    failure::Failure,
    host,
};
use kinglet::{
    source::Checkpoint,
    text::{self, Message, TextError, Tokenizer},
};
use serde_json::{Value, json};
use std::path::Path;

pub fn tokenize(options: &Tokenize, common: &Common) -> Result<(), Failure> {
    let (tokenizer, _) = open(&options.model.model)?;
    if let Some(ids) = &options.detokenize {
        let text = tokenizer.decode(ids, options.no_special);
        host::print_line(&if common.json { json!({ "text": text }).to_string() } else { text });
        return Ok(());
    }
    let given = options.text.as_deref().unwrap_or_default();
    let tokens = if options.no_special { tokenizer.encode_plain(given) } else { tokenizer.encode(given) };
    print_tokens(&tokens, None, common);
    Ok(())
}

pub fn chat_template(options: &ChatTemplate, common: &Common) -> Result<(), Failure> {
    let (tokenizer, checkpoint) = open(&options.model.model)?;
    let Some(template) = text::ChatTemplate::open(&checkpoint.description, &checkpoint.companions)? else {
        return Err(TextError::no_template().into());
    };
    let (messages, variables) = parse_messages(&host::read_text(&options.messages)?)?;
    let (text, tokens) = template.encode(&tokenizer, &messages, &variables)?;
    print_tokens(&tokens, Some(&text), common);
    Ok(())
}

fn open(model: &Path) -> Result<(Tokenizer, Checkpoint), Failure> {
    let checkpoint = pollster::block_on(Checkpoint::open(host::files(model)?))?;
    Ok((Tokenizer::open(&checkpoint.description, &checkpoint.companions)?, checkpoint))
}

/// A list of messages, or an object with `messages` and whatever else the template is to see.
fn parse_messages(text: &str) -> Result<(Vec<Message>, serde_json::Map<String, Value>), Failure> {
    let bad = |what: String| Failure::input("bad-request", format!("messages: expected a JSON list of {{role, content}}, found {what}"));
    let value: Value = serde_json::from_str(text).map_err(|e| bad(format!("no JSON ({e})")))?;
    let (messages, variables) = match value {
        Value::Object(mut object) => (object.remove("messages").unwrap_or_default(), object),
        list => (list, serde_json::Map::new()),
    };
    Ok((serde_json::from_value(messages).map_err(|e| bad(e.to_string()))?, variables))
}

fn print_tokens(tokens: &[u32], text: Option<&str>, common: &Common) {
    let line = match (common.json, text) {
        (true, Some(text)) => json!({ "text": text, "tokens": tokens }).to_string(),
        (true, None) => json!({ "tokens": tokens }).to_string(),
        (false, Some(text)) => text.to_string(),
        (false, None) => tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
    };
    host::print_line(&line);
}
