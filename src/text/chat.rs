//! The model's own chat template: messages to the text the model was trained on, and to ids.

use super::{
    TextError, Tokenizer,
    jinja::{Engine, to_template},
    provenance,
    special::object,
};
use crate::source::{Companions, Description, gguf::Value as Metadatum};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// All messages together; a hundred briefs of the longest kind.
const MAX_INPUT: usize = 8 << 20;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What is said: text, or the list of parts that some templates take.
    #[serde(default)]
    pub content: Value,
    /// What else the template may look at (`tool_calls`, `name`).
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Message {
    /// A message of plain text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: Value::String(content.into()), more: Map::new() }
    }
}

/// A chat template that was seen to compile, which each rendering does anew; with the names of the tokens it writes.
#[derive(Debug)]
pub struct ChatTemplate {
    engine: Engine,
    tokens: Map<String, Value>,
}

impl ChatTemplate {
    /// The model's template, if it has one: from GGUF metadata, `chat_template.jinja`, or `tokenizer_config.json`.
    ///
    /// # Errors
    /// If it is no template, or too large to be one.
    pub fn open(description: &Description, companions: &Companions) -> Result<Option<ChatTemplate>, TextError> {
        let Some(source) = source(description, companions)? else { return Ok(None) };
        let tokens = match description {
            Description::Gguf(_) => Map::new(),
            Description::HuggingFace(_) => written_tokens(companions)?,
        };
        Ok(Some(ChatTemplate { engine: Engine::new(&source)?, tokens }))
    }

    /// The text of the conversation, ready for the model's answer. `variables` are seen by the template and override the defaults
    /// (`add_generation_prompt` is true).
    ///
    /// # Errors
    /// If the template fails, refuses the messages, or is stopped at a limit.
    pub fn render(&self, tokenizer: &Tokenizer, messages: &[Message], variables: &Map<String, Value>) -> Result<String, TextError> {
        let messages: Result<Vec<Value>, _> = messages.iter().map(serde_json::to_value).collect();
        let messages = messages.map_err(|error| TextError::Template { reason: error.to_string() })?;
        self.render_values(tokenizer, &messages, variables)
    }

    /// The text, as [`Self::render`] gives it, and its ids. Only what the template itself wrote can become a control token: whatever
    /// the messages and variables say stays text.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn encode(
        &self,
        tokenizer: &Tokenizer,
        messages: &[Message],
        variables: &Map<String, Value>,
    ) -> Result<(String, Vec<u32>), TextError> {
        let messages: Result<Vec<Value>, _> = messages.iter().map(serde_json::to_value).collect();
        let messages = messages.map_err(|error| TextError::Template { reason: error.to_string() })?;
        let text = self.render_values(tokenizer, &messages, variables)?;
        let render = |messages: &[Value], variables: &Map<String, Value>| self.render_values(tokenizer, messages, variables);
        let ids = provenance::encode(tokenizer, &text, self.engine.source(), &messages, variables, render);
        Ok((text, ids))
    }

    fn render_values(&self, tokenizer: &Tokenizer, messages: &[Value], variables: &Map<String, Value>) -> Result<String, TextError> {
        let input = messages.iter().map(size).sum::<usize>() + variables.values().map(size).sum::<usize>();
        if input > MAX_INPUT {
            return Err(TextError::TemplateLimit { what: "the messages' length".to_owned(), limit: format!("{MAX_INPUT} bytes") });
        }
        let mut context = Map::new();
        for (name, token) in tokenizer.named_tokens() {
            context.insert(name.to_owned(), Value::String(token));
        }
        context.extend(self.tokens.clone());
        context.insert("add_generation_prompt".to_owned(), Value::Bool(true));
        context.insert("tools".to_owned(), Value::Null);
        context.insert("documents".to_owned(), Value::Null);
        context.extend(variables.clone());
        context.insert("messages".to_owned(), Value::Array(messages.to_vec()));
        self.engine.render(to_template(&Value::Object(context)), input)
    }
}

fn source(description: &Description, companions: &Companions) -> Result<Option<String>, TextError> {
    match description {
        Description::Gguf(metadata) => match metadata.get("tokenizer.chat_template") {
            None => Ok(companions.chat_template.clone()),
            Some(Metadatum::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(TextError::Template { reason: "tokenizer.chat_template: expected a string, found another type".to_owned() }),
        },
        Description::HuggingFace(_) => {
            if let Some(template) = &companions.chat_template {
                return Ok(Some(template.clone()));
            }
            let config = object("tokenizer_config.json", companions.tokenizer_config.as_deref())?;
            named_template(&config["chat_template"])
        }
    }
}

/// The field is a template, or a list of named ones among which `default` is the one for chat.
fn named_template(value: &Value) -> Result<Option<String>, TextError> {
    let found = match value {
        Value::Null => return Ok(None),
        Value::String(text) => Some(text),
        Value::Array(list) => {
            let default = list.iter().find(|entry| entry["name"] == "default");
            if let Some(Value::String(text)) = default.map(|entry| &entry["template"]) { Some(text) } else { None }
        }
        _ => None,
    };
    let reason = || "tokenizer_config.json: chat_template: expected a template or a list with one named default".to_owned();
    found.cloned().map(Some).ok_or_else(|| TextError::Template { reason: reason() })
}

/// The tokens as `tokenizer_config.json` writes them, which is what the template sees even if the vocabulary lacks one.
fn written_tokens(companions: &Companions) -> Result<Map<String, Value>, TextError> {
    let config = object("tokenizer_config.json", companions.tokenizer_config.as_deref())?;
    let text = |value: &Value| value.as_str().or_else(|| value["content"].as_str()).map(|text| Value::String(text.to_owned()));
    let tokens = config.as_object().into_iter().flatten().filter(|(key, _)| key.ends_with("_token"));
    Ok(tokens.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect())
}

/// Bytes of text in a value.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 8,
        Value::Array(list) => list.iter().map(size).sum::<usize>() + 8,
        Value::Object(map) => map.iter().map(|(key, value)| key.len() + size(value)).sum::<usize>() + 8,
        _ => 8,
    }
}
