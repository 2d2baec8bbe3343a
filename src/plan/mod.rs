//! The forward pass as plain data: a flat list of [`Op`]s over named buffers, the same for every device.
//!
//! A [`Machine`] compiles a [`Plan`] once and replays it. All shapes are row-major with the last axis contiguous; an activation buffer
//! of `width` w is `[rows, stride]` f32 with `stride` = w rounded up to 8, and the padding stays zero.

pub mod builder;
mod machine;

pub use machine::{DeviceInfo, KernelTime, MAX_DECODE_ROWS, MAX_STEPS, Machine, MachineError, MemorySpec, Probe, Ticket};

use crate::quant::Layout;
use std::ops::Range;

/// An activation buffer of the plan it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);
/// A matrix that was added to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WeightId(pub usize);
/// A vector of f32 (a gain, a bias) that was added to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VectorId(pub usize);
/// A plan that was compiled by the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PlanId(pub usize);

/// A run of a matrix's rows that shares one layout and fits one binding.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// How the piece's rows are packed.
    pub layout: Layout,
    /// Output rows it covers, `start..end` within the matrix.
    pub rows: Range<u32>,
}

/// A matrix `[rows, cols]`, y = W x. A gated matrix holds gate and up: its piece of output rows a..b stores the gate rows a..b,
/// then the up rows a..b, so a piece's planes have `2 * (b - a)` rows; `rows` counts outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightSpec {
    /// Name for messages and profiles.
    pub name: String,
    /// Output rows.
    pub rows: u32,
    /// Columns, unpadded.
    pub cols: u32,
    /// Gate and up interleaved by piece, as above.
    pub gated: bool,
    /// Pieces in row order, covering `0..rows` without gaps.
    pub pieces: Vec<Piece>,
}

/// What a linear operation does with its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Then {
    /// y = W x + b
    Store,
    /// y = y + W x + b
    Add,
    /// y = act(Gate x) * (Up x)
    Gate(Activation),
}

/// Activation functions of gated feed-forward blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x * sigmoid(x)
    Silu,
}

/// Root-mean-square norm over the last axis: y = x / sqrt(mean(x^2) + eps) * gain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// gain: `[width]`
    pub gain: VectorId,
    /// Added to the mean square.
    pub eps: f32,
}

/// How rotary embedding pairs the elements of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// (i, i + head_dim / 2): Hugging Face checkpoints.
    Halves,
    /// (2 i, 2 i + 1): GGUF files of the Llama family, whose q and k rows are permuted.
    Adjacent,
}

/// The sizes of one attention layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Heads {
    /// Query heads.
    pub num_attention_heads: u32,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: u32,
    /// Elements a head, even, at most 256.
    pub head_dim: u32,
    /// Pairing of the rotary embedding.
    pub pairing: Pairing,
}

/// One operation. `x`, `y`, `q` … name buffers of the plan; rows whose [`Row::active`] is 0 are left untouched.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// x = table[token], for each row.
    Embed {
        /// `[vocab_size, hidden_size]`
        table: WeightId,
        /// `[rows, hidden_size]`
        x: BufferId,
    },
    /// y = then(W · norm(x) + bias)
    Linear {
        /// `[n, k]`
        weight: WeightId,
        /// `[rows, k]`
        x: BufferId,
        /// Applied to x first, if any. It does not change x.
        norm: Option<Norm>,
        /// `[n]`
        bias: Option<VectorId>,
        /// `[rows, n]`; never the same buffer as x.
        y: BufferId,
        /// Store, accumulate or gate.
        then: Then,
    },
    /// Rotates q and k by position, writes q, appends k and v to the layer's cache at (slot, position).
    Rope {
        /// `[rows, (heads + 2 kv_heads) * head_dim]`: q, then k, then v.
        qkv: BufferId,
        /// `[rows, heads * head_dim]`
        q: BufferId,
        /// Whose cache.
        layer: u32,
        /// Sizes.
        heads: Heads,
    },
    /// Causal grouped-query attention of each row over positions 0..=position: those below `prefix_len` from `prefix_slot`'s cache, the
    /// rest from its own slot's. Scores are scaled by 1 / sqrt(head_dim).
    Attention {
        /// `[rows, heads * head_dim]`
        q: BufferId,
        /// `[rows, heads * head_dim]`
        out: BufferId,
        /// Whose cache.
        layer: u32,
        /// Sizes.
        heads: Heads,
    },
    /// Draws the next token of each row from its logits and advances the row: see [`Sampling`].
    Sample {
        /// `[rows, vocab_size]`; may be overwritten.
        logits: BufferId,
    },
}

/// A named activation buffer.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    /// Name for messages and profiles.
    pub name: &'static str,
    /// Elements a row, unpadded.
    pub width: u32,
}

/// A list of operations for up to `rows` rows at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name for messages and profiles.
    pub name: &'static str,
    /// Capacity: 1 to 8 for decoding, a multiple of 8 for prefill.
    pub rows: u32,
    /// Activation buffers, `[rows, stride(width)]` f32 each, zero at first.
    pub buffers: Vec<Buffer>,
    /// In order.
    pub ops: Vec<Op>,
}

/// No token: an inactive row's output, or no ban.
pub const NO_TOKEN: u32 = u32::MAX;

/// One token of one sequence: a prompt position in prefill, a draft in decoding. Laid out as the shaders read it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Row {
    /// The token to feed.
    pub token: u32,
    /// Whose cache and history it writes.
    pub slot: u32,
    /// Its position in the sequence.
    pub position: u32,
    /// The row becomes inactive once its position reaches this.
    pub limit: u32,
    /// 1 if the row is to be computed.
    pub active: u32,
    /// Counts rewinds; part of the random counter.
    pub attempt: u32,
    /// A token not to be drawn at the next step only, or [`NO_TOKEN`].
    pub ban: u32,
    /// Copied to the output, so that the host can drop outputs of before a rewind.
    pub epoch: u32,
    /// Positions below `prefix_len` are read from this slot.
    pub prefix_slot: u32,
    /// Length of the shared prefix.
    pub prefix_len: u32,
    /// Which draft this is; part of the random counter.
    pub draft: u32,
    /// Zero.
    pub reserved: u32,
}

/// How `Op::Sample` draws, for all rows. Laid out as the shaders read it (a uniform buffer of 112 bytes).
///
/// In this order: the token mask (bit set = never drawn) and the row's ban; `repetition_penalty` over the distinct tokens of the
/// sequence so far (positivity-aware division, as Hugging Face); `boost` added to the boosted tokens (the mask's second plane) that the
/// row has not drawn since its prefix, unless it is 0; division by `temperature`; `top_k` (0 = off; all ties of the k-th are
/// kept); `top_p` (the smallest set of best tokens whose mass reaches it, ties to the lowest id); `min_p` (of the best survivor).
/// `temperature` 0 takes the best token (lowest id on ties) after mask and penalty. The draw: u from Philox4x32-10 with key
/// (seed low, seed high) and counter (position + 1, draft, attempt, 0), u = (word 0 >> 8) * 2^-24, takes the smallest id whose
/// cumulative probability, ids ascending over the survivors, exceeds u.
///
/// The drawn token goes to history[slot][position + 1] and to the output; then token = drawn, position += 1, ban = NO_TOKEN, and active
/// = 0 if the token is one of `end_tokens` or position has reached `limit`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Sampling {
    /// Low half of the seed.
    pub seed_low: u32,
    /// High half of the seed.
    pub seed_high: u32,
    /// 0 is greedy.
    pub temperature: f32,
    /// 1 is off.
    pub top_p: f32,
    /// 0 is off.
    pub min_p: f32,
    /// 1 is off.
    pub repetition_penalty: f32,
    /// 0 is off.
    pub top_k: u32,
    /// How many of `end_tokens` count.
    pub num_end_tokens: u32,
    /// Tokens that end a row.
    pub end_tokens: [u32; 16],
    /// Added to the scores of boosted tokens until they are drawn; 0 is off.
    pub boost: f32,
    /// 1: the draw's log-probability is wanted; 0: it is left at 0.
    pub scored: u32,
    /// Zero.
    pub reserved: [u32; 2],
}

/// What one row drew at one step.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
pub struct Sampled {
    /// The token, or [`NO_TOKEN`] if the row was inactive.
    pub token: u32,
    /// The row's epoch.
    pub epoch: u32,
    /// Natural logarithm of the token's probability after mask, penalty and boost, at temperature 1, if `Sampling::scored`.
    pub log_probability: f32,
    /// Zero.
    pub reserved: u32,
}
