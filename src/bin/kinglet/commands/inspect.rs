//! `kinglet inspect`: what a model file holds, without loading it.

use crate::{
    arguments::{Common, Inspect},
    failure::Failure,
    host,
};
use kinglet::{engine::ModelInfo, model::arch, source::Checkpoint, text};
use serde_json::json;
use std::collections::BTreeMap;

pub fn run(options: &Inspect, common: &Common) -> Result<(), Failure> {
    let checkpoint = pollster::block_on(Checkpoint::open(host::files(&options.model)?))?;
    let blueprint = pollster::block_on(arch::interpret(&checkpoint))?;
    let info = ModelInfo::new(&checkpoint, &blueprint);
    let tokenizer = text::Tokenizer::open(&checkpoint.description, &checkpoint.companions)?;
    let template = text::ChatTemplate::open(&checkpoint.description, &checkpoint.companions)?;
    let mut quantisation: BTreeMap<&str, u64> = BTreeMap::new();
    for tensor in checkpoint.tensors.values() {
        *quantisation.entry(tensor.dtype.name()).or_default() += tensor.range.end - tensor.range.start;
    }
    if !common.json {
        let c = &blueprint.config;
        host::print_line(&format!("{} ({}), {} parameters, {} bytes", info.name, info.architecture, info.parameters, info.bytes));
        host::print_line(&format!(
            "{} layers, width {}, {} heads ({} for keys), ffn {}, vocabulary {}, context {}",
            c.num_hidden_layers,
            c.hidden_size,
            c.num_attention_heads,
            c.num_key_value_heads,
            c.intermediate_size,
            c.vocab_size,
            c.max_position_embeddings
        ));
        host::print_line(&format!("bytes by type: {quantisation:?}"));
        return Ok(());
    }
    let tensors: Vec<_> = checkpoint
        .tensors
        .values()
        .map(|t| json!({ "name": t.name, "type": t.dtype.name(), "shape": t.shape, "bytes": t.range.end - t.range.start }))
        .collect();
    let c = &blueprint.config;
    let config = json!({
        "hidden_size": c.hidden_size, "intermediate_size": c.intermediate_size, "num_hidden_layers": c.num_hidden_layers,
        "num_attention_heads": c.num_attention_heads, "num_key_value_heads": c.num_key_value_heads, "head_dim": c.head_dim,
        "vocab_size": c.vocab_size, "max_position_embeddings": c.max_position_embeddings, "rms_norm_eps": c.rms_norm_eps,
        "rope_theta": c.rope.theta, "tie_word_embeddings": c.tie_word_embeddings,
    });
    let report = json!({
        "name": info.name, "architecture": info.architecture, "config": config, "parameters": info.parameters, "bytes": info.bytes,
        "quantisation": quantisation, "tensors": tensors,
        "tokenizer": { "vocab_size": tokenizer.vocab_size(), "end_tokens": tokenizer.end_tokens() },
        "chat_template": template.is_some(), "license": info.license,
    });
    host::print_line(&report.to_string());
    Ok(())
}
