//! Metadata and tensors → a model that a machine can run: configuration, weights, and the order of the blocks.
//!
//! `arch` is the only place that knows architectures by name; `decoder` states the forward pass; `weights` streams.

pub mod arch;
pub mod config;
pub mod decoder;
mod rope;
pub mod self_test;
pub mod weights;

pub use config::ModelConfig;
pub use rope::rope_table;

/// Why a file does not describe a model that runs here.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// An architecture outside the family.
    #[error("architecture {found:?} is not supported; supported: {supported}")]
    Architecture {
        /// What the file says.
        found: String,
        /// What would run.
        supported: String,
    },
    /// A field of the configuration is missing or out of bounds.
    #[error("model configuration: {field}: expected {expected}, found {found}")]
    Config {
        /// The field, as the file spells it.
        field: String,
        /// What would run.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A tensor that the configuration asks for is not in the file.
    #[error("tensor {name} is missing; expected shape {expected:?}")]
    MissingTensor {
        /// Its name.
        name: String,
        /// Its shape.
        expected: Vec<u64>,
    },
    /// A tensor has another shape than the configuration asks for.
    #[error("tensor {name}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// Its name.
        name: String,
        /// By the configuration.
        expected: Vec<u64>,
        /// In the file.
        found: Vec<u64>,
    },
    /// The model and its tokenizer do not belong together.
    #[error("the tokenizer has ids up to {max_id}, but the embedding has {vocab_size} rows")]
    Vocabulary {
        /// Largest id of the tokenizer.
        max_id: u32,
        /// Rows of the embedding.
        vocab_size: u32,
    },
}

impl ModelError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ModelError::Architecture { .. } => "unsupported-model",
            _ => "invalid-model",
        }
    }

    pub(crate) fn config(field: &str, expected: &str, found: impl std::fmt::Display) -> ModelError {
        ModelError::Config { field: field.to_string(), expected: expected.to_string(), found: found.to_string() }
    }
}
