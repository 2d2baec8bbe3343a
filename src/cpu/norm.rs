//! Root-mean-square norm of one row: y = x / sqrt(mean(x^2) + eps) * gain.

use crate::cpu::dot::dot;

/// Writes the norm of `x: [width]` times `gain: [width]` to the head of `y`; what lies behind `width` in y becomes zero.
///
/// # Panics
/// If gain or y is shorter than x.
pub fn rms_norm(x: &[f32], gain: &[f32], eps: f32, y: &mut [f32]) {
    let width = x.len();
    let mean_square = dot(x, x) / width as f32;
    let scale = 1.0 / libm::sqrtf(mean_square + eps);
    let (y, padding) = y.split_at_mut(width);
    padding.fill(0.0);
    kinglet_lanes::scale(x, scale, &gain[..width], y);
}
