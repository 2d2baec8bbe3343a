//! Whole plans on the GPU: the decoder's operations end to end, submissions in flight, and what a plan costs.

use crate::machines::*;
use kinglet::cpu::Cpu;
use kinglet::gpu::{Gpu, GpuOptions, Variant};
use kinglet::plan::*;
use kinglet::quant::Layout;
use pollster::block_on;
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

const I8: Layout = Layout::I8 { group: 32 };
const LAYERS: u32 = 3;
const HIDDEN: u32 = 64;
const FFN: u32 = 160;
const VOCAB: u32 = 389;
const HEADS: Heads = Heads { num_attention_heads: 4, num_key_value_heads: 2, head_dim: 16, pairing: Pairing::Halves };
/// Decoding plans sample; a prefill plan has no head.
const DECODE: bool = true;

/// A random decoder, small but with every operation.
struct Decoder {
    table: WeightId,
    head: WeightId,
    /// (qkv, o, gate and up, down, gain of the first norm, of the second) by layer.
    layers: Vec<[usize; 6]>,
}

impl Decoder {
    fn new(machine: &mut dyn Machine, max_seq: u32) -> Decoder {
        let random = &mut Random(2);
        let mut gain = |machine: &mut dyn Machine| machine.add_vector(&random.floats(HIDDEN as usize)).unwrap().0;
        let gains: Vec<[usize; 2]> = (0..LAYERS).map(|_| [gain(machine), gain(machine)]).collect();
        let random = &mut Random(3);
        let mut matrix = |machine: &mut dyn Machine, rows: u32, cols, gated| add_matrix(machine, random, cols, gated, &[(I8, 0..rows)]).0;
        let layers = gains
            .iter()
            .map(|[first, second]| {
                let qkv = matrix(machine, HIDDEN + 2 * 32, HIDDEN, false);
                let o = matrix(machine, HIDDEN, HIDDEN, false);
                let gate_up = matrix(machine, FFN, HIDDEN, true);
                [qkv, o, gate_up, matrix(machine, HIDDEN, FFN, false), *first, *second]
            })
            .collect();
        let table = WeightId(matrix(machine, VOCAB, HIDDEN, false));
        let head = WeightId(matrix(machine, VOCAB, HIDDEN, false));
        let turns = (0..max_seq * HEADS.head_dim / 2).flat_map(|i| {
            let angle = i as f32 * 0.37;
            [angle.cos(), angle.sin()]
        });
        let (num_key_value_heads, head_dim) = (HEADS.num_key_value_heads, HEADS.head_dim);
        let rope = turns.collect();
        machine
            .set_memory(&MemorySpec { num_layers: LAYERS, slots: 4, max_seq, num_key_value_heads, head_dim, rope, vocab_size: VOCAB })
            .unwrap();
        machine.write_sampling(&GREEDY);
        Decoder { table, head, layers }
    }

    fn plan(&self, rows: u32, decode: bool) -> Plan {
        let widths = [("x", HIDDEN), ("qkv", HIDDEN + 64), ("q", HIDDEN), ("attn", HIDDEN), ("ffn", FFN), ("logits", VOCAB)];
        let [x, qkv, q, attn, ffn, logits] = [0, 1, 2, 3, 4, 5].map(BufferId);
        let mut ops = vec![Op::Embed { table: self.table, x }];
        let linear = |weight, x, gain: Option<usize>, y, then| {
            let norm = gain.map(|gain| Norm { gain: VectorId(gain), eps: 1e-5 });
            Op::Linear { weight: WeightId(weight), x, norm, bias: None, y, then }
        };
        for (layer, weights) in self.layers.iter().enumerate() {
            let layer = layer as u32;
            ops.extend([
                linear(weights[0], x, Some(weights[4]), qkv, Then::Store),
                Op::Rope { qkv, q, layer, heads: HEADS },
                Op::Attention { q, out: attn, layer, heads: HEADS },
                linear(weights[1], attn, None, x, Then::Add),
                linear(weights[2], x, Some(weights[5]), ffn, Then::Gate(Activation::Silu)),
                linear(weights[3], ffn, None, x, Then::Add),
            ]);
        }
        if decode {
            ops.extend([linear(self.head.0, x, Some(self.layers[0][4]), logits, Then::Store), Op::Sample { logits }]);
        }
        let buffers = widths.map(|(name, width)| Buffer { name, width }).to_vec();
        Plan { name: if decode { "decode" } else { "prefill" }, rows, buffers, ops }
    }
}

/// Prefills 20 tokens of slot 0, then decodes three drafts that share them, `flight` steps a submission and two submissions in flight.
fn write(machine: &mut dyn Machine, flight: u32) -> Vec<u32> {
    let decoder = Decoder::new(machine, 64);
    let prefill = block_on(machine.compile(&decoder.plan(16, !DECODE))).unwrap();
    let decode = block_on(machine.compile(&decoder.plan(3, DECODE))).unwrap();
    let prompt: Vec<u32> = (0..21).map(|i| (37 * i + 5) % VOCAB).collect();
    for first in [0, 16] {
        let chunk = |i: u32| Row { active: u32::from(i < 20), ..row(prompt[i.min(20) as usize], 0, i) };
        machine.write_rows(prefill, 0, &(first..first + 16).map(chunk).collect::<Vec<_>>());
        block_on(machine.run(prefill)).unwrap();
    }
    let draft = |slot: u32| Row { prefix_slot: 0, prefix_len: 20, limit: 20 + 12 + slot, ..row(prompt[20] + slot, slot, 20) };
    machine.write_history(0, 0, &prompt);
    machine.write_sampling(&Sampling { temperature: 0.7, top_k: 20, repetition_penalty: 1.2, ..GREEDY });
    machine.write_rows(decode, 0, &[draft(0), draft(1), draft(2)]);
    let mut tokens = Vec::new();
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..16 / flight {
        waiting.push_back(machine.submit(decode, flight));
        if waiting.len() == 2 {
            tokens.extend(block_on(machine.finish(waiting.pop_front().unwrap())).unwrap());
        }
    }
    for ticket in waiting {
        tokens.extend(block_on(machine.finish(ticket)).unwrap());
    }
    tokens.iter().map(|drawn| drawn.token).collect()
}

#[test]
fn drafts_on_gpu_are_the_cpus_whatever_the_flight() {
    let want = write(&mut Cpu::new(None), 1);
    assert_eq!(want.iter().filter(|token| **token != NO_TOKEN).count(), 12 + 13 + 14, "each draft ends at its limit");
    for (variant, flight) in [(Variant::Threads, 1), (Variant::Threads, 2), (Variant::Threads, 8), (Variant::Lanes, 4)] {
        let Some(mut gpu) = open(Some(variant)) else { return };
        assert_eq!(write(&mut gpu, flight), want, "{variant:?}, {flight} steps a submission");
        report(&gpu, 1);
    }
}

#[test]
fn the_fastest_kernels_are_taken_and_write_the_same() {
    let want = write(&mut Cpu::new(None), 1);
    if open(Some(Variant::Subgroups)).is_none() {
        return;
    }
    for (fastest, id) in ["wgsl-lanes", "wgsl-lanes-128", "wgsl-subgroups", "wgsl-subgroups-128"].into_iter().enumerate() {
        let Some(mut gpu) = open(Some(Variant::LanesUnfused)) else { return };
        Decoder::new(&mut gpu, 64);
        // A clock by which each of the four candidates takes 10 ms but one.
        let (calls, now) = (Cell::new(0), Cell::new(0.0));
        let clock = || {
            let ends = calls.get() % 2 == 1;
            let ms = if calls.get() / 2 % 4 == fastest { 9.0 } else { 10.0 };
            now.set(now.get() + if ends { ms } else { 0.0 });
            calls.set(calls.get() + 1);
            now.get()
        };
        let times = block_on(gpu.tune(&clock)).unwrap();
        assert!(times.iter().all(|(_, ms)| ms.is_some()), "every candidate computes the same bits: {times:?}");
        assert_eq!(gpu.device().variants, id);
        assert_eq!(write(&mut gpu, 4), want, "{id}");
        report(&gpu, 1);
    }
}

#[test]
fn kernels_that_are_hardly_faster_are_not_taken() {
    let Some(mut gpu) = open(Some(Variant::LanesUnfused)) else { return };
    Decoder::new(&mut gpu, 64);
    let (calls, now) = (Cell::new(0.0), Cell::new(0.0));
    let clock = || {
        // Shorter and shorter, but by less than 5 % over all.
        calls.set(calls.get() + 1.0);
        now.set(now.get() + 1.0 - calls.get() / 1000.0);
        now.get()
    };
    block_on(gpu.tune(&clock)).unwrap();
    assert_eq!(gpu.device().variants, "wgsl-lanes");
    report(&gpu, 1);
}

#[test]
fn a_rewind_in_flight_gives_what_stepwise_decoding_gives() {
    let Some(mut gpu) = open(None) else { return };
    let decoder = Decoder::new(&mut gpu, 64);
    let decode = block_on(gpu.compile(&decoder.plan(1, DECODE))).unwrap();
    let start = Row { limit: 60, ..row(7, 0, 0) };
    gpu.write_sampling(&Sampling { temperature: 0.9, repetition_penalty: 1.3, ..GREEDY });
    gpu.write_history(0, 0, &[7]);
    gpu.write_rows(decode, 0, &[start]);
    let ticket = gpu.submit(decode, 8);
    let first = block_on(gpu.finish(ticket)).unwrap();
    for distance in 1..8usize {
        let kept = 8 - distance;
        let back = Row { token: first[kept - 1].token, position: kept as u32, epoch: distance as u32, attempt: 1, ..start };
        // Two submissions run ahead while the host decides to go back.
        let ahead = [gpu.submit(decode, 2), gpu.submit(decode, 3)];
        gpu.write_rows(decode, 0, &[back]);
        let together = gpu.submit(decode, 4);
        for (ticket, steps) in ahead.into_iter().zip([2, 3]) {
            let stale = block_on(gpu.finish(ticket)).unwrap();
            assert_eq!(stale.len(), steps);
            assert!(stale.iter().all(|drawn| drawn.epoch != distance as u32), "draws from before the rewind keep their epoch");
        }
        let together = block_on(gpu.finish(together)).unwrap();
        gpu.write_rows(decode, 0, &[back]);
        let stepwise: Vec<Sampled> = (0..4)
            .flat_map(|_| {
                let ticket = gpu.submit(decode, 1);
                block_on(gpu.finish(ticket)).unwrap()
            })
            .collect();
        assert_eq!(together, stepwise, "rewound by {distance}");
        gpu.write_rows(decode, 0, &[start]);
        let again = gpu.submit(decode, 8);
        assert_eq!(block_on(gpu.finish(again)).unwrap(), first, "after a rewind by {distance}, from the start");
    }
    report(&gpu, 7);
}

#[test]
fn dispatches_and_pipelines_stay_in_budget() {
    // Positions, per layer and beside the layers, pipelines for decoding 1, 4 and 8 rows and prefill together.
    let budgets = [
        (Variant::Threads, 64, 8, 6, 9),
        (Variant::Threads, 2048, 8, 6, 9),
        (Variant::Lanes, 1024, 6, 4, 14),
        (Variant::Lanes, 2048, 8, 6, 15),
    ];
    for (variant, max_seq, per_layer, beside, num_pipelines) in budgets {
        let mut gpu = Gpu::noop(GpuOptions { variant: Some(variant), ..GpuOptions::default() });
        let decoder = Decoder::new(&mut gpu, max_seq);
        for rows in [1, 4, 8] {
            let decode = block_on(gpu.compile(&decoder.plan(rows, DECODE))).unwrap();
            let kernels = gpu.kernels(decode);
            assert!(gpu.num_dispatches(decode) <= (LAYERS * per_layer + beside) as usize, "{variant:?}: {kernels:?}");
        }
        let prefill = block_on(gpu.compile(&decoder.plan(64, !DECODE))).unwrap();
        assert!(gpu.num_dispatches(prefill) <= (LAYERS * per_layer + beside) as usize);
        assert!(gpu.num_pipelines() <= num_pipelines, "{variant:?}: {} pipelines", gpu.num_pipelines());
    }
}

#[test]
fn what_does_not_fit_is_out_of_memory() {
    let mut gpu = Gpu::noop(GpuOptions::default());
    let pieces = vec![Piece { layout: Layout::F32, rows: 0..70_000 }];
    let spec = WeightSpec { name: "too large".to_string(), rows: 70_000, cols: 512, gated: false, pieces };
    let error = gpu.add_weight(&spec).unwrap_err();
    assert!(
        matches!(&error, MachineError::OutOfMemory { what, bytes, .. } if what == "too large" && *bytes == 70_000 * 512 * 4),
        "{error}"
    );
    let rope = vec![];
    let memory = MemorySpec { num_layers: 1, slots: 9, max_seq: 65_536, num_key_value_heads: 1, head_dim: 64, rope, vocab_size: 32 };
    let error = gpu.set_memory(&memory).unwrap_err();
    assert_eq!(error.code(), "out-of-memory", "{error}");
}

#[test]
fn heads_that_no_kernel_holds_are_refused() {
    let mut gpu = Gpu::noop(GpuOptions::default());
    let decoder = Decoder::new(&mut gpu, 64);
    for heads in [Heads { head_dim: 258, ..HEADS }, Heads { head_dim: 15, ..HEADS }, Heads { num_key_value_heads: 3, ..HEADS }] {
        let mut plan = decoder.plan(1, DECODE);
        plan.ops = vec![Op::Attention { q: BufferId(2), out: BufferId(3), layer: 0, heads }];
        let error = block_on(gpu.compile(&plan)).unwrap_err();
        assert_eq!(error.code(), "kernel-refused", "{heads:?}: {error}");
    }
}

#[test]
fn a_lost_device_fails_every_wait_and_panics_nowhere() {
    let Some(mut gpu) = open(None) else { return };
    let decoder = Decoder::new(&mut gpu, 64);
    let decode = block_on(gpu.compile(&decoder.plan(1, DECODE))).unwrap();
    gpu.write_rows(decode, 0, &[row(3, 0, 0)]);
    let before = gpu.submit(decode, 2);
    gpu.destroy();
    // Writes and submissions go on: only waits can tell.
    gpu.write_rows(decode, 0, &[row(3, 0, 0)]);
    gpu.write_sampling(&GREEDY);
    gpu.submit(decode, 2);
    for _ in 0..2 {
        assert_eq!(block_on(gpu.finish(before)).unwrap_err().code(), "device-lost");
    }
    assert_eq!(block_on(gpu.flush()).unwrap_err().code(), "device-lost");
    assert_eq!(block_on(gpu.run(decode)).unwrap_err().code(), "device-lost");
    assert_eq!(block_on(gpu.read(decode, BufferId(5))).unwrap_err().code(), "device-lost");
    assert_eq!(block_on(gpu.compile(&decoder.plan(2, DECODE))).unwrap_err().code(), "device-lost");
    report(&gpu, 1);
}

#[test]
fn an_adapter_that_does_not_exist_is_named_in_the_error() {
    let options = GpuOptions { adapter: Some("no such adapter".to_string()), ..GpuOptions::default() };
    let Err(error) = block_on(Gpu::open(options)) else { panic!("opened") };
    assert_eq!(error.code(), "no-device");
    assert!(error.to_string().contains("no such adapter"), "{error}");
}

#[test]
fn the_host_is_given_rests_while_draws_are_due() {
    let rests = Rc::new(Cell::new(0));
    let counted = rests.clone();
    let pause: kinglet::gpu::Pause = Rc::new(move || {
        counted.set(counted.get() + 1);
        std::thread::yield_now();
        Box::pin(std::future::ready(()))
    });
    let adapter = std::env::var("WGPU_ADAPTER_NAME").ok();
    if open(None).is_none() {
        return;
    }
    let mut gpu = block_on(Gpu::open(GpuOptions { adapter, pause: Some(pause), ..GpuOptions::default() })).unwrap();
    assert_eq!(write(&mut gpu, 4), write(&mut Cpu::new(None), 4));
    assert!(rests.get() > 0, "a pause between polls");
    report(&gpu, 1);
}

#[test]
fn a_wait_that_was_dropped_loses_no_draws() {
    // The first rest never ends: the wait that takes it can only be dropped.
    let rests = Rc::new(Cell::new(0));
    let pause: kinglet::gpu::Pause = Rc::new(move || {
        rests.set(rests.get() + 1);
        if rests.get() == 1 { Box::pin(std::future::pending()) } else { Box::pin(std::future::ready(())) }
    });
    let Some(mut plain) = open(None) else { return };
    let adapter = std::env::var("WGPU_ADAPTER_NAME").ok();
    let mut gpu = block_on(Gpu::open(GpuOptions { adapter, pause: Some(pause), ..GpuOptions::default() })).unwrap();
    let start = |gpu: &mut Gpu| {
        let decoder = Decoder::new(gpu, 64);
        let decode = block_on(gpu.compile(&decoder.plan(2, DECODE))).unwrap();
        gpu.write_rows(decode, 0, &[row(3, 0, 0), row(4, 1, 0)]);
        gpu.submit(decode, 8)
    };
    let ticket = start(&mut gpu);
    let first = gpu.finish(ticket).as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let drawn = match first {
        Poll::Ready(drawn) => drawn.unwrap(),
        Poll::Pending => block_on(gpu.finish(ticket)).unwrap(),
    };
    let ticket = start(&mut plain);
    assert_eq!(drawn, block_on(plain.finish(ticket)).unwrap());
    report(&gpu, 1);
}
