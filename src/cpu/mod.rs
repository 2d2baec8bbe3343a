//! The CPU as a [`Machine`]: each `Op` as a plain function over slices, one thread.
//!
//! It is three things at once: the readable reference, the oracle of every GPU kernel, and the fallback where no GPU can be used. The
//! functions are public so that tests and the load-time self-test can call them on any run of a matrix's rows. Sums run in one fixed
//! order, with no fused multiply-add, so native and wasm give the same bits.
//!
//! [`Cpu::new`] computes in exact f32. [`Cpu::rounding`] multiplies packed integers by activations rounded to 8 bits (`panels`): several
//! times as fast, and what the fallback is by default.

pub mod attention;
pub mod caches;
mod check;
pub mod dot;
pub mod embed;
pub mod linear;
pub mod norm;
pub mod pace;
pub mod panels;
pub mod philox;
mod replay;
pub mod rope;
pub mod sample;
mod stream;
pub mod unpack;

use crate::LocalFuture;
use crate::plan::{
    BufferId, DeviceInfo, KernelTime, MAX_STEPS, Machine, MachineError, MemorySpec, Plan, PlanId, Probe, Row, Sampled, Sampling, Ticket,
    VectorId, WeightId, WeightSpec,
};
use crate::quant::Planes;
use caches::Caches;
use check::{Known, check_plan, check_weight};
use pace::{Pace, Pause};
use replay::{Compiled, Engine, State, Stored, Weight};
use sample::History;
use std::collections::VecDeque;

/// Bytes of one piece's codes or scales: as a GPU with the default limits, so that plans look the same.
const MAX_PIECE_BYTES: u64 = 128 << 20;

/// One thread of the CPU.
///
/// Submissions are computed when they are finished (or when something later needs them), in the order they were made, and writes keep
/// their place among them. A future that is dropped at a pause loses nothing: the next call resumes at the step that was under way.
pub struct Cpu {
    engine: Engine,
    queue: VecDeque<Command>,
    /// Computed but not yet asked for.
    finished: VecDeque<(Ticket, Vec<Sampled>)>,
    num_tickets: u64,
    /// What `Probe::Read` reads.
    stream: Vec<u64>,
    /// Packed integers meet activations of 8 bits.
    rounding: bool,
}

/// Work that waits for the submissions before it.
enum Command {
    Steps { ticket: Ticket, plan: PlanId, left: u32, drawn: Vec<Sampled> },
    Rows { plan: PlanId, first: u32, rows: Vec<Row> },
    History { slot: u32, position: u32, tokens: Vec<u32> },
    Sampling(Sampling),
    Mask(Vec<u32>),
}

impl Cpu {
    /// A machine without weights that computes in f32. Long work awaits `pause` every [`pace::STRETCH`] multiply-adds, if there is one.
    pub fn new(pause: Option<Pause>) -> Cpu {
        let sampling = Sampling {
            seed_low: 0,
            seed_high: 0,
            temperature: 0.0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            top_k: 0,
            num_end_tokens: 0,
            end_tokens: [0; 16],
            boost: 0.0,
            scored: 0,
            reserved: [0; 2],
        };
        let state = State { caches: Caches::default(), history: History::default(), mask: Vec::new(), sampling };
        let engine = Engine {
            weights: Vec::new(),
            vectors: Vec::new(),
            plans: Vec::new(),
            state,
            pace: Pace::new(pause),
            active: Vec::new(),
            embedding: Planes::default(),
        };
        Cpu { engine, queue: VecDeque::new(), finished: VecDeque::new(), num_tickets: 0, stream: Vec::new(), rounding: false }
    }

    /// Likewise, with activations rounded to 8 bits where they meet packed integers.
    pub fn rounding(pause: Option<Pause>) -> Cpu {
        Cpu { rounding: true, ..Cpu::new(pause) }
    }

    /// Applies a write now, or after the submissions that wait.
    fn write(&mut self, command: Command) {
        self.queue.push_back(command);
        self.apply_writes();
    }

    /// Applies the writes at the head of the queue, up to the next submission.
    fn apply_writes(&mut self) {
        while let Some(command) = self.queue.pop_front() {
            match command {
                Command::Rows { plan, first, rows } => {
                    self.engine.plans[plan.0].rows[first as usize..][..rows.len()].copy_from_slice(&rows);
                }
                Command::History { slot, position, tokens } => {
                    let history = &mut self.engine.state.history;
                    let at = history.index(slot, position);
                    let room = history.stride - position as usize;
                    assert!(tokens.len() <= room, "{} tokens from position {position} on, room for {room}", tokens.len());
                    history.tokens[at..][..tokens.len()].copy_from_slice(&tokens);
                }
                Command::Sampling(sampling) => self.engine.state.sampling = sampling,
                Command::Mask(mask) => self.engine.state.mask.copy_from_slice(&mask),
                steps @ Command::Steps { .. } => {
                    self.queue.push_front(steps);
                    return;
                }
            }
        }
    }

    /// Computes the submission at the head of the queue, then applies the writes behind it.
    async fn advance(&mut self) {
        while let Some(Command::Steps { plan, left, .. }) = self.queue.front()
            && *left > 0
        {
            let draws = self.engine.replay(*plan).await;
            if let Some(Command::Steps { left, drawn, .. }) = self.queue.front_mut() {
                drawn.extend(draws);
                *left -= 1;
            }
        }
        if let Some(Command::Steps { ticket, drawn, .. }) = self.queue.pop_front() {
            self.finished.push_back((ticket, drawn));
        }
        self.apply_writes();
    }

    /// Computes everything submitted.
    async fn drain(&mut self) {
        while !self.queue.is_empty() {
            self.advance().await;
        }
    }
}

impl Machine for Cpu {
    fn device(&self) -> DeviceInfo {
        let adapter = "CPU, one thread".to_string();
        DeviceInfo {
            kind: "cpu".to_string(),
            adapter,
            software: true,
            variants: if self.rounding { "cpu-int8" } else { "cpu-exact" }.to_string(),
        }
    }

    fn max_piece_bytes(&self) -> u64 {
        MAX_PIECE_BYTES
    }

    fn prefill_rows(&self) -> u32 {
        // More rows share a reading of the weights; beyond this their activations leave the caches.
        64
    }

    fn add_weight(&mut self, spec: &WeightSpec) -> Result<WeightId, MachineError> {
        check_weight(spec);
        let pieces = spec.pieces.iter().map(|piece| Stored::new(spec, piece, self.rounding)).collect::<Result<_, _>>()?;
        self.engine.weights.push(Weight { spec: spec.clone(), pieces });
        Ok(WeightId(self.engine.weights.len() - 1))
    }

    fn write_weight(&mut self, weight: WeightId, piece: usize, first_row: u32, planes: &Planes) {
        let weight = &mut self.engine.weights[weight.0];
        let layout = weight.spec.pieces[piece].layout;
        weight.pieces[piece].write(layout, weight.spec.cols, first_row as usize, planes);
    }

    fn add_vector(&mut self, values: &[f32]) -> Result<VectorId, MachineError> {
        self.engine.vectors.push(values.to_vec());
        Ok(VectorId(self.engine.vectors.len() - 1))
    }

    fn write_vector(&mut self, vector: VectorId, values: &[f32]) {
        self.engine.vectors[vector.0].copy_from_slice(values);
    }

    fn flush(&mut self) -> LocalFuture<'_, Result<(), MachineError>> {
        Box::pin(async { Ok(()) })
    }

    fn set_memory(&mut self, spec: &MemorySpec) -> Result<(), MachineError> {
        let stride = spec.max_seq as usize + 1;
        let tokens = zeros("the token history", u64::from(spec.slots) * stride as u64)?;
        self.engine.state.caches = Caches::new(spec)?;
        self.engine.state.history = History { tokens, stride };
        self.engine.state.mask = zeros("the token mask", 2 * u64::from(spec.vocab_size.div_ceil(32)))?;
        Ok(())
    }

    fn compile<'a>(&'a mut self, plan: &'a Plan) -> LocalFuture<'a, Result<PlanId, MachineError>> {
        Box::pin(async move {
            let Engine { weights, vectors, state, .. } = &self.engine;
            check_plan(plan, &Known { weights, vectors, caches: &state.caches, mask_words: state.mask.len() });
            self.engine.plans.push(Compiled::new(plan)?);
            Ok(PlanId(self.engine.plans.len() - 1))
        })
    }

    fn num_dispatches(&self, plan: PlanId) -> usize {
        self.engine.plans[plan.0].plan.ops.len()
    }

    fn bytes(&self) -> u64 {
        let weights: usize = self.engine.weights.iter().flat_map(|weight| &weight.pieces).map(Stored::words).sum();
        let vectors: usize = self.engine.vectors.iter().map(Vec::len).sum();
        let activations: usize = self.engine.plans.iter().flat_map(|plan| &plan.buffers).map(Vec::len).sum();
        let state = self.engine.state.history.tokens.len() + self.engine.state.mask.len();
        4 * (weights + vectors + activations + state) as u64 + self.engine.state.caches.bytes()
    }

    fn write_rows(&mut self, plan: PlanId, first: u32, rows: &[Row]) {
        self.write(Command::Rows { plan, first, rows: rows.to_vec() });
    }

    fn write_history(&mut self, slot: u32, position: u32, tokens: &[u32]) {
        self.write(Command::History { slot, position, tokens: tokens.to_vec() });
    }

    fn write_sampling(&mut self, sampling: &Sampling) {
        self.write(Command::Sampling(*sampling));
    }

    fn write_mask(&mut self, mask: &[u32]) {
        self.write(Command::Mask(mask.to_vec()));
    }

    fn run(&mut self, plan: PlanId) -> LocalFuture<'_, Result<(), MachineError>> {
        Box::pin(async move {
            self.drain().await;
            self.engine.replay(plan).await;
            Ok(())
        })
    }

    fn submit(&mut self, plan: PlanId, steps: u32) -> Ticket {
        assert!((1..=MAX_STEPS).contains(&steps), "a submission holds 1 to {MAX_STEPS} steps, not {steps}");
        let ticket = Ticket(self.num_tickets);
        self.num_tickets += 1;
        self.queue.push_back(Command::Steps { ticket, plan, left: steps, drawn: Vec::new() });
        ticket
    }

    fn finish(&mut self, ticket: Ticket) -> LocalFuture<'_, Result<Vec<Sampled>, MachineError>> {
        Box::pin(async move {
            if self.finished.is_empty() {
                self.advance().await;
            }
            let oldest = self.finished.front().map(|(oldest, _)| *oldest);
            assert_eq!(oldest, Some(ticket), "tickets finish in the order they were given out");
            Ok(self.finished.pop_front().map(|(_, drawn)| drawn).unwrap_or_default())
        })
    }

    fn read(&mut self, plan: PlanId, buffer: BufferId) -> LocalFuture<'_, Result<Vec<f32>, MachineError>> {
        Box::pin(async move {
            self.drain().await;
            let plan = &self.engine.plans[plan.0];
            let width = plan.width(buffer);
            let rows = plan.buffers[buffer.0].chunks_exact(plan.stride(buffer));
            Ok(rows.flat_map(|row| &row[..width]).copied().collect())
        })
    }

    fn probe(&mut self, probe: Probe, amount: u64) -> LocalFuture<'_, Result<(), MachineError>> {
        match probe {
            Probe::Read => stream::stream_read(&mut self.stream, amount),
            Probe::Multiply if self.rounding => panels::multiply_for(amount),
            Probe::Dispatch | Probe::RoundTrip | Probe::Multiply => {}
        }
        Box::pin(async { Ok(()) })
    }

    fn time_kernels(&mut self, _plan: PlanId) -> LocalFuture<'_, Result<Vec<KernelTime>, MachineError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Zeros, or the reason why there is no room for them.
pub(crate) fn zeros<T: bytemuck::Zeroable>(what: &str, elements: u64) -> Result<Vec<T>, MachineError> {
    let bytes = elements.saturating_mul(size_of::<T>() as u64);
    let zeros = usize::try_from(elements).ok().and_then(|elements| bytemuck::try_zeroed_vec(elements).ok());
    zeros.ok_or_else(|| MachineError::OutOfMemory { what: what.to_string(), bytes, reason: "the allocator has no room".to_string() })
}

/// Room for so many elements, or the reason why there is none.
pub(crate) fn reserve<T>(what: &str, elements: u64) -> Result<Vec<T>, MachineError> {
    let bytes = elements.saturating_mul(size_of::<T>() as u64);
    let out_of_memory = |reason: String| MachineError::OutOfMemory { what: what.to_string(), bytes, reason };
    let elements = usize::try_from(elements).map_err(|error| out_of_memory(error.to_string()))?;
    let mut room = Vec::new();
    room.try_reserve_exact(elements).map_err(|error| out_of_memory(error.to_string()))?;
    Ok(room)
}
