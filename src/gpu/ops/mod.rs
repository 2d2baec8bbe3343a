//! An `Op` → the dispatches that compute it, as plain descriptions: nothing here touches the device.

mod attention;
mod embed;
mod linear;
mod rope;
mod sample;

use super::device::Variant;
use super::replay::Draws;
use super::shader::Shader;
use super::tensor::{Allocator, Memory, PlaneBuffers, Weight};
use crate::plan::{BufferId, MachineError, Op, Plan, VectorId};
use crate::quant::{Layout, stride};

/// One dispatch before its pipeline exists. Binding 0 is `dims`.
pub(super) struct Step {
    pub(super) shader: Shader,
    /// The kernel's `Dims`, padded to whole vec4s.
    pub(super) dims: Vec<u32>,
    /// The other bindings.
    pub(super) bindings: Vec<(u32, wgpu::Buffer)>,
    pub(super) grid: [u32; 3],
}

/// What a plan's operations are lowered with, and the steps so far.
pub(super) struct Lowering<'a> {
    pub(super) variant: Variant,
    pub(super) plan: &'a Plan,
    pub(super) weights: &'a [Weight],
    /// Each padded with zeros to a multiple of 8.
    pub(super) vectors: &'a [wgpu::Buffer],
    pub(super) memory: Option<&'a Memory>,
    pub(super) allocator: &'a mut Allocator,
    /// Activations of this plan.
    pub(super) buffers: &'a [(wgpu::Buffer, u32)],
    /// rows: `[rows]` Row
    pub(super) rows: &'a wgpu::Buffer,
    /// Normed x, where norms are dispatches of their own.
    pub(super) normed: Option<wgpu::Buffer>,
    /// What attention leaves for each span of positions, where a context has several.
    pub(super) spans: Option<wgpu::Buffer>,
    pub(super) draws: Option<Draws>,
    pub(super) steps: Vec<Step>,
}

impl Lowering<'_> {
    /// Lowers every operation in order.
    pub(super) fn lower(&mut self) -> Result<(), MachineError> {
        let plan = self.plan;
        for op in &plan.ops {
            match op {
                Op::Embed { table, x } => self.embed(*table, *x),
                Op::Linear { weight, x, norm, bias, y, then } => {
                    let x = match norm {
                        Some(norm) if !super::shader::fuses_norm(self.variant) => self.norm(*x, norm)?,
                        _ => self.buffer(*x).clone(),
                    };
                    self.linear(linear::Linear { weight: *weight, x, norm: norm.as_ref(), bias: *bias, y: *y, then: *then });
                }
                Op::Rope { qkv, q, layer, heads } => self.rope(*qkv, *q, *layer, heads)?,
                Op::Attention { q, out, layer, heads } => self.attention(*q, *out, *layer, heads)?,
                Op::Sample { logits } => self.sample(*logits)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, shader: Shader, dims: &[u32], bindings: Vec<(u32, &wgpu::Buffer)>, grid: [u32; 3]) {
        let mut dims = dims.to_vec();
        dims.resize(dims.len().next_multiple_of(4), 0);
        let bindings = bindings.into_iter().map(|(binding, buffer)| (binding, buffer.clone())).collect();
        self.steps.push(Step { shader, dims, bindings, grid });
    }

    fn buffer(&self, id: BufferId) -> &wgpu::Buffer {
        &self.buffers[id.0].0
    }

    /// Elements of a buffer's row, padded.
    fn stride(&self, id: BufferId) -> u32 {
        stride(self.buffers[id.0].1)
    }

    fn vector(&self, id: VectorId) -> &wgpu::Buffer {
        &self.vectors[id.0]
    }

    /// # Panics
    /// If there is none: `set_memory` comes before `compile`.
    fn memory(&self) -> &Memory {
        self.memory.expect("set_memory comes before plans that attend or sample are compiled")
    }
}

/// log2 of how many groups of eight columns share a scale.
fn group_shift(layout: Layout) -> u32 {
    match layout {
        Layout::I8 { group } => (group / 8).ilog2(),
        Layout::I4 | Layout::I4M => 2,
        Layout::F32 | Layout::F16 | Layout::BF16 => 0,
    }
}

/// The bindings of part `weights`.
fn planes(piece: &PlaneBuffers) -> Vec<(u32, &wgpu::Buffer)> {
    let scales = piece.scales.iter().map(|scales| (3, scales));
    std::iter::once((2, &piece.codes)).chain(scales).collect()
}
