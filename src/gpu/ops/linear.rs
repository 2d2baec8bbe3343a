//! `Op::Linear`: a dispatch for each piece of the matrix, and one for its norm where norms are not fused.

use super::{Lowering, group_shift, planes};
use crate::gpu::shader::{self, ROWS_WORKGROUP, tile_rows};
use crate::plan::{BufferId, MachineError, Norm, Then, VectorId, WeightId};
use crate::quant::stride;

/// Workgroups of one axis that the default limits allow.
const MAX_GROUPS: u32 = 65_535;

/// The operation, with x normed already or still to be.
pub(super) struct Linear<'a> {
    pub(super) weight: WeightId,
    pub(super) x: wgpu::Buffer,
    pub(super) norm: Option<&'a Norm>,
    pub(super) bias: Option<VectorId>,
    pub(super) y: BufferId,
    pub(super) then: Then,
}

impl Lowering<'_> {
    pub(super) fn linear(&mut self, op: Linear<'_>) {
        let weights = self.weights;
        let weight = &weights[op.weight.0];
        let tile = tile_rows(self.variant, self.plan.rows);
        let lanes = shader::lanes(self.variant, stride(weight.spec.cols) / 8);
        let gated = matches!(op.then, Then::Gate(_));
        let fused = op.norm.filter(|_| shader::fuses_norm(self.variant));
        let (y, rows) = (self.buffer(op.y).clone(), self.rows.clone());
        let bias = op.bias.map(|bias| self.vector(bias).clone());
        let gain = fused.map(|norm| self.vector(norm.gain).clone());
        for (piece, buffers) in weight.spec.pieces.iter().zip(&weight.pieces) {
            let outputs = piece.rows.end - piece.rows.start;
            let pairs = if gated { outputs } else { outputs.div_ceil(2) };
            let dims = [
                stride(weight.spec.cols) / 8,
                group_shift(piece.layout),
                outputs,
                piece.rows.start,
                self.stride(op.y),
                then_code(op.then),
                u32::from(bias.is_some()),
                pairs,
                (weight.spec.cols as f32).to_bits(),
                fused.map_or(0, |norm| norm.eps.to_bits()),
                lanes,
            ];
            let mut bindings = planes(buffers);
            bindings.extend([(1, &op.x), (4, bias.as_ref().unwrap_or(&op.x)), (5, &y), (6, &rows)]);
            bindings.extend(gain.as_ref().map(|gain| (7, gain)));
            let groups = pairs.div_ceil(shader::tile_pairs(self.variant, tile, lanes));
            let across = groups.min(MAX_GROUPS);
            let grid = [across, self.plan.rows.div_ceil(tile), groups.div_ceil(across)];
            self.push(shader::linear(self.variant, piece.layout, tile, op.norm.is_some()), &dims, bindings, grid);
        }
    }

    /// Norms x into a buffer that every norm of the plan uses.
    pub(super) fn norm(&mut self, x: BufferId, norm: &Norm) -> Result<wgpu::Buffer, MachineError> {
        let normed = match &self.normed {
            Some(normed) => normed.clone(),
            None => {
                let widest = self.buffers.iter().map(|(_, width)| stride(*width)).max().unwrap_or(0);
                let rows = u64::from(self.plan.rows.next_multiple_of(tile_rows(self.variant, self.plan.rows)));
                self.allocator.storage("normed activations", rows * u64::from(widest))?
            }
        };
        self.normed = Some(normed.clone());
        let width = self.buffers[x.0].1;
        let dims = [stride(width) / 4, self.plan.rows, (width as f32).to_bits(), norm.eps.to_bits()];
        let (rows, source, gain) = (self.rows.clone(), self.buffer(x).clone(), self.vector(norm.gain).clone());
        let bindings = vec![(1, &rows), (2, &source), (3, &gain), (4, &normed)];
        self.push(shader::norm(), &dims, bindings, [self.plan.rows.div_ceil(ROWS_WORKGROUP), 1, 1]);
        Ok(normed)
    }
}

fn then_code(then: Then) -> u32 {
    match then {
        Then::Store => 0,
        Then::Add => 1,
        Then::Gate(crate::plan::Activation::Silu) => 2,
    }
}
