//! What runs plans: the trait that a GPU and the CPU implement alike, and what they can fail of.

use super::{BufferId, Plan, PlanId, Row, Sampled, Sampling, VectorId, WeightId, WeightSpec};
use crate::{LocalFuture, quant::Planes};

/// The state that plans share: caches, rotary table, history, mask.
#[derive(Clone, Debug, PartialEq)]
pub struct MemorySpec {
    /// Layers, each with a K and a V cache `[slots, max_seq, kv_heads, head_dim]` f32.
    pub num_layers: u32,
    /// Sequences.
    pub slots: u32,
    /// Positions a sequence; history is `[slots, max_seq + 1]` u32.
    pub max_seq: u32,
    /// Key and value heads.
    pub num_key_value_heads: u32,
    /// Elements a head.
    pub head_dim: u32,
    /// `[max_seq, head_dim / 2, 2]` f32: cosine and sine.
    pub rope: Vec<f32>,
    /// The token mask is `[2, ceil(vocab_size / 32)]` u32, all zero at first.
    pub vocab_size: u32,
}

/// A submission on its way; tickets finish in the order they were given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub u64);

/// Which device runs.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct DeviceInfo {
    /// `webgpu`, `vulkan`, `metal`, `dx12` or `cpu`.
    pub kind: String,
    /// The adapter's own name.
    pub adapter: String,
    /// Whether it computes on the CPU.
    pub software: bool,
    /// The id of the kernel variant set.
    pub variants: String,
}

/// A device that runs plans. Two exist: `gpu::Gpu` and `cpu::Cpu`; the session knows neither.
///
/// Loading: `add_*`, `set_memory`, then `compile`; after that nothing allocates but encoders. `write_weight` and `write_vector` bring values
/// at any time before they are used.
pub trait Machine {
    /// Which device this is.
    fn device(&self) -> DeviceInfo;
    /// Most bytes that one piece's codes or scales may take.
    fn max_piece_bytes(&self) -> u64;
    /// Prompt tokens that it computes best together.
    fn prefill_rows(&self) -> u32;
    /// Reserves a matrix.
    ///
    /// # Errors
    /// If the device has no room for it.
    fn add_weight(&mut self, spec: &WeightSpec) -> Result<WeightId, MachineError>;
    /// Writes plane rows `first_row..` of a piece (for a gated piece of n outputs: 0..n gate, n..2n up).
    fn write_weight(&mut self, weight: WeightId, piece: usize, first_row: u32, planes: &Planes);
    /// Adds a vector.
    ///
    /// # Errors
    /// If the device has no room for it.
    fn add_vector(&mut self, values: &[f32]) -> Result<VectorId, MachineError>;
    /// Writes a vector's values anew.
    fn write_vector(&mut self, vector: VectorId, values: &[f32]);
    /// Waits until what was written has left the host's memory: the back-pressure of loading.
    fn flush(&mut self) -> LocalFuture<'_, Result<(), MachineError>>;
    /// Reserves the shared state.
    ///
    /// # Errors
    /// If the device has no room for it.
    fn set_memory(&mut self, spec: &MemorySpec) -> Result<(), MachineError>;
    /// Prepares a plan for replay: buffers, pipelines and bind groups are made here and nowhere else.
    ///
    /// # Errors
    /// If the device has no room, or a shader does not compile.
    fn compile<'a>(&'a mut self, plan: &'a Plan) -> LocalFuture<'a, Result<PlanId, MachineError>>;
    /// Dispatches that one replay of the plan takes (operations, on the CPU).
    fn num_dispatches(&self, plan: PlanId) -> usize;
    /// Device bytes held: weights, caches, activations.
    fn bytes(&self) -> u64;

    /// Writes rows `first..` of a plan, after everything submitted so far.
    fn write_rows(&mut self, plan: PlanId, first: u32, rows: &[Row]);
    /// Writes tokens of a slot from a position on, after everything submitted so far.
    fn write_history(&mut self, slot: u32, position: u32, tokens: &[u32]);
    /// Sets how plans sample, after everything submitted so far.
    fn write_sampling(&mut self, sampling: &Sampling);
    /// Sets the token mask `[2, ceil(vocab_size / 32)]`: a bit set in the first plane = never drawn, in the second = boosted.
    fn write_mask(&mut self, mask: &[u32]);
    /// Replays a plan without sampling once; resolves when its results may be read or built upon (a GPU need not have finished).
    fn run(&mut self, plan: PlanId) -> LocalFuture<'_, Result<(), MachineError>>;
    /// Replays a plan with sampling `steps` times (1 to [`MAX_STEPS`]). Never waits.
    fn submit(&mut self, plan: PlanId, steps: u32) -> Ticket;
    /// The oldest outstanding submission's draws: `steps * rows`, step-major.
    fn finish(&mut self, ticket: Ticket) -> LocalFuture<'_, Result<Vec<Sampled>, MachineError>>;
    /// Reads a buffer of a plan back: `[rows, width]` without the padding. For tests, logits and the self-test, never per token.
    fn read(&mut self, plan: PlanId, buffer: BufferId) -> LocalFuture<'_, Result<Vec<f32>, MachineError>>;
    /// Does `amount` of one kind of work and waits. For the roofline: time two amounts, divide the difference.
    fn probe(&mut self, probe: Probe, amount: u64) -> LocalFuture<'_, Result<(), MachineError>>;
    /// Replays a plan once, timing each dispatch on the device; empty where the device has no timestamps. What the plan draws is lost.
    fn time_kernels(&mut self, plan: PlanId) -> LocalFuture<'_, Result<Vec<KernelTime>, MachineError>>;
}

/// What bounds a decoding step, one kind of work at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Reads about so many bytes of the device's memory, as fast as it can.
    Read,
    /// Runs so many dispatches that do next to nothing, each after the one before. The CPU calls functions instead: it does nothing here.
    Dispatch,
    /// Submits such a dispatch and waits for a few bytes of it, so many times. The CPU's results are where they are read: nothing again.
    RoundTrip,
    /// So many multiply-adds of packed integers with activations of 8 bits, over data in the nearest cache, where that is how matrices are
    /// multiplied. A GPU, whose loops are bound by what they read, does nothing here.
    Multiply,
}

/// How long one dispatch took on the device.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The kernel's name.
    pub kernel: &'static str,
    /// Workgroups, which tell one shape from another.
    pub grid: [u32; 3],
    /// Microseconds from its begin to its end.
    pub us: f64,
}

/// Most steps that one submission may hold.
pub const MAX_STEPS: u32 = 16;
/// Most rows of a decoding plan.
pub const MAX_DECODE_ROWS: u32 = 8;

/// What a device can fail of.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MachineError {
    /// No adapter, or none that the options allow.
    #[error("no usable GPU: {reason}; use the CPU (--device cpu, device: \"cpu\") or a browser with WebGPU")]
    NoDevice {
        /// What was looked for and found.
        reason: String,
    },
    /// A buffer is larger than the device allows, or memory has run out.
    #[error("the device has no room for {what} ({bytes} bytes): {reason}; use a smaller model or context")]
    OutOfMemory {
        /// The thing to be stored.
        what: String,
        /// Its size.
        bytes: u64,
        /// The device's own words.
        reason: String,
    },
    /// The device went away.
    #[error("the GPU was lost ({reason}); reload the model to go on")]
    Lost {
        /// The device's own words.
        reason: String,
    },
    /// A shader or pipeline was refused.
    #[error("the GPU refused kernel {kernel}: {reason}")]
    Kernel {
        /// Which kernel.
        kernel: String,
        /// The device's own words.
        reason: String,
    },
    /// The load-time self-test failed.
    #[error("the device computes wrongly: logit {index} is {found}, expected {expected} within {tolerance}; use the CPU")]
    SelfTest {
        /// Index into the logits.
        index: usize,
        /// The CPU path's value.
        expected: f32,
        /// The device's value.
        found: f32,
        /// Allowed difference.
        tolerance: f32,
    },
}

impl MachineError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            MachineError::NoDevice { .. } => "no-device",
            MachineError::OutOfMemory { .. } => "out-of-memory",
            MachineError::Lost { .. } => "device-lost",
            MachineError::Kernel { .. } => "kernel-refused",
            MachineError::SelfTest { .. } => "self-test-failed",
        }
    }
}
