//! `Op::Embed`: a dispatch for each piece of the table; each serves the rows whose token lies in it.

use super::{Lowering, group_shift, planes};
use crate::gpu::shader::{WORKGROUP, embed};
use crate::plan::{BufferId, WeightId};
use crate::quant::stride;

impl Lowering<'_> {
    pub(super) fn embed(&mut self, table: WeightId, x: BufferId) {
        let weights = self.weights;
        let weight = &weights[table.0];
        let k8 = stride(weight.spec.cols) / 8;
        for (piece, buffers) in weight.spec.pieces.iter().zip(&weight.pieces) {
            let dims = [k8, group_shift(piece.layout), piece.rows.start, piece.rows.end - piece.rows.start];
            let mut bindings = planes(buffers);
            let (rows, x) = (self.rows.clone(), self.buffer(x).clone());
            bindings.extend([(1, &rows), (4, &x)]);
            self.push(embed(piece.layout), &dims, bindings, [k8.div_ceil(WORKGROUP), self.plan.rows, 1]);
        }
    }
}
