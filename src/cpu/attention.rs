//! Causal grouped-query attention of one row over its cached positions (Ainslie et al. 2023).
//!
//! Positions below `prefix_len` are read from the prefix slot, the rest from the row's own, always in order of position, so a shared
//! prefix gives the same bits as a prefix of one's own.

use crate::cpu::{
    caches::Caches,
    dot::{add_scaled, dot},
};
use crate::plan::{Heads, Row};

/// out = softmax(q k^T / sqrt(head_dim)) v over positions 0..=position, for each head of `q: [heads * head_dim]`.
///
/// `scores` keeps its allocation between calls; its contents do not matter.
///
/// # Panics
/// If the shapes do not fit.
pub fn attention(caches: &Caches, layer: u32, heads: &Heads, row: &Row, q: &[f32], out: &mut [f32], scores: &mut Vec<f32>) {
    let head_dim = heads.head_dim as usize;
    let heads_per_kv = (heads.num_attention_heads / heads.num_key_value_heads) as usize;
    let scale = 1.0 / libm::sqrtf(head_dim as f32);
    let q_width = heads.num_attention_heads as usize * head_dim;
    let cache = &caches.layers[layer as usize];
    let q_heads = q[..q_width].chunks_exact(head_dim);
    for (head, (q, out)) in q_heads.zip(out[..q_width].chunks_exact_mut(head_dim)).enumerate() {
        let within = head / heads_per_kv * head_dim;
        scores.clear();
        scores.extend(positions(&cache.k, row, caches.width).map(|k| dot(q, &k[within..][..head_dim]) * scale));
        let sum = exponentials(scores);
        out.fill(0.0);
        for (weight, v) in scores.iter().zip(positions(&cache.v, row, caches.width)) {
            add_scaled(out, *weight, &v[within..][..head_dim]);
        }
        for out in out {
            *out /= sum;
        }
    }
}

/// What the positions 0..=position of the row hold, each `[width]`.
fn positions<'a>(slots: &'a [Vec<f32>], row: &Row, width: usize) -> impl Iterator<Item = &'a [f32]> {
    let end = row.position + 1;
    let shared = row.prefix_len.min(end) as usize * width;
    let prefix = &slots[row.prefix_slot as usize][..shared];
    let own = &slots[row.slot as usize][..end as usize * width][shared..];
    prefix.chunks_exact(width).chain(own.chunks_exact(width))
}

/// Replaces scores by exp(score - max) and returns their sum.
fn exponentials(scores: &mut [f32]) -> f32 {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores {
        *score = libm::expf(*score - max);
        sum += *score;
    }
    sum
}
