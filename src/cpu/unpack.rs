//! One packed row of a weight matrix → f32, exactly as `quant` defines each layout.
//!
//! w = s * q is rounded once in f32, as the reference dequantisers do. Halves are widened with integer operations and one exact
//! multiplication, so subnormals keep their value on every target.

use crate::quant::{Layout, stride};

/// Columns that share a scale in the nibble layouts.
const NIBBLE_GROUP: usize = 32;

/// Some consecutive plane rows of a matrix, packed: a piece, or any part of one that was just read.
#[derive(Clone, Copy, Debug)]
pub struct PlanesView<'a> {
    /// How the rows are packed.
    pub layout: Layout,
    /// Columns, unpadded.
    pub cols: u32,
    /// codes: `[rows, code_words]` u32
    pub codes: &'a [u32],
    /// scales: `[rows, scale_words]` f32
    pub scales: &'a [f32],
}

impl PlanesView<'_> {
    /// Plane rows in view.
    pub fn num_rows(&self) -> usize {
        self.codes.len() / self.layout.code_words(self.cols).max(1) as usize
    }

    /// Elements of an unpacked row: the columns rounded up to 8.
    pub fn stride(&self) -> usize {
        stride(self.cols) as usize
    }

    /// Widens plane row `row` into `out: [stride]` f32; the padding becomes zero.
    ///
    /// # Panics
    /// If the row is not in view or `out` is not one stride long.
    pub fn unpack_row(&self, row: usize, out: &mut [f32]) {
        let code_words = self.layout.code_words(self.cols) as usize;
        let scale_words = self.layout.scale_words(self.cols) as usize;
        let codes = &self.codes[row * code_words..][..code_words];
        let scales = &self.scales[row * scale_words..][..scale_words];
        assert_eq!(out.len(), self.stride(), "an unpacked row is one stride long");
        match self.layout {
            Layout::F32 => unpack_f32(codes, out),
            Layout::F16 => unpack_halves(codes, out, f16_to_f32),
            Layout::BF16 => unpack_halves(codes, out, |half| f32::from_bits(half << 16)),
            Layout::I8 { group } => unpack_i8(codes, scales, group as usize, out),
            Layout::I4 => unpack_i4(codes, scales, out),
            Layout::I4M => unpack_i4m(codes, scales, out),
        }
    }
}

fn unpack_f32(codes: &[u32], out: &mut [f32]) {
    for (out, code) in out.iter_mut().zip(codes) {
        *out = f32::from_bits(*code);
    }
}

fn unpack_halves(codes: &[u32], out: &mut [f32], widen: impl Fn(u32) -> f32) {
    for (out, code) in out.as_chunks_mut::<2>().0.iter_mut().zip(codes) {
        *out = [widen(code & 0xffff), widen(code >> 16)];
    }
}

/// The value of a half, subnormals, infinities and NaN included.
pub fn f16_to_f32(half: u32) -> f32 {
    // Exponent and fraction in place, the exponent 112 too small; the product restores it exactly, for subnormals too.
    const RESTORE: f32 = f32::from_bits((127 + 112) << 23);
    let magnitude = (half & 0x7fff) << 13;
    let finite = (f32::from_bits(magnitude) * RESTORE).to_bits();
    let bits = if half & 0x7c00 == 0x7c00 { magnitude | 0x7f80_0000 } else { finite };
    f32::from_bits(bits | (half & 0x8000) << 16)
}

fn unpack_i8(codes: &[u32], scales: &[f32], group: usize, out: &mut [f32]) {
    for ((out, codes), scale) in out.chunks_exact_mut(group).zip(codes.chunks_exact(group / 4)).zip(scales) {
        let codes: &[i8] = bytemuck::cast_slice(codes);
        for (out, code) in out.iter_mut().zip(codes) {
            *out = scale * f32::from(*code);
        }
    }
}

fn unpack_i4(codes: &[u32], scales: &[f32], out: &mut [f32]) {
    let groups = out.as_chunks_mut::<NIBBLE_GROUP>().0.iter_mut().zip(codes.as_chunks::<4>().0).zip(scales);
    for ((out, codes), scale) in groups {
        let nibbles = nibbles(codes);
        for i in 0..NIBBLE_GROUP {
            out[i] = scale * f32::from(nibbles[i] as i8 - 8);
        }
    }
}

fn unpack_i4m(codes: &[u32], scales: &[f32], out: &mut [f32]) {
    let groups = out.as_chunks_mut::<NIBBLE_GROUP>().0.iter_mut().zip(codes.as_chunks::<4>().0).zip(scales.as_chunks::<2>().0);
    for ((out, codes), [scale, minimum]) in groups {
        let nibbles = nibbles(codes);
        for i in 0..NIBBLE_GROUP {
            out[i] = scale * f32::from(nibbles[i]) - minimum;
        }
    }
}

/// The 32 nibbles of four words, in column order.
fn nibbles(codes: &[u32; 4]) -> [u8; NIBBLE_GROUP] {
    let bytes: &[u8; 16] = bytemuck::cast_ref(codes);
    let mut out = [0; NIBBLE_GROUP];
    for i in 0..16 {
        out[2 * i] = bytes[i] & 15;
        out[2 * i + 1] = bytes[i] >> 4;
    }
    out
}

#[cfg(target_endian = "big")]
compile_error!("packed codes are read as little-endian bytes");
