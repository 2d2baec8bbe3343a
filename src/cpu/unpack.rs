//! One packed row of a weight matrix → f32, exactly as `quant` defines each layout.
//!
//! w = s * q is rounded once in f32, as the reference dequantisers do. Halves are widened with integer operations and one exact
//! multiplication, so subnormals keep their value on every target.

use crate::quant::{Layout, stride};
pub use kinglet_lanes::f16_to_f32;
use kinglet_lanes::{unpack_bf16, unpack_f16, unpack_f32, unpack_i4, unpack_i4m, unpack_i8};

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
            Layout::F16 => unpack_f16(codes, out),
            Layout::BF16 => unpack_bf16(codes, out),
            Layout::I8 { group } => unpack_i8(codes, scales, group as usize, out),
            Layout::I4 => unpack_i4(codes, scales, out),
            Layout::I4M => unpack_i4m(codes, scales, out),
        }
    }
}
