//! WebGPU as a [`Machine`]: each `Op` as dispatches that are built once per plan and replayed.
//!
//! Nothing here knows models or tokens. After `compile` only command encoders are made. Errors of the device arrive late, in
//! `device::Faults`, and every call that can fail reports them.

mod device;
mod ops;
mod probe;
mod readback;
mod replay;
mod shader;
mod tensor;
mod timing;
mod tune;

pub use device::{GpuOptions, Variant};
pub use readback::Pause;
pub use shader::Shader;

use crate::LocalFuture;
use crate::plan::{
    BufferId, DeviceInfo, KernelTime, MAX_STEPS, Machine, MachineError, MemorySpec, Plan, PlanId, Probe, Row, Sampled, Sampling, Ticket,
    VectorId, WeightId, WeightSpec,
};
use crate::quant::{Planes, stride};
use device::{Faults, Opened};
use readback::{Arriving, Waiter};
use replay::Program;
use shader::Pipelines;
use std::collections::VecDeque;
use std::rc::Rc;
use tensor::{Allocator, Memory, Weight};

/// An opened WebGPU device.
pub struct Gpu {
    info: DeviceInfo,
    variant: Variant,
    faults: Faults,
    waiter: Waiter,
    allocator: Allocator,
    pipelines: Pipelines,
    weights: Vec<Weight>,
    vectors: Vec<wgpu::Buffer>,
    memory: Option<Memory>,
    programs: Vec<Program>,
    flights: VecDeque<Flight>,
    num_tickets: u64,
    /// Until the kernels are chosen by it.
    clock: Option<Rc<dyn Fn() -> f64>>,
}

/// A submission whose draws have not been asked for yet.
struct Flight {
    ticket: Ticket,
    plan: PlanId,
    /// None if the plan does not sample.
    arriving: Option<Arriving>,
}

impl Gpu {
    /// Opens a device.
    ///
    /// # Errors
    /// [`MachineError::NoDevice`], saying what was found, if no adapter fits the options or it cannot be opened.
    pub async fn open(options: GpuOptions) -> Result<Gpu, MachineError> {
        let opened = device::open(&options).await?;
        Ok(Gpu::new(opened, options))
    }

    /// A device that validates everything and computes nothing: for tests of plans and shaders.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn noop(options: GpuOptions) -> Gpu {
        Gpu::new(device::open_noop(&options), options)
    }

    fn new(opened: Opened, options: GpuOptions) -> Gpu {
        let Opened { device, queue, mut info, mut variant, faults } = opened;
        let mut may_choose = options.variant.is_none() && !info.software;
        if may_choose && let Some(before) = tune::chosen_before(&options, &info.adapter, &device) {
            (variant, may_choose) = (before, false);
            info.variants = before.id().to_string();
        }
        Gpu {
            info,
            variant,
            allocator: Allocator::new(device.clone(), faults.clone()),
            faults,
            waiter: Waiter { device, queue, pause: options.pause },
            pipelines: Pipelines::default(),
            weights: Vec::new(),
            vectors: Vec::new(),
            memory: None,
            programs: Vec::new(),
            flights: VecDeque::new(),
            num_tickets: 0,
            clock: options.clock.filter(|_| may_choose),
        }
    }

    /// Pipelines compiled so far.
    pub fn num_pipelines(&self) -> usize {
        self.pipelines.len()
    }

    /// The kernels that one replay of a plan runs, in order.
    pub fn kernels(&self, plan: PlanId) -> Vec<&'static str> {
        self.programs[plan.0].dispatches.iter().map(replay::Dispatch::kernel).collect()
    }

    /// Gives the device up, as a driver may at any time; whatever is awaited from then on fails with [`MachineError::Lost`].
    pub fn destroy(&self) {
        self.waiter.device.destroy();
    }

    fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        self.waiter.queue.write_buffer(buffer, offset, bytes);
    }

    /// # Panics
    /// If there is none: `set_memory` comes first.
    fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("set_memory comes before writes to the shared state")
    }

    /// Encodes and submits a plan `steps` times; draws are copied if there is a staging buffer for them.
    fn replay(&self, plan: PlanId, steps: u32, draws_to: Option<&(wgpu::Buffer, u64)>) -> wgpu::SubmissionIndex {
        let program = &self.programs[plan.0];
        if let Some(draws) = &program.draws {
            self.write(&draws.steps, 0, bytemuck::cast_slice(&draws.no_steps));
        }
        let commands = program.encode(&self.waiter.device, steps, draws_to);
        self.waiter.queue.submit([commands])
    }

    async fn compile_plan(&mut self, plan: &Plan) -> Result<PlanId, MachineError> {
        self.allocator.settle().await?;
        let num_rows = u64::from(plan.rows.next_multiple_of(shader::tile_rows(self.variant, plan.rows)));
        let rows = self.allocator.storage("rows", num_rows * size_of::<Row>() as u64 / 4)?;
        let mut buffers = Vec::with_capacity(plan.buffers.len());
        for buffer in &plan.buffers {
            let words = num_rows * u64::from(stride(buffer.width));
            buffers.push((self.allocator.storage(buffer.name, words)?, buffer.width));
        }
        let mut lowering = ops::Lowering {
            variant: self.variant,
            plan,
            weights: &self.weights,
            vectors: &self.vectors,
            memory: self.memory.as_ref(),
            allocator: &mut self.allocator,
            buffers: &buffers,
            rows: &rows,
            normed: None,
            spans: None,
            draws: None,
            steps: Vec::new(),
        };
        lowering.lower()?;
        let (steps, draws) = (lowering.steps, lowering.draws);
        let dispatches = replay::build(&mut self.allocator, &self.waiter.queue, &mut self.pipelines, &steps).await?;
        self.allocator.settle().await?;
        self.programs.push(Program { name: plan.name, num_rows: plan.rows, buffers, rows, dispatches, draws });
        Ok(PlanId(self.programs.len() - 1))
    }

    async fn land(&mut self, ticket: Ticket) -> Result<Vec<Sampled>, MachineError> {
        self.faults.check()?;
        let oldest = self.flights.front().map(|flight| flight.ticket);
        assert_eq!(oldest, Some(ticket), "tickets finish in the order they were given out");
        let sampled = match self.flights.front().and_then(|flight| flight.arriving.as_ref()) {
            Some(arriving) => arriving.take(&self.waiter).await,
            None => self.waiter.drain().await.map(|()| Vec::new()),
        };
        self.faults.check()?;
        // The flight stays, and its signal comes only once: whoever asks again is to hear of the failure.
        let sampled = sampled.inspect_err(|error| self.faults.put(error.clone()))?;
        // Only now: a future that was dropped while it waited leaves its flight for the next call.
        if let Some(Flight { plan, arriving: Some(arriving), .. }) = self.flights.pop_front()
            && let Some(draws) = &mut self.programs[plan.0].draws
        {
            draws.staging.push(arriving.into_buffer());
        }
        Ok(sampled)
    }

    async fn read_buffer(&mut self, plan: PlanId, buffer: BufferId) -> Result<Vec<f32>, MachineError> {
        self.faults.check()?;
        let program = &self.programs[plan.0];
        let (source, width) = &program.buffers[buffer.0];
        let stride = stride(*width) as usize;
        let bytes = u64::from(program.num_rows) * stride as u64 * 4;
        let values: Vec<f32> = self.waiter.read(source, bytes).await?;
        self.faults.check()?;
        Ok(values.chunks_exact(stride).flat_map(|row| &row[..*width as usize]).copied().collect())
    }
}

impl Machine for Gpu {
    fn device(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn max_piece_bytes(&self) -> u64 {
        self.allocator.max_bytes()
    }

    fn prefill_rows(&self) -> u32 {
        // The software kernels compute all of a chunk's rows, used or not.
        if self.info.software { 32 } else { 256 }
    }

    fn add_weight(&mut self, spec: &WeightSpec) -> Result<WeightId, MachineError> {
        self.weights.push(Weight::new(&mut self.allocator, spec)?);
        Ok(WeightId(self.weights.len() - 1))
    }

    fn write_weight(&mut self, weight: WeightId, piece: usize, first_row: u32, planes: &Planes) {
        let weight = &self.weights[weight.0];
        let (layout, cols) = (weight.spec.pieces[piece].layout, weight.spec.cols);
        let buffers = &weight.pieces[piece];
        let offset = |words: u32| u64::from(first_row) * u64::from(words) * 4;
        self.write(&buffers.codes, offset(layout.code_words(cols)), bytemuck::cast_slice(&planes.codes));
        if let Some(scales) = &buffers.scales {
            self.write(scales, offset(layout.scale_words(cols)), bytemuck::cast_slice(&planes.scales));
        }
    }

    fn add_vector(&mut self, values: &[f32]) -> Result<VectorId, MachineError> {
        let padded = values.len().next_multiple_of(8);
        let buffer = self.allocator.storage("a vector", padded as u64)?;
        self.write(&buffer, 0, bytemuck::cast_slice(values));
        self.vectors.push(buffer);
        Ok(VectorId(self.vectors.len() - 1))
    }

    fn write_vector(&mut self, vector: VectorId, values: &[f32]) {
        self.write(&self.vectors[vector.0], 0, bytemuck::cast_slice(values));
    }

    fn flush(&mut self) -> LocalFuture<'_, Result<(), MachineError>> {
        Box::pin(async move {
            self.allocator.settle().await?;
            self.waiter.drain().await?;
            self.faults.check()
        })
    }

    fn set_memory(&mut self, spec: &MemorySpec) -> Result<(), MachineError> {
        let memory = Memory::new(&mut self.allocator, spec)?;
        self.write(&memory.turns, 0, bytemuck::cast_slice(&spec.rope));
        self.memory = Some(memory);
        Ok(())
    }

    fn compile<'a>(&'a mut self, plan: &'a Plan) -> LocalFuture<'a, Result<PlanId, MachineError>> {
        Box::pin(async move {
            if let Some(clock) = self.clock.take() {
                self.tune(clock.as_ref()).await?;
            }
            self.compile_plan(plan).await
        })
    }

    fn num_dispatches(&self, plan: PlanId) -> usize {
        self.programs[plan.0].dispatches.len()
    }

    fn bytes(&self) -> u64 {
        self.allocator.bytes
    }

    fn write_rows(&mut self, plan: PlanId, first: u32, rows: &[Row]) {
        let program = &self.programs[plan.0];
        assert!(first as usize + rows.len() <= program.num_rows as usize, "a plan of {} rows has no row past them", program.num_rows);
        self.write(&program.rows, u64::from(first) * size_of::<Row>() as u64, bytemuck::cast_slice(rows));
    }

    fn write_history(&mut self, slot: u32, position: u32, tokens: &[u32]) {
        let memory = self.memory();
        let (slots, stride) = (memory.spec.slots, u64::from(memory.spec.max_seq) + 1);
        let end = u64::from(position) + tokens.len() as u64;
        assert!(slot < slots && end <= stride, "history holds {slots} slots of {stride} positions, not slot {slot} to {end}");
        self.write(&memory.history, (u64::from(slot) * stride + u64::from(position)) * 4, bytemuck::cast_slice(tokens));
    }

    fn write_sampling(&mut self, sampling: &Sampling) {
        self.write(&self.memory().sampling, 0, bytemuck::bytes_of(sampling));
    }

    fn write_mask(&mut self, mask: &[u32]) {
        let words = 2 * self.memory().spec.vocab_size.div_ceil(32);
        assert_eq!(mask.len(), words as usize, "a mask has two bits for each token");
        self.write(&self.memory().mask, 0, bytemuck::cast_slice(mask));
    }

    fn run(&mut self, plan: PlanId) -> LocalFuture<'_, Result<(), MachineError>> {
        Box::pin(async move {
            self.faults.check()?;
            self.replay(plan, 1, None);
            Ok(())
        })
    }

    fn submit(&mut self, plan: PlanId, steps: u32) -> Ticket {
        assert!((1..=MAX_STEPS).contains(&steps), "a submission holds 1 to {MAX_STEPS} steps, not {steps}");
        let ticket = Ticket(self.num_tickets);
        self.num_tickets += 1;
        let device = &self.waiter.device;
        let draws_to = self.programs[plan.0].draws.as_mut().map(|draws| draws.take_staging(device, steps));
        let submission = self.replay(plan, steps, draws_to.as_ref());
        let arriving = draws_to.map(|(staging, bytes)| Arriving::new(staging, bytes, submission));
        self.flights.push_back(Flight { ticket, plan, arriving });
        ticket
    }

    fn finish(&mut self, ticket: Ticket) -> LocalFuture<'_, Result<Vec<Sampled>, MachineError>> {
        Box::pin(self.land(ticket))
    }

    fn read(&mut self, plan: PlanId, buffer: BufferId) -> LocalFuture<'_, Result<Vec<f32>, MachineError>> {
        Box::pin(self.read_buffer(plan, buffer))
    }

    fn probe(&mut self, probe: Probe, amount: u64) -> LocalFuture<'_, Result<(), MachineError>> {
        Box::pin(probe::probe(self, probe, amount))
    }

    fn time_kernels(&mut self, plan: PlanId) -> LocalFuture<'_, Result<Vec<KernelTime>, MachineError>> {
        Box::pin(timing::time_kernels(self, plan))
    }
}
