//! What a model is, for `inspect`, `info` and the page.

use crate::{
    model::arch::Blueprint,
    source::{Checkpoint, Description, gguf::Value},
};

/// What the file says of itself.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    /// The model's own name, else its architecture.
    pub name: String,
    /// The architecture as the file names it.
    pub architecture: String,
    /// Weights and gains.
    pub parameters: u64,
    /// Bytes of tensors in the file.
    pub bytes: u64,
    /// Positions the model was made for.
    pub context_length: u32,
    /// Rows of the embedding.
    pub vocab_size: u32,
    /// Licence field, if any.
    pub license: Option<String>,
}

impl ModelInfo {
    /// Gathers it from the opened file.
    pub fn new(checkpoint: &Checkpoint, blueprint: &Blueprint) -> ModelInfo {
        let text = |key: &str| match &checkpoint.description {
            Description::Gguf(metadata) => match metadata.get(key) {
                Some(Value::String(text)) => Some(text.to_string()),
                _ => None,
            },
            Description::HuggingFace(_) => None,
        };
        let tensors = checkpoint.tensors.values();
        ModelInfo {
            name: text("general.name").unwrap_or_else(|| blueprint.architecture.clone()),
            architecture: blueprint.architecture.clone(),
            parameters: tensors.clone().map(|t| t.shape.iter().product::<u64>()).sum(),
            bytes: tensors.map(|t| t.range.end - t.range.start).sum(),
            context_length: blueprint.config.max_position_embeddings,
            vocab_size: blueprint.config.vocab_size,
            license: text("general.license"),
        }
    }
}
