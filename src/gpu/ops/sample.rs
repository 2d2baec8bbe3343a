//! `Op::Sample`: two dispatches, a workgroup for each row; `select` finds what may be drawn, `sample` draws and advances the row.

use super::Lowering;
use crate::gpu::replay::Draws;
use crate::gpu::shader;
use crate::plan::{BufferId, MAX_STEPS, MachineError};

impl Lowering<'_> {
    pub(super) fn sample(&mut self, logits: BufferId) -> Result<(), MachineError> {
        let num_rows = self.plan.rows;
        let (vocab, stride) = (self.buffers[logits.0].1, self.stride(logits));
        let seen = self.allocator.storage("tokens seen", u64::from(num_rows) * u64::from(vocab.div_ceil(32)))?;
        let choices = self.allocator.storage("choices", u64::from(num_rows) * 4)?;
        let draws = Draws::new(self.allocator, num_rows)?;
        let memory = self.memory();
        let (sampling, history, mask) = (memory.sampling.clone(), memory.history.clone(), memory.mask.clone());
        let history_stride = memory.spec.max_seq + 1;
        let (rows, logits) = (self.rows.clone(), self.buffer(logits).clone());
        let select = vec![(1, &sampling), (2, &rows), (3, &logits), (4, &history), (5, &mask), (6, &seen), (7, &choices)];
        self.push(shader::select(self.variant), &[vocab, stride, history_stride], select, [num_rows, 1, 1]);
        let dims = [vocab, stride, history_stride, num_rows, MAX_STEPS];
        let (steps, sampled) = (&draws.steps, &draws.sampled);
        let sample = vec![(1, &sampling), (2, &rows), (3, &logits), (4, &choices), (5, &history), (6, steps), (7, sampled)];
        self.push(shader::sample(self.variant), &dims, sample, [num_rows, 1, 1]);
        self.draws = Some(draws);
        Ok(())
    }
}
