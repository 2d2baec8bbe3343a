//! Integer dot products over panels: eight rows of a matrix side by side, times activations rounded to eight bits.
//!
//! A panel holds 8 consecutive rows so that a vector's lanes are rows: the sums need no folding, and one scale vector serves four rows.
//! Codes are reordered, never changed.
//!
//! | format | codes, per panel | scales, per panel |
//! |---|---|---|
//! | `i8` | for each 2 columns 16 bytes: row 0's two codes, row 1's, … row 7's | for each 32 columns 8 f32, one a row; `i8_fine`: for each 16 |
//! | `i4` | for each 8 columns 8 u32, one a row: the even columns' nibbles in the low half, the odd ones' in the high half | as `i8` |
//! | `i4m` | as `i4` | for each 32 columns 8 scales, then 8 minimums |
//!
//! Activations are rounded in groups of 32 columns to x ≈ scale * q with q in -127..=127 (as llama.cpp's Q8_0). Products and sums of one
//! group are exact integers; groups are added in f32 in column order. A row's result is the same bits alone and in company.

use crate::{TO_INTEGER, attention::exp};
use std::array::from_fn;
use wide::{f32x4, i16x8, i32x4, u16x8};

/// Rows of a panel.
pub const PANEL: usize = 8;
/// Columns of activations that share a scale.
pub const GROUP: usize = 32;

/// Rows of activations, rounded.
#[derive(Clone, Debug, Default)]
pub struct Rounded {
    cols: usize,
    /// pairs: `[rows, cols / 2]`, two codes as i16, the first in the low half
    pairs: Vec<i32>,
    /// scales: `[rows, cols / 32]`
    scales: Vec<f32>,
    /// sums: `[rows, cols / 32]`, of the codes
    sums: Vec<i32>,
}

/// One of them.
#[derive(Clone, Copy)]
struct Row<'a> {
    pairs: &'a [i32],
    scales: &'a [f32],
    sums: &'a [i32],
}

impl Rounded {
    /// No rows of `cols` columns, in the room there is.
    ///
    /// # Panics
    /// If `cols` is not a multiple of [`GROUP`].
    pub fn clear(&mut self, cols: usize) {
        assert!(cols.is_multiple_of(GROUP), "{cols} columns do not divide into groups of {GROUP}");
        self.cols = cols;
        self.pairs.clear();
        self.scales.clear();
        self.sums.clear();
    }

    /// Rounds one more row, `[cols]`.
    pub fn push(&mut self, row: &[f32]) {
        assert_eq!(row.len(), self.cols, "columns of a row");
        let (pairs, groups) = (self.pairs.len(), self.scales.len());
        self.pairs.resize(pairs + self.cols / 2, 0);
        self.scales.resize(groups + self.cols / GROUP, 0.0);
        self.sums.resize(groups + self.cols / GROUP, 0);
        let places = self.pairs[pairs..].as_chunks_mut::<{ GROUP / 2 }>().0.iter_mut().zip(&mut self.scales[groups..]);
        for ((x, (pairs, scale)), sum) in row.as_chunks::<GROUP>().0.iter().zip(places).zip(&mut self.sums[groups..]) {
            (*scale, *sum) = round(x, pairs);
        }
    }

    /// Rows held.
    pub fn num_rows(&self) -> usize {
        self.scales.len() / (self.cols / GROUP).max(1)
    }

    /// What a row was rounded to: scale * code.
    pub fn values(&self, row: usize) -> Vec<f32> {
        let Row { pairs, scales, .. } = self.row(row);
        let codes = pairs.iter().flat_map(|pair| [*pair as i16, (*pair >> 16) as i16]);
        codes.enumerate().map(|(col, code)| scales[col / GROUP] * f32::from(code)).collect()
    }

    fn row(&self, row: usize) -> Row<'_> {
        let groups = self.cols / GROUP;
        let (scales, sums) = (&self.scales[row * groups..][..groups], &self.sums[row * groups..][..groups]);
        Row { pairs: &self.pairs[row * self.cols / 2..][..self.cols / 2], scales, sums }
    }
}

/// Scale and sum of a group, and its codes in pairs.
fn round(x: &[f32; GROUP], pairs: &mut [i32; GROUP / 2]) -> (f32, i32) {
    let mut largest = [0.0f32; 8];
    for x in x.as_chunks::<8>().0 {
        for i in 0..8 {
            largest[i] = if x[i].abs() > largest[i] { x[i].abs() } else { largest[i] };
        }
    }
    let largest = largest.into_iter().fold(0.0, f32::max);
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let shifted = x.map(|x| (x * inverse + TO_INTEGER).to_bits() as i32);
    for (pair, codes) in pairs.iter_mut().zip(shifted.as_chunks::<2>().0) {
        *pair = codes[0] & 0xffff | codes[1] << 16;
    }
    let sum = shifted.iter().fold(0i32, |sum, code| sum.wrapping_add(code.wrapping_sub(TO_INTEGER.to_bits() as i32)));
    (largest / 127.0, sum)
}

/// Writes one row of four-a-word signed bytes into lane `lane` of a panel.
pub fn write_i8(row: &[u32], panel: &mut [u32], lane: usize) {
    let panel: &mut [u16] = bytemuck::cast_slice_mut(panel);
    let pairs: &[u16] = bytemuck::cast_slice(row);
    for (pair, place) in pairs.iter().zip(panel.chunks_exact_mut(PANEL)) {
        place[lane] = *pair;
    }
}

/// Reads lane `lane` of a panel back: what [`write_i8`] was given.
pub fn read_i8(panel: &[u32], lane: usize, row: &mut [u32]) {
    let panel: &[u16] = bytemuck::cast_slice(panel);
    let pairs: &mut [u16] = bytemuck::cast_slice_mut(row);
    for (pair, place) in pairs.iter_mut().zip(panel.chunks_exact(PANEL)) {
        *pair = place[lane];
    }
}

/// Writes one row of eight-a-word nibbles into lane `lane` of a panel.
pub fn write_i4(row: &[u32], panel: &mut [u32], lane: usize) {
    for (word, place) in row.iter().zip(panel.chunks_exact_mut(PANEL)) {
        place[lane] = gather(*word) | gather(word >> 4) << 16;
    }
}

/// Reads lane `lane` of a panel back: what [`write_i4`] was given.
pub fn read_i4(panel: &[u32], lane: usize, row: &mut [u32]) {
    for (word, place) in row.iter_mut().zip(panel.chunks_exact(PANEL)) {
        *word = spread(place[lane] & 0xffff) | spread(place[lane] >> 16) << 4;
    }
}

/// The low nibbles of four bytes, side by side.
fn gather(word: u32) -> u32 {
    let bytes = word & 0x0f0f_0f0f;
    let pairs = (bytes | bytes >> 4) & 0x00ff_00ff;
    (pairs | pairs >> 8) & 0xffff
}

/// Four nibbles, each into a byte of its own.
fn spread(nibbles: u32) -> u32 {
    let pairs = (nibbles | nibbles << 8) & 0x00ff_00ff;
    (pairs | pairs << 4) & 0x0f0f_0f0f
}

/// Four rows at a time share what a panel's codes are widened to, then two, then one.
macro_rules! in_tiles {
    ($x:expr, $out:expr, |$tile:ident| $product:expr) => {{
        let mut first = 0;
        in_tiles!(4, first, $x, $out, |$tile| $product);
        in_tiles!(2, first, $x, $out, |$tile| $product);
        in_tiles!(1, first, $x, $out, |$tile| $product);
    }};
    ($n:literal, $first:ident, $x:expr, $out:expr, |$tile:ident| $product:expr) => {
        for out in $out[$first..].as_chunks_mut::<$n>().0 {
            let $tile: &[Row; $n] = &from_fn(|n| $x.row($first + n));
            *out = $product;
            $first += $n;
        }
    };
}

/// out\[r\]\[i\] = panel row i · x row r, for as many rows as `out` has; signed bytes with a scale for each 32 columns.
pub fn multiply_i8(codes: &[u32], scales: &[f32], x: &Rounded, out: &mut [[f32; PANEL]]) {
    in_tiles!(x, out, |x| signed_bytes::<_, 16>(codes, scales, x));
}

/// Likewise with a scale for each 16 columns.
pub fn multiply_i8_fine(codes: &[u32], scales: &[f32], x: &Rounded, out: &mut [[f32; PANEL]]) {
    in_tiles!(x, out, |x| signed_bytes::<_, 8>(codes, scales, x));
}

/// Nibbles around 8 with a scale for each 32 columns.
pub fn multiply_i4(codes: &[u32], scales: &[f32], x: &Rounded, out: &mut [[f32; PANEL]]) {
    in_tiles!(x, out, |x| nibbles_around_8(codes, scales, x));
}

/// Nibbles with a scale and a minimum for each 32 columns.
pub fn multiply_i4m(codes: &[u32], scales: &[f32], x: &Rounded, out: &mut [[f32; PANEL]]) {
    in_tiles!(x, out, |x| nibbles_above_minimum(codes, scales, x));
}

/// Eight rows of a panel, as two vectors of four.
type Eight<T> = [T; 2];

fn signed_bytes<const N: usize, const PAIRS: usize>(codes: &[u32], scales: &[f32], x: &[Row; N]) -> [[f32; PANEL]; N] {
    let scales = scales.as_chunks::<PANEL>().0;
    let groups = codes.as_chunks::<4>().0.as_chunks::<PAIRS>().0;
    let pairs: [&[[i32; PAIRS]]; N] = from_fn(|n| &x[n].pairs.as_chunks::<PAIRS>().0[..groups.len()]);
    let mut sums = [[f32x4::ZERO; 2]; N];
    for (group, (codes, scales)) in groups.iter().zip(scales).enumerate() {
        let mut integers = [[i32x4::ZERO; 2]; N];
        for (pair, codes) in codes.iter().enumerate() {
            add_products(&mut integers, widen(*codes), from_fn(|n| pairs[n][group][pair]));
        }
        for n in 0..N {
            add_scaled(&mut sums[n], integers[n], eight(scales), x[n].scales[group * PAIRS / 16]);
        }
    }
    sums.map(bytemuck::cast)
}

fn nibbles_around_8<const N: usize>(codes: &[u32], scales: &[f32], x: &[Row; N]) -> [[f32; PANEL]; N] {
    let scales = scales.as_chunks::<PANEL>().0;
    nibbles(codes, x, |sums, integers, x, group| {
        let middle = i32x4::splat(8 * x.sums[group]);
        add_scaled(sums, integers.map(|integers| integers - middle), eight(&scales[group]), x.scales[group]);
    })
}

fn nibbles_above_minimum<const N: usize>(codes: &[u32], scales: &[f32], x: &[Row; N]) -> [[f32; PANEL]; N] {
    let scales = scales.as_chunks::<PANEL>().0;
    nibbles(codes, x, |sums, integers, x, group| {
        add_scaled(sums, integers, eight(&scales[2 * group]), x.scales[group]);
        let (minimums, sum) = (eight(&scales[2 * group + 1]), f32x4::splat(x.scales[group] * x.sums[group] as f32));
        *sums = from_fn(|half| sums[half] - minimums[half] * sum);
    })
}

/// `finish` takes the integer sums of one group and adds them to an activation row's sums.
fn nibbles<const N: usize>(
    codes: &[u32],
    x: &[Row; N],
    finish: impl Fn(&mut Eight<f32x4>, Eight<i32x4>, &Row, usize),
) -> [[f32; PANEL]; N] {
    // A group is 4 blocks of 8 columns, a block 2 vectors of 4 rows.
    let groups = codes.as_chunks::<4>().0.as_chunks::<2>().0.as_chunks::<4>().0;
    let pairs: [&[[i32; GROUP / 2]]; N] = from_fn(|n| &x[n].pairs.as_chunks::<{ GROUP / 2 }>().0[..groups.len()]);
    let mut sums = [[f32x4::ZERO; 2]; N];
    for (group, codes) in groups.iter().enumerate() {
        let mut integers = [[i32x4::ZERO; 2]; N];
        for (block, codes) in codes.iter().enumerate() {
            let codes: Eight<u16x8> = codes.map(bytemuck::cast);
            for pair in 0..4 {
                let nibbles = codes.map(|codes| bytemuck::cast(codes >> (4 * pair as u32) & u16x8::splat(0x0f)));
                add_products(&mut integers, nibbles, from_fn(|n| pairs[n][group][4 * block + pair]));
            }
        }
        for n in 0..N {
            finish(&mut sums[n], integers[n], &x[n], group);
        }
    }
    sums.map(bytemuck::cast)
}

/// integers\[n\] += two columns of eight rows times their pair of x\[n\].
fn add_products<const N: usize>(integers: &mut [Eight<i32x4>; N], codes: Eight<i16x8>, pairs: [i32; N]) {
    for n in 0..N {
        let pair: i16x8 = bytemuck::cast(i32x4::splat(pairs[n]));
        for half in 0..2 {
            integers[n][half] += codes[half].dot(pair);
        }
    }
}

/// sums += integers * (scales * factor)
fn add_scaled(sums: &mut Eight<f32x4>, integers: Eight<i32x4>, scales: Eight<f32x4>, factor: f32) {
    for half in 0..2 {
        sums[half] += f32x4::from_i32x4(integers[half]) * (scales[half] * f32x4::splat(factor));
    }
}

/// Sixteen signed bytes, widened.
#[cfg(target_arch = "wasm32")]
fn widen(codes: [u32; 4]) -> Eight<i16x8> {
    // Neither LLVM nor `wide` makes these two instructions of the plain loop, which is 7 times as slow.
    use core::arch::wasm32::{i16x8_extend_high_i8x16, i16x8_extend_low_i8x16, v128};
    let codes: v128 = bytemuck::cast(codes);
    [bytemuck::cast(i16x8_extend_low_i8x16(codes)), bytemuck::cast(i16x8_extend_high_i8x16(codes))]
}

#[cfg(not(target_arch = "wasm32"))]
fn widen(codes: [u32; 4]) -> Eight<i16x8> {
    bytemuck::cast(wide::i16x16::from_i8x16(bytemuck::cast(codes)))
}

fn eight(scales: &[f32; PANEL]) -> Eight<f32x4> {
    bytemuck::cast(*scales)
}

/// Replaces each gate by silu(gate) * up, silu(x) = x / (1 + exp(-x)).
pub fn silu_gates(gates: &mut [[f32; PANEL]], ups: &[[f32; PANEL]]) {
    for (gates, ups) in gates.iter_mut().zip(ups) {
        *gates = from_fn(|i| gates[i] / (1.0 + exp(-gates[i])) * ups[i]);
    }
}

/// Writes the first `outputs` sums of each row to column `first` on of row `rows[i]` of `y: [.., stride]`, or adds them to it.
///
/// # Panics
/// If a row of y does not exist.
pub fn scatter(sums: &[[f32; PANEL]], outputs: usize, add: bool, rows: &[usize], y: &mut [f32], stride: usize, first: usize) {
    for (sums, row) in sums.iter().zip(rows) {
        let y = &mut y[row * stride + first..][..outputs];
        match y.as_mut_array::<PANEL>() {
            // Without a call: 32 bytes are no work for a `memory.copy`.
            Some(y) if !add => *y = *sums,
            Some(y) => *y = from_fn(|i| y[i] + sums[i]),
            None if !add => y.copy_from_slice(&sums[..outputs]),
            None => crate::add(y, sums),
        }
    }
}
