//! The inner loops of attention: scores of one head over a run of positions, their softmax, and the weighted sum of values.
//!
//! A run is a cache from one position's first element on: position i of it is at `i * stride`. A position's score and its place in the
//! sum do not depend on how positions are grouped, so runs may be cut anywhere.

use crate::{LANES, TO_INTEGER, fold};
use std::array::from_fn;
use wide::f32x4;

/// Positions that are scored side by side.
const SIDE_BY_SIDE: usize = 8;

/// Appends q · k * scale for the first `positions` positions of a run.
///
/// # Panics
/// If the run is too short.
pub fn score(q: &[f32], k: &[f32], stride: usize, positions: usize, scale: f32, scores: &mut Vec<f32>) {
    let row = |position: usize| &k[position * stride..][..q.len()];
    let whole = positions - positions % SIDE_BY_SIDE;
    for first in (0..whole).step_by(SIDE_BY_SIDE) {
        scores.extend(products(q, from_fn::<_, SIDE_BY_SIDE, _>(|i| row(first + i))).map(|product| product * scale));
    }
    for position in whole..positions {
        scores.extend(products(q, [row(position)]).map(|product| product * scale));
    }
}

fn products<const N: usize>(q: &[f32], rows: [&[f32]; N]) -> [f32; N] {
    let (q, q_rest) = q.as_chunks::<4>();
    let parts = rows.map(|row| (&row.as_chunks::<4>().0[..q.len()], &row[4 * q.len()..]));
    let mut sums = [f32x4::ZERO; N];
    for (i, q) in q.iter().enumerate() {
        let q = f32x4::new(*q);
        for n in 0..N {
            sums[n] += q * f32x4::new(parts[n].0[i]);
        }
    }
    from_fn(|n| {
        let [a, b, c, d] = sums[n].to_array();
        let rest: f32 = q_rest.iter().zip(parts[n].1).map(|(q, k)| q * k).sum();
        (a + b) + (c + d) + rest
    })
}

/// Replaces scores by exp(score - max) and returns their sum.
pub fn softmax(scores: &mut [f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    for scores in scores.chunks(LANES) {
        for (largest, score) in largest.iter_mut().zip(scores) {
            *largest = if score > largest { *score } else { *largest };
        }
    }
    let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0; LANES];
    let (blocks, rest) = scores.as_chunks_mut::<LANES>();
    for block in blocks {
        for i in 0..LANES {
            block[i] = exp(block[i] - largest);
            sums[i] += block[i];
        }
    }
    for (sum, score) in sums.iter_mut().zip(rest) {
        *score = exp(*score - largest);
        *sum += *score;
    }
    fold(sums)
}

/// out += the sum of weight * v over the positions of a run, one for each weight.
///
/// # Panics
/// If the run is too short.
pub fn add_weighted(weights: &[f32], v: &[f32], stride: usize, out: &mut [f32]) {
    // As many sums as registers hold at once.
    let whole = out.len() - out.len() % 32;
    for first in (0..whole).step_by(32) {
        add_columns::<8>(weights, v, stride, first, out);
    }
    let fours = out.len() - out.len() % 4;
    for first in (whole..fours).step_by(4) {
        add_columns::<1>(weights, v, stride, first, out);
    }
    for (col, out) in out.iter_mut().enumerate().skip(fours) {
        for (position, weight) in weights.iter().enumerate() {
            *out += weight * v[position * stride + col];
        }
    }
}

/// `4 * N` columns from `first` on.
fn add_columns<const N: usize>(weights: &[f32], v: &[f32], stride: usize, first: usize, out: &mut [f32]) {
    let out = &mut out[first..][..4 * N];
    let columns = |values: &[f32]| -> [f32x4; N] {
        let fours = values.as_chunks::<4>().0;
        from_fn(|n| f32x4::new(fours[n]))
    };
    let mut sums = columns(out);
    for (position, weight) in weights.iter().enumerate() {
        let (weight, v) = (f32x4::splat(*weight), columns(&v[position * stride + first..][..4 * N]));
        for n in 0..N {
            sums[n] += weight * v[n];
        }
    }
    for (out, sum) in out.as_chunks_mut::<4>().0.iter_mut().zip(sums) {
        *out = sum.to_array();
    }
}

/// e to the power of x, within 2 units in the last place, in operations that give the same bits on every target; x below -87 counts as
/// -87, above 88 as 88.
pub fn exp(x: f32) -> f32 {
    // ln 2 in two parts, the first short enough that its multiples are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + TO_INTEGER;
    let power = shifted - TO_INTEGER;
    let r = x - power * LN_2[0] - power * LN_2[1];
    // Taylor's series with the last two terms bent to the interval of half a power of two (Cephes' coefficients).
    let series = ((((1.987_569_1e-4 * r + 1.398_2e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 0.166_666_66) * r + 0.5;
    let fraction = series * (r * r) + r + 1.0;
    fraction * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
}
