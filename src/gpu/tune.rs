//! Candidates → the set of kernels that this very device runs fastest, by timing them on the model's largest matrix.
//!
//! All candidates add in the same order, so that the choice, which differs from run to run where two are as fast, changes no draft. Hosts
//! may keep it for the next load (`GpuOptions::chosen_before`).

use super::{
    Gpu,
    device::{GpuOptions, Variant},
};
use crate::plan::{Activation, Buffer, BufferId, MachineError, Norm, Op, Plan, PlanId, Row, Then, VectorId, WeightId};
use crate::quant::{Layout, stride};

/// The plain set first: the others must compute its bits, and be faster by more than `MARGIN`.
const CANDIDATES: [Variant; 4] = [Variant::Lanes, Variant::LanesWide, Variant::Subgroups, Variant::SubgroupsWide];
/// What timings of one kernel differ by anyway.
const MARGIN: f64 = 0.95;
/// Bytes of weights read by the replays that are timed together, so that they outlast the wait for them, and how often that is done; the
/// shortest time counts.
const BYTES: u64 = 128 << 20;
const ROUNDS: usize = 3;

const X: BufferId = BufferId(0);
const Y: BufferId = BufferId(1);

/// What was chosen for this adapter before, if it is a set that the device can run.
pub(super) fn chosen_before(options: &GpuOptions, adapter: &str, device: &wgpu::Device) -> Option<Variant> {
    let id = options.chosen_before.get(adapter)?;
    let known = CANDIDATES.into_iter().find(|candidate| candidate.id() == id)?;
    (!known.uses_subgroups() || device.features().contains(wgpu::Features::SUBGROUP)).then_some(known)
}

impl Gpu {
    /// Before the weights are written: times the kernels that decode on the largest matrix added so far, with values made up, and takes the
    /// fastest of those that compute the same bits as the plain ones; plans compiled from then on run them. Returns the milliseconds of each set, none for those that do not.
    ///
    /// # Errors
    /// If the device fails.
    pub async fn tune(&mut self, clock: &dyn Fn() -> f64) -> Result<Vec<(Variant, Option<f64>)>, MachineError> {
        let Some((plan, bytes)) = plan(self) else { return Ok(Vec::new()) };
        fill(self, &plan);
        let replays = (BYTES / bytes).clamp(4, 64) as u32;
        let (held, num_programs) = (self.allocator.bytes, self.programs.len());
        let times = time_all(self, &plan, replays, clock).await;
        self.programs.truncate(num_programs);
        self.allocator.bytes = held;
        let times = times?;
        let plain = times[0].1.unwrap_or(f64::INFINITY);
        let computed = times.iter().filter_map(|(variant, ms)| Some((*variant, (*ms)?)));
        let fastest = computed.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|(_, ms)| *ms < MARGIN * plain);
        self.variant = fastest.map_or(CANDIDATES[0], |(variant, _)| variant);
        self.info.variants = self.variant.id().to_string();
        Ok(times)
    }
}

/// The largest matrix times one row, normed as in the models' plans where there is a gain for it; and the matrix's bytes.
fn plan(gpu: &Gpu) -> Option<(Plan, u64)> {
    let size = |index: &usize| gpu.weights[*index].pieces.iter().map(|piece| piece.codes.size()).sum::<u64>();
    let largest = (0..gpu.weights.len()).max_by_key(size)?;
    let spec = &gpu.weights[largest].spec;
    let gain = gpu.vectors.iter().position(|vector| vector.size() >= 4 * u64::from(stride(spec.cols)));
    let norm = gain.map(|gain| Norm { gain: VectorId(gain), eps: 1e-5 });
    let then = if spec.gated { Then::Gate(Activation::Silu) } else { Then::Store };
    let buffers = vec![Buffer { name: "x", width: spec.cols }, Buffer { name: "y", width: spec.rows }];
    let linear = Op::Linear { weight: WeightId(largest), x: X, norm, bias: None, y: Y, then };
    Some((Plan { name: "tuning", rows: 1, buffers, ops: vec![linear] }, size(&largest).max(1)))
}

/// Makes up the values of the plan's matrix and gain, so that bits can differ.
fn fill(gpu: &Gpu, plan: &Plan) {
    /// Words written at once.
    const WORDS: usize = 1 << 18;
    let [Op::Linear { weight, norm, .. }] = &plan.ops[..] else { return };
    let weight = &gpu.weights[weight.0];
    let cover = |buffer: &wgpu::Buffer, word: &dyn Fn(u32) -> u32| {
        let words = (buffer.size() / 4) as usize;
        let pattern: Vec<u32> = (0..words.min(WORDS) as u32).map(|i| word(i.wrapping_mul(2_654_435_761))).collect();
        for first in (0..words).step_by(WORDS) {
            gpu.write(buffer, 4 * first as u64, bytemuck::cast_slice(&pattern[..pattern.len().min(words - first)]));
        }
    };
    for (piece, planes) in weight.spec.pieces.iter().zip(&weight.pieces) {
        match piece.layout {
            // Between 0.5 and 1, and between 0.5 and 2.
            Layout::F32 => cover(&planes.codes, &|random| 0x3f00_0000 | random >> 9),
            Layout::F16 => cover(&planes.codes, &|random| 0x3800_3800 | random & 0x07ff_07ff),
            Layout::BF16 => cover(&planes.codes, &|random| 0x3f00_3f00 | random & 0x00ff_00ff),
            Layout::I8 { .. } | Layout::I4 | Layout::I4M => cover(&planes.codes, &|random| random),
        }
        if let Some(scales) = &planes.scales {
            cover(scales, &|random| 0x3f00_0000 | random >> 9);
        }
    }
    if let Some(norm) = norm {
        cover(&gpu.vectors[norm.gain.0], &|random| 0x3f00_0000 | random >> 9);
    }
}

async fn time_all(gpu: &mut Gpu, plan: &Plan, replays: u32, clock: &dyn Fn() -> f64) -> Result<Vec<(Variant, Option<f64>)>, MachineError> {
    let mut correct: Vec<(Variant, Option<PlanId>)> = Vec::new();
    let mut plain = Vec::new();
    for variant in CANDIDATES {
        if variant.uses_subgroups() && !gpu.waiter.device.features().contains(wgpu::Features::SUBGROUP) {
            correct.push((variant, None));
            continue;
        }
        match first_run(gpu, variant, plan).await {
            Ok((id, bits)) if variant == CANDIDATES[0] => {
                plain = bits;
                correct.push((variant, Some(id)));
            }
            Ok((id, bits)) => correct.push((variant, (bits == plain).then_some(id))),
            // A set that the device refuses is one that is not chosen; without the plain one there is nothing to choose from.
            Err(MachineError::Kernel { .. }) if variant != CANDIDATES[0] => correct.push((variant, None)),
            Err(error) => return Err(error),
        }
    }
    let mut times: Vec<(Variant, Option<f64>)> = correct.iter().map(|(variant, id)| (*variant, id.map(|_| f64::INFINITY))).collect();
    for _ in 0..ROUNDS {
        for ((_, id), (_, best)) in correct.iter().zip(&mut times) {
            let (Some(id), Some(best)) = (id, best) else { continue };
            let start = clock();
            gpu.replay(*id, replays, None);
            gpu.waiter.drain().await?;
            *best = best.min(clock() - start);
        }
    }
    gpu.faults.check()?;
    Ok(times)
}

/// Compiles the plan for a set of kernels and runs it once: the bits of y.
async fn first_run(gpu: &mut Gpu, variant: Variant, plan: &Plan) -> Result<(PlanId, Vec<u32>), MachineError> {
    gpu.variant = variant;
    let id = gpu.compile_plan(plan).await?;
    let program = &gpu.programs[id.0];
    gpu.write(&program.rows, 0, bytemuck::bytes_of(&Row { active: 1, ..Row::default() }));
    let x: Vec<f32> = (0..plan.buffers[X.0].width).map(|i| (i * 37 % 101) as f32 / 50.5 - 1.0).collect();
    gpu.write(&program.buffers[X.0].0, 0, bytemuck::cast_slice(&x));
    gpu.replay(id, 1, None);
    let y = gpu.read_buffer(id, Y).await?;
    Ok((id, y.into_iter().map(f32::to_bits).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_made_before_is_taken_if_the_device_can_run_it() {
        let gpu = Gpu::noop(GpuOptions::default());
        let chosen = |id: &str| {
            let chosen_before = [("this one".to_string(), id.to_string()), ("another".to_string(), "wgsl-lanes".to_string())].into();
            super::chosen_before(&GpuOptions { chosen_before, ..GpuOptions::default() }, "this one", &gpu.waiter.device)
        };
        assert_eq!(chosen("wgsl-lanes-128"), Some(Variant::LanesWide));
        let has_subgroups = gpu.waiter.device.features().contains(wgpu::Features::SUBGROUP);
        assert_eq!(chosen("wgsl-subgroups").is_some(), has_subgroups);
        for id in ["wgsl-threads", "rubbish", ""] {
            assert_eq!(chosen(id), None, "{id:?} is none that is chosen between");
        }
    }
}
