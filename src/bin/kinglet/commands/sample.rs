//! `kinglet sample`: the sampler alone, on logits from a file.

use crate::{
    arguments::{Common, Sample},
    failure::Failure,
    host,
};
use kinglet::{
    cpu::sample::distribution::{SampleError, SampleParams, distribution},
    source::{Checkpoint, Companions, DType, ModelFiles, file::FileSource},
};
use serde_json::{Value, json};
use std::{path::Path, rc::Rc};

pub fn run(options: &Sample, common: &Common) -> Result<(), Failure> {
    let logits = read_logits(&options.logits)?;
    let params = SampleParams::from_json(&options.params).map_err(refused)?;
    let history = options.history.clone().unwrap_or_default();
    let distribution = distribution(&logits, &params, &history).map_err(refused)?;
    let uniform = match options.uniform {
        Some(uniform) if (0.0..1.0).contains(&uniform) => uniform,
        Some(other) => return Err(Failure::input("bad-request", format!("uniform: expected 0 to below 1, found {other}"))),
        None => host::random_seed() as f64 / (u64::MAX as f64 + 1.0),
    };
    let token = distribution.draw(uniform);
    if common.json {
        let mut probs = vec![0.0; logits.len()];
        for (id, probability) in distribution.kept.iter().zip(&distribution.probs) {
            probs[*id as usize] = *probability;
        }
        host::print_line(&json!({ "kept": distribution.kept, "probs": probs, "token": token }).to_string());
        return Ok(());
    }
    for (id, probability) in distribution.kept.iter().zip(&distribution.probs) {
        host::print_line(&format!("{id}\t{probability:.9}"));
    }
    host::print_line(&token.map_or("no token is left".to_string(), |token| format!("drawn: {token}")));
    Ok(())
}

fn refused(error: SampleError) -> Failure {
    Failure::input(error.code(), error.to_string())
}

/// The last row of a safetensors file's `logits`, or a JSON list, in which "-inf" is written as text.
fn read_logits(path: &Path) -> Result<Vec<f32>, Failure> {
    let failed = |reason: String| Failure::input("read-failed", format!("logits of {}: {reason}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Array(list)) => list.iter().map(number).collect::<Option<_>>(),
        Ok(Value::Object(object)) => object.get("logits").and_then(Value::as_array).and_then(|list| list.iter().map(number).collect()),
        Ok(_) => None,
        Err(_) => last_row(path)?,
    }
    .filter(|logits: &Vec<f32>| !logits.is_empty())
    .ok_or_else(|| failed("expected a JSON list of numbers, or a safetensors file with an f32 tensor `logits`".to_string()))
}

fn number(value: &Value) -> Option<f32> {
    match value {
        Value::Number(number) => number.as_f64().map(|n| n as f32),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn last_row(path: &Path) -> Result<Option<Vec<f32>>, Failure> {
    let name = path.display().to_string();
    let companions = Companions { config: Some("{}".to_string()), ..Companions::default() };
    let files = ModelFiles { weights: vec![(name, Rc::new(FileSource::open(path)?))], companions };
    let checkpoint = pollster::block_on(Checkpoint::open(files))?;
    let Some(info) = checkpoint.find("logits")?.filter(|t| t.dtype == DType::F32 && t.rows() > 0) else { return Ok(None) };
    let bytes = pollster::block_on(checkpoint.read_rows(info, info.rows() - 1..info.rows()))?;
    Ok(Some(bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()))
}
