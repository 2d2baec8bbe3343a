//! Causal grouped-query attention of one row over its cached positions (Ainslie et al. 2023).
//!
//! Positions below `prefix_len` are read from the prefix slot, the rest from the row's own, always in order of position, so a shared
//! prefix gives the same bits as a prefix of one's own.

use crate::cpu::caches::Caches;
use crate::plan::{Heads, Row};
use kinglet_lanes::attention::{add_weighted, score, softmax};

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
    // The prefix and the row's own positions: which slot, from where, how many.
    let shared = row.prefix_len.min(row.position + 1) as usize;
    let runs = [(row.prefix_slot as usize, 0, shared), (row.slot as usize, shared, row.position as usize + 1 - shared)];
    let runs = runs.into_iter().filter(|(_, _, positions)| *positions > 0);
    let width = caches.width;
    let q_heads = q[..q_width].chunks_exact(head_dim);
    for (head, (q, out)) in q_heads.zip(out[..q_width].chunks_exact_mut(head_dim)).enumerate() {
        let within = head / heads_per_kv * head_dim;
        scores.clear();
        for (slot, first, positions) in runs.clone() {
            score(q, &cache.k[slot][first * width + within..], width, positions, scale, scores);
        }
        let sum = softmax(scores);
        out.fill(0.0);
        let mut weights = scores.as_slice();
        for (slot, first, positions) in runs.clone() {
            let (run, rest) = weights.split_at(positions);
            add_weighted(run, &cache.v[slot][first * width + within..], width, out);
            weights = rest;
        }
        for out in out {
            *out /= sum;
        }
    }
}
