//! One packed row of a weight matrix → f32, exactly as `quant` defines each layout.
//!
//! w = s * q is rounded once in f32, as the reference dequantisers do. Halves are widened with integer operations and one exact
//! multiplication, so subnormals keep their value on every target.

use crate::quant::{Layout, stride};

/// Columns that share a scale in the nibble layouts.
const NIBBLE_GROUP: usize = 32;
/// Nibbles that are spread at once.
const NIBBLE_BLOCK: usize = 256;

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

    /// Plane row `row` as f32, `[stride]`: unpacked into `room` if it has to be.
    ///
    /// # Panics
    /// If the row is not in view or `room` is not one stride long.
    pub fn row<'a>(&'a self, row: usize, room: &'a mut [f32]) -> &'a [f32] {
        if self.layout == Layout::F32 {
            return &bytemuck::cast_slice(self.codes)[row * room.len()..][..room.len()];
        }
        self.unpack_row(row, room);
        room
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
    let halves: &[u16] = bytemuck::cast_slice(codes);
    for (out, half) in out.iter_mut().zip(halves) {
        *out = widen(u32::from(*half));
    }
}

/// The value of a half, subnormals, infinities and NaN included.
pub fn f16_to_f32(half: u32) -> f32 {
    // Sign, exponent and fraction in place, the exponent 112 too small; the product restores it exactly, for subnormals too.
    const RESTORE: f32 = f32::from_bits((127 + 112) << 23);
    let bits = (half & 0x8000) << 16 | (half & 0x7fff) << 13;
    let not_finite = if half & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits((f32::from_bits(bits) * RESTORE).to_bits() | not_finite)
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
    let mut pairs = [0; NIBBLE_BLOCK / 2];
    let blocks = out.chunks_mut(NIBBLE_BLOCK).zip(codes.chunks(NIBBLE_BLOCK / 8)).zip(scales.chunks(NIBBLE_BLOCK / NIBBLE_GROUP));
    for ((out, codes), scales) in blocks {
        let nibbles = spread_nibbles(codes, &mut pairs).chunks_exact(NIBBLE_GROUP);
        let groups = out.chunks_exact_mut(NIBBLE_GROUP).zip(nibbles);
        for ((out, nibbles), scale) in groups.zip(scales) {
            for (out, nibble) in out.iter_mut().zip(nibbles) {
                *out = scale * f32::from(nibble - 8);
            }
        }
    }
}

fn unpack_i4m(codes: &[u32], scales: &[f32], out: &mut [f32]) {
    let mut pairs = [0; NIBBLE_BLOCK / 2];
    let blocks = out.chunks_mut(NIBBLE_BLOCK).zip(codes.chunks(NIBBLE_BLOCK / 8)).zip(scales.chunks(2 * NIBBLE_BLOCK / NIBBLE_GROUP));
    for ((out, codes), scales) in blocks {
        let nibbles = spread_nibbles(codes, &mut pairs).chunks_exact(NIBBLE_GROUP);
        let groups = out.chunks_exact_mut(NIBBLE_GROUP).zip(nibbles);
        for ((out, nibbles), [scale, minimum]) in groups.zip(scales.as_chunks::<2>().0) {
            for (out, nibble) in out.iter_mut().zip(nibbles) {
                *out = scale * f32::from(*nibble) - minimum;
            }
        }
    }
}

/// The nibbles of the codes, in column order.
fn spread_nibbles<'a>(codes: &[u32], pairs: &'a mut [u16; NIBBLE_BLOCK / 2]) -> &'a [i8] {
    let bytes: &[u8] = bytemuck::cast_slice(codes);
    // A byte's two nibbles become the two bytes of a little-endian u16: a plain map, which vectorises where an interleave does not.
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = (u16::from(*byte) | u16::from(*byte) << 4) & 0x0f0f;
    }
    bytemuck::cast_slice(pairs)
}

#[cfg(target_endian = "big")]
compile_error!("packed codes are read as little-endian bytes");
