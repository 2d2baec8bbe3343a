//! What is asked of a session beside drafts: logits, for oracles and the self-test, and what bounds its device.

use super::{Roofline, Session, prompt_rows, request::within, roofline};
use crate::{
    Result,
    model::decoder::{self, Purpose},
    plan::KernelTime,
};

impl Session {
    /// Logits `[tokens, vocab_size]` at every position of one sequence, through the prefill kernels in chunks of `chunk`. A running
    /// request is abandoned.
    ///
    /// # Errors
    /// If there are no tokens, more than the context holds, or an id out of the vocabulary, or the device fails.
    pub async fn logits(&mut self, tokens: &[u32], chunk: u32) -> Result<Vec<f32>> {
        within("chunk", chunk, 1, 1024)?;
        self.compute_logits(tokens, chunk, chunk.next_multiple_of(8)).await
    }

    /// The same through the kernels that decode the most drafts together: what the self-test compares.
    ///
    /// # Errors
    /// As [`Session::logits`].
    pub async fn decoding_logits(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        let (_, rows) = self.decode_plan(self.count);
        self.compute_logits(tokens, rows, rows).await
    }

    async fn compute_logits(&mut self, tokens: &[u32], chunk: u32, capacity: u32) -> Result<Vec<f32>> {
        self.check_prompt(tokens, self.max_seq as usize)?;
        self.abandon().await?;
        self.cached.clear();
        let (plan, logits) = match self.logits {
            Some((rows, plan, logits)) if rows == capacity => (plan, logits),
            _ => {
                let (plan, logits) = decoder::plan(&self.config, &self.weights, Purpose::Logits, capacity);
                let logits = logits.expect("a logits plan has logits");
                let plan = self.machine.compile(&plan).await?;
                self.logits = Some((capacity, plan, logits));
                (plan, logits)
            }
        };
        let mut all = Vec::with_capacity(tokens.len() * self.config.vocab_size as usize);
        for (index, part) in tokens.chunks(chunk as usize).enumerate() {
            let rows = prompt_rows(part, index as u32 * chunk, capacity);
            self.machine.write_rows(plan, 0, &rows);
            self.machine.run(plan).await?;
            let values = self.machine.read(plan, logits).await?;
            all.extend_from_slice(&values[..part.len() * self.config.vocab_size as usize]);
        }
        Ok(all)
    }

    /// What the device can do at best, by the host's clock in milliseconds. Takes about a second; a running request is abandoned.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn roofline(&mut self, clock: &dyn Fn() -> f64) -> Result<Roofline> {
        self.abandon().await?;
        roofline::measure(self.machine.as_mut(), clock).await
    }

    /// How long each dispatch of one step takes for the drafts under way, which are abandoned; empty where the device has no timestamps.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn time_kernels(&mut self) -> Result<Vec<KernelTime>> {
        let (plan, _) = self.decode_plan(self.drafts.len() as u32);
        self.abandon().await?;
        Ok(self.machine.time_kernels(plan).await?)
    }
}
