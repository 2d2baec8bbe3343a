//! What a model computes, as mathematics: sizes, norm, position encoding. No architecture's name appears here.
//!
//! Names are Hugging Face's. A value that reaches [`ModelConfig`] has been checked by [`ModelConfig::check`].

use super::ModelError;
use crate::plan::{Activation, Heads, Pairing};

/// The sizes and choices of one decoder-only transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Width of the residual stream.
    pub hidden_size: u32,
    /// Width of the feed-forward block.
    pub intermediate_size: u32,
    /// Blocks.
    pub num_hidden_layers: u32,
    /// Query heads.
    pub num_attention_heads: u32,
    /// Key and value heads.
    pub num_key_value_heads: u32,
    /// Elements a head.
    pub head_dim: u32,
    /// Rows of the embedding.
    pub vocab_size: u32,
    /// Longest sequence the model was made for.
    pub max_position_embeddings: u32,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f32,
    /// Of the gated feed-forward block.
    pub activation: Activation,
    /// Rotary embedding.
    pub rope: Rope,
    /// The head shares the embedding's matrix.
    pub tie_word_embeddings: bool,
    /// The projections to q, k and v carry biases.
    pub attention_bias: bool,
    /// The projection out of the attention carries a bias.
    pub attention_output_bias: bool,
}

/// Rotary position embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base of the geometric series of wavelengths.
    pub theta: f32,
    /// Which elements of a head turn together.
    pub pairing: Pairing,
    /// How wavelengths are stretched.
    pub scaling: RopeScaling,
}

/// How a rotary embedding is stretched to longer contexts.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every frequency divided by the factor.
    Linear {
        /// The divisor.
        factor: f32,
    },
    /// Llama 3: long wavelengths divided, short ones kept, a ramp between.
    Llama3 {
        /// The divisor of long wavelengths.
        factor: f32,
        /// Below original / this, wavelengths are long.
        low_freq_factor: f32,
        /// Above original / this, wavelengths are short.
        high_freq_factor: f32,
        /// The context the model was first trained with.
        original_max_position_embeddings: f32,
    },
    /// A divisor for each pair, `[head_dim / 2]`, as GGUF stores them.
    Factors(Vec<f32>),
}

impl ModelConfig {
    /// The attention's sizes as the plan wants them.
    pub fn heads(&self) -> Heads {
        Heads {
            num_attention_heads: self.num_attention_heads,
            num_key_value_heads: self.num_key_value_heads,
            head_dim: self.head_dim,
            pairing: self.rope.pairing,
        }
    }

    /// Checks every size against what can be run, so that later arithmetic cannot overflow or divide by zero.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the first field that is out of bounds.
    pub fn check(self) -> Result<ModelConfig, ModelError> {
        let bounded = |field: &str, value: u32, most: u32| match value {
            1.. if value <= most => Ok(()),
            _ => Err(ModelError::config(field, &format!("1 to {most}"), value)),
        };
        bounded("hidden_size", self.hidden_size, 1 << 16)?;
        bounded("intermediate_size", self.intermediate_size, 1 << 18)?;
        bounded("num_hidden_layers", self.num_hidden_layers, 512)?;
        bounded("num_attention_heads", self.num_attention_heads, 1 << 10)?;
        bounded("num_key_value_heads", self.num_key_value_heads, 1 << 10)?;
        bounded("head_dim", self.head_dim, 256)?;
        bounded("vocab_size", self.vocab_size, 1 << 20)?;
        bounded("max_position_embeddings", self.max_position_embeddings, 1 << 24)?;
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let expected = format!("a divisor of {} attention heads", self.num_attention_heads);
            return Err(ModelError::config("num_key_value_heads", &expected, self.num_key_value_heads));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ModelError::config("head_dim", "an even number", self.head_dim));
        }
        positive("rms_norm_eps", self.rms_norm_eps)?;
        positive("rope_theta", self.rope.theta)?;
        self.rope.scaling.check(self.head_dim)?;
        Ok(self)
    }
}

impl RopeScaling {
    fn check(&self, head_dim: u32) -> Result<(), ModelError> {
        match self {
            RopeScaling::None => Ok(()),
            RopeScaling::Linear { factor } => positive("rope_scaling.factor", *factor),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
                positive("rope_scaling.factor", *factor)?;
                positive("rope_scaling.low_freq_factor", *low_freq_factor)?;
                positive("rope_scaling.original_max_position_embeddings", *original_max_position_embeddings)?;
                if *high_freq_factor > *low_freq_factor && high_freq_factor.is_finite() {
                    return Ok(());
                }
                Err(ModelError::config("rope_scaling.high_freq_factor", &format!("more than {low_freq_factor}"), high_freq_factor))
            }
            RopeScaling::Factors(factors) if factors.len() as u32 == head_dim / 2 => {
                factors.iter().try_for_each(|f| positive("rope_freqs.weight", *f))
            }
            RopeScaling::Factors(factors) => {
                Err(ModelError::config("rope_freqs.weight", &format!("{} factors", head_dim / 2), factors.len()))
            }
        }
    }
}

fn positive(field: &str, value: f32) -> Result<(), ModelError> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { Err(ModelError::config(field, "a positive number", value)) }
}
