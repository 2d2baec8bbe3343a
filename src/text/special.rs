//! Which tokens begin and end a text, gathered from the half dozen places where model files say so.

use super::TextError;
use crate::source::Companions;
use serde_json::Value;

/// What templates call the tokens, and what `tokenizer_config.json` does.
const NAMES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Tokens that end a turn or a text wherever they exist. Chat models are often shipped with only one of theirs named.
const ENDS: [&str; 14] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<|eos|>",
    "<eos>",
    "</s>",
    "<EOT>",
    "<end_of_utterance>",
    "<|return|>",
    "<｜end▁of▁sentence｜>",
];

/// The tokens with a role.
#[derive(Clone, Debug, Default)]
pub(super) struct Specials {
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub end: Vec<u32>,
    pub named: Vec<(&'static str, u32)>,
}

impl Specials {
    /// Sets the token that a template knows as `name`.
    pub fn name(&mut self, name: &str, id: u32) {
        if let Some(&name) = NAMES.iter().find(|&&known| known == name) {
            self.named.push((name, id));
        }
        match name {
            "bos_token" => self.bos = Some(id),
            "eos_token" => self.eos = Some(id),
            _ => {}
        }
    }

    /// Reads `tokenizer_config.json`, `special_tokens_map.json`, `generation_config.json` and `config.json`.
    pub fn from_companions(
        config: &Value,
        companions: &Companions,
        token_to_id: impl Fn(&str) -> Option<u32>,
    ) -> Result<Specials, TextError> {
        let tokenizer_config = object("tokenizer_config.json", companions.tokenizer_config.as_deref())?;
        let map = object("special_tokens_map.json", companions.special_tokens_map.as_deref())?;
        let generation = object("generation_config.json", companions.generation_config.as_deref())?;
        let mut specials = Specials::default();
        for name in NAMES {
            let token = token_text(&tokenizer_config[name]).or_else(|| token_text(&map[name]));
            if let Some(id) = token.and_then(&token_to_id) {
                specials.name(name, id);
            }
        }
        for (file, value) in [("generation_config.json", &generation), ("config.json", config)] {
            let ends = ids(file, "eos_token_id", value)?;
            specials.eos = specials.eos.or(ends.first().copied());
            specials.bos = specials.bos.or(ids(file, "bos_token_id", value)?.first().copied());
            specials.end.extend(ends);
        }
        Ok(specials)
    }

    /// Adds the well-known ends and drops what the vocabulary does not have.
    pub fn finish(&mut self, token_to_id: impl Fn(&str) -> Option<u32>, exists: impl Fn(u32) -> bool) {
        self.bos = self.bos.filter(|&id| exists(id));
        self.eos = self.eos.filter(|&id| exists(id));
        self.end.extend(self.eos);
        self.end.extend(ENDS.iter().filter_map(|token| token_to_id(token)));
        self.end.retain(|&id| exists(id));
        self.end.sort_unstable();
        self.end.dedup();
    }
}

/// The JSON object in a companion file; `Null` where the file is absent.
pub(super) fn object(file: &str, text: Option<&str>) -> Result<Value, TextError> {
    let Some(text) = text else { return Ok(Value::Null) };
    let value: Value = serde_json::from_str(text).map_err(|error| TextError::tokenizer(file, "JSON", error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(TextError::tokenizer(file, "a JSON object", "another value")) }
}

/// A token is written as its text, or as an object that holds it under `content`.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// One id or a list of them.
fn ids(file: &str, key: &str, value: &Value) -> Result<Vec<u32>, TextError> {
    let one = |value: &Value| {
        let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| TextError::tokenizer(format!("{file}: {key}"), "a token id", value.to_string()))
    };
    match &value[key] {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => list.iter().map(one).collect(),
        value => one(value).map(|id| vec![id]),
    }
}
