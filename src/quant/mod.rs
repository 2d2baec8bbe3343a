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

use crate::source::DType;

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
