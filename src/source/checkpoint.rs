//! Model files → a [`Checkpoint`]: tells GGUF from safetensors by its first bytes, reads headers only, and joins shards.
//!
//! A GGUF header has no length field, so it is parsed from a prefix of the file that grows until the parser is content: the file is
//! never read whole, however large its weights are.

use super::{ByteSource, Checkpoint, Companions, Description, ModelFiles, SourceError, TensorInfo, gguf, index, quoted, safetensors};
use std::{collections::BTreeMap, ops::Range, rc::Rc};

/// The first prefix of a GGUF file that is tried.
const FIRST_PREFIX_BYTES: u64 = 1 << 20;
/// The longest GGUF header (metadata, vocabulary and tensor table) that is read.
const MAX_PREFIX_BYTES: u64 = 256 << 20;
/// Most tensors in one model, far above any that exists.
pub(super) const MAX_TENSORS: u64 = 1 << 18;

/// A tensor of a type that is read here, or the name of a type that is not.
pub(super) enum Entry {
    Readable(TensorInfo),
    Unreadable { name: String, dtype: String },
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Entry::Readable(info) => &info.name,
            Entry::Unreadable { name, .. } => name,
        }
    }
}

impl Checkpoint {
    /// Reads the headers of a model's files and checks all they say; weights stay where they are.
    ///
    /// # Errors
    /// If a file cannot be read, is not valid in any part, or is of a kind that is not read here.
    pub async fn open(files: ModelFiles) -> Result<Checkpoint, SourceError> {
        let Some((first_name, first)) = files.weights.first() else {
            return Err(SourceError::invalid("model files", "at least one weight file", "none"));
        };
        let magic = read(first_name, first.as_ref(), 0..first.len().min(4)).await?;
        if gguf::is_magic(&magic) || first_name.to_ascii_lowercase().ends_with(".gguf") {
            open_gguf(files).await
        } else {
            open_safetensors(files).await
        }
    }

    /// A tensor that the model cannot do without.
    ///
    /// # Errors
    /// If there is none of that name, or it has an element type that is not read here.
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo, SourceError> {
        self.find(name)?.ok_or_else(|| SourceError::invalid(format!("tensor {name}"), "one of that name in the file", "none"))
    }

    /// A tensor that the model may or may not have.
    ///
    /// # Errors
    /// If it is there with an element type that is not read here.
    pub fn find(&self, name: &str) -> Result<Option<&TensorInfo>, SourceError> {
        match self.unreadable.get(name) {
            Some(dtype) => Err(SourceError::Unsupported {
                what: format!("tensor {name}: type"),
                found: dtype.clone(),
                supported: super::DType::supported(),
            }),
            None => Ok(self.tensors.get(name)),
        }
    }

    /// The file's bytes of some rows along the first axis; a vector is one row.
    ///
    /// # Errors
    /// If the medium fails.
    ///
    /// # Panics
    /// If `rows` ends past the tensor.
    pub async fn read_rows(&self, info: &TensorInfo, rows: Range<u64>) -> Result<Vec<u8>, SourceError> {
        assert!(rows.start <= rows.end && rows.end <= info.rows(), "rows {rows:?} of tensor {} with {} rows", info.name, info.rows());
        let start = info.range.start + rows.start * info.row_bytes();
        let end = info.range.start + rows.end * info.row_bytes();
        read(&info.name, self.files[info.file].as_ref(), start..end).await
    }

    fn new(description: Description, companions: Companions) -> Checkpoint {
        Checkpoint { description, companions, tensors: BTreeMap::new(), unreadable: BTreeMap::new(), files: Vec::new() }
    }

    fn add_file(&mut self, name: &str, source: Rc<dyn ByteSource>, entries: Vec<Entry>) -> Result<(), SourceError> {
        self.files.push(source);
        for entry in entries {
            let tensor = entry.name();
            if self.tensors.contains_key(tensor) || self.unreadable.contains_key(tensor) {
                return Err(SourceError::invalid(format!("{name}: tensor {}", quoted(tensor)), "each tensor once", "a second one"));
            }
            match entry {
                Entry::Readable(info) => drop(self.tensors.insert(info.name.clone(), info)),
                Entry::Unreadable { name, dtype } => drop(self.unreadable.insert(name, dtype)),
            }
        }
        Ok(())
    }
}

async fn open_gguf(files: ModelFiles) -> Result<Checkpoint, SourceError> {
    let num_files = files.weights.len();
    let Some((name, source)) = files.weights.into_iter().next().filter(|_| num_files == 1) else {
        return Err(split_gguf("number of files", num_files as u64));
    };
    let header = read_gguf_header(&name, source.as_ref()).await?;
    if let Some(count) = header.metadata.get("split.count").and_then(|count| count.as_u64("split.count").ok()).filter(|count| *count > 1) {
        return Err(split_gguf("split.count", count));
    }
    let mut checkpoint = Checkpoint::new(Description::Gguf(header.metadata), files.companions);
    checkpoint.add_file(&name, source, header.tensors)?;
    Ok(checkpoint)
}

fn split_gguf(field: &str, found: u64) -> SourceError {
    SourceError::Unsupported {
        what: format!("GGUF: {field}"),
        found: found.to_string(),
        supported: "one file (join it with llama-gguf-split --merge)".into(),
    }
}

async fn read_gguf_header(name: &str, source: &dyn ByteSource) -> Result<gguf::Header, SourceError> {
    let limit = source.len().min(MAX_PREFIX_BYTES);
    let mut prefix = Vec::new();
    let mut wanted = FIRST_PREFIX_BYTES.min(limit);
    loop {
        let more = read(name, source, prefix.len() as u64..wanted).await?;
        prefix.reserve_exact(more.len());
        prefix.extend_from_slice(&more);
        drop(more);
        match gguf::parse(name, &prefix, source.len()) {
            Ok(header) => return Ok(header),
            Err(gguf::Stop::Refused(error)) => return Err(error),
            Err(gguf::Stop::Needs(bytes)) if bytes > limit => {
                return Err(SourceError::invalid(
                    format!("{name}: header"),
                    format!("at most {MAX_PREFIX_BYTES} bytes"),
                    format!("at least {bytes}"),
                ));
            }
            Err(gguf::Stop::Needs(bytes)) => wanted = bytes.max(2 * wanted).min(limit),
        }
    }
}

async fn open_safetensors(files: ModelFiles) -> Result<Checkpoint, SourceError> {
    let config = files
        .companions
        .config
        .as_deref()
        .ok_or_else(|| SourceError::invalid("config.json", "one beside the safetensors weights", "none"))?;
    let config: serde_json::Value =
        serde_json::from_str(config).map_err(|error| SourceError::invalid("config.json", "a JSON object", error.to_string()))?;
    if !config.is_object() {
        return Err(SourceError::invalid("config.json", "a JSON object", "another JSON value"));
    }
    let mut checkpoint = Checkpoint::new(Description::HuggingFace(config), files.companions);
    let names: Vec<String> = files.weights.iter().map(|(name, _)| name.clone()).collect();
    let mut shard_of = BTreeMap::new();
    for (file, (name, source)) in files.weights.into_iter().enumerate() {
        let entries = safetensors::read_header(&name, source.as_ref(), file).await?;
        shard_of.extend(entries.iter().map(|entry| (entry.name().to_owned(), file)));
        checkpoint.add_file(&name, source, entries)?;
    }
    if let Some(text) = &checkpoint.companions.index {
        index::check(text, &names, &shard_of)?;
    }
    Ok(checkpoint)
}

/// Reads exactly `range`, whatever the medium claims.
pub(super) async fn read(what: &str, source: &dyn ByteSource, range: Range<u64>) -> Result<Vec<u8>, SourceError> {
    let bytes = source.read(range.clone()).await?;
    if bytes.len() as u64 != range.end - range.start {
        let reason = format!("{} bytes came for {}..{}", bytes.len(), range.start, range.end);
        return Err(SourceError::Read { what: what.into(), reason });
    }
    Ok(bytes)
}
