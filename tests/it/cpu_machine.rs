//! The CPU machine as the session drives it: a small decoder, its f64 twin, drafts side by side, rewinds, dropped futures.

use crate::cpu::{Random, assert_same_bits, memory};
use kinglet::cpu::{Cpu, pace::Pause};
use kinglet::plan::*;
use kinglet::quant::{Layout, Planes, stride};
use pollster::block_on;
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

const VOCAB: u32 = 37;
const HIDDEN: u32 = 20;
const FFN: u32 = 29;
const LAYERS: u32 = 2;
const SLOTS: u32 = 6;
const MAX_SEQ: u32 = 40;
const EPS: f32 = 1e-5;
const HEADS: Heads = Heads { num_attention_heads: 4, num_key_value_heads: 2, head_dim: 6, pairing: Pairing::Halves };
const QKV: u32 = 48;
const Q: u32 = 24;

/// A matrix as f32 rows, gate rows before up rows.
struct Matrix {
    rows: u32,
    cols: u32,
    values: Vec<f32>,
}

struct Layer {
    attention_norm: Vec<f32>,
    qkv: Matrix,
    bias: Vec<f32>,
    o: Matrix,
    ffn_norm: Vec<f32>,
    gate_up: Matrix,
    down: Matrix,
}

struct Model {
    embed: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
}

impl Matrix {
    fn random(random: &mut Random, rows: u32, cols: u32) -> Matrix {
        let values = random.floats((rows * cols) as usize).iter().map(|w| w / 2.0).collect();
        Matrix { rows, cols, values }
    }

    fn times(&self, x: &[f64]) -> Vec<f64> {
        let rows = self.values.chunks_exact(self.cols as usize);
        rows.map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()).collect()
    }

    fn planes(&self, rows: std::ops::Range<u32>) -> Planes {
        let mut codes = Vec::new();
        for row in rows {
            let row = &self.values[(row * self.cols) as usize..][..self.cols as usize];
            codes.extend((0..stride(self.cols) as usize).map(|i| row.get(i).map_or(0, |w| w.to_bits())));
        }
        Planes { codes, scales: Vec::new() }
    }

    /// Adds the matrix in pieces that end at `ends`, each written in two runs of rows.
    fn add(&self, machine: &mut Cpu, gated: bool, ends: &[u32]) -> WeightId {
        let outputs = if gated { self.rows / 2 } else { self.rows };
        let starts = [0].into_iter().chain(ends.iter().copied());
        let ends = ends.iter().copied().chain([outputs]);
        let pieces: Vec<Piece> = starts.zip(ends).map(|(start, end)| Piece { layout: Layout::F32, rows: start..end }).collect();
        let spec = WeightSpec { name: "matrix".to_string(), rows: outputs, cols: self.cols, gated, pieces: pieces.clone() };
        let id = machine.add_weight(&spec).unwrap();
        for (index, piece) in pieces.iter().enumerate() {
            let (start, end) = (piece.rows.start, piece.rows.end);
            let middle = (start + end) / 2;
            machine.write_weight(id, index, middle - start, &self.planes(middle..end));
            machine.write_weight(id, index, 0, &self.planes(start..middle));
            if gated {
                machine.write_weight(id, index, end - start, &self.planes(outputs + start..outputs + end));
            }
        }
        id
    }
}

impl Model {
    fn random(seed: u64) -> Model {
        let random = &mut Random(seed);
        let gain = |random: &mut Random| random.floats(HIDDEN as usize).iter().map(|g| 1.0 + g / 4.0).collect::<Vec<f32>>();
        let mut layers = Vec::new();
        for _ in 0..LAYERS {
            layers.push(Layer {
                attention_norm: gain(random),
                qkv: Matrix::random(random, QKV, HIDDEN),
                bias: random.floats(QKV as usize),
                o: Matrix::random(random, HIDDEN, Q),
                ffn_norm: gain(random),
                gate_up: Matrix::random(random, 2 * FFN, HIDDEN),
                down: Matrix::random(random, HIDDEN, FFN),
            });
        }
        Model { embed: Matrix::random(random, VOCAB, HIDDEN), norm: gain(random), layers }
    }

    /// The logits after the last of `tokens`, in f64, from the definitions.
    fn logits(&self, tokens: &[u32]) -> Vec<f64> {
        let row = |t: &u32| &self.embed.values[(t * HIDDEN) as usize..][..HIDDEN as usize];
        let mut xs: Vec<Vec<f64>> = tokens.iter().map(|t| row(t).iter().map(|x| f64::from(*x)).collect()).collect();
        for layer in &self.layers {
            layer.forward(&mut xs);
        }
        self.embed.times(&normed(xs.last().unwrap(), &self.norm))
    }
}

impl Layer {
    fn forward(&self, xs: &mut [Vec<f64>]) {
        let (d, q_heads, kv_heads) = (HEADS.head_dim as usize, HEADS.num_attention_heads as usize, HEADS.num_key_value_heads as usize);
        let mut qkvs = Vec::new();
        for (position, x) in xs.iter().enumerate() {
            let mut qkv = self.qkv.times(&normed(x, &self.attention_norm));
            qkv.iter_mut().zip(&self.bias).for_each(|(x, b)| *x += f64::from(*b));
            for head in qkv[..(q_heads + kv_heads) * d].chunks_exact_mut(d) {
                for i in 0..d / 2 {
                    let (sine, cosine) = (position as f64 * 10000f64.powf(-2.0 * i as f64 / d as f64)).sin_cos();
                    (head[i], head[i + d / 2]) = (head[i] * cosine - head[i + d / 2] * sine, head[i + d / 2] * cosine + head[i] * sine);
                }
            }
            qkvs.push(qkv);
        }
        for (position, x) in xs.iter_mut().enumerate() {
            let mut attended = Vec::new();
            for head in 0..q_heads {
                let q = &qkvs[position][head * d..][..d];
                let kv = head / (q_heads / kv_heads) * d;
                let k = |p: usize| &qkvs[p][q_heads * d + kv..][..d];
                let v = |p: usize| &qkvs[p][(q_heads + kv_heads) * d + kv..][..d];
                let score = |p| q.iter().zip(k(p)).map(|(q, k)| q * k).sum::<f64>() / (d as f64).sqrt();
                let weights: Vec<f64> = (0..=position).map(|p| score(p).exp()).collect();
                let sum: f64 = weights.iter().sum();
                attended.extend((0..d).map(|i| (0..=position).map(|p| weights[p] * v(p)[i]).sum::<f64>() / sum));
            }
            add(x, &self.o.times(&attended));
            let both = self.gate_up.times(&normed(x, &self.ffn_norm));
            let (gate, up) = both.split_at(FFN as usize);
            let ffn: Vec<f64> = gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect();
            add(x, &self.down.times(&ffn));
        }
    }
}

fn normed(x: &[f64], gain: &[f32]) -> Vec<f64> {
    let mean_square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
    x.iter().zip(gain).map(|(x, gain)| x / (mean_square + f64::from(EPS)).sqrt() * f64::from(*gain)).collect()
}

fn add(x: &mut [f64], y: &[f64]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// A machine with the model, a plan that samples and one that does not.
struct Loaded {
    machine: Cpu,
    decode: PlanId,
    prefill: PlanId,
}

const X: BufferId = BufferId(0);
const LOGITS: BufferId = BufferId(5);

fn load(model: &Model, rows: u32, cuts: [&[u32]; 2]) -> Loaded {
    let mut machine = Cpu::new(None);
    let table = model.embed.add(&mut machine, false, cuts[0]);
    let mut ops = vec![Op::Embed { table, x: X }];
    let (qkv, q, attended, ffn) = (BufferId(1), BufferId(2), BufferId(3), BufferId(4));
    for (layer, weights) in (0..).zip(&model.layers) {
        let norm = |machine: &mut Cpu, gain: &[f32]| Some(Norm { gain: machine.add_vector(gain).unwrap(), eps: EPS });
        let attention_norm = norm(&mut machine, &weights.attention_norm);
        let ffn_norm = norm(&mut machine, &weights.ffn_norm);
        let bias = Some(machine.add_vector(&weights.bias).unwrap());
        let w_qkv = weights.qkv.add(&mut machine, false, cuts[1]);
        let w_o = weights.o.add(&mut machine, false, &[]);
        let w_gate_up = weights.gate_up.add(&mut machine, true, cuts[1]);
        let w_down = weights.down.add(&mut machine, false, &[]);
        let gate = Then::Gate(Activation::Silu);
        ops.extend([
            Op::Linear { weight: w_qkv, x: X, norm: attention_norm, bias, y: qkv, then: Then::Store },
            Op::Rope { qkv, q, layer, heads: HEADS },
            Op::Attention { q, out: attended, layer, heads: HEADS },
            Op::Linear { weight: w_o, x: attended, norm: None, bias: None, y: X, then: Then::Add },
            Op::Linear { weight: w_gate_up, x: X, norm: ffn_norm, bias: None, y: ffn, then: gate },
            Op::Linear { weight: w_down, x: ffn, norm: None, bias: None, y: X, then: Then::Add },
        ]);
    }
    let norm = Some(Norm { gain: machine.add_vector(&model.norm).unwrap(), eps: EPS });
    ops.push(Op::Linear { weight: table, x: X, norm, bias: None, y: LOGITS, then: Then::Store });
    machine.set_memory(&memory(LAYERS, SLOTS, MAX_SEQ, &HEADS, VOCAB)).unwrap();
    let widths = [("x", HIDDEN), ("qkv", QKV), ("q", Q), ("attended", Q), ("ffn", FFN), ("logits", VOCAB)];
    let buffers: Vec<Buffer> = widths.iter().map(|(name, width)| Buffer { name, width: *width }).collect();
    let prefill = Plan { name: "prefill", rows: 16, buffers: buffers.clone(), ops: ops.clone() };
    ops.push(Op::Sample { logits: LOGITS });
    let decode = Plan { name: "decode", rows, buffers, ops };
    let prefill = block_on(machine.compile(&prefill)).unwrap();
    let decode = block_on(machine.compile(&decode)).unwrap();
    Loaded { machine, decode, prefill }
}

fn row(slot: u32, position: u32, token: u32) -> Row {
    Row { token, slot, position, limit: MAX_SEQ, active: 1, ban: NO_TOKEN, draft: slot, ..Row::default() }
}

impl Loaded {
    /// Feeds all tokens to a slot, `chunk` at once; the logits of each.
    fn prefill(&mut self, slot: u32, tokens: &[u32], chunk: usize) -> Vec<f32> {
        let mut logits = Vec::new();
        self.machine.write_history(slot, 0, tokens);
        for start in (0..tokens.len()).step_by(chunk) {
            let mut rows = [Row::default(); 16];
            let end = tokens.len().min(start + chunk);
            for i in start..end {
                rows[i - start] = row(slot, i as u32, tokens[i]);
            }
            self.machine.write_rows(self.prefill, 0, &rows);
            block_on(self.machine.run(self.prefill)).unwrap();
            let read = block_on(self.machine.read(self.prefill, LOGITS)).unwrap();
            logits.extend(&read[..(end - start) * VOCAB as usize]);
        }
        logits
    }

    fn decode(&mut self, steps: u32) -> Vec<Sampled> {
        let ticket = self.machine.submit(self.decode, steps);
        block_on(self.machine.finish(ticket)).unwrap()
    }

    fn tokens(&mut self, steps: u32) -> Vec<u32> {
        self.decode(steps).iter().map(|sampled| sampled.token).collect()
    }
}

/// Sampling with everything on.
fn lively() -> Sampling {
    Sampling {
        seed_low: 7,
        seed_high: 9,
        temperature: 0.9,
        top_p: 0.95,
        min_p: 0.01,
        repetition_penalty: 1.2,
        top_k: 20,
        num_end_tokens: 0,
        end_tokens: [0; 16],
        boost: 0.0,
        scored: 0,
        reserved: [0; 2],
    }
}

fn greedy() -> Sampling {
    Sampling { temperature: 0.0, repetition_penalty: 1.0, ..lively() }
}

const PROMPT: [u32; 11] = [3, 14, 15, 9, 26, 5, 35, 8, 9, 7, 9];

#[test]
fn logits_equal_the_f64_twin_at_every_position() {
    let model = Model::random(1);
    let mut loaded = load(&model, 4, [&[], &[]]);
    let logits = loaded.prefill(2, &PROMPT, 16);
    for position in 0..PROMPT.len() {
        let want = model.logits(&PROMPT[..=position]);
        for (id, want) in want.iter().enumerate() {
            let got = f64::from(logits[position * VOCAB as usize + id]);
            // f32 through two layers of some 30 terms each.
            assert!((got - want).abs() < 2e-5, "position {position}, logit {id}: got {got}, want {want}");
        }
    }
}

#[test]
fn chunks_and_pieces_do_not_change_a_bit() {
    let model = Model::random(2);
    let want = load(&model, 1, [&[], &[]]).prefill(0, &PROMPT, 16);
    for chunk in [1, 3, 8] {
        assert_same_bits(&format!("chunks of {chunk}"), &load(&model, 1, [&[], &[]]).prefill(5, &PROMPT, chunk), &want);
    }
    assert_same_bits("pieces", &load(&model, 1, [&[1, 17], &[10, 11]]).prefill(0, &PROMPT, 5), &want);
}

#[test]
fn greedy_decoding_follows_the_f64_twin() {
    let model = Model::random(3);
    let mut loaded = load(&model, 1, [&[], &[]]);
    loaded.machine.write_sampling(&greedy());
    loaded.prefill(1, &PROMPT[..10], 10);
    loaded.machine.write_rows(loaded.decode, 0, &[row(1, 10, PROMPT[10])]);
    loaded.machine.write_history(1, 10, &PROMPT[10..]);
    let mut sequence = PROMPT.to_vec();
    for (step, token) in loaded.tokens(8).into_iter().enumerate() {
        let logits = model.logits(&sequence);
        let best = (0..VOCAB as usize).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
        assert_eq!(token, best as u32, "step {step}");
        sequence.push(token);
    }
}

/// Four drafts of one prompt that share its prefix in slot 5.
fn start_drafts(loaded: &mut Loaded, drafts: &[u32]) {
    loaded.machine.write_sampling(&lively());
    loaded.prefill(5, &PROMPT[..10], 16);
    for (index, draft) in drafts.iter().enumerate() {
        let start = Row { prefix_slot: 5, prefix_len: 10, ..row(*draft, 10, PROMPT[10]) };
        loaded.machine.write_history(*draft, 10, &PROMPT[10..]);
        loaded.machine.write_rows(loaded.decode, index as u32, &[start]);
    }
}

fn column(tokens: &[u32], rows: usize, row: usize) -> Vec<u32> {
    tokens.iter().skip(row).step_by(rows).copied().collect()
}

#[test]
fn drafts_together_equal_each_alone_without_a_shared_prefix() {
    let model = Model::random(4);
    let mut together = load(&model, 4, [&[], &[]]);
    start_drafts(&mut together, &[0, 1, 2, 3]);
    let tokens = together.tokens(8);
    let mut different = std::collections::BTreeSet::new();
    for draft in 0..4 {
        let mut alone = load(&model, 1, [&[], &[]]);
        alone.machine.write_sampling(&lively());
        alone.prefill(draft, &PROMPT, 16);
        alone.machine.write_rows(alone.decode, 0, &[row(draft, 10, PROMPT[10])]);
        let want = alone.tokens(8);
        assert_eq!(column(&tokens, 4, draft as usize), want, "draft {draft}");
        different.insert(want);
    }
    assert!(different.len() > 1, "all drafts drew the same tokens {tokens:?}");
}

#[test]
fn eight_steps_at_once_equal_eight_submissions() {
    let model = Model::random(5);
    let mut at_once = load(&model, 2, [&[], &[]]);
    start_drafts(&mut at_once, &[0, 3]);
    let want = at_once.tokens(8);
    let mut one_by_one = load(&model, 2, [&[], &[]]);
    start_drafts(&mut one_by_one, &[0, 3]);
    let got: Vec<u32> = (0..8).flat_map(|_| one_by_one.tokens(1)).collect();
    assert_eq!(got, want);
    let mut in_flight = load(&model, 2, [&[], &[]]);
    start_drafts(&mut in_flight, &[0, 3]);
    let tickets = [in_flight.machine.submit(in_flight.decode, 3), in_flight.machine.submit(in_flight.decode, 5)];
    let got: Vec<u32> =
        tickets.iter().flat_map(|ticket| block_on(in_flight.machine.finish(*ticket)).unwrap()).map(|drawn| drawn.token).collect();
    assert_eq!(got, want);
}

#[test]
fn rewind_then_decode_equals_fresh_decode_at_every_distance() {
    let model = Model::random(6);
    for distance in 1..=8 {
        let mut rewound = load(&model, 2, [&[], &[]]);
        start_drafts(&mut rewound, &[0, 1]);
        let first = column(&rewound.tokens(8), 2, 0);
        let kept = 8 - distance;
        let token = if kept == 0 { PROMPT[10] } else { first[kept - 1] };
        let ban = first[kept];
        let again = Row { prefix_slot: 5, prefix_len: 10, attempt: 1, epoch: 4, ban, ..row(0, 10 + kept as u32, token) };
        rewound.machine.write_rows(rewound.decode, 0, &[again]);
        let got = rewound.decode(8);
        assert!(got.iter().step_by(2).all(|drawn| drawn.epoch == 4), "distance {distance}: epochs {got:?}");
        let got: Vec<u32> = got.iter().step_by(2).map(|drawn| drawn.token).collect();
        assert_ne!(got[0], ban, "distance {distance}: the banned token came back");

        let mut fresh = load(&model, 1, [&[], &[]]);
        fresh.machine.write_sampling(&lively());
        let mut fed = PROMPT.to_vec();
        fed.extend(&first[..kept]);
        fresh.prefill(0, &fed, 16);
        fresh.machine.write_rows(fresh.decode, 0, &[Row { prefix_len: 0, ..again }]);
        assert_eq!(got, fresh.tokens(8), "distance {distance}");
    }
}

#[test]
fn inactive_rows_are_left_untouched() {
    let model = Model::random(7);
    let mut loaded = load(&model, 3, [&[], &[]]);
    start_drafts(&mut loaded, &[0, 1, 2]);
    loaded.tokens(1);
    let before: Vec<Vec<f32>> = (0..6).map(|b| block_on(loaded.machine.read(loaded.decode, BufferId(b))).unwrap()).collect();
    let asleep = Row { active: 0, epoch: 6, ..row(1, 11, 4) };
    loaded.machine.write_rows(loaded.decode, 1, &[asleep]);
    let drawn = loaded.decode(2);
    assert_eq!([drawn[1], drawn[4]], [Sampled { token: NO_TOKEN, epoch: 6, ..Sampled::default() }; 2]);
    assert!(drawn[0].token != NO_TOKEN && drawn[2].token != NO_TOKEN, "{drawn:?}");
    for (b, before) in before.iter().enumerate() {
        let width = before.len() / 3;
        let after = block_on(loaded.machine.read(loaded.decode, BufferId(b))).unwrap();
        assert_same_bits(&format!("buffer {b}"), &after[width..2 * width], &before[width..2 * width]);
        assert_ne!(after[..width], before[..width], "buffer {b}: the active row did not move");
    }
}

#[test]
fn rows_end_at_an_end_token_and_at_their_limit() {
    let model = Model::random(8);
    let mut loaded = load(&model, 2, [&[], &[]]);
    start_drafts(&mut loaded, &[0, 1]);
    let tokens = loaded.tokens(8);
    let (first, second) = (column(&tokens, 2, 0), column(&tokens, 2, 1));
    let mut loaded = load(&model, 2, [&[], &[]]);
    start_drafts(&mut loaded, &[0, 1]);
    let end = (1..8).find(|i| !first[..*i].contains(&first[*i]) && !second[..3].contains(&first[*i])).unwrap();
    let mut sampling = Sampling { num_end_tokens: 2, ..lively() };
    (sampling.end_tokens[1], sampling.end_tokens[2]) = (first[end], second[0]);
    sampling.end_tokens[0] = first[end];
    loaded.machine.write_sampling(&sampling);
    let limited = Row { prefix_slot: 5, prefix_len: 10, limit: 13, ..row(1, 10, PROMPT[10]) };
    loaded.machine.write_rows(loaded.decode, 1, &[limited]);
    let tokens = loaded.tokens(8);
    for step in 0..8 {
        assert_eq!(tokens[2 * step], if step <= end { first[step] } else { NO_TOKEN }, "end token at {end}, step {step}");
        assert_eq!(tokens[2 * step + 1], if step < 3 { second[step] } else { NO_TOKEN }, "limit, step {step}");
    }
}

#[test]
fn writes_wait_for_the_submissions_before_them() {
    let model = Model::random(9);
    let mut loaded = load(&model, 1, [&[], &[]]);
    start_drafts(&mut loaded, &[0]);
    let want = loaded.tokens(4);
    let restart = Row { prefix_slot: 5, prefix_len: 10, ..row(0, 10, PROMPT[10]) };
    loaded.machine.write_rows(loaded.decode, 0, &[restart]);
    let first = loaded.machine.submit(loaded.decode, 4);
    loaded.machine.write_sampling(&greedy());
    loaded.machine.write_mask(&[u32::MAX, 0b01111, 0, 0]);
    loaded.machine.write_rows(loaded.decode, 0, &[Row { epoch: 1, ..restart }]);
    let second = loaded.machine.submit(loaded.decode, 2);
    let drawn = block_on(loaded.machine.finish(first)).unwrap();
    assert_eq!(drawn.iter().map(|drawn| drawn.token).collect::<Vec<_>>(), want);
    let drawn = block_on(loaded.machine.finish(second)).unwrap();
    assert_eq!(drawn, [Sampled { token: 36, epoch: 1, ..Sampled::default() }; 2], "only token 36 is not masked");
}

#[test]
fn a_run_computes_what_was_submitted_before_it_and_keeps_the_draws() {
    let model = Model::random(10);
    let mut plain = load(&model, 1, [&[], &[]]);
    start_drafts(&mut plain, &[0]);
    let want = plain.tokens(3);
    let mut loaded = load(&model, 1, [&[], &[]]);
    start_drafts(&mut loaded, &[0]);
    let ticket = loaded.machine.submit(loaded.decode, 3);
    loaded.prefill(5, &[1, 2, 3, 4], 16);
    let drawn = block_on(loaded.machine.finish(ticket)).unwrap();
    assert_eq!(drawn.iter().map(|drawn| drawn.token).collect::<Vec<_>>(), want);
}

/// A machine whose one linear operation is long enough to pause in, and the plan that samples from it.
fn load_long(pause: Option<Pause>) -> Loaded {
    let (rows, cols, vocab_size) = (64, 256, 8200);
    let mut machine = Cpu::new(pause);
    let table = Matrix::random(&mut Random(11), vocab_size, cols).add(&mut machine, false, &[]);
    machine.set_memory(&memory(1, 1, 64, &HEADS, vocab_size)).unwrap();
    machine.write_sampling(&Sampling { repetition_penalty: 1.0, ..lively() });
    let (x, y) = (BufferId(0), BufferId(1));
    let buffers = vec![Buffer { name: "x", width: cols }, Buffer { name: "y", width: vocab_size }];
    let linear = Op::Linear { weight: table, x, norm: None, bias: None, y, then: Then::Store };
    let ops = vec![Op::Embed { table, x }, linear, Op::Sample { logits: y }];
    let decode = block_on(machine.compile(&Plan { name: "long", rows, buffers, ops })).unwrap();
    let rows: Vec<Row> = (0..rows).map(|draft| Row { draft, ..row(0, 0, 100 * draft) }).collect();
    machine.write_rows(decode, 0, &rows);
    Loaded { machine, decode, prefill: decode }
}

#[test]
fn a_dropped_future_loses_nothing_and_long_work_pauses() {
    let want = load_long(None).tokens(2);
    let pauses = Rc::new(Cell::new(0));
    let pause: Pause = {
        let pauses = pauses.clone();
        Rc::new(move || {
            pauses.set(pauses.get() + 1);
            let pending = pauses.get() <= 2;
            Box::pin(async move {
                if pending {
                    std::future::pending::<()>().await;
                }
            })
        })
    };
    let mut loaded = load_long(Some(pause));
    let ticket = loaded.machine.submit(loaded.decode, 2);
    for times in 1..=2 {
        let mut finish = loaded.machine.finish(ticket);
        let polled = finish.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending), "134 million multiply-adds took no pause");
        assert_eq!(pauses.get(), times);
    }
    let got: Vec<u32> = block_on(loaded.machine.finish(ticket)).unwrap().iter().map(|drawn| drawn.token).collect();
    assert_eq!(got, want);
}

#[test]
fn bytes_count_weights_caches_and_buffers_once() {
    let mut machine = Cpu::new(None);
    assert_eq!(machine.bytes(), 0);
    Matrix::random(&mut Random(12), 3, 7).add(&mut machine, false, &[]);
    assert_eq!(machine.bytes(), 4 * 3 * 8);
    machine.add_vector(&[1.0; 5]).unwrap();
    assert_eq!(machine.bytes(), 4 * (3 * 8 + 5));
    machine.set_memory(&memory(2, 3, 4, &HEADS, 33)).unwrap();
    let (caches, rope, history, mask) = (2 * 2 * 3 * 4 * 2 * 6, 4 * 6, 3 * 5, 2 * 2);
    assert_eq!(machine.bytes(), 4 * (3 * 8 + 5 + caches + rope + history + mask));
    let plan = Plan { name: "empty", rows: 2, buffers: vec![Buffer { name: "x", width: 9 }], ops: vec![] };
    block_on(machine.compile(&plan)).unwrap();
    assert_eq!(machine.bytes(), 4 * (3 * 8 + 5 + caches + rope + history + mask + 2 * 16));
}

#[test]
fn a_matrix_that_fits_no_memory_is_an_error() {
    let mut machine = Cpu::new(None);
    let pieces = vec![Piece { layout: Layout::F32, rows: 0..u32::MAX }];
    let spec = WeightSpec { name: "huge".to_string(), rows: u32::MAX, cols: u32::MAX - 7, gated: true, pieces };
    let error = machine.add_weight(&spec).unwrap_err();
    assert!(matches!(&error, MachineError::OutOfMemory { what, .. } if what == "huge"), "{error}");
    let spec = MemorySpec { num_key_value_heads: u32::MAX, ..memory(1, u32::MAX, 1, &HEADS, 5) };
    assert_eq!(machine.set_memory(&spec).unwrap_err().code(), "out-of-memory");
}

#[test]
fn the_device_says_what_it_is() {
    let device = Cpu::new(None).device();
    assert_eq!((device.kind.as_str(), device.variants.as_str(), device.software), ("cpu", "cpu-exact", true));
    assert_eq!(Cpu::rounding(None).device().variants, "cpu-int8");
    let loaded = load(&Model::random(13), 1, [&[], &[]]);
    assert_eq!(loaded.machine.num_dispatches(loaded.prefill), 6 * LAYERS as usize + 2);
    assert_eq!(loaded.machine.num_dispatches(loaded.decode), 6 * LAYERS as usize + 3);
}

#[test]
#[should_panic(expected = "op 1: y is 9 wide, expected 10")]
fn a_plan_that_does_not_fit_its_weights_stops_at_compile() {
    let mut machine = Cpu::new(None);
    let table = Matrix::random(&mut Random(14), 10, 7).add(&mut machine, false, &[]);
    let (x, y) = (BufferId(0), BufferId(1));
    let buffers = vec![Buffer { name: "x", width: 7 }, Buffer { name: "y", width: 9 }];
    let linear = Op::Linear { weight: table, x, norm: None, bias: None, y, then: Then::Store };
    let plan = Plan { name: "misfit", rows: 1, buffers, ops: vec![Op::Embed { table, x }, linear] };
    let _ = block_on(machine.compile(&plan));
}
