//! The work that a roofline is measured with: reading memory, dispatching next to nothing, and asking for an answer.
//!
//! All three run the kernel `stream`, the latter two over a single element. Its sum is bound for writing, so that dispatches wait for one
//! another as those of a decoding step do.

use super::{
    Gpu,
    ops::Step,
    readback::{Arriving, staging},
    replay::{self, Dispatch},
    shader,
};
use crate::plan::{MachineError, Probe};

/// Larger than the caches of most adapters, within the default limits.
const BUFFER_BYTES: u64 = 128 << 20;
/// Enough to fill a large GPU.
const THREADS: u32 = 1 << 18;
/// Bytes of the sum.
const SUM_BYTES: u64 = 16;

/// Does one kind of work on buffers that are made for it, and waits.
pub(super) async fn probe(gpu: &mut Gpu, probe: Probe, amount: u64) -> Result<(), MachineError> {
    match probe {
        Probe::Read => {
            let length = BUFFER_BYTES.min(gpu.allocator.max_bytes()).min(amount.max(SUM_BYTES)).next_multiple_of(SUM_BYTES);
            let work = Work::new(gpu, length, amount.div_ceil(length).max(1) as u32).await?;
            gpu.waiter.queue.submit([replay::encode(&gpu.waiter.device, "stream", &work.dispatches, 1)]);
            gpu.waiter.drain().await?;
            // Browsers free a buffer when they collect garbage, or when they are told to.
            work.data.destroy();
        }
        Probe::Dispatch => {
            let work = Work::new(gpu, SUM_BYTES, 1).await?;
            gpu.waiter.queue.submit([replay::encode(&gpu.waiter.device, "dispatches", &work.dispatches, amount)]);
            gpu.waiter.drain().await?;
        }
        Probe::Multiply => {}
        Probe::RoundTrip => {
            let work = Work::new(gpu, SUM_BYTES, 1).await?;
            let mut landing = staging(&gpu.waiter.device, SUM_BYTES);
            for _ in 0..amount {
                let mut copy = gpu.waiter.device.create_command_encoder(&Default::default());
                copy.copy_buffer_to_buffer(&work.sum, 0, &landing, 0, Some(SUM_BYTES));
                let dispatch = replay::encode(&gpu.waiter.device, "round trip", &work.dispatches, 1);
                let submission = gpu.waiter.queue.submit([dispatch, copy.finish()]);
                let arriving = Arriving::new(landing, SUM_BYTES, submission);
                arriving.take::<u32>(&gpu.waiter).await?;
                landing = arriving.into_buffer();
            }
        }
    }
    gpu.faults.check()
}

/// One dispatch of the kernel, and the buffers it works on.
struct Work {
    /// data: `[length / 16]` vec4 of u32
    data: wgpu::Buffer,
    /// sum: one vec4 of u32
    sum: wgpu::Buffer,
    dispatches: Vec<Dispatch>,
}

impl Work {
    /// Reads a buffer of `length` bytes `passes` times.
    async fn new(gpu: &mut Gpu, length: u64, passes: u32) -> Result<Work, MachineError> {
        let held = gpu.allocator.bytes;
        let data = gpu.allocator.storage("data to stream", length / 4)?;
        let sum = gpu.allocator.storage("a sum", SUM_BYTES / 4)?;
        let count = (length / SUM_BYTES) as u32;
        let threads = THREADS.min(count).next_multiple_of(shader::WORKGROUP);
        let step = Step {
            shader: shader::stream(),
            dims: vec![count, threads, passes, 0],
            bindings: vec![(1, data.clone()), (2, sum.clone())],
            grid: [threads / shader::WORKGROUP, 1, 1],
        };
        let dispatches = replay::build(&mut gpu.allocator, &gpu.waiter.queue, &mut gpu.pipelines, &[step]).await?;
        gpu.allocator.settle().await?;
        gpu.allocator.bytes = held;
        Ok(Work { data, sum, dispatches })
    }
}
