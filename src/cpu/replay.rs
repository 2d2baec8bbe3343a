//! One replay of a plan: each `Op` → calls of the functions over slices, row by row, with pauses for the host.
//!
//! A replay may be dropped at a pause: nothing is moved out of its place, and beginning it again computes the same.

use crate::cpu::attention::attention;
use crate::cpu::caches::Caches;
use crate::cpu::linear::{Activations, Outputs, linear_rows};
use crate::cpu::pace::{Pace, STRETCH};
use crate::cpu::panels::{PanelScratch, Panels, Rounded, linear_panels};
use crate::cpu::sample::{History, Sampler};
use crate::cpu::unpack::PlanesView;
use crate::cpu::{embed::embed, norm::rms_norm, rope::rope, zeros};
use crate::plan::{BufferId, Heads, MachineError, Norm, Op, Piece, Plan, PlanId, Row, Sampled, Sampling, Then, WeightSpec};
use crate::quant::{Layout, Planes, stride};
use std::ops::Range;

/// A matrix and its packed pieces.
pub(super) struct Weight {
    pub(super) spec: WeightSpec,
    pub(super) pieces: Vec<Stored>,
}

/// One piece, as the arithmetic wants it.
pub(super) enum Stored {
    /// For exact f32: gate rows, then as many up rows, if gated.
    Planes(Planes),
    /// For activations of 8 bits.
    Panels {
        /// Rows, or gate rows.
        panels: Panels,
        /// The up rows of a gated piece.
        up: Option<Panels>,
        /// Rows of each.
        rows: usize,
    },
}

impl Stored {
    pub(super) fn new(spec: &WeightSpec, piece: &Piece, rounding: bool) -> Result<Stored, MachineError> {
        let rows = piece.rows.end - piece.rows.start;
        if rounding && Panels::take(piece.layout) {
            let new = || Panels::new(&spec.name, piece.layout, rows, spec.cols);
            return Ok(Stored::Panels { panels: new()?, up: if spec.gated { Some(new()?) } else { None }, rows: rows as usize });
        }
        let rows = u64::from(rows) * if spec.gated { 2 } else { 1 };
        let codes = zeros(&spec.name, rows.saturating_mul(u64::from(piece.layout.code_words(spec.cols))))?;
        let scales = zeros(&spec.name, rows.saturating_mul(u64::from(piece.layout.scale_words(spec.cols))))?;
        Ok(Stored::Planes(Planes { codes, scales }))
    }

    /// Takes plane rows in, from `first` on.
    pub(super) fn write(&mut self, layout: Layout, cols: u32, first: usize, planes: &Planes) {
        let (code_words, scale_words) = (layout.code_words(cols) as usize, layout.scale_words(cols) as usize);
        match self {
            Stored::Planes(stored) => {
                stored.codes[first * code_words..][..planes.codes.len()].copy_from_slice(&planes.codes);
                stored.scales[first * scale_words..][..planes.scales.len()].copy_from_slice(&planes.scales);
            }
            Stored::Panels { panels, up, rows } => {
                let of_gate = rows.saturating_sub(first).min(planes.codes.len() / code_words);
                let (gate_codes, up_codes) = planes.codes.split_at(of_gate * code_words);
                let (gate_scales, up_scales) = planes.scales.split_at(of_gate * scale_words);
                panels.write(first, gate_codes, gate_scales);
                if let Some(up) = up {
                    up.write(first.saturating_sub(*rows), up_codes, up_scales);
                }
            }
        }
    }

    /// Words held.
    pub(super) fn words(&self) -> usize {
        match self {
            Stored::Planes(planes) => planes.codes.len() + planes.scales.len(),
            Stored::Panels { panels, up, .. } => panels.words() + up.as_ref().map_or(0, Panels::words),
        }
    }
}

/// What plans share.
pub(super) struct State {
    pub(super) caches: Caches,
    pub(super) history: History,
    /// mask: `[2, ceil(vocab_size / 32)]` u32
    pub(super) mask: Vec<u32>,
    pub(super) sampling: Sampling,
}

/// A plan and its buffers.
pub(super) struct Compiled {
    pub(super) plan: Plan,
    pub(super) rows: Vec<Row>,
    /// Each `[rows, stride]` f32.
    pub(super) buffers: Vec<Vec<f32>>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    /// normed: `[rows, stride]` f32
    normed: Vec<f32>,
    rounded: Rounded,
    panels: PanelScratch,
    weight_rows: Vec<f32>,
    scores: Vec<f32>,
    sampler: Sampler,
}

/// Everything a replay touches.
pub(super) struct Engine {
    pub(super) weights: Vec<Weight>,
    pub(super) vectors: Vec<Vec<f32>>,
    pub(super) plans: Vec<Compiled>,
    pub(super) state: State,
    pub(super) pace: Pace,
    /// Of the replay under way: the rows that compute.
    pub(super) active: Vec<usize>,
    /// One row of an embedding, taken out of its panel.
    pub(super) embedding: Planes,
}

impl Compiled {
    pub(super) fn new(plan: &Plan) -> Result<Compiled, MachineError> {
        let mut buffers = Vec::new();
        for buffer in &plan.buffers {
            buffers.push(zeros(buffer.name, u64::from(plan.rows) * u64::from(stride(buffer.width)))?);
        }
        let rows = vec![Row::default(); plan.rows as usize];
        Ok(Compiled { plan: plan.clone(), rows, buffers, scratch: Scratch::default() })
    }

    pub(super) fn width(&self, buffer: BufferId) -> usize {
        self.plan.buffers[buffer.0].width as usize
    }

    pub(super) fn stride(&self, buffer: BufferId) -> usize {
        stride(self.plan.buffers[buffer.0].width) as usize
    }

    /// Fills the scratch with the norm of every active row of x.
    fn normalize(&mut self, x: BufferId, norm: &Norm, gain: &[f32], active: &[usize]) {
        let (width, stride) = (self.width(x), self.stride(x));
        self.scratch.normed.resize(self.rows.len() * stride, 0.0);
        for row in active {
            let x = &self.buffers[x.0][row * stride..][..width];
            rms_norm(x, gain, norm.eps, &mut self.scratch.normed[row * stride..][..stride]);
        }
    }

    /// Two different buffers, the second to be written.
    fn pair(&mut self, x: BufferId, y: BufferId) -> (&[f32], &mut [f32]) {
        let [x, y] = self.buffers.get_disjoint_mut([x.0, y.0]).expect("an operation reads and writes different buffers of its plan");
        (x, y)
    }
}

impl Engine {
    /// Replays a plan once; the draws of its rows, if it samples.
    pub(super) async fn replay(&mut self, id: PlanId) -> Vec<Sampled> {
        let Engine { weights, vectors, plans, state, pace, active, embedding } = self;
        let compiled = &mut plans[id.0];
        active.clear();
        active.extend((0..compiled.rows.len()).filter(|row| compiled.rows[*row].active != 0));
        let mut drawn = Vec::new();
        for index in 0..compiled.plan.ops.len() {
            match compiled.plan.ops[index].clone() {
                Op::Embed { table, x } => embed_rows(compiled, active, &weights[table.0], x, embedding),
                Op::Linear { weight, x, norm, bias, y, then } => {
                    if let Some(norm) = &norm {
                        compiled.normalize(x, norm, &vectors[norm.gain.0], active);
                    }
                    let bias = bias.map(|bias| vectors[bias.0].as_slice());
                    let linear = Linear { weight: &weights[weight.0], x, normed: norm.is_some(), bias, y, then };
                    linear.run(compiled, active, pace).await;
                }
                Op::Rope { qkv, q, layer, heads } => rope_rows(compiled, active, &mut state.caches, (qkv, q), layer, &heads),
                Op::Attention { q, out, layer, heads } => {
                    for row in active.iter() {
                        let work = attend(compiled, *row, &state.caches, q, out, layer, &heads);
                        pace.spend(work).await;
                    }
                }
                Op::Sample { logits } => drawn = sample_rows(compiled, state, logits),
            }
        }
        drawn
    }
}

/// A linear operation with its ids looked up.
struct Linear<'a> {
    weight: &'a Weight,
    x: BufferId,
    normed: bool,
    bias: Option<&'a [f32]>,
    y: BufferId,
    then: Then,
}

impl Linear<'_> {
    /// Piece after piece, in runs of rows that are short enough to pause between.
    async fn run(&self, compiled: &mut Compiled, active: &[usize], pace: &mut Pace) {
        let Weight { spec, pieces } = self.weight;
        let gated = if spec.gated { 2 } else { 1 };
        let work_per_output = (gated * active.len() as u64 * u64::from(spec.cols)).max(1);
        let outputs_per_run = STRETCH.div_ceil(work_per_output).next_multiple_of(8) as usize;
        if pieces.iter().any(|piece| matches!(piece, Stored::Panels { .. })) {
            self.round(compiled, active);
        }
        for (piece, stored) in spec.pieces.iter().zip(pieces) {
            let num_outputs = (piece.rows.end - piece.rows.start) as usize;
            for start in (0..num_outputs).step_by(outputs_per_run) {
                let end = num_outputs.min(start + outputs_per_run);
                self.compute(compiled, active, piece, stored, start..end);
                pace.spend(work_per_output * (end - start) as u64).await;
            }
        }
    }

    /// Fills the scratch with the active rows of the input, rounded.
    fn round(&self, compiled: &mut Compiled, active: &[usize]) {
        let stride = compiled.stride(self.x);
        let Scratch { rounded, normed, .. } = &mut compiled.scratch;
        let x = if self.normed { normed } else { &compiled.buffers[self.x.0] };
        rounded.clear(self.weight.spec.cols as usize);
        for row in active {
            rounded.push(&x[row * stride..][..self.weight.spec.cols as usize]);
        }
    }

    /// Some outputs of one piece.
    fn compute(&self, compiled: &mut Compiled, active: &[usize], piece: &Piece, stored: &Stored, outputs: Range<usize>) {
        let (x_stride, y_stride) = (compiled.stride(self.x), compiled.stride(self.y));
        let first = piece.rows.start as usize;
        let bias = self.bias.map(|bias| &bias[first..piece.rows.end as usize]);
        let mut scratch = std::mem::take(&mut compiled.scratch);
        let (x, y) = compiled.pair(self.x, self.y);
        let mut y = Outputs { values: y, stride: y_stride, first };
        match stored {
            Stored::Planes(planes) => {
                let view = view(piece.layout, self.weight.spec.cols, planes);
                let x = Activations { values: if self.normed { &scratch.normed } else { x }, stride: x_stride, active };
                linear_rows(&view, outputs, x, bias, self.then, &mut y, &mut scratch.weight_rows);
            }
            Stored::Panels { panels, up, .. } => {
                let Scratch { rounded, panels: sums, .. } = &mut scratch;
                linear_panels((panels, up.as_ref()), outputs, rounded, active, bias, self.then, &mut y, sums);
            }
        }
        compiled.scratch = scratch;
    }
}

/// A piece's planes as the functions over slices take them.
fn view(layout: Layout, cols: u32, planes: &Planes) -> PlanesView<'_> {
    PlanesView { layout, cols, codes: &planes.codes, scales: &planes.scales }
}

fn embed_rows(compiled: &mut Compiled, active: &[usize], table: &Weight, x: BufferId, embedding: &mut Planes) {
    let stride = compiled.stride(x);
    for &row in active {
        let token = compiled.rows[row].token;
        let mut pieces = table.spec.pieces.iter().zip(&table.pieces);
        let Some((piece, stored)) = pieces.find(|(piece, _)| piece.rows.contains(&token)) else {
            panic!("token {token} of {}", table.spec.rows);
        };
        let within = (token - piece.rows.start) as usize;
        let x = &mut compiled.buffers[x.0][row * stride..][..stride];
        match stored {
            Stored::Planes(planes) => embed(&view(piece.layout, table.spec.cols, planes), within, x),
            Stored::Panels { panels, .. } => {
                panels.read(within, embedding);
                embed(&view(piece.layout, table.spec.cols, embedding), 0, x);
            }
        }
    }
}

fn rope_rows(compiled: &mut Compiled, active: &[usize], caches: &mut Caches, (qkv, q): (BufferId, BufferId), layer: u32, heads: &Heads) {
    let (qkv_stride, q_stride) = (compiled.stride(qkv), compiled.stride(q));
    for &index in active {
        let row = compiled.rows[index];
        let (qkv, q) = compiled.pair(qkv, q);
        rope(caches, layer, heads, &row, &qkv[index * qkv_stride..][..qkv_stride], &mut q[index * q_stride..][..q_stride]);
    }
}

/// Attention of one row; its multiply-adds.
fn attend(compiled: &mut Compiled, index: usize, caches: &Caches, q: BufferId, out: BufferId, layer: u32, heads: &Heads) -> u64 {
    let (q_stride, out_stride) = (compiled.stride(q), compiled.stride(out));
    let row = compiled.rows[index];
    let mut scores = std::mem::take(&mut compiled.scratch.scores);
    let (q, out) = compiled.pair(q, out);
    let out = &mut out[index * out_stride..][..out_stride];
    attention(caches, layer, heads, &row, &q[index * q_stride..][..q_stride], out, &mut scores);
    compiled.scratch.scores = scores;
    2 * u64::from(heads.num_attention_heads * heads.head_dim) * (u64::from(row.position) + 1)
}

fn sample_rows(compiled: &mut Compiled, state: &mut State, logits: BufferId) -> Vec<Sampled> {
    let (width, stride) = (compiled.width(logits), compiled.stride(logits));
    let State { history, mask, sampling, .. } = state;
    let Compiled { rows, buffers, scratch: Scratch { sampler, .. }, .. } = compiled;
    let rows = rows.iter_mut().zip(buffers[logits.0].chunks_exact_mut(stride));
    rows.map(|(row, logits)| sampler.sample_row(row, &mut logits[..width], mask, sampling, history)).collect()
}
