//! Every GPU operation against its CPU twin: the same few-operation plan on both machines, over seeds, layouts, rows and odd shapes.

use crate::machines::*;
use kinglet::cpu::Cpu;
use kinglet::gpu::Variant;
use kinglet::plan::*;
use kinglet::quant::{Layout, Planes};
use pollster::block_on;

/// Relative to the largest output: both sides round some 1000 additions by 6e-8 each, in different orders, and cancel.
const SUM_TOLERANCE: f32 = 5e-5;
/// exp, cos and division may be off by a few units in the last place on a GPU; sums as above.
const ATTENTION_TOLERANCE: f32 = 2e-5;
const VARIANTS: [Variant; 4] = [Variant::Threads, Variant::Lanes, Variant::LanesUnfused, Variant::Subgroups];
const LAYOUTS: [Layout; 7] =
    [Layout::F32, Layout::F16, Layout::BF16, Layout::I8 { group: 32 }, Layout::I8 { group: 16 }, Layout::I4, Layout::I4M];
const I8: Layout = Layout::I8 { group: 32 };

/// A linear operation over embedded tokens: y starts as the embedding of other tokens, so that Add and inactive rows show.
struct Case {
    seed: u64,
    rows: u32,
    cols: u32,
    pieces: Vec<(Layout, std::ops::Range<u32>)>,
    norm: bool,
    bias: bool,
    then: Then,
    active: fn(u32) -> bool,
}

impl Case {
    fn plain(seed: u64, layout: Layout, rows: u32, outputs: u32, cols: u32) -> Case {
        Case { seed, rows, cols, pieces: vec![(layout, 0..outputs)], norm: false, bias: false, then: Then::Store, active: |_| true }
    }

    fn name(&self, gpu: &str) -> String {
        let Case { seed, rows, cols, pieces, norm, bias, then, .. } = self;
        format!("{gpu}: seed {seed}, {rows} rows, {pieces:?} x {cols}, norm {norm}, bias {bias}, {then:?}")
    }

    /// y `[rows, outputs]`.
    fn run(&self, machine: &mut dyn Machine) -> Vec<f32> {
        let random = &mut Random(self.seed);
        let outputs = self.pieces.last().unwrap().1.end;
        let gated = matches!(self.then, Then::Gate(_));
        let table = add_matrix(machine, random, self.cols, false, &[(Layout::F32, 0..5), (Layout::F32, 5..16)]);
        let start = add_matrix(machine, random, outputs, false, &[(Layout::F32, 0..16)]);
        let weight = add_matrix(machine, random, self.cols, gated, &self.pieces);
        let gain = machine.add_vector(&random.floats(self.cols as usize)).unwrap();
        let bias = machine.add_vector(&random.floats(outputs as usize)).unwrap();
        let (x, y) = (BufferId(0), BufferId(1));
        let norm = self.norm.then_some(Norm { gain, eps: 1e-5 });
        let linear = Op::Linear { weight, x, norm, bias: self.bias.then_some(bias), y, then: self.then };
        let plan = Plan {
            name: "linear",
            rows: self.rows,
            buffers: vec![Buffer { name: "x", width: self.cols }, Buffer { name: "y", width: outputs }],
            ops: vec![Op::Embed { table, x }, Op::Embed { table: start, x: y }, linear],
        };
        let plan = block_on(machine.compile(&plan)).unwrap();
        // Once with every row, then with other tokens in the active ones.
        let rows = |shift: u32, active: fn(u32) -> bool| -> Vec<Row> {
            (0..self.rows).map(|r| Row { active: u32::from(active(r)), ..row((7 * r + shift) % 16, 0, r) }).collect()
        };
        machine.write_rows(plan, 0, &rows(8, |_| true));
        block_on(machine.run(plan)).unwrap();
        machine.write_rows(plan, 0, &rows(3, self.active));
        block_on(machine.run(plan)).unwrap();
        block_on(machine.read(plan, y)).unwrap()
    }
}

fn compare(cases: &[Case]) {
    for variant in VARIANTS {
        let Some(mut gpu) = open(Some(variant)) else { return };
        for case in cases {
            let want = case.run(&mut Cpu::new(None));
            let got = case.run(&mut gpu);
            assert_close(&case.name(&gpu.device().variants), &got, &want, SUM_TOLERANCE);
        }
        report(&gpu, cases.len());
    }
}

#[test]
fn linear_on_gpu_equals_cpu_in_every_layout() {
    let mut cases = Vec::new();
    for (seed, layout) in LAYOUTS.into_iter().enumerate() {
        let shapes = match layout {
            Layout::F32 | Layout::F16 | Layout::BF16 => [(129, 7), (7, 1030), (1030, 129)],
            Layout::I8 { group } => [(129, group), (7, 1056), (1031, 576)],
            Layout::I4 | Layout::I4M => [(129, 32), (7, 1056), (1031, 576)],
        };
        cases.extend(shapes.map(|(outputs, cols)| Case::plain(seed as u64, layout, 1, outputs, cols)));
        let prompts = shapes.into_iter().take(2);
        cases.extend(prompts.map(|(outputs, cols)| Case { norm: true, ..Case::plain(seed as u64, layout, 40, outputs, cols) }));
    }
    compare(&cases);
}

#[test]
fn linear_on_gpu_equals_cpu_for_rows_norms_biases_pieces_and_gates() {
    let mut cases = Vec::new();
    for rows in [1, 2, 3, 5, 8, 16, 24, 72] {
        let plain = || Case::plain(100 + u64::from(rows), I8, rows, 129, 96);
        cases.push(Case { then: Then::Add, ..plain() });
        cases.push(Case { norm: true, bias: true, ..plain() });
        cases.push(Case { norm: true, then: Then::Gate(Activation::Silu), pieces: vec![(I8, 0..77), (I8, 77..131)], ..plain() });
        cases.push(Case { bias: true, pieces: vec![(I8, 0..64), (Layout::I8 { group: 16 }, 64..65), (I8, 65..130)], ..plain() });
        cases.push(Case { active: |r| r % 3 != 1, then: Then::Add, norm: true, ..plain() });
    }
    compare(&cases);
}

#[test]
fn linear_on_gpu_gives_a_row_the_same_bits_in_every_company() {
    for variant in VARIANTS {
        let Some(mut gpu) = open(Some(variant)) else { return };
        let outputs = 131;
        let case = |rows| Case { norm: true, bias: true, ..Case::plain(5, I8, rows, outputs, 160) };
        // Decoding plans have 1 to 8 rows, prefill plans more: a token is computed by either the ones or the others.
        for [alone, others @ ..] in [[1, 2, 4, 8], [16, 24, 32, 72]] {
            let first = case(alone).run(&mut gpu)[..outputs as usize].to_vec();
            for rows in others {
                let together = case(rows).run(&mut gpu);
                assert_eq!(together[..outputs as usize], first[..], "{rows} rows, {variant:?}");
            }
        }
        // Embedded tokens repeat after 16 rows, and so do results, wherever in a tile they are computed.
        let many = case(72).run(&mut gpu);
        assert_eq!(many[16 * outputs as usize..], many[..56 * outputs as usize], "{variant:?}");
        report(&gpu, 6);
    }
}

#[test]
fn linear_on_gpu_gives_the_same_bits_with_every_way_to_add() {
    let Some(mut plain) = open(Some(Variant::Lanes)) else { return };
    // 8, 16 and 32 threads share a pair of outputs.
    let cases = |cols| [1, 2, 3, 8].map(|rows| Case { norm: rows != 2, then: Then::Add, ..Case::plain(7, I8, rows, 131, cols) });
    let cases: Vec<Case> = [96, 576, 1056].into_iter().flat_map(cases).collect();
    let bits = |y: Vec<f32>| y.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let want: Vec<Vec<u32>> = cases.iter().map(|case| bits(case.run(&mut plain))).collect();
    for variant in [Variant::LanesWide, Variant::Subgroups, Variant::SubgroupsWide] {
        let Some(mut gpu) = open(Some(variant)) else { return };
        for (case, want) in cases.iter().zip(&want) {
            assert_eq!(&bits(case.run(&mut gpu)), want, "{}", case.name(&gpu.device().variants));
        }
        report(&gpu, cases.len());
    }
}

#[test]
fn linear_on_gpu_leaves_inactive_rows_untouched() {
    for variant in VARIANTS {
        let Some(mut gpu) = open(Some(variant)) else { return };
        let case = Case { active: |r| r == 2, then: Then::Add, ..Case::plain(6, I8, 3, 33, 64) };
        let all = Case { active: |_| false, then: Then::Add, ..Case::plain(6, I8, 3, 33, 64) };
        let (some, none) = (case.run(&mut gpu), all.run(&mut gpu));
        assert_eq!(some[..66], none[..66], "rows 0 and 1 are inactive in both");
        assert_ne!(some[66..], none[66..], "row 2 is active in one");
        report(&gpu, 2);
    }
}

/// Decodes `steps` positions of two slots through rope and attention, the second slot on the first one's prefix.
fn attend(machine: &mut dyn Machine, heads: Heads, steps: u32, prefix_len: u32) -> Vec<f32> {
    let random = &mut Random(u64::from(heads.head_dim + steps));
    let Heads { num_attention_heads, num_key_value_heads, head_dim, .. } = heads;
    let (q_width, width) = (num_attention_heads * head_dim, (num_attention_heads + 2 * num_key_value_heads) * head_dim);
    let max_seq = steps + 3;
    let rope = random.floats((max_seq * head_dim) as usize);
    let memory = MemorySpec { num_layers: 2, slots: 3, max_seq, num_key_value_heads, head_dim, rope, vocab_size: 32 };
    let table = add_matrix(machine, random, width, false, &[(Layout::F32, 0..32)]);
    machine.set_memory(&memory).unwrap();
    let (qkv, q, out) = (BufferId(0), BufferId(1), BufferId(2));
    let buffers = [("qkv", width), ("q", q_width), ("out", q_width)].map(|(name, width)| Buffer { name, width });
    let ops = vec![Op::Embed { table, x: qkv }, Op::Rope { qkv, q, layer: 1, heads }, Op::Attention { q, out, layer: 1, heads }];
    let plan = Plan { name: "attend", rows: 3, buffers: buffers.to_vec(), ops };
    let plan = block_on(machine.compile(&plan)).unwrap();
    let mut outs = Vec::new();
    for position in 0..steps {
        let token = |slot: u32| (11 * position + 5 * slot) % 32;
        let sharing = Row { prefix_slot: 0, prefix_len, active: u32::from(position >= prefix_len), ..row(token(2), 2, position) };
        machine.write_rows(plan, 0, &[row(token(0), 0, position), sharing, Row { active: 0, ..row(1, 1, position) }]);
        block_on(machine.run(plan)).unwrap();
        if position % 13 == 12 || position + 1 == steps {
            outs.extend(block_on(machine.read(plan, out)).unwrap());
        }
    }
    outs
}

#[test]
fn rope_and_attention_on_gpu_equal_cpu_with_a_shared_prefix() {
    for variant in [Variant::Threads, Variant::Lanes] {
        let Some(mut gpu) = open(Some(variant)) else { return };
        let shapes = [(1, 1, 2, 5), (3, 1, 6, 70), (9, 3, 64, 131), (4, 2, 80, 66), (2, 2, 256, 65), (5, 5, 130, 7)];
        for (heads, kv_heads, head_dim, steps) in shapes {
            for pairing in [Pairing::Halves, Pairing::Adjacent] {
                let heads = Heads { num_attention_heads: heads, num_key_value_heads: kv_heads, head_dim, pairing };
                let want = attend(&mut Cpu::new(None), heads, steps, 4);
                let got = attend(&mut gpu, heads, steps, 4);
                assert_close(&format!("{heads:?}, {steps} steps, {variant:?}"), &got, &want, ATTENTION_TOLERANCE);
            }
        }
        report(&gpu, 2 * shapes.len());
    }
}

/// Prefills `len` positions of slot 0 in chunks of `rows`, of which every fifth row is a token of slot 1 or 2 on slot 0's first chunk,
/// then decodes one position of slots 0 and 1 in a plan of 3 rows.
fn attend_in_chunks(machine: &mut dyn Machine, heads: Heads, rows: u32, len: u32, max_seq: u32) -> Vec<f32> {
    let random = &mut Random(u64::from(heads.head_dim + len));
    let Heads { num_attention_heads, num_key_value_heads, head_dim, .. } = heads;
    let (q_width, width) = (num_attention_heads * head_dim, (num_attention_heads + 2 * num_key_value_heads) * head_dim);
    let rope = random.floats((max_seq * head_dim) as usize);
    let memory = MemorySpec { num_layers: 1, slots: 3, max_seq, num_key_value_heads, head_dim, rope, vocab_size: 32 };
    let table = add_matrix(machine, random, width, false, &[(Layout::F32, 0..32)]);
    machine.set_memory(&memory).unwrap();
    let (qkv, q, out) = (BufferId(0), BufferId(1), BufferId(2));
    let mut plan = |rows| {
        let buffers = [("qkv", width), ("q", q_width), ("out", q_width)].map(|(name, width)| Buffer { name, width }).to_vec();
        let ops = vec![Op::Embed { table, x: qkv }, Op::Rope { qkv, q, layer: 0, heads }, Op::Attention { q, out, layer: 0, heads }];
        block_on(machine.compile(&Plan { name: "attend", rows, buffers, ops })).unwrap()
    };
    let (prefill, decode) = (plan(rows), plan(3));
    let mut outs = Vec::new();
    let mut others = [rows, rows];
    for first in (0..len).step_by(rows as usize) {
        let mut position = first;
        let mut next = |r: u32| {
            if first > 0 && r % 5 == 3 {
                let slot = 1 + r % 2;
                let own = &mut others[slot as usize - 1];
                *own += 1;
                return Row { prefix_len: rows, ..row((3 * *own + slot) % 32, slot, *own - 1) };
            }
            position += 1;
            let token = (11 * position + position / 32) % 32;
            Row { active: u32::from(position <= len && r % 11 != 7), ..row(token, 0, position - 1) }
        };
        machine.write_rows(prefill, 0, &(0..rows).map(&mut next).collect::<Vec<_>>());
        block_on(machine.run(prefill)).unwrap();
        outs.extend(block_on(machine.read(prefill, out)).unwrap());
    }
    let shared = Row { prefix_len: len - 1, ..row(9, 1, len - 1) };
    machine.write_rows(decode, 0, &[row(5, 0, len - 1), shared, Row { active: 0, ..row(1, 2, len - 1) }]);
    block_on(machine.run(decode)).unwrap();
    outs.extend(block_on(machine.read(decode, out)).unwrap());
    outs
}

#[test]
fn attention_of_many_rows_and_of_long_contexts_on_gpu_equals_cpu() {
    for variant in [Variant::Threads, Variant::Lanes] {
        let Some(mut gpu) = open(Some(variant)) else { return };
        // Contexts of more than 1024 positions are spread over workgroups when few rows decode.
        let shapes = [(1, 1, 2, 16, 40, 64), (6, 2, 64, 64, 300, 400), (2, 1, 130, 24, 90, 90), (1, 1, 256, 16, 50, 1025)];
        let long = [(3, 1, 6, 64, 1100, 1600), (2, 2, 66, 128, 513, 1030), (1, 1, 20, 64, 512, 2000)];
        for (num_attention_heads, num_key_value_heads, head_dim, rows, len, max_seq) in shapes.into_iter().chain(long) {
            let heads = Heads { num_attention_heads, num_key_value_heads, head_dim, pairing: Pairing::Halves };
            let want = attend_in_chunks(&mut Cpu::new(None), heads, rows, len, max_seq);
            let got = attend_in_chunks(&mut gpu, heads, rows, len, max_seq);
            assert_close(&format!("{heads:?}, {len} of {max_seq} positions, {variant:?}"), &got, &want, ATTENTION_TOLERANCE);
        }
        report(&gpu, shapes.len() + long.len());
    }
}

/// The operations that make token t's logits `logits[t % logits.len()]`, in buffer 1: by a table of them, or, for large vocabularies, by
/// a matrix times one-hot embeddings, which is exact too.
fn logits_of_tokens(machine: &mut dyn Machine, logits: &[Vec<f32>]) -> Vec<Op> {
    let vocab = logits[0].len();
    let one_hot = |i: usize| (0..8).map(|j| f32::from(u8::from(i % logits.len() == j))).collect::<Vec<f32>>();
    if vocab <= 1030 {
        let table = add_rows(machine, vocab, |token| logits[token % logits.len()].clone());
        return vec![Op::Embed { table, x: BufferId(1) }];
    }
    let table = add_rows(machine, vocab, one_hot);
    let weight = add_rows(machine, vocab, |id| (0..8).map(|j| logits.get(j).map_or(0.0, |logits| logits[id])).collect());
    let linear = Op::Linear { weight, x: BufferId(0), norm: None, bias: None, y: BufferId(1), then: Then::Store };
    vec![Op::Embed { table, x: BufferId(0) }, linear]
}

fn add_rows(machine: &mut dyn Machine, rows: usize, row: impl Fn(usize) -> Vec<f32>) -> WeightId {
    let cols = row(0).len() as u32;
    let pieces = vec![Piece { layout: Layout::F32, rows: 0..rows as u32 }];
    let weight = machine.add_weight(&WeightSpec { name: "rows".to_string(), rows: rows as u32, cols, gated: false, pieces }).unwrap();
    let mut codes = Vec::new();
    for index in 0..rows {
        codes.extend(row(index).iter().map(|value| value.to_bits()));
        codes.resize((index + 1) * Layout::F32.code_words(cols) as usize, 0);
    }
    machine.write_weight(weight, 0, 0, &Planes { codes, scales: vec![] });
    weight
}

/// Draws from fixed logits in two submissions, of `steps` and of 3 steps, both in flight.
fn draw(machine: &mut dyn Machine, logits: &[Vec<f32>], sampling: &Sampling, steps: u32) -> Vec<Sampled> {
    let vocab = logits[0].len() as u32;
    let mut ops = logits_of_tokens(machine, logits);
    ops.push(Op::Sample { logits: BufferId(1) });
    let memory =
        MemorySpec { num_layers: 1, slots: 4, max_seq: 64, num_key_value_heads: 1, head_dim: 2, rope: vec![0.0; 128], vocab_size: vocab };
    machine.set_memory(&memory).unwrap();
    let plan = Plan { name: "draw", rows: 3, buffers: vec![Buffer { name: "x", width: 8 }, Buffer { name: "logits", width: vocab }], ops };
    let plan = block_on(machine.compile(&plan)).unwrap();
    let words = vocab.div_ceil(32) as usize;
    let mut mask = vec![0u32; 2 * words];
    mask[0] = 1 << 5;
    mask[words] = 0b1010_0110;
    machine.write_mask(&mask);
    machine.write_sampling(sampling);
    for slot in 0..4 {
        machine.write_history(slot, 0, &[1 + slot, 2, 6 % vocab, 3, 0, 0]);
    }
    let shared = Row { prefix_slot: 3, prefix_len: 2, epoch: 9, ..row(0, 1, 5) };
    machine.write_rows(plan, 0, &[row(0, 0, 5), shared, Row { limit: 8, ban: 1, attempt: 3, ..row(0, 2, 5) }]);
    let first = machine.submit(plan, steps);
    let second = machine.submit(plan, 3);
    let mut drawn = block_on(machine.finish(first)).unwrap();
    drawn.extend(block_on(machine.finish(second)).unwrap());
    drawn
}

/// Logits with a spread that makes probabilities differ by far more than the GPU's exp is off.
fn random_logits(seed: u64, num_rows: usize, vocab: usize, spread: f32) -> Vec<Vec<f32>> {
    let random = &mut Random(seed);
    (0..num_rows).map(|_| (0..vocab).map(|_| random.float() * spread).collect()).collect()
}

fn samplings() -> Vec<Sampling> {
    let seeded = |seed_low| Sampling { seed_low, seed_high: 77, temperature: 0.8, ..GREEDY };
    vec![
        GREEDY,
        Sampling { repetition_penalty: 1.7, ..GREEDY },
        Sampling { boost: 4.0, ..GREEDY },
        Sampling { boost: 2.5, temperature: 0.8, repetition_penalty: 1.2, ..seeded(11) },
        seeded(1),
        Sampling { temperature: 1.9, repetition_penalty: 1.3, ..seeded(2) },
        Sampling { temperature: 1e-39, ..seeded(3) },
        Sampling { temperature: 1e-5, top_p: 0.9, ..seeded(3) },
        Sampling { temperature: 1e30, top_k: 3, ..seeded(3) },
        Sampling { top_k: 1, ..seeded(3) },
        Sampling { top_k: 7, ..seeded(4) },
        Sampling { top_k: 1 << 20, ..seeded(5) },
        Sampling { top_p: 0.7, ..seeded(6) },
        Sampling { top_p: 1e-9, ..seeded(7) },
        Sampling { top_k: 40, top_p: 0.9, ..seeded(8) },
        Sampling { min_p: 0.1, ..seeded(9) },
        Sampling { top_k: 30, top_p: 0.95, min_p: 0.05, repetition_penalty: 1.1, ..seeded(10) },
        Sampling { top_p: 0.0, min_p: 1.0, ..seeded(11) },
    ]
}

#[test]
fn sampling_on_gpu_draws_the_tokens_that_the_cpu_draws() {
    for variant in [Variant::Threads, Variant::Lanes] {
        let Some(mut gpu) = open(Some(variant)) else { return };
        let mut cases = 0;
        for (vocab, spread) in [(7, 2.0), (129, 4.0), (1030, 6.0), (49_157, 9.0)] {
            let logits = random_logits(vocab as u64, vocab.min(8), vocab, spread);
            // The largest vocabulary with all filters only: software adapters need seconds for each of its cases.
            let skipped = if vocab > 2000 { 16 } else { 0 };
            for (index, sampling) in samplings().into_iter().enumerate().skip(skipped) {
                let want = draw(&mut Cpu::new(None), &logits, &sampling, 8);
                let got = draw(&mut gpu, &logits, &sampling, 8);
                assert_eq!(got, want, "vocabulary {vocab}, sampling {index}, {variant:?}");
                cases += 1;
            }
        }
        report(&gpu, cases);
    }
}

#[test]
fn log_probabilities_on_gpu_equal_the_cpus_in_every_kernel() {
    for variant in [Variant::Threads, Variant::Lanes] {
        let Some(mut gpu) = open(Some(variant)) else { return };
        for (vocab, spread) in [(7, 2.0), (1030, 6.0)] {
            let logits = random_logits(vocab as u64, vocab.min(8), vocab, spread);
            for sampling in [
                Sampling { scored: 1, ..GREEDY },
                Sampling { scored: 1, boost: 2.0, repetition_penalty: 1.2, temperature: 0.8, seed_low: 3, ..GREEDY },
            ] {
                let want = draw(&mut Cpu::new(None), &logits, &sampling, 8);
                let got = draw(&mut gpu, &logits, &sampling, 8);
                for (got, want) in got.iter().zip(&want) {
                    assert_eq!((got.token, got.epoch), (want.token, want.epoch), "vocabulary {vocab}, {variant:?}");
                    // One exponential in f32 rounded down to 2^-31 for each token, one logarithm.
                    let near = (got.log_probability - want.log_probability).abs() < 1e-4;
                    assert!(near && want.log_probability <= 1e-6, "vocabulary {vocab}, {variant:?}: {got:?}, {want:?}");
                }
                assert!(want.iter().any(|drawn| drawn.log_probability < -1e-3), "nothing was scored");
            }
        }
        report(&gpu, 4);
    }
}

#[test]
fn sampling_on_gpu_cuts_ties_at_the_lowest_ids() {
    let Some(mut gpu) = open(None) else { return };
    // Eight values, each many times, and both zeros.
    let random = &mut Random(3);
    let value = |word: u64| if word % 8 == 3 { -0.0 } else { (word % 8) as f32 * 0.5 - 1.5 };
    let logits: Vec<Vec<f32>> = (0..6).map(|_| (0..1030).map(|_| value(random.word())).collect()).collect();
    let mut cases = 0;
    for seed_low in 0..8 {
        for (top_k, top_p) in [(0, 0.05), (0, 0.3), (3, 1.0), (3, 0.5), (400, 0.8)] {
            let sampling = Sampling { seed_low, temperature: 1.0, top_k, top_p, ..GREEDY };
            let want = draw(&mut Cpu::new(None), &logits, &sampling, 8);
            let got = draw(&mut gpu, &logits, &sampling, 8);
            assert_eq!(got, want, "seed {seed_low}, top_k {top_k}, top_p {top_p}");
            cases += 1;
        }
    }
    report(&gpu, cases);
}

#[test]
fn sampling_on_gpu_survives_logits_that_are_not_finite() {
    let Some(mut gpu) = open(None) else { return };
    let (nan, low) = (f32::NAN, f32::NEG_INFINITY);
    for logits in [vec![nan; 40], vec![low; 40], [vec![low, nan, 0.5, low], vec![nan; 36]].concat()] {
        for sampling in [GREEDY, Sampling { temperature: 1.0, top_k: 3, top_p: 0.9, ..GREEDY }] {
            let want = draw(&mut Cpu::new(None), std::slice::from_ref(&logits), &sampling, 2);
            let got = draw(&mut gpu, std::slice::from_ref(&logits), &sampling, 2);
            assert_eq!(got, want, "{:?}, {sampling:?}", &logits[..4]);
        }
    }
    report(&gpu, 6);
}

#[test]
fn sampling_on_gpu_ends_rows_at_end_tokens_and_limits() {
    let Some(mut gpu) = open(None) else { return };
    let logits = random_logits(17, 8, 129, 5.0);
    let free = draw(&mut Cpu::new(None), &logits, &GREEDY, 8);
    let mut sampling = Sampling { num_end_tokens: 2, ..GREEDY };
    sampling.end_tokens[1] = free[2 * 3].token;
    let want = draw(&mut Cpu::new(None), &logits, &sampling, 8);
    let got = draw(&mut gpu, &logits, &sampling, 8);
    assert_eq!(got, want);
    assert!(got[3 * 3..].iter().step_by(3).all(|drawn| drawn.token == NO_TOKEN), "row 0 ended after its third token: {got:?}");
    report(&gpu, 1);
}
