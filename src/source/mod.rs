//! Model files as named tensors: bytes come from a [`ByteSource`], a [`Checkpoint`] knows where each tensor lies.
//!
//! Everything in a file is untrusted. Opening reads headers only; weights are read in row ranges when they are needed.

use crate::LocalFuture;
use std::{collections::BTreeMap, ops::Range, rc::Rc};

/// Bytes that can be read at any place: a file, a blob, a buffer.
pub trait ByteSource {
    /// Length in bytes.
    fn len(&self) -> u64;
    /// Whether there is nothing in it.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Reads exactly `range`.
    ///
    /// # Errors
    /// If the range ends past the source, or the medium fails.
    fn read(&self, range: Range<u64>) -> LocalFuture<'_, Result<Vec<u8>, SourceError>>;
}

/// A buffer in memory as a source.
#[derive(Clone, Debug)]
pub struct MemorySource(pub Rc<[u8]>);

impl ByteSource for MemorySource {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, range: Range<u64>) -> LocalFuture<'_, Result<Vec<u8>, SourceError>> {
        let slice = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok()).and_then(|(start, end)| self.0.get(start..end));
        let result = slice.map(<[u8]>::to_vec).ok_or_else(|| SourceError::Read {
            what: "buffer".into(),
            reason: format!("bytes {}..{} of {}", range.start, range.end, self.0.len()),
        });
        Box::pin(std::future::ready(result))
    }
}

/// The element type of a tensor as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "ggml's own names")]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 16-bit float.
    F16,
    /// bfloat16.
    BF16,
    /// ggml block of 32: f16 scale, 32 x i8.
    Q8_0,
    /// ggml block of 32: f16 scale, 32 x 4 bit.
    Q4_0,
    /// ggml super-block of 256: 8 groups of 32 with 6-bit scales and minimums, 4-bit codes.
    Q4_K,
    /// ggml super-block of 256: 16 groups of 16 with i8 scales, 6-bit codes.
    Q6_K,
}

impl DType {
    /// Every type, as messages list them.
    pub const ALL: [DType; 7] = [DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q4_K, DType::Q6_K];

    /// The name as ggml spells it.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "F32",
            DType::F16 => "F16",
            DType::BF16 => "BF16",
            DType::Q8_0 => "Q8_0",
            DType::Q4_0 => "Q4_0",
            DType::Q4_K => "Q4_K",
            DType::Q6_K => "Q6_K",
        }
    }

    /// Weights in one block; rows hold whole blocks.
    pub fn block_size(self) -> u64 {
        match self {
            DType::F32 | DType::F16 | DType::BF16 => 1,
            DType::Q8_0 | DType::Q4_0 => 32,
            DType::Q4_K | DType::Q6_K => 256,
        }
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> u64 {
        match self {
            DType::F32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::Q8_0 => 34,
            DType::Q4_0 => 18,
            DType::Q4_K => 144,
            DType::Q6_K => 210,
        }
    }

    /// The names of [`DType::ALL`], for messages.
    pub(crate) fn supported() -> String {
        DType::ALL.map(DType::name).join(", ")
    }
}

/// Where a tensor lies and what it is. `shape` is row-major in PyTorch order: `[rows, cols]` for a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Name in the file.
    pub name: String,
    /// Element type in the file.
    pub dtype: DType,
    /// Row-major shape, last axis contiguous.
    pub shape: Vec<u64>,
    /// Which of the checkpoint's files it is in.
    pub file: usize,
    /// Bytes within that file.
    pub range: Range<u64>,
}

impl TensorInfo {
    /// Rows along the first axis; a vector or a scalar is one row.
    pub fn rows(&self) -> u64 {
        if self.shape.len() < 2 { 1 } else { self.shape[0] }
    }

    /// Elements of one row.
    pub fn cols(&self) -> u64 {
        let axes = if self.shape.len() < 2 { &self.shape[..] } else { &self.shape[1..] };
        axes.iter().product()
    }

    /// Bytes of one row; opening has checked that rows hold whole blocks and fill the tensor's range.
    pub fn row_bytes(&self) -> u64 {
        self.cols() / self.dtype.block_size() * self.dtype.block_bytes()
    }
}

/// What the file says about the model, before anyone interprets it.
#[derive(Clone, Debug)]
pub enum Description {
    /// GGUF key-value metadata.
    Gguf(gguf::Metadata),
    /// The parsed `config.json` beside a safetensors file.
    HuggingFace(serde_json::Value),
}

/// The small text files that stand beside safetensors weights (all optional for GGUF, which carries its own).
#[derive(Clone, Debug, Default)]
pub struct Companions {
    /// `config.json`
    pub config: Option<String>,
    /// `tokenizer.json`
    pub tokenizer: Option<String>,
    /// `tokenizer_config.json`
    pub tokenizer_config: Option<String>,
    /// `generation_config.json`
    pub generation_config: Option<String>,
    /// `special_tokens_map.json`
    pub special_tokens_map: Option<String>,
    /// `chat_template.jinja`
    pub chat_template: Option<String>,
    /// `model.safetensors.index.json`
    pub index: Option<String>,
}

/// The files of one model: named weight files (one GGUF, one safetensors, or its shards) and what stands beside them.
pub struct ModelFiles {
    /// `(file name, bytes)`; the name is what an index refers to.
    pub weights: Vec<(String, Rc<dyn ByteSource>)>,
    /// Text files beside the weights.
    pub companions: Companions,
}

/// An opened model: description, tensor table and readable weights.
pub struct Checkpoint {
    /// Metadata, uninterpreted.
    pub description: Description,
    /// Text files beside the weights.
    pub companions: Companions,
    /// Tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
    /// Tensors of element types that are not read here: name to the type's name. An error only if the model needs one.
    pub unreadable: BTreeMap<String, String>,
    /// The weight files that `TensorInfo::file` indexes.
    pub files: Vec<Rc<dyn ByteSource>>,
}

mod checkpoint;
#[cfg(not(target_arch = "wasm32"))]
pub mod file;
pub mod gguf;
mod index;
pub mod safetensors;

/// What can be wrong with a model file. `what` names the file and the field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SourceError {
    /// The medium failed.
    #[error("cannot read {what}: {reason}")]
    Read {
        /// The file.
        what: String,
        /// The medium's own words.
        reason: String,
    },
    /// A field has a value that no valid file has.
    #[error("{what}: expected {expected}, found {found}")]
    Invalid {
        /// File and field.
        what: String,
        /// What a valid file has there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Valid, but of a kind that is not read here.
    #[error("{what} is {found}, which is not supported; supported: {supported}")]
    Unsupported {
        /// File and field.
        what: String,
        /// What stands there.
        found: String,
        /// What would be read.
        supported: String,
    },
}

impl SourceError {
    /// A field with a value that no valid file has.
    pub(crate) fn invalid(what: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> SourceError {
        SourceError::Invalid { what: what.into(), expected: expected.into(), found: found.into() }
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            SourceError::Read { .. } => "read-failed",
            SourceError::Invalid { .. } => "invalid-file",
            SourceError::Unsupported { .. } => "unsupported-format",
        }
    }
}

/// Text out of a file, fit for a message: quoted, escaped and cut.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}
