//! Rotary position embedding (Su et al. 2021) of one row's q and k, and the append of k and v to the cache.

use crate::cpu::caches::Caches;
use crate::plan::{Heads, Pairing, Row};
use kinglet_lanes::{rotate_adjacent, rotate_halves};

/// Rotates q and k of `qkv: [(heads + 2 kv_heads) * head_dim]`, writes q to `q: [heads * head_dim]`, and k and v to the layer's cache
/// at the row's slot and position.
///
/// # Panics
/// If the shapes do not fit.
pub fn rope(caches: &mut Caches, layer: u32, heads: &Heads, row: &Row, qkv: &[f32], q: &mut [f32]) {
    let head_dim = heads.head_dim as usize;
    let kv_width = heads.num_key_value_heads as usize * head_dim;
    let q_width = heads.num_attention_heads as usize * head_dim;
    assert_eq!(kv_width, caches.width, "the cache is as wide as the key heads");
    let Caches { rope, layers, max_seq, .. } = caches;
    assert!((row.position as usize) < *max_seq, "position {} of {max_seq}", row.position);
    let angles = &rope[row.position as usize * head_dim..][..head_dim];
    let (q_in, kv) = qkv[..q_width + 2 * kv_width].split_at(q_width);
    let (k_in, v_in) = kv.split_at(kv_width);
    let (k, v) = layers[layer as usize].position(row.slot, row.position, kv_width);
    rotate_heads(q_in, angles, heads.pairing, &mut q[..q_width]);
    rotate_heads(k_in, angles, heads.pairing, k);
    v.copy_from_slice(v_in);
}

/// Rotates each head of `x` by `angles: [head_dim / 2, 2]`.
fn rotate_heads(x: &[f32], angles: &[f32], pairing: Pairing, y: &mut [f32]) {
    let head_dim = angles.len();
    let angles = angles.as_chunks::<2>().0;
    for (x, y) in x.chunks_exact(head_dim).zip(y.chunks_exact_mut(head_dim)) {
        match pairing {
            Pairing::Halves => rotate_halves(x, angles, y),
            Pairing::Adjacent => rotate_adjacent(x, angles, y),
        }
    }
}
