//! THE forward pass: the order of the blocks as a list of verbs. What each verb becomes is its device's business.
//!
//! x is the residual stream, `[rows, hidden_size]`, updated in place; a row is one token of one sequence (`plan::Row`).

use super::{
    ModelConfig,
    weights::{BlockWeights, Weights},
};
use crate::plan::{
    BufferId, Plan, Then,
    builder::{Linear, PlanBuilder},
};

/// Which plan of the model is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Fills the cache for prompt tokens. The last layer stops once its keys and values stand, and there is no head.
    Prefill,
    /// One token further for each row: all layers, the head, and the draw.
    Decode,
    /// Logits at every row, not sampled: for golden files and the self-test.
    Logits,
}

/// Activations of one plan; each `[rows, width]` f32.
struct Scratch {
    x: BufferId,
    qkv: BufferId,
    q: BufferId,
    attn: BufferId,
    ffn: BufferId,
}

/// A plan for `rows` rows, and the buffer that holds its logits `[rows, vocab_size]`, if it has any.
pub fn plan(config: &ModelConfig, weights: &Weights, purpose: Purpose, rows: u32) -> (Plan, Option<BufferId>) {
    let name = match purpose {
        Purpose::Prefill => "prefill",
        Purpose::Decode => "decode",
        Purpose::Logits => "logits",
    };
    let mut p = PlanBuilder::new(name, rows);
    let heads = config.heads();
    let (queries, keys) = (heads.num_attention_heads * heads.head_dim, heads.num_key_value_heads * heads.head_dim);
    let s = Scratch {
        x: p.buffer("x", config.hidden_size),
        qkv: p.buffer("qkv", queries + 2 * keys),
        q: p.buffer("q", queries),
        attn: p.buffer("attn", queries),
        ffn: p.buffer("ffn", config.intermediate_size),
    };
    p.embed(weights.embedding, s.x);
    for (layer, block_weights) in (0..).zip(&weights.blocks) {
        attend(&mut p, config, block_weights, &s, layer);
        if purpose == Purpose::Prefill && layer + 1 == config.num_hidden_layers {
            return (p.finish(), None);
        }
        mix(&mut p, config, block_weights, &s, layer);
    }
    let logits = p.buffer("logits", config.vocab_size);
    p.linear(weights.head, s.x, logits, Linear { norm: Some(weights.final_norm), bias: None, then: Then::Store });
    if purpose == Purpose::Decode {
        p.sample(logits);
    }
    (p.finish(), Some(logits))
}

/// The block's first part: q, k and v of the normed stream, positions turned in, keys and values appended to the cache.
fn attend(p: &mut PlanBuilder, c: &ModelConfig, w: &BlockWeights, s: &Scratch, layer: u32) {
    p.linear(w.qkv, s.x, s.qkv, Linear { norm: Some(w.attn_norm), bias: w.qkv_bias, then: Then::Store });
    p.rope(s.qkv, s.q, layer, c.heads());
}

/// The rest of the block: attention and feed-forward, each added to the stream.
fn mix(p: &mut PlanBuilder, c: &ModelConfig, w: &BlockWeights, s: &Scratch, layer: u32) {
    p.attention(s.q, s.attn, layer, c.heads());
    p.linear(w.o, s.attn, s.x, Linear { norm: None, bias: w.o_bias, then: Then::Add });
    p.linear(w.gate_up, s.x, s.ffn, Linear { norm: Some(w.ffn_norm), bias: None, then: Then::Gate(c.activation) });
    p.linear(w.down, s.ffn, s.x, Linear { norm: None, bias: None, then: Then::Add });
}
