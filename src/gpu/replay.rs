//! A plan as dispatches that were built once, and the few lines that replay them.

use super::ops::Step;
use super::readback::staging;
use super::shader::Pipelines;
use super::tensor::Allocator;
use crate::plan::{MAX_STEPS, MachineError, Sampled};

/// One dispatch, ready to be encoded.
pub(super) struct Dispatch {
    kernel: &'static str,
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    grid: [u32; 3],
}

/// A compiled plan.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Rows that the plan was made for.
    pub(super) num_rows: u32,
    /// Activations: `[rows, stride]` f32 each, and their unpadded widths.
    pub(super) buffers: Vec<(wgpu::Buffer, u32)>,
    /// rows: `[rows]` Row
    pub(super) rows: wgpu::Buffer,
    pub(super) dispatches: Vec<Dispatch>,
    /// If the plan samples.
    pub(super) draws: Option<Draws>,
}

/// Where a plan's draws gather.
pub(super) struct Draws {
    /// steps: `[rows]` u32, steps done in this submission.
    pub(super) steps: wgpu::Buffer,
    /// What `steps` is reset to by each submission, made once.
    pub(super) no_steps: Vec<u32>,
    /// sampled: `[MAX_STEPS, rows]` Sampled
    pub(super) sampled: wgpu::Buffer,
    /// Staging buffers that no submission is using.
    pub(super) staging: Vec<wgpu::Buffer>,
}

/// Staging buffers a plan: submissions that may be in flight without an allocation.
const NUM_STAGING: usize = 4;

impl Draws {
    pub(super) fn new(allocator: &mut Allocator, num_rows: u32) -> Result<Draws, MachineError> {
        let sampled = allocator.storage("draws", u64::from(MAX_STEPS * num_rows) * size_of::<Sampled>() as u64 / 4)?;
        Ok(Draws {
            steps: allocator.storage("step counters", u64::from(num_rows))?,
            no_steps: vec![0; num_rows as usize],
            staging: (0..NUM_STAGING).map(|_| staging(&allocator.device, sampled.size())).collect(),
            sampled,
        })
    }

    /// A staging buffer, and how many bytes of it the steps fill.
    pub(super) fn take_staging(&mut self, device: &wgpu::Device, steps: u32) -> (wgpu::Buffer, u64) {
        let buffer = self.staging.pop().unwrap_or_else(|| staging(device, self.sampled.size()));
        (buffer, self.sampled.size() / u64::from(MAX_STEPS) * u64::from(steps))
    }
}

impl Program {
    /// Records the plan `steps` times, then the copy of so many bytes of its draws, if that is asked for.
    pub(super) fn encode(&self, device: &wgpu::Device, steps: u32, draws_to: Option<&(wgpu::Buffer, u64)>) -> wgpu::CommandBuffer {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(self.name) });
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(self.name), timestamp_writes: None });
        for _ in 0..steps {
            replay(&mut pass, &self.dispatches);
        }
        drop(pass);
        if let (Some(draws), Some((staging, bytes))) = (&self.draws, draws_to) {
            encoder.copy_buffer_to_buffer(&draws.sampled, 0, staging, 0, Some(*bytes));
        }
        encoder.finish()
    }
}

/// The replay loop.
fn replay(pass: &mut wgpu::ComputePass<'_>, dispatches: &[Dispatch]) {
    for dispatch in dispatches {
        pass.set_pipeline(&dispatch.pipeline);
        pass.set_bind_group(0, &dispatch.bind_group, &[]);
        pass.dispatch_workgroups(dispatch.grid[0], dispatch.grid[1], dispatch.grid[2]);
    }
}

/// Records dispatches so many times, in a pass of their own.
pub(super) fn encode(device: &wgpu::Device, name: &str, dispatches: &[Dispatch], times: u64) -> wgpu::CommandBuffer {
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some(name) });
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(name), timestamp_writes: None });
    for _ in 0..times {
        replay(&mut pass, dispatches);
    }
    drop(pass);
    encoder.finish()
}

/// Records one dispatch in a pass of its own, with timestamps at its begin and end.
pub(super) fn encode_timed(encoder: &mut wgpu::CommandEncoder, dispatch: &Dispatch, queries: &wgpu::QuerySet, first: u32) {
    let timestamp_writes = Some(wgpu::ComputePassTimestampWrites {
        query_set: queries,
        beginning_of_pass_write_index: Some(first),
        end_of_pass_write_index: Some(first + 1),
    });
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(dispatch.kernel), timestamp_writes });
    replay(&mut pass, std::slice::from_ref(dispatch));
}

/// Uniforms lie this far apart, as the default limits ask.
const UNIFORM_STRIDE: u64 = 256;

/// Makes pipelines and bind groups for steps; their uniforms share one buffer. What the device says of the bind groups is awaited for all
/// together: a browser answers each scope from another process.
pub(super) async fn build(
    allocator: &mut Allocator,
    queue: &wgpu::Queue,
    pipelines: &mut Pipelines,
    steps: &[Step],
) -> Result<Vec<Dispatch>, MachineError> {
    let uniforms = allocator.uniform("kernel dimensions", steps.len() as u64 * UNIFORM_STRIDE)?;
    let mut dispatches = Vec::with_capacity(steps.len());
    let mut verdicts = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let pipeline = pipelines.get(&allocator.device, &step.shader).await?;
        let offset = index as u64 * UNIFORM_STRIDE;
        queue.write_buffer(&uniforms, offset, bytemuck::cast_slice(&step.dims));
        let size = wgpu::BufferSize::new(step.dims.len() as u64 * 4);
        let dims = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &uniforms, offset, size });
        let dims = wgpu::BindGroupEntry { binding: 0, resource: dims };
        let others =
            step.bindings.iter().map(|(binding, buffer)| wgpu::BindGroupEntry { binding: *binding, resource: buffer.as_entire_binding() });
        let entries: Vec<wgpu::BindGroupEntry<'_>> = std::iter::once(dims).chain(others).collect();
        let layout = pipeline.get_bind_group_layout(0);
        let scope = allocator.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let description = wgpu::BindGroupDescriptor { label: Some(step.shader.kernel), layout: &layout, entries: &entries };
        let bind_group = allocator.device.create_bind_group(&description);
        verdicts.push(scope.pop());
        dispatches.push(Dispatch { kernel: step.shader.kernel, pipeline, bind_group, grid: step.grid });
    }
    for (verdict, step) in verdicts.into_iter().zip(steps) {
        if let Some(error) = verdict.await {
            return Err(MachineError::Kernel { kernel: step.shader.name(), reason: error.to_string() });
        }
    }
    Ok(dispatches)
}

impl Dispatch {
    /// The kernel's name.
    pub(super) fn kernel(&self) -> &'static str {
        self.kernel
    }

    /// Workgroups.
    pub(super) fn grid(&self) -> [u32; 3] {
        self.grid
    }
}
