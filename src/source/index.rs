//! `model.safetensors.index.json` → which shard holds which tensor, checked against what the shards hold.
//!
//! The index comes from a stranger: its file names are looked up among the files given, or must be plain names (see [`shard_names`]);
//! they never become paths. Source: the Hugging Face sharded-checkpoint layout.

use super::{SourceError, quoted, safetensors::UniqueMap};
use std::collections::{BTreeMap, BTreeSet};

const FILE: &str = "model.safetensors.index.json";
/// Most shards of one model.
const MAX_SHARDS: usize = 1024;

#[derive(serde::Deserialize)]
struct Index {
    weight_map: UniqueMap<String>,
}

fn weight_map(text: &str) -> Result<BTreeMap<String, String>, SourceError> {
    let index: Index = serde_json::from_str(text)
        .map_err(|error| SourceError::invalid(FILE, "an object with weight_map, tensor name to file name", quoted(&error.to_string())))?;
    if index.weight_map.0.is_empty() {
        return Err(SourceError::invalid(format!("{FILE}: weight_map"), "at least one tensor", "none"));
    }
    Ok(index.weight_map.0)
}

/// The shards' file names, each a plain name that ends in `.safetensors`.
///
/// # Errors
/// If the index is not valid, or names anything but a file beside itself.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn shard_names(text: &str) -> Result<BTreeSet<String>, SourceError> {
    let names: BTreeSet<String> = weight_map(text)?.into_values().collect();
    check_count(names.len())?;
    for name in &names {
        check_plain(name)?;
    }
    Ok(names)
}

/// Checks the index against the files' names and the tensors that each file holds.
///
/// # Errors
/// If the index is not valid, a file it names is not there, or a tensor is not in the shard it names.
pub(super) fn check(text: &str, files: &[String], shard_of: &BTreeMap<String, usize>) -> Result<(), SourceError> {
    let map = weight_map(text)?;
    let named: BTreeSet<&String> = map.values().collect();
    check_count(named.len())?;
    for name in named {
        check_plain(name)?;
        if !files.contains(name) {
            return Err(SourceError::invalid(format!("{FILE}: shard {}", quoted(name)), "a file beside the index", "none"));
        }
    }
    for (tensor, name) in &map {
        let holder = shard_of.get(tensor).map(|&file| &files[file]);
        if holder != Some(name) {
            return Err(SourceError::invalid(
                format!("{FILE}: tensor {}", quoted(tensor)),
                format!("in {}", quoted(name)),
                holder.map_or("in no shard".into(), |holder| format!("in {}", quoted(holder))),
            ));
        }
    }
    Ok(())
}

fn check_count(num_shards: usize) -> Result<(), SourceError> {
    if num_shards > MAX_SHARDS {
        return Err(SourceError::invalid(format!("{FILE}: shards"), format!("at most {MAX_SHARDS}"), num_shards.to_string()));
    }
    Ok(())
}

fn check_plain(name: &str) -> Result<(), SourceError> {
    let plain = name.ends_with(".safetensors") && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0']);
    if !plain {
        return Err(SourceError::invalid(format!("{FILE}: shard"), "a plain file name that ends in .safetensors", quoted(name)));
    }
    Ok(())
}
