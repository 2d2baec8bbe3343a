//! `Op::Rope`: one dispatch.

use super::Lowering;
use crate::gpu::shader::{WORKGROUP, rope};
use crate::plan::{BufferId, Heads, MachineError, Pairing};

impl Lowering<'_> {
    pub(super) fn rope(&mut self, qkv: BufferId, q: BufferId, layer: u32, heads: &Heads) -> Result<(), MachineError> {
        heads_are_legal("rope", heads)?;
        let half = heads.head_dim / 2;
        let dims = [
            heads.num_attention_heads,
            heads.num_key_value_heads,
            half,
            u32::from(heads.pairing == Pairing::Adjacent),
            self.stride(qkv),
            self.stride(q),
            self.memory().spec.max_seq,
        ];
        let memory = self.memory();
        let (k, v, turns) = (memory.k[layer as usize].clone(), memory.v[layer as usize].clone(), memory.turns.clone());
        let (rows, qkv, q) = (self.rows.clone(), self.buffer(qkv).clone(), self.buffer(q).clone());
        let bindings = vec![(1, &rows), (2, &qkv), (3, &turns), (4, &q), (5, &k), (6, &v)];
        let pairs = (heads.num_attention_heads + 2 * heads.num_key_value_heads) * half;
        self.push(rope(), &dims, bindings, [pairs.div_ceil(WORKGROUP), self.plan.rows, 1]);
        Ok(())
    }
}

/// What the kernels can hold.
pub(super) fn heads_are_legal(kernel: &str, heads: &Heads) -> Result<(), MachineError> {
    let Heads { num_attention_heads, num_key_value_heads, head_dim, .. } = *heads;
    let divides = num_key_value_heads > 0 && num_attention_heads.is_multiple_of(num_key_value_heads);
    if divides && head_dim > 0 && head_dim.is_multiple_of(2) && head_dim <= 256 {
        return Ok(());
    }
    let reason = format!(
        "expected an even head_dim of at most 256 and key heads that divide the query heads, found head_dim {head_dim}, \
         {num_attention_heads} query heads, {num_key_value_heads} key heads"
    );
    Err(MachineError::Kernel { kernel: kernel.to_string(), reason })
}
