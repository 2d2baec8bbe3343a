//! Every CPU operation against a naive f64 twin, over all layouts and odd sizes, alone, together and in row ranges.

use kinglet::cpu::linear::{Activations, Outputs, linear_rows};
use kinglet::cpu::panels::{PanelScratch, Panels, Rounded, linear_panels, silu_gates};
use kinglet::cpu::unpack::{PlanesView, f16_to_f32};
use kinglet::cpu::{
    attention::attention,
    caches::{Caches, LayerCache},
    dot::dot,
    norm::rms_norm,
    rope::rope,
};
use kinglet::plan::*;
use kinglet::quant::{Layout, Planes, stride};

/// Relative to the sum of the magnitudes that were added: f32 rounds each of some 1000 additions in 16 lanes by 6e-8.
const SUM_TOLERANCE: f64 = 1e-5;
const LAYOUTS: [Layout; 7] =
    [Layout::F32, Layout::F16, Layout::BF16, Layout::I8 { group: 32 }, Layout::I8 { group: 16 }, Layout::I4, Layout::I4M];

/// The layouts of packed integers.
const PACKED: [Layout; 4] = [Layout::I8 { group: 32 }, Layout::I8 { group: 16 }, Layout::I4, Layout::I4M];

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

    pub fn below(&mut self, n: u64) -> u64 {
        self.word() % n
    }

    /// Of -1 to 1.
    pub fn float(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
}

/// A random packed matrix and what it means: `[rows, cols]` f64, packed and widened apart from the code under test.
fn random_planes(random: &mut Random, layout: Layout, rows: usize, cols: usize) -> (Planes, Vec<f64>) {
    let (mut planes, mut values) = (Planes::default(), Vec::new());
    for _ in 0..rows {
        match layout {
            Layout::F32 => {
                let row = random.floats(cols);
                planes.codes.extend((0..stride(cols as u32) as usize).map(|i| row.get(i).map_or(0, |w| w.to_bits())));
                values.extend(row.iter().map(|w| f64::from(*w)));
            }
            Layout::F16 | Layout::BF16 => {
                let row: Vec<u16> = random.floats(cols).iter().map(|w| narrow(layout, *w)).collect();
                let code = |i: usize| u32::from(row.get(i).copied().unwrap_or(0));
                planes.codes.extend((0..stride(cols as u32) as usize / 2).map(|i| code(2 * i) | code(2 * i + 1) << 16));
                values.extend(row.iter().map(|bits| widen(layout, *bits)));
            }
            Layout::I8 { group } => {
                let scales = random.floats(cols / group as usize);
                let codes: Vec<i8> = (0..cols).map(|_| random.word() as i8).collect();
                planes.codes.extend(codes.chunks(4).map(|c| u32::from_le_bytes([c[0] as u8, c[1] as u8, c[2] as u8, c[3] as u8])));
                values.extend(codes.iter().enumerate().map(|(i, q)| f64::from(scales[i / group as usize] * f32::from(*q))));
                planes.scales.extend(scales);
            }
            Layout::I4 | Layout::I4M => {
                let codes: Vec<u32> = (0..cols).map(|_| random.below(16) as u32).collect();
                planes.codes.extend(codes.chunks(8).map(|c| c.iter().rev().fold(0, |word, nibble| word << 4 | nibble)));
                let per_group = if layout == Layout::I4 { 1 } else { 2 };
                let scales = random.floats(cols / 32 * per_group);
                values.extend(codes.iter().enumerate().map(|(i, q)| {
                    let scale = &scales[i / 32 * per_group..];
                    let q = *q as f32;
                    f64::from(if layout == Layout::I4 { scale[0] * (q - 8.0) } else { scale[0] * q - scale[1] })
                }));
                planes.scales.extend(scales);
            }
        }
    }
    (planes, values)
}

fn narrow(layout: Layout, value: f32) -> u16 {
    if layout == Layout::F16 { half::f16::from_f32(value).to_bits() } else { half::bf16::from_f32(value).to_bits() }
}

fn widen(layout: Layout, bits: u16) -> f64 {
    if layout == Layout::F16 { half::f16::from_bits(bits).to_f64() } else { half::bf16::from_bits(bits).to_f64() }
}

/// Columns that a layout allows: odd ones where it has no groups.
fn column_counts(layout: Layout) -> [usize; 4] {
    match layout {
        Layout::F32 | Layout::F16 | Layout::BF16 => [7, 129, 1030, 64],
        Layout::I8 { group } => [group as usize, 3 * group as usize, 1056, 576],
        Layout::I4 | Layout::I4M => [32, 96, 1056, 576],
    }
}

/// Activations `[rows, stride]` with zero padding.
fn random_activations(random: &mut Random, rows: usize, width: usize) -> Vec<f32> {
    let stride = stride(width as u32) as usize;
    let mut x = vec![0.0; rows * stride];
    for row in x.chunks_exact_mut(stride) {
        row[..width].copy_from_slice(&random.floats(width));
    }
    x
}

#[track_caller]
fn assert_near(context: &str, index: usize, got: f32, want: f64, tolerance: f64) {
    let error = (f64::from(got) - want).abs();
    assert!(error <= tolerance, "{context}, index {index}: got {got}, want {want}, off by {error:e} > {tolerance:e}");
}

fn view<'a>(layout: Layout, cols: usize, planes: &'a Planes) -> PlanesView<'a> {
    PlanesView { layout, cols: cols as u32, codes: &planes.codes, scales: &planes.scales }
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

#[test]
fn unpacking_gives_the_exact_values_of_every_layout() {
    let mut random = Random(1);
    for layout in LAYOUTS {
        for cols in column_counts(layout) {
            let (planes, values) = random_planes(&mut random, layout, 5, cols);
            let view = view(layout, cols, &planes);
            assert_eq!(view.num_rows(), 5, "{layout:?} x {cols}");
            let mut row = vec![f32::NAN; view.stride()];
            for n in 0..5 {
                view.unpack_row(n, &mut row);
                for i in 0..view.stride() {
                    let want = if i < cols { values[n * cols + i] } else { 0.0 };
                    assert_eq!(f64::from(row[i]), want, "{layout:?} x {cols}, row {n}, column {i}");
                }
            }
        }
    }
}

#[test]
fn every_half_widens_exactly() {
    for bits in 0..=u16::MAX {
        let (got, want) = (f16_to_f32(u32::from(bits)), half::f16::from_bits(bits).to_f32());
        assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "half {bits:#06x}: got {got}, want {want}");
    }
}

#[test]
fn dot_sums_any_length_in_its_fixed_order() {
    let mut random = Random(2);
    for len in [0, 1, 7, 15, 16, 17, 129, 1030] {
        let (w, x) = (random.floats(len), random.floats(len));
        let mut lanes = [0.0f32; 16];
        for i in 0..len {
            lanes[i % 16] += w[i] * x[i];
        }
        let eight: Vec<f32> = (0..8).map(|i| lanes[i] + lanes[i + 8]).collect();
        let four: Vec<f32> = (0..4).map(|i| eight[i] + eight[i + 4]).collect();
        let want = (four[0] + four[2]) + (four[1] + four[3]);
        assert_eq!(dot(&w, &x).to_bits(), want.to_bits(), "length {len}: got {}, want {want}", dot(&w, &x));
    }
}

#[test]
fn linear_equals_the_f64_twin_for_every_layout_and_ending() {
    let mut random = Random(3);
    let endings = [Then::Store, Then::Add, Then::Gate(Activation::Silu)];
    for layout in LAYOUTS {
        for cols in column_counts(layout) {
            for then in endings {
                check_linear(&mut random, layout, cols, then);
            }
        }
    }
}

fn check_linear(random: &mut Random, layout: Layout, cols: usize, then: Then) {
    let (num_outputs, rows, gated) = (13, 5, then != Then::Store && then != Then::Add);
    let (planes, w) = random_planes(random, layout, if gated { 2 * num_outputs } else { num_outputs }, cols);
    let x = random_activations(random, rows, cols);
    let x_stride = stride(cols as u32) as usize;
    let before = random_activations(random, rows, num_outputs);
    let bias = random.floats(num_outputs);
    let bias = (!gated).then_some(bias.as_slice());
    let active = [0, 2, 3];
    let mut y = before.clone();
    let mut out = Outputs { values: &mut y, stride: 16, first: 0 };
    let activations = Activations { values: &x, stride: x_stride, active: &active };
    linear_rows(&view(layout, cols, &planes), 0..num_outputs, activations, bias, then, &mut out, &mut Vec::new());
    for row in 0..rows {
        let x = &x[row * x_stride..][..cols];
        let product = |n: usize| -> (f64, f64) {
            let terms = x.iter().zip(&w[n * cols..][..cols]).map(|(x, w)| f64::from(*x) * w);
            terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
        };
        for n in 0..16 {
            let (got, old) = (y[row * 16 + n], before[row * 16 + n]);
            if n >= num_outputs || !active.contains(&row) {
                assert_eq!(got.to_bits(), old.to_bits(), "{layout:?} x {cols} {then:?}: row {row} output {n} was touched");
                continue;
            }
            let (sum, size) = product(n);
            let bias = bias.map_or(0.0, |bias| f64::from(bias[n]));
            let (want, size) = match then {
                Then::Store => (sum + bias, size + 1.0),
                Then::Add => (sum + bias + f64::from(old), size + 2.0),
                Then::Gate(_) => {
                    let (up, up_size) = product(num_outputs + n);
                    (silu(sum) * up, (size + 1.0) * (up_size + 1.0))
                }
            };
            assert_near(&format!("{layout:?} x {cols} {then:?}, row {row}"), n, got, want, SUM_TOLERANCE * size);
        }
    }
}

#[test]
fn panels_give_back_the_rows_they_were_given() {
    let mut random = Random(21);
    for layout in PACKED {
        let (rows, cols) = (19, 96);
        let (planes, _) = random_planes(&mut random, layout, rows, cols);
        let mut panels = Panels::new("w", layout, rows as u32, cols as u32).unwrap();
        let (code_words, scale_words) = (layout.code_words(cols as u32) as usize, layout.scale_words(cols as u32) as usize);
        // In two runs, as a file's rows come.
        let (first_codes, codes) = planes.codes.split_at(5 * code_words);
        let (first_scales, scales) = planes.scales.split_at(5 * scale_words);
        panels.write(5, codes, scales);
        panels.write(0, first_codes, first_scales);
        let mut read = Planes::default();
        for row in 0..rows {
            let want = Planes {
                codes: planes.codes[row * code_words..][..code_words].to_vec(),
                scales: planes.scales[row * scale_words..][..scale_words].to_vec(),
            };
            panels.read(row, &mut read);
            assert_eq!(read, want, "{layout:?}, row {row}");
        }
    }
}

#[test]
fn activations_are_rounded_to_the_nearest_of_255_steps() {
    let mut random = Random(22);
    let x: Vec<f32> = (0..96).map(|i| random.float() * [1e-6, 3.0, 1e6][i / 32]).collect();
    let mut rounded = Rounded::default();
    rounded.clear(96);
    rounded.push(&x);
    rounded.push(&[0.0; 96]);
    assert_eq!(rounded.num_rows(), 2);
    for (group, (x, got)) in x.chunks(32).zip(rounded.values(0).chunks(32)).enumerate() {
        let step = x.iter().fold(0.0f32, |largest, x| largest.max(x.abs())) / 127.0;
        for (x, got) in x.iter().zip(got) {
            assert!((x - got).abs() <= 0.5001 * step, "group {group}: {x} became {got}, steps of {step}");
        }
    }
    assert_eq!(rounded.values(1), [0.0; 96]);
}

#[test]
fn the_exponential_is_within_two_units_in_the_last_place() {
    for step in 0..=200_000 {
        let x = -87.0 + 175.0 * step as f32 / 200_000.0;
        let (got, want) = (f64::from(kinglet_lanes::attention::exp(x)), f64::from(x).exp());
        // A unit in the last place is at most 2^-23 of the value.
        assert!((got - want).abs() <= 2.0 * 2f64.powi(-23) * want, "exp({x}) is {got}, expected {want}");
    }
}

#[test]
fn gates_of_panels_are_right_to_the_ends_of_f32() {
    for at in [-1e30f32, -200.0, -88.0, -20.0, -1.5, -1e-3, 0.0, 1e-6, 0.7, 19.0, 88.0, 200.0, 1e30] {
        let mut gates = [[at; 8]];
        silu_gates(&mut gates, &[[1.0; 8]]);
        let got = gates[0][3];
        let want = f64::from(at) / (1.0 + (-f64::from(at)).exp());
        assert!((f64::from(got) - want).abs() <= 4e-7 * want.abs() + 2e-36 * f64::from(at.abs()), "silu({at}) is {got}, expected {want}");
    }
    let mut gates = [[f32::NAN; 8]];
    silu_gates(&mut gates, &[[1.0; 8]]);
    assert!(gates[0][0].is_nan(), "a fault stays visible");
}

#[test]
fn panels_multiply_as_the_f64_twin_alone_and_together() {
    let mut random = Random(23);
    let endings = [Then::Store, Then::Add, Then::Gate(Activation::Silu)];
    for layout in PACKED {
        for (cols, num_outputs) in [(32, 8), (96, 13), (576, 24)] {
            for then in endings {
                check_panels(&mut random, layout, cols, num_outputs, then);
            }
        }
    }
}

fn check_panels(random: &mut Random, layout: Layout, cols: usize, num_outputs: usize, then: Then) {
    let gated = matches!(then, Then::Gate(_));
    let mut matrix = || {
        let (planes, w) = random_planes(random, layout, num_outputs, cols);
        let mut panels = Panels::new("w", layout, num_outputs as u32, cols as u32).unwrap();
        panels.write(0, &planes.codes, &planes.scales);
        (panels, w)
    };
    let ((panels, w), (up, up_w)) = (matrix(), matrix());
    let up = gated.then_some(&up);
    // Seven of nine rows: a tile of four, one of two and one of one.
    let (rows, active, width) = (9, [0, 1, 3, 4, 5, 6, 8], num_outputs + 3);
    let (x, before, bias) = (random.floats(rows * cols), random.floats(rows * width), random.floats(num_outputs));
    let bias = (!gated).then_some(bias.as_slice());
    let compute = |active: &[usize]| {
        let mut rounded = Rounded::default();
        rounded.clear(cols);
        active.iter().for_each(|row| rounded.push(&x[row * cols..][..cols]));
        let mut y = before.clone();
        let mut out = Outputs { values: &mut y, stride: width, first: 2 };
        let mut scratch = PanelScratch::default();
        for outputs in [0..8, 8..num_outputs] {
            linear_panels((&panels, up), outputs, &rounded, active, bias, then, &mut out, &mut scratch);
        }
        (y, rounded)
    };
    let (y, rounded) = compute(&active);
    for (index, row) in active.into_iter().enumerate() {
        let x = rounded.values(index);
        let product = |w: &[f64], n: usize| -> (f64, f64) {
            let terms = x.iter().zip(&w[n * cols..][..cols]).map(|(x, w)| f64::from(*x) * w);
            terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
        };
        for n in 0..num_outputs {
            let (got, old) = (y[row * width + 2 + n], before[row * width + 2 + n]);
            let (sum, size) = product(&w, n);
            let bias = bias.map_or(0.0, |bias| f64::from(bias[n]));
            let (want, size) = match then {
                Then::Store => (sum + bias, size + 1.0),
                Then::Add => (sum + bias + f64::from(old), size + 2.0),
                Then::Gate(_) => {
                    let (up, up_size) = product(&up_w, n);
                    (silu(sum) * up, (size + 1.0) * (up_size + 1.0))
                }
            };
            assert_near(&format!("{layout:?} x {cols} {then:?}, row {row}"), n, got, want, SUM_TOLERANCE * size);
        }
        let (alone, _) = compute(&[row]);
        assert_same_bits(&format!("{layout:?}, row {row} alone"), &alone[row * width..][..width], &y[row * width..][..width]);
    }
    for row in (0..rows).filter(|row| !active.contains(row)) {
        assert_same_bits("an inactive row", &y[row * width..][..width], &before[row * width..][..width]);
    }
}

#[test]
fn rms_norm_equals_the_f64_twin_and_pads_with_zeros() {
    let mut random = Random(4);
    for width in [1, 7, 64, 129, 1030] {
        let (x, gain) = (random.floats(width), random.floats(width));
        let mut y = vec![f32::NAN; stride(width as u32) as usize];
        rms_norm(&x, &gain, 1e-5, &mut y);
        let mean_square = x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / width as f64;
        for i in 0..y.len() {
            let want = if i < width { f64::from(x[i]) / (mean_square + f64::from(1e-5f32)).sqrt() * f64::from(gain[i]) } else { 0.0 };
            assert_near(&format!("width {width}"), i, y[i], want, 1e-6);
        }
    }
}

#[test]
fn linear_is_bitwise_the_same_alone_together_and_in_row_ranges() {
    let mut random = Random(5);
    for layout in LAYOUTS {
        for then in [Then::Add, Then::Gate(Activation::Silu)] {
            let (cols, num_outputs, rows) = (column_counts(layout)[1], 21, 8);
            let x_stride = stride(cols as u32) as usize;
            let gated = then != Then::Add;
            let (planes, _) = random_planes(&mut random, layout, if gated { 2 * num_outputs } else { num_outputs }, cols);
            let x = random_activations(&mut random, rows, cols);
            let before = random_activations(&mut random, rows, num_outputs);
            let bias = random.floats(num_outputs);
            let bias = (!gated).then_some(bias.as_slice());
            let run = |y: &mut [f32], weight: PlanesView, outputs, active: &[usize], first, bias: Option<&[f32]>| {
                let activations = Activations { values: &x, stride: x_stride, active };
                let mut out = Outputs { values: y, stride: 24, first };
                linear_rows(&weight, outputs, activations, bias, then, &mut out, &mut Vec::new());
            };
            let whole = view(layout, cols, &planes);
            let mut together = before.clone();
            run(&mut together, whole, 0..num_outputs, &[0, 1, 2, 3, 4, 5, 6, 7], 0, bias);

            let mut alone = before.clone();
            for row in 0..rows {
                run(&mut alone, whole, 0..num_outputs, &[row], 0, bias);
            }
            assert_same_bits(&format!("{layout:?} {then:?} alone"), &alone, &together);

            let mut ranges = before.clone();
            for outputs in [0..1, 1..9, 9..21] {
                run(&mut ranges, whole, outputs, &[0, 1, 2, 3, 4, 5, 6, 7], 0, bias);
            }
            assert_same_bits(&format!("{layout:?} {then:?} ranges of one view"), &ranges, &together);

            let mut streamed = before.clone();
            for outputs in [0..4, 4..5, 5..21] {
                let mut part = rows_of(layout, cols, &planes, outputs.clone());
                if gated {
                    let up = rows_of(layout, cols, &planes, num_outputs + outputs.start..num_outputs + outputs.end);
                    part.codes.extend(up.codes);
                    part.scales.extend(up.scales);
                }
                let bias = bias.map(|bias| &bias[outputs.clone()]);
                let active = [0, 1, 2, 3, 4, 5, 6, 7];
                run(&mut streamed, view(layout, cols, &part), 0..outputs.len(), &active, outputs.start, bias);
            }
            assert_same_bits(&format!("{layout:?} {then:?} streamed"), &streamed, &together);
        }
    }
}

fn rows_of(layout: Layout, cols: usize, planes: &Planes, rows: std::ops::Range<usize>) -> Planes {
    let (codes, scales) = (layout.code_words(cols as u32) as usize, layout.scale_words(cols as u32) as usize);
    Planes {
        codes: planes.codes[rows.start * codes..rows.end * codes].to_vec(),
        scales: planes.scales[rows.start * scales..rows.end * scales].to_vec(),
    }
}

#[track_caller]
pub fn assert_same_bits(context: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{context}: lengths");
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.to_bits(), want.to_bits(), "{context}, index {index}: got {got}, want {want}");
    }
}

/// cosine and sine of position * 10000^(-2 i / head_dim)
pub fn rope_table(max_seq: usize, head_dim: usize) -> Vec<f32> {
    let angle = |position: usize, i: usize| position as f64 * 10000f64.powf(-2.0 * i as f64 / head_dim as f64);
    let angles = (0..max_seq).flat_map(|position| (0..head_dim / 2).map(move |i| angle(position, i)));
    angles.flat_map(|angle| [angle.cos() as f32, angle.sin() as f32]).collect()
}

pub fn memory(num_layers: u32, slots: u32, max_seq: u32, heads: &Heads, vocab_size: u32) -> MemorySpec {
    let rope = rope_table(max_seq as usize, heads.head_dim as usize);
    let (num_key_value_heads, head_dim) = (heads.num_key_value_heads, heads.head_dim);
    MemorySpec { num_layers, slots, max_seq, num_key_value_heads, head_dim, rope, vocab_size }
}

const HEAD_SHAPES: [(u32, u32, u32); 4] = [(1, 1, 2), (4, 2, 6), (9, 3, 64), (6, 1, 18)];

#[test]
fn rope_rotates_both_pairings_and_appends_k_and_v() {
    let mut random = Random(6);
    for (num_attention_heads, num_key_value_heads, head_dim) in HEAD_SHAPES {
        for pairing in [Pairing::Halves, Pairing::Adjacent] {
            let heads = Heads { num_attention_heads, num_key_value_heads, head_dim, pairing };
            let mut caches = Caches::new(&memory(2, 3, 11, &heads, 5)).unwrap();
            let (head_dim, q_width) = (head_dim as usize, (num_attention_heads * head_dim) as usize);
            let kv_width = num_key_value_heads as usize * head_dim;
            let qkv = random.floats(q_width + 2 * kv_width);
            let mut q = vec![f32::NAN; q_width];
            let row = Row { slot: 1, position: 7, active: 1, ..Row::default() };
            rope(&mut caches, 1, &heads, &row, &qkv, &mut q);

            let at = 7 * kv_width;
            let (k, v) = (&caches.layers[1].k[1], &caches.layers[1].v[1]);
            let rotated: Vec<f32> = q.iter().chain(&k[at..at + kv_width]).copied().collect();
            for (index, got) in rotated.iter().enumerate() {
                let (head, i) = (index / head_dim, index % head_dim);
                let (pair, partner, sign) = match pairing {
                    Pairing::Halves if i < head_dim / 2 => (i, i + head_dim / 2, -1.0),
                    Pairing::Halves => (i - head_dim / 2, i - head_dim / 2, 1.0),
                    Pairing::Adjacent if i % 2 == 0 => (i / 2, i + 1, -1.0),
                    Pairing::Adjacent => (i / 2, i - 1, 1.0),
                };
                let angle = 7.0 * 10000f64.powf(-2.0 * pair as f64 / head_dim as f64);
                let (x, other) = (f64::from(qkv[index]), f64::from(qkv[head * head_dim + partner]));
                assert_near(&format!("{heads:?}"), index, *got, x * angle.cos() + sign * other * angle.sin(), 1e-6);
            }
            assert_same_bits("v", &v[at..at + kv_width], &qkv[q_width + kv_width..]);
            let touched = k.iter().chain(v).filter(|value| **value != 0.0).count();
            assert!(touched <= 2 * kv_width, "{touched} values of the cache were touched, expected {}", 2 * kv_width);
            let others = caches.layers[0].k.iter().chain(&caches.layers[0].v).chain([0, 2].iter().map(|slot| &caches.layers[1].k[*slot]));
            assert!(others.into_iter().all(Vec::is_empty), "the other layer or another slot was touched");
        }
    }
}

/// Caches with random keys and values everywhere.
fn random_caches(random: &mut Random, heads: &Heads, slots: u32, max_seq: u32) -> Caches {
    let mut caches = Caches::new(&memory(1, slots, max_seq, heads, 5)).unwrap();
    let len = max_seq as usize * caches.width;
    caches.layers[0].k = (0..slots).map(|_| random.floats(len)).collect();
    caches.layers[0].v = (0..slots).map(|_| random.floats(len)).collect();
    caches
}

#[test]
fn attention_equals_the_f64_twin_with_grouped_heads() {
    let mut random = Random(7);
    for (num_attention_heads, num_key_value_heads, head_dim) in HEAD_SHAPES {
        let heads = Heads { num_attention_heads, num_key_value_heads, head_dim, pairing: Pairing::Halves };
        let caches = random_caches(&mut random, &heads, 2, 41);
        let (n, kv_heads, d) = (num_attention_heads as usize, num_key_value_heads as usize, head_dim as usize);
        for position in [0, 1, 6, 40] {
            let q: Vec<f32> = random.floats(n * d).iter().map(|q| 4.0 * q).collect();
            let mut out = vec![f32::NAN; n * d];
            let row = Row { slot: 1, position, active: 1, ..Row::default() };
            attention(&caches, 0, &heads, &row, &q, &mut out, &mut Vec::new());
            for head in 0..n {
                let at = |p: usize, i: usize| (p * kv_heads + head / (n / kv_heads)) * d + i;
                let k = |p, i| f64::from(caches.layers[0].k[1][at(p, i)]);
                let v = |p, i| f64::from(caches.layers[0].v[1][at(p, i)]);
                let score = |p: usize| (0..d).map(|i| f64::from(q[head * d + i]) * k(p, i)).sum::<f64>() / (d as f64).sqrt();
                let weights: Vec<f64> = (0..=position as usize).map(|p| score(p).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for i in 0..d {
                    let want = weights.iter().enumerate().map(|(p, weight)| weight * v(p, i)).sum::<f64>() / sum;
                    assert_near(&format!("{heads:?}, position {position}"), head * d + i, out[head * d + i], want, 1e-5);
                }
            }
        }
    }
}

#[test]
fn attention_over_a_shared_prefix_is_bitwise_that_over_an_own_one() {
    let mut random = Random(8);
    let heads = Heads { num_attention_heads: 6, num_key_value_heads: 3, head_dim: 10, pairing: Pairing::Halves };
    let caches = random_caches(&mut random, &heads, 3, 17);
    let q = random.floats(60);
    for (prefix_len, position) in [(1, 3), (5, 5), (5, 16), (16, 16), (17, 16), (9, 4)] {
        let own = Row { slot: 2, position, active: 1, ..Row::default() };
        let shared = Row { prefix_slot: 0, prefix_len, ..own };
        let len = prefix_len as usize * caches.width;
        let mut with_prefix = vec![0.0; 60];
        attention(&caches, 0, &heads, &shared, &q, &mut with_prefix, &mut Vec::new());
        let mut copied = caches.clone();
        let LayerCache { k, v } = &mut copied.layers[0];
        for slots in [k, v] {
            let prefix = slots[0][..len].to_vec();
            slots[2][..len].copy_from_slice(&prefix);
        }
        let mut without = vec![0.0; 60];
        attention(&copied, 0, &heads, &own, &q, &mut without, &mut Vec::new());
        assert_same_bits(&format!("prefix {prefix_len}, position {position}"), &with_prefix, &without);
    }
}
