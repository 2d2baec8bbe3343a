//! Llama and what is shaped like it (SmolLM2, Mistral without sliding window): metadata → configuration and tensor names.
//!
//! Rows of q and k stand permuted in GGUF, so that rotary pairs are adjacent; in safetensors the pairs are a half head apart. Mixing the
//! two up gives fluent first words and nonsense after. Sources: transformers `LlamaConfig`, llama.cpp `convert_hf_to_gguf.py`.

use super::{Fields, TensorNames};
use crate::{
    Result,
    model::{
        ModelConfig, ModelError,
        config::{Rope, RopeScaling},
    },
    plan::{Activation, Pairing},
    source::Checkpoint,
};

const GGUF: TensorNames = TensorNames {
    embedding: "token_embd.weight",
    final_norm: "output_norm.weight",
    head: "output.weight",
    rope_factors: Some("rope_freqs.weight"),
    block: "blk.{}.",
    attn_norm: "attn_norm.weight",
    q: "attn_q.weight",
    k: "attn_k.weight",
    v: "attn_v.weight",
    o: "attn_output.weight",
    ffn_norm: "ffn_norm.weight",
    gate: "ffn_gate.weight",
    up: "ffn_up.weight",
    down: "ffn_down.weight",
};

const HUGGING_FACE: TensorNames = TensorNames {
    embedding: "model.embed_tokens.weight",
    final_norm: "model.norm.weight",
    head: "lm_head.weight",
    rope_factors: None,
    block: "model.layers.{}.",
    attn_norm: "input_layernorm.weight",
    q: "self_attn.q_proj.weight",
    k: "self_attn.k_proj.weight",
    v: "self_attn.v_proj.weight",
    o: "self_attn.o_proj.weight",
    ffn_norm: "post_attention_layernorm.weight",
    gate: "mlp.gate_proj.weight",
    up: "mlp.up_proj.weight",
    down: "mlp.down_proj.weight",
};

/// From GGUF metadata, whose keys carry the prefix `llama.`.
pub fn from_gguf(fields: &Fields, checkpoint: &Checkpoint) -> Result<(ModelConfig, TensorNames)> {
    if let Some(experts @ 1..) = fields.optional_number("expert_count")? {
        return Err(ModelError::config("llama.expert_count", "0 (no mixture of experts)", experts).into());
    }
    let hidden_size = fields.number("embedding_length")?;
    let num_attention_heads = fields.number("attention.head_count")?;
    let head_dim = match fields.optional_number("attention.key_length")? {
        Some(head_dim) => head_dim,
        None => head_dim_of(hidden_size, num_attention_heads, "llama.attention.head_count")?,
    };
    for same in ["attention.value_length", "rope.dimension_count"] {
        if let Some(found) = fields.optional_number(same)?.filter(|found| *found != head_dim) {
            return Err(ModelError::config(&format!("llama.{same}"), &format!("the head size {head_dim}"), found).into());
        }
    }
    let rows_of_embedding = checkpoint.find(GGUF.embedding)?.and_then(|t| t.shape.first()).map_or(0, |rows| *rows as u32);
    let config = ModelConfig {
        hidden_size,
        intermediate_size: fields.number("feed_forward_length")?,
        num_hidden_layers: fields.number("block_count")?,
        num_attention_heads,
        num_key_value_heads: fields.optional_number("attention.head_count_kv")?.unwrap_or(num_attention_heads),
        head_dim,
        vocab_size: fields.optional_number("vocab_size")?.unwrap_or(rows_of_embedding),
        max_position_embeddings: fields.number("context_length")?,
        rms_norm_eps: fields.real("attention.layer_norm_rms_epsilon")?,
        activation: Activation::Silu,
        rope: Rope {
            theta: fields.optional_real("rope.freq_base")?.unwrap_or(10000.0),
            pairing: Pairing::Adjacent,
            scaling: gguf_scaling(fields)?,
        },
        tie_word_embeddings: checkpoint.find(GGUF.head)?.is_none(),
        attention_bias: checkpoint.find("blk.0.attn_q.bias")?.is_some(),
        attention_output_bias: checkpoint.find("blk.0.attn_output.bias")?.is_some(),
    };
    Ok((config, GGUF))
}

fn gguf_scaling(fields: &Fields) -> Result<RopeScaling, ModelError> {
    match fields.optional_text("rope.scaling.type")?.as_deref() {
        None | Some("none") => Ok(RopeScaling::None),
        Some("linear") => Ok(RopeScaling::Linear { factor: fields.real("rope.scaling.factor")? }),
        Some(other) => Err(ModelError::config("llama.rope.scaling.type", "none or linear", other)),
    }
}

/// From `config.json`, in the older hub style or that of transformers 5.
pub fn from_hugging_face(fields: &Fields) -> Result<(ModelConfig, TensorNames), ModelError> {
    let hidden_size = fields.number("hidden_size")?;
    let num_attention_heads = fields.number("num_attention_heads")?;
    let max_position_embeddings = fields.optional_number("max_position_embeddings")?.unwrap_or(2048);
    if let Some(window) = fields.optional_number("sliding_window")?.filter(|window| *window < max_position_embeddings) {
        return Err(ModelError::config("sliding_window", "null (full attention)", window));
    }
    if fields.flag("mlp_bias")? {
        return Err(ModelError::config("mlp_bias", "false", true));
    }
    let head_dim = match fields.optional_number("head_dim")? {
        Some(head_dim) => head_dim,
        None => head_dim_of(hidden_size, num_attention_heads, "num_attention_heads")?,
    };
    let config = ModelConfig {
        hidden_size,
        intermediate_size: fields.number("intermediate_size")?,
        num_hidden_layers: fields.number("num_hidden_layers")?,
        num_attention_heads,
        num_key_value_heads: fields.optional_number("num_key_value_heads")?.unwrap_or(num_attention_heads),
        head_dim,
        vocab_size: fields.number("vocab_size")?,
        max_position_embeddings,
        rms_norm_eps: fields.optional_real("rms_norm_eps")?.unwrap_or(1e-6),
        activation: match fields.optional_text("hidden_act")?.as_deref() {
            None | Some("silu" | "swish") => Activation::Silu,
            Some(other) => return Err(ModelError::config("hidden_act", "silu", other)),
        },
        rope: hugging_face_rope(fields)?,
        tie_word_embeddings: fields.flag("tie_word_embeddings")?,
        attention_bias: fields.flag("attention_bias")?,
        attention_output_bias: fields.flag("attention_bias")?,
    };
    Ok((config, HUGGING_FACE))
}

fn hugging_face_rope(fields: &Fields) -> Result<Rope, ModelError> {
    let nested = match fields.nested("rope_parameters")? {
        Some(nested) => Some(nested),
        None => fields.nested("rope_scaling")?,
    };
    let theta_beside = fields.optional_real("rope_theta")?;
    let theta_within = nested.as_ref().map_or(Ok(None), |nested| nested.optional_real("rope_theta"))?;
    let scaling = nested.as_ref().map_or(Ok(RopeScaling::None), hugging_face_scaling)?;
    Ok(Rope { theta: theta_within.or(theta_beside).unwrap_or(10000.0), pairing: Pairing::Halves, scaling })
}

fn hugging_face_scaling(nested: &Fields) -> Result<RopeScaling, ModelError> {
    let kind = match nested.optional_text("rope_type")? {
        Some(kind) => kind,
        None => nested.text("type")?,
    };
    match kind.as_str() {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: nested.real("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: nested.real("factor")?,
            low_freq_factor: nested.real("low_freq_factor")?,
            high_freq_factor: nested.real("high_freq_factor")?,
            original_max_position_embeddings: nested.real("original_max_position_embeddings")?,
        }),
        other => Err(ModelError::config("rope_scaling.rope_type", "default, linear or llama3", other)),
    }
}

fn head_dim_of(hidden_size: u32, num_attention_heads: u32, field: &str) -> Result<u32, ModelError> {
    if num_attention_heads == 0 || !hidden_size.is_multiple_of(num_attention_heads) {
        return Err(ModelError::config(field, &format!("a divisor of the hidden size {hidden_size}"), num_attention_heads));
    }
    Ok(hidden_size / num_attention_heads)
}
