//! `Op::Attention`: one dispatch, a workgroup or a thread for each head of each row.

use super::Lowering;
use super::rope::heads_are_legal;
use crate::gpu::device::Variant;
use crate::gpu::shader::{ROWS_WORKGROUP, attention};
use crate::plan::{BufferId, Heads, MachineError};

impl Lowering<'_> {
    pub(super) fn attention(&mut self, q: BufferId, out: BufferId, layer: u32, heads: &Heads) -> Result<(), MachineError> {
        heads_are_legal("attention", heads)?;
        let dims = [
            heads.num_attention_heads / heads.num_key_value_heads,
            heads.num_key_value_heads,
            heads.head_dim / 2,
            self.stride(q),
            self.memory().spec.max_seq,
            (1.0 / libm::sqrtf(heads.head_dim as f32)).to_bits(),
            heads.num_attention_heads,
        ];
        let memory = self.memory();
        let (k, v) = (memory.k[layer as usize].clone(), memory.v[layer as usize].clone());
        let (rows, q, out) = (self.rows.clone(), self.buffer(q).clone(), self.buffer(out).clone());
        let bindings = vec![(1, &rows), (2, &q), (3, &k), (4, &v), (5, &out)];
        let across = match self.variant {
            Variant::Threads => heads.num_attention_heads.div_ceil(ROWS_WORKGROUP),
            Variant::Lanes | Variant::LanesUnfused => heads.num_attention_heads,
        };
        self.push(attention(self.variant), &dims, bindings, [across, self.plan.rows, 1]);
        Ok(())
    }
}
