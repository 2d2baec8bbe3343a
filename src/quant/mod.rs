//! File blocks → aligned planes. Repacking widens and reorders, it never rounds: every weight keeps its exact value.
//!
//! A row of `cols` weights is padded with zero codes to `stride` = `cols` rounded up to 8, so kernels read whole groups of eight.
//!
//! | file type | layout | codes, per row | scales, per row |
//! |---|---|---|---|
//! | F32 | `F32` | `stride` u32, the bits of an f32 | – |
//! | F16 | `F16` | `stride / 2` u32, two halves, first in the low bits | – |
//! | BF16 | `BF16` | `stride / 2` u32, likewise | – |
//! | Q8_0 | `I8 { group: 32 }` | `cols / 4` u32, four i8, first in the low byte | `cols / 32` f32: w = s * q |
//! | Q6_K | `I8 { group: 16 }` | `cols / 4` u32, q - 32 as i8 | `cols / 16` f32: s = d * sc (exact) |
//! | Q4_0 | `I4` | `cols / 8` u32, eight nibbles in column order, first in the low bits | `cols / 32` f32: w = s * (q - 8) |
//! | Q4_K | `I4M` | as `I4` | `cols / 32` pairs of f32 (s, m): w = s * q - m |

use crate::source::{DType, SourceError};

mod dequantize;
mod float;
mod q4_0;
mod q4_k;
mod q6_k;
mod q8_0;

pub use dequantize::{dequantize, planes_to_f32};
pub use float::{bf16_to_f32, f16_to_f32};

/// How a matrix stands in memory on every device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// One f32 a weight.
    F32,
    /// One f16 a weight.
    F16,
    /// One bfloat16 a weight.
    BF16,
    /// Signed bytes with one f32 scale for each `group` columns.
    I8 {
        /// Columns that share a scale: 16 or 32.
        group: u32,
    },
    /// Nibbles around 8 with one f32 scale for each 32 columns.
    I4,
    /// Nibbles with an f32 scale and an f32 minimum for each 32 columns.
    I4M,
}

impl Layout {
    /// The layout that a file type is repacked into.
    pub fn of(dtype: DType) -> Layout {
        match dtype {
            DType::F32 => Layout::F32,
            DType::F16 => Layout::F16,
            DType::BF16 => Layout::BF16,
            DType::Q8_0 => Layout::I8 { group: 32 },
            DType::Q6_K => Layout::I8 { group: 16 },
            DType::Q4_0 => Layout::I4,
            DType::Q4_K => Layout::I4M,
        }
    }

    /// u32 words of codes in one row of `cols` weights.
    pub fn code_words(self, cols: u32) -> u32 {
        let stride = stride(cols);
        match self {
            Layout::F32 => stride,
            Layout::F16 | Layout::BF16 => stride / 2,
            Layout::I8 { .. } => stride / 4,
            Layout::I4 | Layout::I4M => stride / 8,
        }
    }

    /// f32 scales (and minimums) in one row of `cols` weights.
    pub fn scale_words(self, cols: u32) -> u32 {
        match self {
            Layout::F32 | Layout::F16 | Layout::BF16 => 0,
            Layout::I8 { group } => cols / group,
            Layout::I4 => cols / 32,
            Layout::I4M => cols / 32 * 2,
        }
    }
}

/// Columns of a row in memory: `cols` rounded up to a multiple of 8.
pub fn stride(cols: u32) -> u32 {
    cols.next_multiple_of(8)
}

/// Some rows of a matrix, repacked: `codes` `[rows, code_words]`, `scales` `[rows, scale_words]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Planes {
    /// Packed codes.
    pub codes: Vec<u32>,
    /// Scales (and minimums), widened to f32.
    pub scales: Vec<f32>,
}

/// Repacks `rows` whole rows of a file's blocks.
///
/// # Panics
/// If `cols` is not a multiple of the type's block, or `bytes` is not exactly `rows` rows.
pub fn repack(dtype: DType, bytes: &[u8], rows: u32, cols: u32) -> Planes {
    let block_size = dtype.block_size();
    assert!(u64::from(cols).is_multiple_of(block_size), "{cols} columns of {}, whose blocks hold {block_size}", dtype.name());
    let row_bytes = u64::from(cols) / block_size * dtype.block_bytes();
    assert_eq!(bytes.len() as u64, u64::from(rows) * row_bytes, "bytes of {rows} rows of {cols} columns of {}", dtype.name());
    let layout = Layout::of(dtype);
    let mut planes = Planes {
        codes: Vec::with_capacity(rows as usize * layout.code_words(cols) as usize),
        scales: Vec::with_capacity(rows as usize * layout.scale_words(cols) as usize),
    };
    match dtype {
        DType::F32 => float::repack_f32(bytes, cols, &mut planes),
        DType::F16 | DType::BF16 => float::repack_16(bytes, cols, &mut planes),
        DType::Q8_0 => q8_0::repack(bytes, &mut planes),
        DType::Q4_0 => q4_0::repack(bytes, &mut planes),
        DType::Q4_K => q4_k::repack(bytes, &mut planes),
        DType::Q6_K => q6_k::repack(bytes, &mut planes),
    }
    planes
}

/// The f32 values of a vector (a gain, a bias, rotary factors) as it stands in the file.
///
/// # Errors
/// If the type is a block type: vectors are stored in floats.
///
/// # Panics
/// If `bytes` is not a whole number of elements.
pub fn widen(dtype: DType, bytes: &[u8]) -> Result<Vec<f32>, SourceError> {
    assert!((bytes.len() as u64).is_multiple_of(dtype.block_bytes()), "{} bytes of {}", bytes.len(), dtype.name());
    match dtype {
        DType::F32 => Ok(bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        DType::F16 => Ok(bytes.as_chunks().0.iter().map(|bytes| f16_to_f32(u16::from_le_bytes(*bytes))).collect()),
        DType::BF16 => Ok(bytes.as_chunks().0.iter().map(|bytes| bf16_to_f32(u16::from_le_bytes(*bytes))).collect()),
        DType::Q8_0 | DType::Q4_0 | DType::Q4_K | DType::Q6_K => {
            Err(SourceError::Unsupported { what: "a vector's type".into(), found: dtype.name().into(), supported: "F32, F16, BF16".into() })
        }
    }
}

/// The f16 at `at`, widened.
fn half(block: &[u8], at: usize) -> f32 {
    f16_to_f32(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// The little-endian word at `at`.
fn word(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// Eight nibbles in column order out of the low halves of eight bytes, given as two words.
fn pack_nibbles(low: u32, high: u32) -> u32 {
    let gather = |word: u32| {
        let bytes = word & 0x0f0f_0f0f;
        let pairs = (bytes | bytes >> 4) & 0x00ff_00ff;
        (pairs | pairs >> 8) & 0xffff
    };
    gather(low) | gather(high) << 16
}
