//! `Op::Attention`: one dispatch, a workgroup or a thread for each head of each row, or a workgroup for 16 rows; two for few rows and a
//! long context, whose positions are spread over several workgroups.

use super::Lowering;
use super::rope::heads_are_legal;
use crate::gpu::device::Variant;
use crate::gpu::shader::{ATTENTION_TILE, ROWS_WORKGROUP, attention, attention_join, attention_rows};
use crate::plan::{BufferId, Heads, MachineError};

/// Positions of a span, where there are several. Contexts of up to two are one span: a further dispatch costs as much as such a walk.
const SPAN: u32 = 512;

impl Lowering<'_> {
    pub(super) fn attention(&mut self, q: BufferId, out: BufferId, layer: u32, heads: &Heads) -> Result<(), MachineError> {
        heads_are_legal("attention", heads)?;
        let max_seq = self.memory().spec.max_seq;
        let spans = if max_seq > 2 * SPAN { max_seq.div_ceil(SPAN) } else { 1 };
        let num_heads = heads.num_attention_heads;
        let dims = [
            num_heads / heads.num_key_value_heads,
            heads.num_key_value_heads,
            heads.head_dim / 2,
            self.stride(q),
            max_seq,
            (1.0 / libm::sqrtf(heads.head_dim as f32)).to_bits(),
            num_heads,
            if spans > 1 { SPAN } else { max_seq },
            spans,
        ];
        let memory = self.memory();
        let (k, v) = (memory.k[layer as usize].clone(), memory.v[layer as usize].clone());
        let (rows, q, stride, out) = (self.rows.clone(), self.buffer(q).clone(), self.stride(out), self.buffer(out).clone());
        let bindings = |out| vec![(1, &rows), (2, &q), (3, &k), (4, &v), (5, out)];
        let num_rows = self.plan.rows;
        let (tile_rows, tile_width) = ATTENTION_TILE;
        if self.variant == Variant::Threads {
            let across = num_heads.div_ceil(ROWS_WORKGROUP);
            self.push(attention(self.variant), &dims[..7], bindings(&out), [across, num_rows, 1]);
        } else if num_rows >= tile_rows {
            let grid = [num_heads, num_rows.div_ceil(tile_rows), heads.head_dim.div_ceil(tile_width)];
            self.push(attention_rows(), &dims[..6], bindings(&out), grid);
        } else if spans == 1 {
            self.push(attention(self.variant), &dims, bindings(&out), [num_heads, num_rows, 1]);
        } else {
            let parts = self.spans(heads, spans)?;
            self.push(attention(self.variant), &dims, bindings(&parts), [num_heads, num_rows, spans]);
            let dims = [num_heads, heads.head_dim, stride, max_seq, SPAN, spans];
            self.push(attention_join(), &dims, vec![(1, &rows), (2, &parts), (3, &out)], [num_heads, num_rows, 1]);
        }
        Ok(())
    }

    /// parts: `[rows, heads, spans, head_dim + 2]` f32, one buffer for all layers.
    fn spans(&mut self, heads: &Heads, spans: u32) -> Result<wgpu::Buffer, MachineError> {
        let words = u64::from(self.plan.rows * spans) * u64::from(heads.num_attention_heads * (heads.head_dim + 2));
        let parts = match self.spans.take() {
            Some(parts) if parts.size() >= 4 * words => parts,
            _ => self.allocator.storage("parts of attention", words)?,
        };
        Ok(self.spans.insert(parts).clone())
    }
}
