//! Reads device memory as fast as the adapter can: the roofline that decoding, which streams the weights, is held against.

use super::{Gpu, ops::Step, replay, shader};
use crate::plan::MachineError;

/// Larger than the caches of most adapters, within the default limits.
const BUFFER_BYTES: u64 = 128 << 20;
/// Enough to fill a large GPU.
const THREADS: u32 = 1 << 16;

/// Reads about `bytes` of a buffer that is made for it, and waits.
pub(super) async fn stream_read(gpu: &mut Gpu, bytes: u64) -> Result<(), MachineError> {
    let held = gpu.allocator.bytes;
    let length = BUFFER_BYTES.min(gpu.allocator.max_bytes()).min(bytes.max(16)).next_multiple_of(16);
    let data = gpu.allocator.storage("data to stream", length / 4)?;
    let total = gpu.allocator.storage("a sum", 4)?;
    let passes = bytes.div_ceil(length).max(1) as u32;
    let threads = THREADS.min((length / 16) as u32).next_multiple_of(shader::WORKGROUP);
    let step = Step {
        shader: shader::stream(),
        dims: vec![(length / 16) as u32, threads, passes, 0],
        bindings: vec![(1, data), (2, total)],
        grid: [threads / shader::WORKGROUP, 1, 1],
    };
    let dispatches = replay::build(&mut gpu.allocator, &gpu.waiter.queue, &mut gpu.pipelines, &[step]).await?;
    gpu.allocator.settle().await?;
    gpu.allocator.bytes = held;
    let commands = replay::encode(&gpu.waiter.device, "stream", &dispatches);
    gpu.waiter.queue.submit([commands]);
    gpu.waiter.drain().await?;
    gpu.faults.check()
}
