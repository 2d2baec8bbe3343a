//! The same plan on two machines: what ops and plan_gpu share.

use kinglet::gpu::{Gpu, GpuOptions, Variant};
use kinglet::plan::*;
use kinglet::quant::{Layout, Planes, stride};
use pollster::block_on;
use std::ops::Range;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Of -1 to 1.
    pub fn float(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
}

/// Random planes of so many plane rows. Halves include subnormals.
pub fn random_planes(random: &mut Random, layout: Layout, rows: u32, cols: u32) -> Planes {
    let words = (rows * layout.code_words(cols)) as usize;
    let codes = match layout {
        Layout::F32 | Layout::F16 | Layout::BF16 => (0..rows).flat_map(|_| float_row(random, layout, cols)).collect(),
        _ => (0..words).map(|_| random.word() as u32).collect(),
    };
    Planes { codes, scales: random.floats((rows * layout.scale_words(cols)) as usize) }
}

fn float_row(random: &mut Random, layout: Layout, cols: u32) -> Vec<u32> {
    let mut row = vec![0f32; stride(cols) as usize];
    for value in &mut row[..cols as usize] {
        *value = random.float();
        if layout == Layout::F16 && random.word().is_multiple_of(4) {
            *value *= 6e-5; // largest subnormal
        }
    }
    let half = |value: f32| match layout {
        Layout::F16 => u32::from(half::f16::from_f32(value).to_bits()),
        _ => u32::from(half::bf16::from_f32(value).to_bits()),
    };
    match layout {
        Layout::F32 => row.iter().map(|value| value.to_bits()).collect(),
        _ => row.chunks(2).map(|pair| half(pair[0]) | half(pair[1]) << 16).collect(),
    }
}

/// Adds a matrix of random pieces, each written in two runs of rows.
pub fn add_matrix(machine: &mut dyn Machine, random: &mut Random, cols: u32, gated: bool, pieces: &[(Layout, Range<u32>)]) -> WeightId {
    let pieces: Vec<Piece> = pieces.iter().map(|(layout, rows)| Piece { layout: *layout, rows: rows.clone() }).collect();
    let rows = pieces.last().map_or(0, |piece| piece.rows.end);
    let spec = WeightSpec { name: "random".to_string(), rows, cols, gated, pieces: pieces.clone() };
    let weight = machine.add_weight(&spec).unwrap();
    for (index, piece) in pieces.iter().enumerate() {
        let plane_rows = (piece.rows.end - piece.rows.start) * if gated { 2 } else { 1 };
        let split = plane_rows / 3;
        for (first, count) in [(0, split), (split, plane_rows - split)] {
            let planes = random_planes(random, piece.layout, count, cols);
            machine.write_weight(weight, index, first, &planes);
        }
    }
    weight
}

/// A row at a position of its own slot.
pub fn row(token: u32, slot: u32, position: u32) -> Row {
    Row { token, slot, position, limit: u32::MAX, active: 1, ban: NO_TOKEN, draft: slot, ..Row::default() }
}

pub const GREEDY: Sampling = Sampling {
    seed_low: 1,
    seed_high: 2,
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

/// A device for tests: any adapter, unless the environment names one. None if there is none and none is required.
pub fn open(variant: Option<Variant>) -> Option<Gpu> {
    let adapter = std::env::var("WGPU_ADAPTER_NAME").ok();
    match block_on(Gpu::open(GpuOptions { adapter, variant, ..GpuOptions::default() })) {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            let lacks_subgroups = error.to_string().contains("has no subgroups");
            assert!(lacks_subgroups || std::env::var("REQUIRE_GPU").is_err(), "REQUIRE_GPU is set, but: {error}");
            println!("skipped: {error}");
            None
        }
    }
}

/// Tells which device a test ran on.
pub fn report(gpu: &Gpu, cases: usize) {
    let device = gpu.device();
    println!("{cases} cases on {} ({}), {}, {} pipelines", device.adapter, device.kind, device.variants, gpu.num_pipelines());
}

/// Differences beyond `tolerance * scale` fail with the worst one, `scale` being the largest magnitude wanted.
#[track_caller]
pub fn assert_close(context: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{context}: lengths");
    let scale = want.iter().fold(1f32, |scale, value| scale.max(value.abs()));
    let error = |i: &usize| if (got[*i] - want[*i]).is_nan() { f32::INFINITY } else { (got[*i] - want[*i]).abs() };
    let worst = (0..want.len()).max_by(|a, b| error(a).total_cmp(&error(b)));
    if let Some(worst) = worst {
        let limit = tolerance * scale;
        assert!(error(&worst) <= limit, "{context}: index {worst}: got {}, want {}, allowed {limit:e}", got[worst], want[worst]);
    }
}
