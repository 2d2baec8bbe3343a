//! Plain data that crosses: what JavaScript asks, as structs, and what it gets, as objects.

use crate::{
    Error,
    compose::{Brief, BriefOptions},
    engine::{DeviceChoice, DeviceReport, GenerateRequest, Input, SamplingOverrides},
    source::Companions,
    text::Message,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wasm_bindgen::JsValue;

#[derive(Deserialize)]
pub(super) struct LoadOptions {
    pub(super) device: AskedDevice,
    pub(super) exact: bool,
    #[serde(default)]
    pub(super) kernels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum AskedDevice {
    Auto,
    WebGpu,
    Cpu,
}

impl From<AskedDevice> for DeviceChoice {
    fn from(asked: AskedDevice) -> DeviceChoice {
        match asked {
            AskedDevice::Auto => DeviceChoice::Auto,
            AskedDevice::WebGpu => DeviceChoice::Gpu,
            AskedDevice::Cpu => DeviceChoice::Cpu,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Info<'a> {
    pub(super) model: &'a str,
    pub(super) parameters: f64,
    pub(super) bytes: f64,
    pub(super) context_length: u32,
    pub(super) variants: &'a str,
    pub(super) device: &'a DeviceReport,
}

/// The roofline, what a decoding step asks of it, and how the latest generation went.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measurement {
    pub(super) gigabytes_per_second: f64,
    pub(super) dispatch_microseconds: f64,
    pub(super) round_trip_microseconds: f64,
    pub(super) gigamultiplies_per_second: f64,
    pub(super) weight_bytes: f64,
    pub(super) dispatches: usize,
    pub(super) steps: u32,
    pub(super) submissions: u32,
    pub(super) readbacks: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AskedGeneration {
    tokens: Option<Vec<u32>>,
    prompt: Option<String>,
    messages: Option<Vec<AskedMessage>>,
    max_tokens: u32,
    temperature: Option<f32>,
    top_k: Option<u32>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    seed: u64,
    stop: Vec<String>,
    count: u32,
    ignore_end: bool,
    fresh: bool,
}

#[derive(Deserialize)]
struct AskedBrief {
    brief: String,
    tone: String,
    length: NumberOrName,
    network: String,
    hashtags: NumberOrName,
    emoji: String,
    count: u32,
    seed: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrName {
    Number(u32),
    Name(String),
}

impl NumberOrName {
    fn into_name(self) -> String {
        match self {
            NumberOrName::Number(number) => number.to_string(),
            NumberOrName::Name(name) => name,
        }
    }
}

/// A brief, checked.
pub(super) fn brief(value: JsValue) -> Result<Brief, JsValue> {
    let AskedBrief { brief, tone, length, network, hashtags, emoji, count, seed } = parse(value)?;
    let (length, hashtags) = (length.into_name(), hashtags.into_name());
    let options =
        BriefOptions { brief: &brief, tone: &tone, length: &length, network: &network, hashtags: &hashtags, emoji: &emoji, count, seed };
    Brief::parse(options).map_err(|error| thrown(error.into()))
}

#[derive(Deserialize)]
struct AskedMessage {
    role: String,
    content: String,
}

impl From<AskedGeneration> for GenerateRequest {
    fn from(asked: AskedGeneration) -> GenerateRequest {
        let messages = |messages: Vec<AskedMessage>| messages.into_iter().map(|m| Message::new(m.role, m.content)).collect();
        let input = match (asked.tokens, asked.prompt, asked.messages) {
            (Some(tokens), _, _) => Input::Tokens(tokens),
            (_, Some(prompt), _) => Input::Prompt(prompt),
            (_, _, chat) => Input::Messages(messages(chat.unwrap_or_default())),
        };
        GenerateRequest {
            input,
            count: asked.count,
            max_tokens: asked.max_tokens,
            sampling: SamplingOverrides {
                temperature: asked.temperature,
                top_k: asked.top_k,
                top_p: asked.top_p,
                min_p: asked.min_p,
                repetition_penalty: asked.repetition_penalty,
            },
            seed: asked.seed,
            stop: asked.stop,
            ignore_end: asked.ignore_end,
            fresh: asked.fresh,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AskedCompanions {
    config: Option<String>,
    tokenizer: Option<String>,
    tokenizer_config: Option<String>,
    generation_config: Option<String>,
    special_tokens_map: Option<String>,
    chat_template: Option<String>,
    index: Option<String>,
}

impl From<AskedCompanions> for Companions {
    fn from(asked: AskedCompanions) -> Companions {
        Companions {
            config: asked.config,
            tokenizer: asked.tokenizer,
            tokenizer_config: asked.tokenizer_config,
            generation_config: asked.generation_config,
            special_tokens_map: asked.special_tokens_map,
            chat_template: asked.chat_template,
            index: asked.index,
        }
    }
}

/// What JavaScript throws and catches.
#[derive(Serialize)]
pub(super) struct Failure<'a> {
    code: &'a str,
    message: String,
}

pub(super) fn thrown(error: Error) -> JsValue {
    failure(error.code(), error.to_string())
}

pub(super) fn busy() -> JsValue {
    failure("bad-request", "the model is at work; wait for the step that was asked for".to_string())
}

pub(super) fn failure(code: &str, message: String) -> JsValue {
    give(&Failure { code, message }).unwrap_or_else(|error| error)
}

/// An event as an object, or `undefined` if there are no more.
pub(super) fn event<T: Serialize>(event: crate::Result<Option<T>>) -> Result<JsValue, JsValue> {
    event.map_err(thrown)?.map_or(Ok(JsValue::UNDEFINED), |event| give(&event))
}

pub(super) fn give<T: Serialize>(value: &T) -> Result<JsValue, JsValue> {
    // Flattened structs are maps to serde, but objects to JavaScript.
    value.serialize(&serde_wasm_bindgen::Serializer::new().serialize_maps_as_objects(true)).map_err(JsValue::from)
}

pub(super) fn parse<T: for<'de> Deserialize<'de>>(value: JsValue) -> Result<T, JsValue> {
    serde_wasm_bindgen::from_value(value).map_err(|error| failure("bad-request", error.to_string()))
}
