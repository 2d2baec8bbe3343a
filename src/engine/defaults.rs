//! How a model wants to be sampled: GGUF's `general.sampling.*` or `kinglet.sampling.*`, `generation_config.json`, else 0.7 and 0.9.

use crate::{
    compose::MAX_CANDIDATES,
    session::SamplingParams,
    source::{Checkpoint, Description, gguf::Value},
    text::Tokenizer,
};

/// Parameters that a caller set; the rest is the model's.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[allow(missing_docs, reason = "as in SamplingParams")]
pub struct SamplingOverrides {
    pub temperature: Option<f32>,
    pub top_k: Option<u32>,
    pub top_p: Option<f32>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
}

impl SamplingOverrides {
    /// The model's parameters with the caller's put over them.
    pub fn over(self, model: SamplingParams) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature.unwrap_or(model.temperature),
            top_k: self.top_k.unwrap_or(model.top_k),
            top_p: self.top_p.unwrap_or(model.top_p),
            min_p: self.min_p.unwrap_or(model.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(model.repetition_penalty),
        }
    }
}

/// How drafts are best written with a model: GGUF's `kinglet.candidates`, `kinglet.boost`, `kinglet.stutters`, `kinglet.spelling`,
/// `kinglet.emoji`, and the model's `<|angle:…|>` tokens or those of them that `kinglet.angles` names.
#[derive(Clone, Debug, PartialEq)]
pub struct Writing {
    /// Candidates written for each draft handed out, 1 to [`MAX_CANDIDATES`].
    pub candidates: u32,
    /// Added to the scores of the brief's words until they are written; 0 is off.
    pub boost: f32,
    /// Times a draft may be taken back for a slip, such as beginning to say something again, 0 to 32; 0 is off.
    pub stutters: u32,
    /// Whether words that neither the vocabulary nor the brief holds as a whole are slips, too.
    pub spelling: bool,
    /// Whether the model may be asked for emoji where they are left to it.
    pub emoji: bool,
    /// Control tokens with which the model may begin a draft: the angle it takes.
    pub angles: Vec<u32>,
}

/// What a model's file says of writing drafts, else one candidate and no boost.
pub(super) fn writing(checkpoint: &Checkpoint, tokenizer: &Tokenizer) -> Writing {
    let number = |key: &str| gguf_number(checkpoint, key);
    let named = match gguf_value(checkpoint, "kinglet.angles") {
        Some(Value::Strings(names)) => Some(names),
        _ => None,
    };
    let is_angle = |id: &u32| {
        let token = tokenizer.id_to_token(*id).unwrap_or_default();
        let name = token.strip_prefix("<|angle:").and_then(|rest| rest.strip_suffix("|>"));
        name.is_some_and(|name| named.is_none_or(|names| names.iter().any(|wanted| **wanted == *name)))
    };
    Writing {
        candidates: number("kinglet.candidates").map_or(1, |count| (count as u32).clamp(1, MAX_CANDIDATES)),
        boost: number("kinglet.boost").filter(|boost| (0.0..=100.0).contains(boost)).map_or(0.0, |boost| boost as f32),
        stutters: number("kinglet.stutters").map_or(0, |count| (count as u32).min(32)),
        spelling: number("kinglet.spelling") == Some(1.0),
        emoji: number("kinglet.emoji") != Some(0.0),
        angles: tokenizer.special_ids().into_iter().filter(is_angle).collect(),
    }
}

fn gguf_value<'a>(checkpoint: &'a Checkpoint, key: &str) -> Option<&'a Value> {
    match &checkpoint.description {
        Description::Gguf(metadata) => metadata.get(key),
        Description::HuggingFace(_) => None,
    }
}

fn gguf_number(checkpoint: &Checkpoint, key: &str) -> Option<f64> {
    match gguf_value(checkpoint, key)? {
        Value::F64(value) => Some(*value),
        Value::U64(value) => Some(*value as f64),
        Value::I64(value) => Some(*value as f64),
        _ => None,
    }
}

/// The model's parameters; a field that is absent or out of bounds is ours.
pub(super) fn sampling(checkpoint: &Checkpoint) -> SamplingParams {
    let config = checkpoint.companions.generation_config.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let config: serde_json::Value = config.unwrap_or_default();
    let number = |key: &str| match &checkpoint.description {
        Description::Gguf(_) => {
            let short = if key == "temperature" { "temp" } else { key };
            gguf_number(checkpoint, &format!("kinglet.sampling.{key}"))
                .or_else(|| gguf_number(checkpoint, &format!("general.sampling.{short}")))
        }
        Description::HuggingFace(_) => config.get(key)?.as_f64(),
    };
    let bounded = |key: &str, least: f64, most: f64| number(key).filter(|value| (least..=most).contains(value));
    let ours = SamplingParams::default();
    let model = SamplingOverrides {
        temperature: bounded("temperature", 0.0, 100.0).map(|t| t as f32),
        top_k: bounded("top_k", 0.0, 1e6).map(|k| k as u32),
        top_p: bounded("top_p", 1e-6, 1.0).map(|p| p as f32),
        min_p: bounded("min_p", 0.0, 1.0).map(|p| p as f32),
        repetition_penalty: bounded("repetition_penalty", 1e-3, 100.0).map(|p| p as f32),
    };
    let greedy = config.get("do_sample").and_then(serde_json::Value::as_bool) == Some(false) && model.temperature.is_none();
    let model = if greedy { SamplingOverrides { temperature: Some(0.0), ..model } } else { model };
    model.over(ours)
}
