//! Matrices, shared state and activations as device buffers.
//!
//! Every allocation is checked against the device's limits at once; what only the device can know (is there memory?) comes back later
//! and is awaited in `Allocator::settle`.

use super::device::Faults;
use crate::LocalFuture;
use crate::plan::{MachineError, MemorySpec, Sampling, WeightSpec};

/// Makes buffers and counts their bytes.
pub(super) struct Allocator {
    pub(super) device: wgpu::Device,
    pub(super) bytes: u64,
    faults: Faults,
    max_bytes: u64,
    pending: Vec<Pending>,
}

/// An allocation that the device has not confirmed yet.
struct Pending {
    what: String,
    bytes: u64,
    error: LocalFuture<'static, Option<wgpu::Error>>,
}

impl Allocator {
    pub(super) fn new(device: wgpu::Device, faults: Faults) -> Allocator {
        let limits = device.limits();
        let max_bytes = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        Allocator { device, bytes: 0, faults, max_bytes, pending: Vec::new() }
    }

    /// Most bytes of one buffer.
    pub(super) fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// A zeroed storage buffer of so many u32 or f32.
    pub(super) fn storage(&mut self, what: &str, words: u64) -> Result<wgpu::Buffer, MachineError> {
        self.buffer(what, words.saturating_mul(4), wgpu::BufferUsages::STORAGE)
    }

    /// A zeroed uniform buffer.
    pub(super) fn uniform(&mut self, what: &str, bytes: u64) -> Result<wgpu::Buffer, MachineError> {
        self.buffer(what, bytes, wgpu::BufferUsages::UNIFORM)
    }

    fn buffer(&mut self, what: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer, MachineError> {
        self.faults.check()?;
        // Bindings may not be empty, and the widest element that a kernel reads has 16 bytes.
        let bytes = bytes.next_multiple_of(16).max(16);
        if bytes > self.max_bytes {
            let reason = format!("one buffer holds at most {} bytes", self.max_bytes);
            return Err(MachineError::OutOfMemory { what: what.to_string(), bytes, reason });
        }
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let usage = usage | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let buffer =
            self.device.create_buffer(&wgpu::BufferDescriptor { label: Some(what), size: bytes, usage, mapped_at_creation: false });
        let (validation, memory) = (validation.pop(), memory.pop());
        let error = Box::pin(async move { validation.await.or(memory.await) });
        self.pending.push(Pending { what: what.to_string(), bytes, error });
        self.bytes += bytes;
        Ok(buffer)
    }

    /// Waits until the device has confirmed every allocation.
    pub(super) async fn settle(&mut self) -> Result<(), MachineError> {
        for Pending { what, bytes, error } in std::mem::take(&mut self.pending) {
            if let Some(error) = error.await {
                let error = MachineError::OutOfMemory { what, bytes, reason: error.to_string() };
                self.faults.put(error);
            }
        }
        self.faults.check()
    }
}

/// A matrix on the device.
pub(super) struct Weight {
    pub(super) spec: WeightSpec,
    /// In the order of `spec.pieces`.
    pub(super) pieces: Vec<PlaneBuffers>,
}

/// The planes of one piece.
pub(super) struct PlaneBuffers {
    /// codes: `[plane rows, code_words]` u32
    pub(super) codes: wgpu::Buffer,
    /// scales: `[plane rows, scale_words]` f32, if the layout has any.
    pub(super) scales: Option<wgpu::Buffer>,
}

impl Weight {
    pub(super) fn new(allocator: &mut Allocator, spec: &WeightSpec) -> Result<Weight, MachineError> {
        let mut pieces = Vec::new();
        for piece in &spec.pieces {
            let rows = u64::from(piece.rows.end - piece.rows.start) * if spec.gated { 2 } else { 1 };
            let codes = allocator.storage(&spec.name, rows * u64::from(piece.layout.code_words(spec.cols)))?;
            let scale_words = u64::from(piece.layout.scale_words(spec.cols));
            let scales = match scale_words {
                0 => None,
                words => Some(allocator.storage(&spec.name, rows * words)?),
            };
            pieces.push(PlaneBuffers { codes, scales });
        }
        Ok(Weight { spec: spec.clone(), pieces })
    }
}

/// What plans share.
pub(super) struct Memory {
    pub(super) spec: MemorySpec,
    /// k: `[slots, max_seq, kv_heads, head_dim]` f32, one buffer per layer.
    pub(super) k: Vec<wgpu::Buffer>,
    /// v: as k.
    pub(super) v: Vec<wgpu::Buffer>,
    /// turns: `[max_seq, head_dim / 2]` (cos, sin)
    pub(super) turns: wgpu::Buffer,
    /// history: `[slots, max_seq + 1]` u32
    pub(super) history: wgpu::Buffer,
    /// mask: `[2, ceil(vocab_size / 32)]` u32
    pub(super) mask: wgpu::Buffer,
    /// A [`Sampling`].
    pub(super) sampling: wgpu::Buffer,
}

impl Memory {
    pub(super) fn new(allocator: &mut Allocator, spec: &MemorySpec) -> Result<Memory, MachineError> {
        let positions = u64::from(spec.slots) * u64::from(spec.max_seq);
        let cache_words = positions * u64::from(spec.num_key_value_heads) * u64::from(spec.head_dim);
        let mut cache = |what| (0..spec.num_layers).map(|_| allocator.storage(what, cache_words)).collect::<Result<Vec<_>, _>>();
        let (k, v) = (cache("the key cache")?, cache("the value cache")?);
        Ok(Memory {
            spec: spec.clone(),
            k,
            v,
            turns: allocator.storage("the rotary table", spec.rope.len() as u64)?,
            history: allocator.storage("the token history", u64::from(spec.slots) * (u64::from(spec.max_seq) + 1))?,
            mask: allocator.storage("the token mask", 2 * u64::from(spec.vocab_size.div_ceil(32)))?,
            sampling: allocator.uniform("the sampling parameters", size_of::<Sampling>() as u64)?,
        })
    }
}
