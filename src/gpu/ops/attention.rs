//! `Op::Attention`: one dispatch, a workgroup for each head of each row.

use super::Lowering;
use super::rope::heads_are_legal;
use crate::gpu::shader::attention;
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
        ];
        let memory = self.memory();
        let (k, v) = (memory.k[layer as usize].clone(), memory.v[layer as usize].clone());
        let (rows, q, out) = (self.rows.clone(), self.buffer(q).clone(), self.buffer(out).clone());
        let bindings = vec![(1, &rows), (2, &q), (3, &k), (4, &v), (5, &out)];
        self.push(attention(), &dims, bindings, [heads.num_attention_heads, self.plan.rows, 1]);
        Ok(())
    }
}
