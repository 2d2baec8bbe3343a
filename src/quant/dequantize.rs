//! Planes → f32, the reference that every kernel is compared with. The same operations in the same order as gguf-py, so the same bits.

use super::{Layout, Planes, bf16_to_f32, f16_to_f32, stride};

/// Writes row `row` of some planes as f32.
///
/// # Panics
/// If the planes have no such row or `out` is not `cols` long.
pub fn dequantize(layout: Layout, planes: &Planes, row: u32, cols: u32, out: &mut [f32]) {
    assert_eq!(out.len(), cols as usize, "elements of a row of {cols} columns");
    let (code_words, scale_words) = (layout.code_words(cols) as usize, layout.scale_words(cols) as usize);
    let codes = &planes.codes[row as usize * code_words..][..code_words];
    let scales = &planes.scales[row as usize * scale_words..][..scale_words];
    match layout {
        Layout::F32 => out.iter_mut().zip(codes).for_each(|(w, code)| *w = f32::from_bits(*code)),
        Layout::F16 => unpack(codes, out, 16, |_, code| f16_to_f32(code as u16)),
        Layout::BF16 => unpack(codes, out, 16, |_, code| bf16_to_f32(code as u16)),
        Layout::I8 { group } => unpack(codes, out, 8, |col, code| scales[col / group as usize] * f32::from(code as u8 as i8)),
        Layout::I4 => unpack(codes, out, 4, |col, code| scales[col / 32] * (code as f32 - 8.0)),
        Layout::I4M => unpack(codes, out, 4, |col, code| scales[col / 32 * 2] * code as f32 - scales[col / 32 * 2 + 1]),
    }
}

/// Rewrites planes as `Layout::F32`, so that matrices of differing types can be one.
///
/// # Panics
/// If the planes are not `rows` rows.
pub fn planes_to_f32(layout: Layout, planes: &Planes, rows: u32, cols: u32) -> Planes {
    let stride = stride(cols) as usize;
    let mut codes = vec![0; rows as usize * stride];
    let mut weights = vec![0.0; cols as usize];
    for row in 0..rows {
        dequantize(layout, planes, row, cols, &mut weights);
        let words = &mut codes[row as usize * stride..][..cols as usize];
        words.iter_mut().zip(&weights).for_each(|(word, weight)| *word = weight.to_bits());
    }
    Planes { codes, scales: Vec::new() }
}

/// Each column's code, `bits` wide and first in the low bits, through `weight(column, code)`.
fn unpack(codes: &[u32], out: &mut [f32], bits: usize, weight: impl Fn(usize, u32) -> f32) {
    let per_word = 32 / bits;
    let mask = (1 << bits) - 1;
    for (col, w) in out.iter_mut().enumerate() {
        *w = weight(col, codes[col / per_word] >> (bits * (col % per_word)) & mask);
    }
}
