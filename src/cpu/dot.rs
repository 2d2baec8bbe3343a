//! The inner product that every CPU operation sums with, in one fixed order.
//!
//! Sixteen partial sums run down the vectors and are folded in halves: the compiler turns each `[f32; 16]` step into whole vector
//! registers (SSE2, NEON, wasm SIMD128), multiplies and adds apart (no fused multiply-add), so every target gives the same bits.

/// Partial sums that run side by side.
const LANES: usize = 16;

/// sum of w[i] * x[i] over the shorter of the two.
pub fn dot(w: &[f32], x: &[f32]) -> f32 {
    let len = w.len().min(x.len());
    let (w_blocks, w_rest) = w[..len].as_chunks::<LANES>();
    let (x_blocks, x_rest) = x[..len].as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (w, x) in w_blocks.iter().zip(x_blocks) {
        for i in 0..LANES {
            sums[i] += w[i] * x[i];
        }
    }
    for ((sum, w), x) in sums.iter_mut().zip(w_rest).zip(x_rest) {
        *sum += w * x;
    }
    fold(sums)
}

/// The sum of the partial sums, folded in halves.
pub fn fold(mut sums: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
    }
    sums[0]
}
