//! F32, F16 and BF16 → code planes: the bits as they are, each row padded with zeros to its stride.
//!
//! Halves are widened with integers, never by the hardware: f16 subnormals, which some GPUs flush, keep their value, and a NaN keeps its
//! payload. Source: IEEE 754-2008, binary16; bfloat16 is the upper half of a binary32.

use super::{Planes, stride};

pub(super) fn repack_f32(bytes: &[u8], cols: u32, planes: &mut Planes) {
    for row in rows(bytes, cols, 4) {
        planes.codes.extend(row.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)));
        pad(planes, stride(cols));
    }
}

pub(super) fn repack_16(bytes: &[u8], cols: u32, planes: &mut Planes) {
    for row in rows(bytes, cols, 2) {
        let (pairs, rest) = row.as_chunks();
        planes.codes.extend(pairs.iter().map(|bytes| u32::from_le_bytes(*bytes)));
        if let [low, high] = rest {
            planes.codes.push(u32::from_le_bytes([*low, *high, 0, 0]));
        }
        pad(planes, stride(cols) / 2);
    }
}

/// An f16, exactly.
pub fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let exponent = u32::from(half >> 10) & 0x1f;
    let mantissa = u32::from(half) & 0x3ff;
    let magnitude = match (exponent, mantissa) {
        (0, 0) => 0,
        (0, _) => {
            // A subnormal is mantissa * 2^-24: its highest set bit becomes the implicit one.
            let shift = mantissa.leading_zeros() - 21;
            ((113 - shift) << 23) | ((mantissa << shift & 0x3ff) << 13)
        }
        (31, _) => 0x7f80_0000 | mantissa << 13,
        _ => (exponent + 112) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// A bfloat16, exactly.
pub fn bf16_to_f32(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

fn rows(bytes: &[u8], cols: u32, element_bytes: usize) -> impl Iterator<Item = &[u8]> {
    bytes.chunks_exact((cols as usize * element_bytes).max(1))
}

/// Zeros up to the end of the row that was just written; all rows before it are whole.
fn pad(planes: &mut Planes, row_words: u32) {
    let whole = planes.codes.len().next_multiple_of((row_words as usize).max(1));
    planes.codes.resize(whole, 0);
}
