//! A plan → how long each of its dispatches takes: every dispatch in a pass of its own, between two timestamps.
//!
//! Passes keep dispatches from overlapping, so the sum is more than a step takes; what it shows is which kernel the time goes to.

use super::{Gpu, replay};
use crate::plan::{KernelTime, MachineError, PlanId};

/// Dispatches that one set of timestamps holds two each of.
const MAX_TIMED: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

pub(super) async fn time_kernels(gpu: &mut Gpu, plan: PlanId) -> Result<Vec<KernelTime>, MachineError> {
    gpu.faults.check()?;
    let device = &gpu.waiter.device;
    if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
        return Ok(Vec::new());
    }
    let program = &gpu.programs[plan.0];
    if let Some(draws) = &program.draws {
        gpu.write(&draws.steps, 0, bytemuck::cast_slice(&draws.no_steps));
    }
    let tick_us = f64::from(gpu.waiter.queue.get_timestamp_period()) / 1e3;
    let mut times = Vec::with_capacity(program.dispatches.len());
    for dispatches in program.dispatches.chunks(MAX_TIMED) {
        let count = 2 * dispatches.len() as u32;
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count });
        let bytes = u64::from(count) * u64::from(wgpu::QUERY_SIZE);
        let resolved = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("timestamps"),
            size: bytes,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&Default::default());
        for (index, dispatch) in (0..).zip(dispatches) {
            replay::encode_timed(&mut encoder, dispatch, &queries, 2 * index);
        }
        encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
        gpu.waiter.queue.submit([encoder.finish()]);
        let ticks: Vec<u64> = gpu.waiter.read(&resolved, bytes).await?;
        let spans = ticks.as_chunks::<2>().0.iter().map(|[begin, end]| end.saturating_sub(*begin) as f64 * tick_us);
        times.extend(dispatches.iter().zip(spans).map(|(dispatch, us)| KernelTime {
            kernel: dispatch.kernel(),
            grid: dispatch.grid(),
            us,
        }));
    }
    gpu.faults.check()?;
    Ok(times)
}
