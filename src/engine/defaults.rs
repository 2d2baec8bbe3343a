//! How a model wants to be sampled: GGUF's `general.sampling.*` or `kinglet.sampling.*`, `generation_config.json`, else 0.7 and 0.9.

use crate::{
    session::SamplingParams,
    source::{Checkpoint, Description, gguf::Value},
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

/// The model's parameters; a field that is absent or out of bounds is ours.
pub(super) fn sampling(checkpoint: &Checkpoint) -> SamplingParams {
    let config = checkpoint.companions.generation_config.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let config: serde_json::Value = config.unwrap_or_default();
    let number = |key: &str| match &checkpoint.description {
        Description::Gguf(metadata) => {
            let short = if key == "temperature" { "temp" } else { key };
            let keys = [format!("kinglet.sampling.{key}"), format!("general.sampling.{short}")];
            keys.iter().find_map(|key| match metadata.get(key)? {
                Value::F64(value) => Some(*value),
                Value::U64(value) => Some(*value as f64),
                Value::I64(value) => Some(*value as f64),
                _ => None,
            })
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
