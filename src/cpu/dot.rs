//! The inner product that every CPU operation sums with, in one fixed order.
//!
//! Sixteen partial sums run down the vectors and are folded in halves: the compiler turns each `[f32; 16]` step into whole vector
//! registers (SSE2, NEON, wasm SIMD128), multiplies and adds apart (no fused multiply-add), so every target gives the same bits.

pub use kinglet_lanes::{dot, fold};
