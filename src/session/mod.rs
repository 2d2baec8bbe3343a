//! Token ids → token ids: a prompt is prefilled once, then up to eight drafts of it are decoded together, several steps in flight.
//!
//! The host reads tokens behind the device. What it decides late (stop, rewind) reaches the device in queue order as a whole new row with
//! a new epoch; what the old row drew meanwhile comes back with the old epoch and is dropped.

mod flight;
mod inspect;
mod request;
mod roofline;
mod sampling;

pub use request::{Counters, End, Request, SessionError, SessionOptions, Step};
pub use roofline::Roofline;
pub use sampling::SamplingParams;

use crate::{
    Result,
    model::{
        ModelConfig,
        decoder::{self, Purpose},
        weights::Weights,
    },
    plan::{BufferId, MAX_STEPS, Machine, MemorySpec, NO_TOKEN, PlanId, Row},
};
use flight::Flight;
use request::{out_of_bounds, within};
use std::collections::VecDeque;

/// One draft as the host knows it.
#[derive(Clone, Debug, Default)]
struct Draft {
    tokens: Vec<u32>,
    done: bool,
    epoch: u32,
    attempt: u32,
}

/// A loaded model with its plans and caches, running one request at a time.
pub struct Session {
    machine: Box<dyn Machine>,
    config: ModelConfig,
    weights: Weights,
    count: u32,
    max_seq: u32,
    chunk: u32,
    prefill: PlanId,
    decode: Vec<(u32, PlanId)>,
    logits: Option<(u32, PlanId, BufferId)>,
    flight: Flight,
    /// Tokens whose keys and values stand in slot 0.
    cached: Vec<u32>,
    prompt: Vec<u32>,
    limit: u32,
    end_tokens: Vec<u32>,
    first_draft: u32,
    drafts: Vec<Draft>,
    ready: VecDeque<Step>,
    counters: Counters,
}

impl Session {
    /// Reserves caches and compiles the plans: requests create nothing on the device but encoders. Logits alone are computed by a
    /// plan that is compiled when they are asked for, as by the load's self-test.
    ///
    /// # Errors
    /// If the device has no room or refuses a kernel, or an option is out of bounds.
    pub async fn new(mut machine: Box<dyn Machine>, config: ModelConfig, weights: Weights, options: SessionOptions) -> Result<Session> {
        within("count", options.count, 1, crate::plan::MAX_DECODE_ROWS)?;
        within("context", options.context, 2, 1 << 20)?;
        let max_seq = options.context.min(config.max_position_embeddings);
        machine.set_memory(&MemorySpec {
            num_layers: config.num_hidden_layers,
            slots: options.count,
            max_seq,
            num_key_value_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            rope: crate::model::rope_table(&config.rope, config.head_dim, max_seq),
            vocab_size: config.vocab_size,
        })?;
        let chunk = options.chunk.clamp(1, 1024).next_multiple_of(8);
        let (plan, _) = decoder::plan(&config, &weights, Purpose::Prefill, chunk);
        let prefill = machine.compile(&plan).await?;
        let mut decode = Vec::new();
        for rows in decode_rows(options.count) {
            let (plan, _) = decoder::plan(&config, &weights, Purpose::Decode, rows);
            decode.push((rows, machine.compile(&plan).await?));
        }
        let flight = Flight::new(machine.device().kind == "cpu", options.clock);
        Ok(Session {
            machine,
            config,
            weights,
            count: options.count,
            max_seq,
            chunk,
            prefill,
            decode,
            logits: None,
            flight,
            cached: Vec::new(),
            prompt: Vec::new(),
            limit: 0,
            end_tokens: Vec::new(),
            first_draft: 0,
            drafts: Vec::new(),
            ready: VecDeque::new(),
            counters: Counters::default(),
        })
    }

    /// Positions a draft may have, prompt included.
    pub fn max_seq(&self) -> u32 {
        self.max_seq
    }

    /// Most drafts decoded together.
    pub fn max_count(&self) -> u32 {
        self.count
    }

    /// Drafts that fill each decoding plan: 1 and others up to the most.
    pub fn plan_counts(&self) -> Vec<u32> {
        self.decode.iter().map(|(rows, _)| (*rows).min(self.count)).collect()
    }

    /// The model's sizes.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The weights, as plans and the self-test refer to them.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weights and the machine they are to be streamed to, before the first request.
    pub fn weights_to_stream(&mut self) -> (&mut Weights, &mut dyn Machine) {
        (&mut self.weights, self.machine.as_mut())
    }

    /// The machine, to ask it what it is.
    pub fn machine(&self) -> &dyn Machine {
        self.machine.as_ref()
    }

    /// Counts since the last start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Dispatches of one decoding step for `count` drafts.
    pub fn dispatches_per_step(&self, count: u32) -> usize {
        self.machine.num_dispatches(self.decode_plan(count).0)
    }

    /// Prefills the prompt, as far as it is not in the cache already, and starts its drafts. A running request is abandoned.
    ///
    /// # Errors
    /// If the request is out of bounds or the device fails.
    pub async fn start(&mut self, request: &Request) -> Result<()> {
        self.check(request)?;
        self.abandon().await?;
        let last = request.prompt.len() as u32 - 1;
        self.prompt.clone_from(&request.prompt);
        self.end_tokens.clone_from(&request.end_tokens);
        self.first_draft = request.first_draft;
        self.limit = (last + request.max_tokens).min(self.max_seq);
        self.machine.write_sampling(&request.sampling.uniform(request.seed, &request.end_tokens, request.boost, request.scored));
        self.machine.write_mask(&sampling::mask(&request.banned, &request.boosted, self.config.vocab_size));
        if request.fresh {
            self.cached.clear();
        }
        self.prefill_prompt().await?;
        for slot in 1..request.count {
            self.machine.write_history(slot, last, &request.prompt[last as usize..]);
        }
        self.drafts = vec![Draft::default(); request.count as usize];
        self.flight.start();
        let mut rows: Vec<Row> = (0..request.count).map(|draft| self.row(draft, NO_TOKEN)).collect();
        let plan = self.decode_plan(request.count);
        rows.resize(plan.1 as usize, Row::default());
        self.machine.write_rows(plan.0, 0, &rows);
        Ok(())
    }

    /// The next token of any draft, or `None` when every draft has ended or was stopped.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn next(&mut self) -> Result<Option<Step>> {
        loop {
            if let Some(step) = self.ready.pop_front() {
                let draft = &mut self.drafts[step.draft as usize];
                draft.tokens.push(step.token);
                draft.done = step.end.is_some();
                return Ok(Some(step));
            }
            let Some(longest) = self.longest_remaining() else { return Ok(None) };
            let (plan, rows) = self.decode_plan(self.drafts.len() as u32);
            let flown = self.flight.advance(self.machine.as_mut(), plan, longest).await?;
            self.counters.steps += flown.submitted_steps;
            self.counters.submissions += flown.submissions;
            self.counters.readbacks += 1;
            for step in flown.sampled.chunks_exact(rows as usize) {
                self.receive(step);
            }
        }
    }

    /// Takes a draft back to its first `keep` tokens, which must have been handed out, and goes on from there with new randomness; `ban`
    /// is not drawn as the next token. An ended or stopped draft lives again.
    pub fn rewind(&mut self, draft: u32, keep: u32, ban: Option<u32>) {
        let state = &mut self.drafts[draft as usize];
        assert!(keep as usize <= state.tokens.len(), "a draft can only be rewound to what was handed out");
        state.tokens.truncate(keep as usize);
        state.done = false;
        state.attempt += 1;
        self.rewrite(draft, ban.unwrap_or(NO_TOKEN));
    }

    /// Ends a draft: no further token of it is handed out.
    pub fn stop(&mut self, draft: u32) {
        self.drafts[draft as usize].done = true;
        self.rewrite(draft, NO_TOKEN);
    }

    /// Fixes how many steps a submission holds (1 to [`MAX_STEPS`]) and how many submissions are aloft, for tests and measurements.
    pub fn pin_flight(&mut self, steps: u32, submissions: usize) {
        self.flight.pin(steps.clamp(1, MAX_STEPS), submissions.max(1));
    }

    fn check(&self, request: &Request) -> Result<(), SessionError> {
        self.check_prompt(&request.prompt, self.max_seq as usize)?;
        within("count", request.count, 1, self.max_count())?;
        within("max_tokens", request.max_tokens, 1, 1 << 20)?;
        if request.end_tokens.len() > 16 {
            return Err(out_of_bounds("end_tokens", "at most 16", request.end_tokens.len()));
        }
        if !(0.0..=100.0).contains(&request.boost) {
            return Err(out_of_bounds("boost", "0 to 100", request.boost));
        }
        request.sampling.check()
    }

    fn check_prompt(&self, prompt: &[u32], context: usize) -> Result<(), SessionError> {
        if prompt.is_empty() {
            return Err(out_of_bounds("prompt", "at least one token", 0));
        }
        if prompt.len() > context {
            return Err(SessionError::PromptTooLong { found: prompt.len(), context: self.max_seq });
        }
        match prompt.iter().find(|id| **id >= self.config.vocab_size) {
            Some(id) => Err(out_of_bounds("token id", &format!("below {}", self.config.vocab_size), id)),
            None => Ok(()),
        }
    }

    /// Ends the running request, whose draws in flight are lost; the drafts first, so that none goes on with a gap if the wait is dropped.
    async fn abandon(&mut self) -> Result<()> {
        self.ready.clear();
        self.drafts.clear();
        self.flight.drain(self.machine.as_mut()).await
    }

    /// Computes keys and values of all prompt tokens but the last in slot 0; what the cache already holds of them is kept.
    async fn prefill_prompt(&mut self) -> Result<()> {
        let prefix = self.prompt.len() - 1;
        let same = self.cached.iter().zip(&self.prompt[..prefix]).take_while(|(a, b)| a == b).count();
        self.counters = Counters { reused: same as u32, prefilled: (prefix - same) as u32, ..Counters::default() };
        self.machine.write_history(0, 0, &self.prompt);
        self.cached.truncate(same);
        for start in (same..prefix).step_by(self.chunk as usize) {
            let part = &self.prompt[start..prefix.min(start + self.chunk as usize)];
            let rows = prompt_rows(part, start as u32, self.chunk);
            self.machine.write_rows(self.prefill, 0, &rows);
            self.machine.run(self.prefill).await?;
            self.cached.extend_from_slice(part);
        }
        Ok(())
    }

    /// The row from which a draft goes on, as the host knows it.
    fn row(&self, draft: u32, ban: u32) -> Row {
        let state = &self.drafts[draft as usize];
        let prefix = self.prompt.len() as u32 - 1;
        Row {
            token: *state.tokens.last().unwrap_or(&self.prompt[prefix as usize]),
            slot: draft,
            position: prefix + state.tokens.len() as u32,
            limit: self.limit,
            active: u32::from(!state.done),
            attempt: state.attempt,
            ban,
            epoch: state.epoch,
            prefix_slot: 0,
            prefix_len: prefix,
            draft: self.first_draft + draft,
            reserved: 0,
        }
    }

    /// Puts a draft's row on the device anew, behind everything in flight.
    fn rewrite(&mut self, draft: u32, ban: u32) {
        self.drafts[draft as usize].epoch += 1;
        self.ready.retain(|step| step.draft != draft);
        let row = self.row(draft, ban);
        let (plan, _) = self.decode_plan(self.drafts.len() as u32);
        self.machine.write_rows(plan, draft, &[row]);
    }

    /// Queues what one step drew, unless it is from before a rewind.
    fn receive(&mut self, sampled: &[crate::plan::Sampled]) {
        for (draft, drawn) in (0..self.drafts.len() as u32).zip(sampled) {
            let state = &self.drafts[draft as usize];
            if drawn.token == NO_TOKEN || drawn.epoch != state.epoch || state.done {
                continue;
            }
            let queued = self.ready.iter().filter(|step| step.draft == draft).count();
            let position = self.prompt.len() - 1 + state.tokens.len() + queued + 1;
            let end = match drawn.token {
                token if self.end_tokens.contains(&token) => Some(End::EndToken),
                _ if position as u32 >= self.limit => Some(End::Limit),
                _ => None,
            };
            self.ready.push_back(Step { draft, token: drawn.token, log_probability: drawn.log_probability, end });
        }
    }

    /// Steps that the draft with most room may still take, if any draft goes on.
    fn longest_remaining(&self) -> Option<u32> {
        let prefix = self.prompt.len() as u32 - 1;
        self.drafts.iter().filter(|d| !d.done).map(|d| self.limit.saturating_sub(prefix + d.tokens.len() as u32)).max()
    }

    /// The smallest decoding plan for `count` drafts, and its rows.
    fn decode_plan(&self, count: u32) -> (PlanId, u32) {
        let found = self.decode.iter().find(|(rows, ..)| *rows >= count);
        let (rows, plan) = found.or(self.decode.last()).expect("a session has at least one decoding plan");
        (*plan, *rows)
    }
}

/// Rows of the decoding plans of a session: one draft alone, four (what the page asks for), and all it may have, as kernels serve them.
fn decode_rows(count: u32) -> Vec<u32> {
    let most = count.next_power_of_two();
    [1, 4].into_iter().filter(|rows| *rows < most).chain([most]).collect()
}

/// Rows for prompt tokens in slot 0 from a position on; the rest of the capacity is inactive.
fn prompt_rows(tokens: &[u32], position: u32, capacity: u32) -> Vec<Row> {
    let mut rows: Vec<Row> = (position..)
        .zip(tokens)
        .map(|(position, token)| Row { token: *token, position, limit: u32::MAX, active: 1, ban: NO_TOKEN, ..Row::default() })
        .collect();
    rows.resize(capacity as usize, Row::default());
    rows
}
