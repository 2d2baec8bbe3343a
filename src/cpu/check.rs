//! The shapes of a plan against the weights and the memory it was compiled for.
//!
//! A plan is written by this crate, so a misfit is a broken invariant: it stops at `compile`, with the op's index, not in a kernel.

use crate::cpu::caches::Caches;
use crate::cpu::replay::Weight;
use crate::plan::{BufferId, Heads, Op, Plan, Then, WeightSpec};
use crate::quant::Layout;

/// What a plan may name.
pub(super) struct Known<'a> {
    pub(super) weights: &'a [Weight],
    pub(super) vectors: &'a [Vec<f32>],
    pub(super) caches: &'a Caches,
    /// mask: `[2, ceil(vocab_size / 32)]` u32
    pub(super) mask_words: usize,
}

/// # Panics
/// If pieces leave gaps, or a row does not divide into the groups of its layout.
pub(super) fn check_weight(spec: &WeightSpec) {
    let mut covered = 0;
    for piece in &spec.pieces {
        assert!(
            piece.rows.start == covered && piece.rows.end >= covered,
            "{}: piece {:?} does not follow row {covered}",
            spec.name,
            piece.rows
        );
        covered = piece.rows.end;
        let group = match piece.layout {
            Layout::F32 | Layout::F16 | Layout::BF16 => 1,
            Layout::I8 { group } => group,
            Layout::I4 | Layout::I4M => 32,
        };
        assert!(spec.cols.is_multiple_of(group), "{}: {} columns do not divide into groups of {group}", spec.name, spec.cols);
    }
    assert_eq!(covered, spec.rows, "{}: pieces cover all rows", spec.name);
}

/// # Panics
/// If an operation's shapes do not fit.
pub(super) fn check_plan(plan: &Plan, known: &Known) {
    let width = |buffer: BufferId| plan.buffers[buffer.0].width;
    for (index, op) in plan.ops.iter().enumerate() {
        let fits = |what: &str, found: u32, expected: u32| {
            assert_eq!(found, expected, "plan {}, op {index}: {what} is {found} wide, expected {expected}", plan.name);
        };
        match op {
            Op::Embed { table, x } => fits("x", width(*x), known.weights[table.0].spec.cols),
            Op::Linear { weight, x, norm, bias, y, then } => {
                let spec = &known.weights[weight.0].spec;
                fits("x", width(*x), spec.cols);
                fits("y", width(*y), spec.rows);
                let gate = matches!(then, Then::Gate(_));
                assert!(x != y && gate == spec.gated, "plan {}, op {index}: {} with {then:?}, {x:?} to {y:?}", plan.name, spec.name);
                if let Some(norm) = norm {
                    fits("the gain", known.vectors[norm.gain.0].len() as u32, spec.cols);
                }
                if let Some(bias) = bias {
                    fits("the bias", known.vectors[bias.0].len() as u32, spec.rows);
                    assert!(!gate, "plan {}, op {index}: a gate has no bias", plan.name);
                }
            }
            Op::Rope { qkv, q, layer, heads } => {
                fits("q", width(*q), heads.num_attention_heads * heads.head_dim);
                fits("qkv", width(*qkv), (heads.num_attention_heads + 2 * heads.num_key_value_heads) * heads.head_dim);
                check_heads(known.caches, *layer, heads);
            }
            Op::Attention { q, out, layer, heads } => {
                fits("q", width(*q), heads.num_attention_heads * heads.head_dim);
                fits("out", width(*out), heads.num_attention_heads * heads.head_dim);
                check_heads(known.caches, *layer, heads);
            }
            Op::Sample { logits } => fits("the mask", known.mask_words as u32, 2 * width(*logits).div_ceil(32)),
        }
    }
}

fn check_heads(caches: &Caches, layer: u32, heads: &Heads) {
    assert!((layer as usize) < caches.layers.len(), "layer {layer} of {}", caches.layers.len());
    let kv_width = (heads.num_key_value_heads * heads.head_dim) as usize;
    assert_eq!(kv_width, caches.width, "layer {layer}: the cache is as wide as the key heads");
    let grouped = heads.num_attention_heads.is_multiple_of(heads.num_key_value_heads);
    assert!(grouped && heads.head_dim.is_multiple_of(2) && heads.head_dim <= 256, "layer {layer}: {heads:?}");
}
