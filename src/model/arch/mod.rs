//! The registry of architectures: a description's own name → the parser that turns it into mathematics and tensor names.
//!
//! A new architecture of the family is one file beside `llama.rs` and one line in [`interpret`].

mod fields;
mod llama;

use super::{ModelConfig, ModelError, config::RopeScaling};
use crate::{
    Result, quant,
    source::{Checkpoint, Description},
};
use fields::Fields;

/// A model as its file describes it: what to compute, and what the tensors are called.
#[derive(Clone, Debug, PartialEq)]
pub struct Blueprint {
    /// The architecture as the file names it.
    pub architecture: String,
    /// What to compute.
    pub config: ModelConfig,
    /// What the tensors are called.
    pub names: TensorNames,
}

/// Tensor names of one file convention. Those of a block follow `block` with `{}` replaced by the layer; a bias ends in `.bias`
/// where its matrix ends in `.weight`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "each field is named after the tensor")]
pub struct TensorNames {
    pub embedding: &'static str,
    pub final_norm: &'static str,
    pub head: &'static str,
    pub rope_factors: Option<&'static str>,
    pub block: &'static str,
    pub attn_norm: &'static str,
    pub q: &'static str,
    pub k: &'static str,
    pub v: &'static str,
    pub o: &'static str,
    pub ffn_norm: &'static str,
    pub gate: &'static str,
    pub up: &'static str,
    pub down: &'static str,
}

impl TensorNames {
    /// The full name of a block's tensor.
    pub fn of_block(&self, layer: u32, part: &str) -> String {
        self.block.replace("{}", &layer.to_string()) + part
    }
}

/// Architectures by the name that GGUF or `config.json` gives them.
const SUPPORTED: &str = "llama, mistral (without a sliding window)";

/// Turns a checkpoint's description into a checked configuration and its tensor names.
///
/// # Errors
/// If the architecture is none of ours, or a field is missing, of another type, or out of bounds.
pub async fn interpret(checkpoint: &Checkpoint) -> Result<Blueprint> {
    let (architecture, fields) = match &checkpoint.description {
        Description::Gguf(metadata) => {
            let architecture = Fields::gguf(metadata, "").text("general.architecture")?;
            let prefix = format!("{architecture}.");
            (architecture, Fields::gguf(metadata, &prefix))
        }
        Description::HuggingFace(config) => {
            let fields = Fields::json(config);
            (fields.text("model_type")?, fields)
        }
    };
    let (mut config, names) = match (&checkpoint.description, architecture.as_str()) {
        (Description::Gguf(_), "llama") => llama::from_gguf(&fields, checkpoint)?,
        (Description::HuggingFace(_), "llama" | "mistral") => llama::from_hugging_face(&fields)?,
        _ => return Err(ModelError::Architecture { found: architecture, supported: SUPPORTED.to_string() }.into()),
    };
    if let Some(factors) = rope_factors(checkpoint, &names, config.head_dim / 2).await? {
        config.rope.scaling = RopeScaling::Factors(factors);
    }
    Ok(Blueprint { architecture, config: config.check()?, names })
}

/// The rotary divisors `[pairs]` that some files carry as a tensor.
async fn rope_factors(checkpoint: &Checkpoint, names: &TensorNames, pairs: u32) -> Result<Option<Vec<f32>>> {
    let Some(name) = names.rope_factors else { return Ok(None) };
    let Some(tensor) = checkpoint.find(name)? else { return Ok(None) };
    let expected = vec![u64::from(pairs)];
    if tensor.shape != expected {
        return Err(ModelError::Shape { name: name.to_string(), expected, found: tensor.shape.clone() }.into());
    }
    let bytes = checkpoint.read_rows(tensor, 0..1).await?;
    Ok(Some(quant::widen(tensor.dtype, &bytes)?))
}
