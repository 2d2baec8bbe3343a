//! Files on disk as sources: a `.gguf`, or a directory with safetensors and what stands beside them. Native only.
//!
//! The shard names in an index come from a stranger, so they must be plain names of regular files that lie in the directory itself
//! once links are followed; only the cache of the Hugging Face hub, whose entries are links into its own `blobs`, is let through.

use super::{ByteSource, Companions, ModelFiles, SourceError, index};
use crate::LocalFuture;
use std::{
    cell::RefCell,
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    rc::Rc,
};

const MIB: u64 = 1 << 20;
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// A file that is read where asked.
pub struct FileSource {
    name: String,
    file: RefCell<File>,
    len: u64,
}

impl FileSource {
    /// Opens a regular file.
    ///
    /// # Errors
    /// If it cannot be opened or is something else (a pipe would block for ever).
    pub fn open(path: &Path) -> Result<FileSource, SourceError> {
        let name = path.display().to_string();
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::NotFound => SourceError::invalid(name.clone(), "a file", "none"),
            _ => SourceError::Read { what: name.clone(), reason: error.to_string() },
        };
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(SourceError::invalid(name, "a regular file", "something else"));
        }
        let file = File::open(path).map_err(failed)?;
        let len = file.metadata().map_err(failed)?.len();
        Ok(FileSource { name, file: RefCell::new(file), len })
    }
}

impl ByteSource for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, range: Range<u64>) -> LocalFuture<'_, Result<Vec<u8>, SourceError>> {
        let failed = |reason: String| SourceError::Read { what: self.name.clone(), reason };
        let read = || {
            if range.start > range.end || range.end > self.len {
                return Err(failed(format!("bytes {}..{} of {}", range.start, range.end, self.len)));
            }
            let mut bytes = vec![0; (range.end - range.start) as usize];
            let mut file = self.file.borrow_mut();
            file.seek(SeekFrom::Start(range.start)).and_then(|_| file.read_exact(&mut bytes)).map_err(|error| failed(error.to_string()))?;
            Ok(bytes)
        };
        Box::pin(std::future::ready(read()))
    }
}

/// Finds the files of a model: a `.gguf`, a `.safetensors`, or a directory with `model.safetensors` or its shards.
///
/// # Errors
/// If there is no such file, an index names anything but files beside itself, or a companion is too large or not UTF-8.
pub fn open_model_files(path: &Path) -> Result<ModelFiles, SourceError> {
    if path.is_dir() {
        return open_directory(path);
    }
    let beside = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors"));
    let companions = if beside { companions(path.parent().unwrap_or(Path::new("")))? } else { Companions::default() };
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(ModelFiles { weights: vec![(name, Rc::new(FileSource::open(path)?))], companions })
}

fn open_directory(directory: &Path) -> Result<ModelFiles, SourceError> {
    let mut companions = companions(directory)?;
    let single = directory.join(WEIGHTS);
    if single.exists() {
        return Ok(ModelFiles { weights: vec![(WEIGHTS.into(), Rc::new(FileSource::open(&single)?))], companions });
    }
    let Some(text) = read_text(directory, INDEX, 64 * MIB)? else {
        let expected = format!("{WEIGHTS} or {INDEX} in it");
        return Err(SourceError::invalid(directory.display().to_string(), expected, "neither"));
    };
    let mut weights: Vec<(String, Rc<dyn ByteSource>)> = Vec::new();
    for name in index::shard_names(&text)? {
        let source = FileSource::open(&shard_path(directory, &name)?)?;
        weights.push((name, Rc::new(source)));
    }
    companions.index = Some(text);
    Ok(ModelFiles { weights, companions })
}

/// The shard with links followed, if it lies in the directory or in the blobs of the hub cache that the directory is a snapshot of.
fn shard_path(directory: &Path, name: &str) -> Result<PathBuf, SourceError> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => SourceError::invalid(format!("{INDEX}: shard {name:?}"), "a file beside the index", "none"),
        _ => SourceError::Read { what: name.into(), reason: error.to_string() },
    };
    let directory = directory.canonicalize().map_err(failed)?;
    let path = directory.join(name).canonicalize().map_err(failed)?;
    let snapshots = directory.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "snapshots"));
    let blobs = snapshots.and_then(Path::parent).map(|repository| repository.join("blobs"));
    if path.parent() != Some(&directory) && (blobs.is_none() || path.parent() != blobs.as_deref()) {
        return Err(SourceError::invalid(format!("{INDEX}: shard {name:?}"), "a file beside the index", "a link out of the directory"));
    }
    Ok(path)
}

fn companions(directory: &Path) -> Result<Companions, SourceError> {
    Ok(Companions {
        config: read_text(directory, "config.json", 4 * MIB)?,
        tokenizer: read_text(directory, "tokenizer.json", 128 * MIB)?,
        tokenizer_config: read_text(directory, "tokenizer_config.json", 16 * MIB)?,
        generation_config: read_text(directory, "generation_config.json", MIB)?,
        special_tokens_map: read_text(directory, "special_tokens_map.json", 4 * MIB)?,
        chat_template: read_text(directory, "chat_template.jinja", 4 * MIB)?,
        index: None,
    })
}

/// A text file of the directory, or `None` if there is none of that name.
fn read_text(directory: &Path, name: &str, max_bytes: u64) -> Result<Option<String>, SourceError> {
    let path = directory.join(name);
    if !path.exists() {
        return Ok(None);
    }
    let source = FileSource::open(&path)?;
    if source.len > max_bytes {
        return Err(SourceError::invalid(source.name, format!("at most {max_bytes} bytes"), source.len.to_string()));
    }
    let mut text = String::new();
    match source.file.borrow_mut().by_ref().take(max_bytes).read_to_string(&mut text) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(SourceError::invalid(source.name.clone(), "UTF-8", "other bytes")),
        Err(error) => Err(SourceError::Read { what: source.name.clone(), reason: error.to_string() }),
    }
}
