//! The load-time self-test's oracle: the forward pass of a few tokens on the CPU, with the weights streamed once more from the file.
//!
//! It runs the very plan that the device runs, operation by operation, so a device that computes wrongly is caught before the first word.

use super::{
    ModelConfig,
    decoder::{self, Purpose},
    weights::{MatrixStream, Weights},
};
use crate::{
    Result,
    cpu::{
        attention::attention,
        caches::Caches,
        linear::{Activations, Outputs, linear_rows, silu},
        norm::rms_norm,
        rope::rope,
        unpack::PlanesView,
    },
    plan::{Activation, MachineError, MemorySpec, Norm, Op, Piece, Row, Then, WeightId},
    quant::stride,
    source::Checkpoint,
};

/// Tokens that the self-test feeds.
pub const NUM_TOKENS: usize = 4;

/// Token ids spread over the vocabulary.
pub fn tokens(vocab_size: u32) -> [u32; NUM_TOKENS] {
    [0, vocab_size / 3, vocab_size / 2, vocab_size - 1]
}

/// Compares a device's logits `[vocab_size]` with the reference's.
///
/// # Errors
/// [`MachineError::SelfTest`] with the worst logit, if it is off by more than 1e-3 of the logits' scale (which is what a different order of
/// f32 sums can make of them, with room to spare; a wrong kernel is off by the scale itself).
pub fn compare(expected: &[f32], found: &[f32]) -> Result<(), MachineError> {
    let tolerance = tolerance(expected);
    let difference = |index: usize| (expected[index] - found.get(index).copied().unwrap_or(f32::NAN)).abs();
    let off = |index: &usize| difference(*index).is_nan() || difference(*index) > tolerance;
    match (0..expected.len()).filter(off).max_by(|a, b| difference(*a).total_cmp(&difference(*b))) {
        None => Ok(()),
        Some(index) => {
            let found = found.get(index).copied().unwrap_or(f32::NAN);
            Err(MachineError::SelfTest { index, expected: expected[index], found, tolerance })
        }
    }
}

/// Checks that a greedy draw took the reference's best token, or one that is as good within the tolerance.
///
/// # Errors
/// [`MachineError::SelfTest`] with the drawn token's logit in place of the best one's.
pub fn expect_best(expected: &[f32], drawn: u32) -> Result<(), MachineError> {
    let tolerance = 2.0 * tolerance(expected);
    let index = (0..expected.len()).max_by(|a, b| expected[*a].total_cmp(&expected[*b])).unwrap_or(0);
    let found = expected.get(drawn as usize).copied().unwrap_or(f32::NAN);
    match expected[index] - found <= tolerance {
        true => Ok(()),
        false => Err(MachineError::SelfTest { index, expected: expected[index], found, tolerance }),
    }
}

fn tolerance(expected: &[f32]) -> f32 {
    let mean_square = expected.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / expected.len().max(1) as f64;
    1e-3 * mean_square.sqrt().max(1.0) as f32
}

/// Logits `[vocab_size]` after the last of `tokens`, computed on the CPU while the weights stream by.
///
/// # Errors
/// If the file cannot be read, or there is no memory for a few activations.
pub async fn reference_logits(checkpoint: &Checkpoint, config: &ModelConfig, weights: &Weights, tokens: &[u32]) -> Result<Vec<f32>> {
    let (plan, logits) = decoder::plan(config, weights, Purpose::Logits, tokens.len() as u32);
    let buffers = plan.buffers.iter().map(|b| vec![0.0; tokens.len() * stride(b.width) as usize]).collect();
    let widths = plan.buffers.iter().map(|b| stride(b.width) as usize).collect();
    let max_seq = tokens.len() as u32;
    let caches = Caches::new(&MemorySpec {
        num_layers: config.num_hidden_layers,
        slots: 1,
        max_seq,
        num_key_value_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
        rope: super::rope_table(&config.rope, config.head_dim, max_seq),
        vocab_size: config.vocab_size,
    })?;
    let rows = (0..).zip(tokens).map(|(position, token)| Row { token: *token, position, active: 1, ..Row::default() }).collect();
    let mut pass = Pass { checkpoint, weights, rows, buffers, widths, caches };
    for op in &plan.ops {
        pass.execute(op).await?;
    }
    let logits = logits.expect("a logits plan has logits");
    let width = pass.widths[logits.0];
    Ok(pass.buffers[logits.0][(tokens.len() - 1) * width..][..config.vocab_size as usize].to_vec())
}

/// The state of one streamed forward pass.
struct Pass<'a> {
    checkpoint: &'a Checkpoint,
    weights: &'a Weights,
    rows: Vec<Row>,
    /// Each `[rows, width]`.
    buffers: Vec<Vec<f32>>,
    widths: Vec<usize>,
    caches: Caches,
}

impl Pass<'_> {
    async fn execute(&mut self, op: &Op) -> Result<()> {
        match op {
            Op::Embed { table, x } => {
                let width = self.widths[x.0];
                for (index, row) in self.rows.iter().enumerate() {
                    let stream = &self.weights.streams[table.0];
                    let (layout, planes) = stream.row(self.checkpoint, row.token).await?;
                    let view = PlanesView { layout, cols: stream.spec.cols, codes: &planes.codes, scales: &planes.scales };
                    view.unpack_row(0, &mut self.buffers[x.0][index * width..][..width]);
                }
            }
            Op::Linear { weight, x, norm, bias, y, then } => {
                let (x, x_stride) = (self.normed(x.0, *norm), self.widths[x.0]);
                let bias = bias.map(|bias| self.weights.vectors[bias.0].as_slice());
                let sums = self.product(*weight, &x, x_stride).await?;
                self.apply(*weight, &sums, bias, y.0, *then);
            }
            Op::Rope { qkv, q, layer, heads } => {
                for (index, row) in self.rows.iter().enumerate() {
                    let [from, to] = self.buffers.get_disjoint_mut([qkv.0, q.0]).expect("q and qkv are two buffers");
                    let from = &from[index * self.widths[qkv.0]..][..self.widths[qkv.0]];
                    rope(&mut self.caches, *layer, heads, row, from, &mut to[index * self.widths[q.0]..][..self.widths[q.0]]);
                }
            }
            Op::Attention { q, out, layer, heads } => {
                let mut scores = Vec::new();
                for (index, row) in self.rows.iter().enumerate() {
                    let [q_rows, out_rows] = self.buffers.get_disjoint_mut([q.0, out.0]).expect("q and out are two buffers");
                    let q_row = &q_rows[index * self.widths[q.0]..][..self.widths[q.0]];
                    let out_row = &mut out_rows[index * self.widths[out.0]..][..self.widths[out.0]];
                    attention(&self.caches, *layer, heads, row, q_row, out_row, &mut scores);
                }
            }
            Op::Sample { .. } => {}
        }
        Ok(())
    }

    fn normed(&self, x: usize, norm: Option<Norm>) -> Vec<f32> {
        let Some(norm) = norm else { return self.buffers[x].clone() };
        let gain = &self.weights.vectors[norm.gain.0];
        let mut y = vec![0.0; self.buffers[x].len()];
        for (x, y) in self.buffers[x].chunks_exact(self.widths[x]).zip(y.chunks_exact_mut(self.widths[x])) {
            rms_norm(&x[..gain.len()], gain, norm.eps, &mut y[..gain.len()]);
        }
        y
    }

    /// Plane rows times x, `[rows, plane rows]`: a gated matrix gives its gate sums of each piece, then its up sums.
    async fn product(&self, weight: WeightId, x: &[f32], x_stride: usize) -> Result<Vec<f32>> {
        let stream = &self.weights.streams[weight.0];
        let num_sums = plane_rows(stream);
        let active: Vec<usize> = (0..self.rows.len()).collect();
        let mut sums = vec![0.0; self.rows.len() * num_sums];
        let mut scratch = Vec::new();
        stream
            .each(self.checkpoint, async |piece, row, planes| {
                let Piece { layout, rows } = &stream.spec.pieces[piece];
                let factor = if stream.spec.gated { 2 } else { 1 };
                let view = PlanesView { layout: *layout, cols: stream.spec.cols, codes: &planes.codes, scales: &planes.scales };
                let mut y = Outputs { values: &mut sums, stride: num_sums, first: factor * rows.start as usize + row as usize };
                let x = Activations { values: x, stride: x_stride, active: &active };
                linear_rows(&view, 0..view.num_rows(), x, None, Then::Store, &mut y, &mut scratch);
                Ok(())
            })
            .await?;
        Ok(sums)
    }

    fn apply(&mut self, weight: WeightId, sums: &[f32], bias: Option<&[f32]>, y: usize, then: Then) {
        let spec = &self.weights.streams[weight.0].spec;
        let num_sums = plane_rows(&self.weights.streams[weight.0]);
        for (sums, y) in sums.chunks_exact(num_sums).zip(self.buffers[y].chunks_exact_mut(self.widths[y])) {
            for piece in &spec.pieces {
                let (start, len) = (piece.rows.start as usize, piece.rows.len());
                for index in 0..len {
                    let out = &mut y[start + index];
                    let plain = || sums[start + index] + bias.map_or(0.0, |bias| bias[start + index]);
                    match then {
                        Then::Store => *out = plain(),
                        Then::Add => *out += plain(),
                        Then::Gate(Activation::Silu) => *out = silu(sums[2 * start + index]) * sums[2 * start + len + index],
                    }
                }
            }
        }
    }
}

fn plane_rows(stream: &MatrixStream) -> usize {
    stream.spec.rows as usize * if stream.spec.gated { 2 } else { 1 }
}
