//! Typed access to a description's fields, whichever format it came in: a missing or mistyped one is an error that names it.

use super::super::ModelError;
use crate::source::gguf::{Metadata, Value};
use serde_json::Value as Json;

/// The fields of one description. GGUF keys get the prefix that the architecture's own keys carry.
pub struct Fields<'a> {
    from: From<'a>,
    prefix: String,
}

enum From<'a> {
    Gguf(&'a Metadata),
    Json(&'a Json),
}

impl<'a> Fields<'a> {
    /// Fields of GGUF metadata; `prefix` is put before each name.
    pub fn gguf(metadata: &'a Metadata, prefix: &str) -> Fields<'a> {
        Fields { from: From::Gguf(metadata), prefix: prefix.to_string() }
    }

    /// Fields of a JSON object.
    pub fn json(object: &'a Json) -> Fields<'a> {
        Fields { from: From::Json(object), prefix: String::new() }
    }

    /// The fields of a nested object, if there is one and it is not null.
    pub fn nested(&self, name: &str) -> Result<Option<Fields<'a>>, ModelError> {
        let From::Json(object) = self.from else { return Ok(None) };
        match object.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(nested @ Json::Object(_)) => Ok(Some(Fields { from: From::Json(nested), prefix: format!("{name}.") })),
            Some(other) => Err(ModelError::config(name, "an object", other)),
        }
    }

    /// A required text.
    pub fn text(&self, name: &str) -> Result<String, ModelError> {
        self.optional_text(name)?.ok_or_else(|| self.missing(name, "a text"))
    }

    /// A text that may be absent or null.
    pub fn optional_text(&self, name: &str) -> Result<Option<String>, ModelError> {
        match self.lookup(name) {
            Found::Nothing => Ok(None),
            Found::Text(text) => Ok(Some(text.to_string())),
            other => Err(self.mistyped(name, "a text", &other)),
        }
    }

    /// A required whole number that fits u32.
    pub fn number(&self, name: &str) -> Result<u32, ModelError> {
        self.optional_number(name)?.ok_or_else(|| self.missing(name, "a whole number"))
    }

    /// A whole number that may be absent or null.
    pub fn optional_number(&self, name: &str) -> Result<Option<u32>, ModelError> {
        let expected = "a whole number below 2^32";
        match self.lookup(name) {
            Found::Nothing => Ok(None),
            Found::Number(value) if value.fract() == 0.0 && (0.0..4294967296.0).contains(&value) => Ok(Some(value as u32)),
            other => Err(self.mistyped(name, expected, &other)),
        }
    }

    /// A required real number.
    pub fn real(&self, name: &str) -> Result<f32, ModelError> {
        self.optional_real(name)?.ok_or_else(|| self.missing(name, "a number"))
    }

    /// A real number that may be absent or null.
    pub fn optional_real(&self, name: &str) -> Result<Option<f32>, ModelError> {
        match self.lookup(name) {
            Found::Nothing => Ok(None),
            Found::Number(value) => Ok(Some(value as f32)),
            other => Err(self.mistyped(name, "a number", &other)),
        }
    }

    /// A flag; absent or null is false.
    pub fn flag(&self, name: &str) -> Result<bool, ModelError> {
        match self.lookup(name) {
            Found::Nothing => Ok(false),
            Found::Flag(value) => Ok(value),
            other => Err(self.mistyped(name, "true or false", &other)),
        }
    }

    fn lookup(&self, name: &str) -> Found<'a> {
        match self.from {
            From::Gguf(metadata) => match metadata.get(&format!("{}{name}", self.prefix)) {
                None => Found::Nothing,
                Some(Value::U64(value)) => Found::Number(*value as f64),
                Some(Value::I64(value)) => Found::Number(*value as f64),
                Some(Value::F64(value)) => Found::Number(*value),
                Some(Value::Bool(value)) => Found::Flag(*value),
                Some(Value::String(value)) => Found::Text(value),
                Some(_) => Found::Other("an array".to_string()),
            },
            From::Json(object) => match object.get(name) {
                None | Some(Json::Null) => Found::Nothing,
                Some(Json::Number(value)) => Found::Number(value.as_f64().unwrap_or(f64::NAN)),
                Some(Json::Bool(value)) => Found::Flag(*value),
                Some(Json::String(value)) => Found::Text(value),
                Some(Json::Array(_)) => Found::Other("an array".to_string()),
                Some(Json::Object(_)) => Found::Other("an object".to_string()),
            },
        }
    }

    fn missing(&self, name: &str, expected: &str) -> ModelError {
        ModelError::config(&format!("{}{name}", self.prefix), expected, "nothing")
    }

    fn mistyped(&self, name: &str, expected: &str, found: &Found) -> ModelError {
        let found = match found {
            Found::Nothing => "nothing".to_string(),
            Found::Number(value) => value.to_string(),
            Found::Flag(value) => value.to_string(),
            Found::Text(value) => format!("the text {:?}", value.chars().take(60).collect::<String>()),
            Found::Other(what) => what.clone(),
        };
        ModelError::config(&format!("{}{name}", self.prefix), expected, found)
    }
}

enum Found<'a> {
    Nothing,
    Number(f64),
    Flag(bool),
    Text(&'a str),
    Other(String),
}
