//! `kinglet logits`: every position's logits through the prefill kernels, as one safetensors tensor.

use crate::{
    arguments::{Common, Logits},
    failure::Failure,
    host,
};
use kinglet::engine::{self, EngineOptions};
use std::{fs::File, io::Write};

pub fn run(options: &Logits, common: &Common) -> Result<(), Failure> {
    let context = (options.tokens.len() as u32).max(8);
    let files = host::files(&options.model.model)?;
    let exact = common.exact || !options.rounded;
    let mut loaded = pollster::block_on(engine::load(files, &EngineOptions { exact, ..host::options(common, 1, context) }))?;
    let logits = pollster::block_on(loaded.session.logits(&options.tokens, options.chunk))?;
    let shape = [options.tokens.len(), loaded.session.config().vocab_size as usize];
    let failed = |e: std::io::Error| Failure::machine("write-failed", format!("cannot write {}: {e}", options.out.display()));
    write_tensor(&options.out, shape, &logits).map_err(failed)?;
    if common.json {
        let device = serde_json::json!({ "shape": shape, "device": loaded.device });
        host::print_line(&device.to_string());
    } else {
        eprintln!("logits {shape:?} on {}", loaded.device.info.adapter);
    }
    Ok(())
}

/// One f32 tensor `logits`. Format: 8 bytes of header length, JSON header padded to 8, little-endian data.
fn write_tensor(path: &std::path::Path, shape: [usize; 2], values: &[f32]) -> std::io::Result<()> {
    let tensor = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [0, 4 * values.len()] });
    let mut header = serde_json::json!({ "logits": tensor }).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = File::create(path)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    file.write_all(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}
