//! A brief becomes what a model is asked: messages and variables for its chat template, or plain text for a model without one.
//!
//! The bundled model is trained on bare briefs and takes tone and length as variables of its template (`kinglet.prompt` = "brief" in its
//! metadata); any other instruct model is told in plain English.

use super::brief::{Brief, EmojiRule, Hashtags, TargetLength, Tone};
use super::error::ComposeError;
use crate::{Result, engine::Engine, text::Message};
use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation;

/// How a model wants to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PromptStyle {
    /// The brief alone, with template variables.
    Brief,
    /// Instructions in plain English.
    #[default]
    Instructions,
}

impl PromptStyle {
    /// The metadata key that names the style.
    pub const KEY: &str = "kinglet.prompt";

    /// The style a model's metadata asks for.
    pub fn from_metadata(value: Option<&str>) -> PromptStyle {
        if value == Some("brief") { PromptStyle::Brief } else { PromptStyle::Instructions }
    }
}

/// Tokens a prompt must leave for a draft, however short, and tokens a model's context must have for composing at all.
const LEAST_ROOM: u32 = 24;
const LEAST_CONTEXT: u32 = 48;
/// A form of asking that leaves less of the brief than this gives way to a shorter form.
const LEAST_BRIEF_BYTES: usize = 64;

/// How a brief is put, from the most explicit to what fits the smallest context.
#[derive(Clone, Copy)]
enum Form {
    /// As the model wants to be asked.
    Full,
    /// The brief as the only message.
    Bare,
    /// The brief as a text to go on from.
    Text,
}

/// The prompt, in the first form that leaves room for a draft and for enough of the brief.
pub(super) fn ids(engine: &Engine, brief: &Brief) -> Result<Vec<u32>> {
    let max_seq = engine.session.max_seq();
    let too_short = ComposeError::Context { needed: LEAST_CONTEXT, found: max_seq };
    if max_seq < LEAST_CONTEXT {
        return Err(too_short.into());
    }
    let room = (brief.max_units() / 2 + LEAST_ROOM).min(max_seq / 2);
    for form in [Form::Full, Form::Bare, Form::Text] {
        if let Some(ids) = fitting_ids(engine, brief, form, (max_seq - room) as usize)? {
            return Ok(ids);
        }
    }
    Err(too_short.into())
}

/// The prompt in one form, the brief shortened until it fits the budget of tokens.
fn fitting_ids(engine: &Engine, brief: &Brief, form: Form, budget: usize) -> Result<Option<Vec<u32>>> {
    // Few tokens stand for more than sixteen bytes; what is still too long is cut again below.
    let mut text = shortened(&brief.brief, budget * 16);
    loop {
        let ids = encode(engine, brief, text, form)?;
        if ids.len() <= budget && !ids.is_empty() {
            return Ok(Some(ids));
        }
        let smaller = text.len() * budget / ids.len().max(1) * 15 / 16;
        let least = if matches!(form, Form::Text) { 1 } else { LEAST_BRIEF_BYTES.min(brief.brief.len()) };
        if smaller < least || smaller >= text.len() {
            return Ok(None);
        }
        text = shortened(text, smaller);
    }
}

/// Ids of the prompt: what the writer typed never becomes a control token.
fn encode(engine: &Engine, brief: &Brief, text: &str, form: Form) -> Result<Vec<u32>> {
    let tokenizer = &engine.tokenizer;
    let plain = |text: &str| tokenizer.bos().into_iter().chain(tokenizer.encode_plain(text)).collect();
    let Some(template) = engine.template.as_ref().filter(|_| !matches!(form, Form::Text)) else {
        return Ok(plain(&if matches!(form, Form::Full) { plain_text(brief, text) } else { text.to_string() }));
    };
    let style = if matches!(form, Form::Full) { engine.prompt_style } else { PromptStyle::Brief };
    let (messages, variables) = messages(brief, text, style, engine.writing.emoji);
    let rendered = template.encode(tokenizer, &messages, &variables).or_else(|error| match messages.len() {
        1 => Err(error),
        // Some templates refuse a system message.
        _ => template.encode(tokenizer, &single_message(brief, text), &variables),
    });
    Ok(rendered?.1)
}

/// Messages and variables for a chat template. `text` is the brief, or as much of it as fits; `emoji`: whether the model is good at them.
fn messages(brief: &Brief, text: &str, style: PromptStyle, emoji: bool) -> (Vec<Message>, Map<String, Value>) {
    match style {
        PromptStyle::Brief => (vec![Message::new("user", spelled_out(text))], variables(brief, emoji)),
        PromptStyle::Instructions => (vec![Message::new("system", SYSTEM), Message::new("user", request(brief, text))], Map::new()),
    }
}

/// What people type in a hurry, and what they mean, for a model too small to have learned it.
const SHORT_FORMS: [(&str, &str); 16] = [
    ("bc", "because"),
    ("pls", "please"),
    ("plz", "please"),
    ("tho", "though"),
    ("thx", "thanks"),
    ("ppl", "people"),
    ("thats", "that's"),
    ("dont", "don't"),
    ("cant", "can't"),
    ("wont", "won't"),
    ("didnt", "didn't"),
    ("doesnt", "doesn't"),
    ("isnt", "isn't"),
    ("wasnt", "wasn't"),
    ("im", "I'm"),
    ("ive", "I've"),
];

/// A brief with its short forms spelled out.
fn spelled_out(text: &str) -> String {
    let long = |word: &str| {
        SHORT_FORMS.iter().find(|(short, _)| word.eq_ignore_ascii_case(short)).map_or(word.to_string(), |(_, long)| long.to_string())
    };
    text.split_word_bounds().map(long).collect()
}

/// The same for a template that refuses a system message.
fn single_message(brief: &Brief, text: &str) -> Vec<Message> {
    vec![Message::new("user", format!("{SYSTEM}\n\n{}", request(brief, text)))]
}

/// The prompt for a model that only continues text.
fn plain_text(brief: &Brief, text: &str) -> String {
    format!("Notes: {text}\n\n{}, at most {} characters:\n", capitalised(&what(brief)), brief.max_units())
}

/// At most `max_bytes` of a brief, cut after a word if there is one to cut after.
fn shortened(brief: &str, max_bytes: usize) -> &str {
    if brief.len() <= max_bytes {
        return brief;
    }
    let cut = &brief[..brief.floor_char_boundary(max_bytes)];
    let at_word = cut.rfind(char::is_whitespace).map_or(cut, |space| &cut[..space]);
    if at_word.trim().is_empty() { cut } else { at_word.trim_end() }
}

const SYSTEM: &str = "You write social media posts. Answer with the text of one post and nothing else: no introduction, no quotation marks, \
                      no notes. Use only facts you are given. End with a complete sentence.";

fn request(brief: &Brief, text: &str) -> String {
    let mut rules = vec![format!("at most {} characters", brief.max_units())];
    match brief.hashtags {
        Hashtags::None => rules.push("no hashtags".to_string()),
        Hashtags::Auto => {}
        Hashtags::AtMost(n) => rules.push(format!("up to {n} hashtag{} at the end", if n == 1 { "" } else { "s" })),
    }
    if brief.emoji == EmojiRule::None {
        rules.push("no emoji".to_string());
    }
    format!("Write {}: {}. In your own words, it should say this:\n\n{text}", what(brief), rules.join(", "))
}

/// "a friendly post for X"
fn what(brief: &Brief) -> String {
    let article = if matches!(brief.tone, Tone::Excited) { "an" } else { "a" };
    format!("{article} {} post for {}", brief.tone.id(), brief.network.label())
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Tones in which people use emoji, where they are left to the writer.
fn is_lively(tone: Tone) -> bool {
    matches!(tone, Tone::Friendly | Tone::Witty | Tone::Excited)
}

fn variables(brief: &Brief, emoji: bool) -> Map<String, Value> {
    let bucket = match brief.length {
        TargetLength::Short => "short",
        TargetLength::Medium => "medium",
        TargetLength::Long => "long",
        TargetLength::Units(n) => match n {
            0..150 => "short",
            150..350 => "medium",
            350.. => "long",
        },
    };
    let pairs = [
        ("task", Value::from("post")),
        ("tone", Value::from(brief.tone.id())),
        ("length", Value::from(bucket)),
        ("hashtags", Value::from(brief.hashtags.most() > 0)),
        ("emoji", Value::from(emoji && brief.emoji == EmojiRule::Auto && is_lively(brief.tone))),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_spelled_out_and_nothing_else() {
        for (typed, meant) in [
            ("gym this week bc of the piano, PLS come", "gym this week because of the piano, please come"),
            ("dont, thats all", "don't, that's all"),
            ("ABC, plsql: I'm at 7.15", "ABC, plsql: I'm at 7.15"),
            ("  two  spaces\nand a line ", "  two  spaces\nand a line "),
        ] {
            assert_eq!(spelled_out(typed), meant);
        }
    }
}
