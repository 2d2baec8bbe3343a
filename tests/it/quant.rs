//! Repacking keeps every weight: planes give back the very bits that gguf-py computes from the file's blocks.

use crate::support::{Random, bytes_of};
use kinglet::{
    quant::{Layout, Planes, bf16_to_f32, dequantize, f16_to_f32, planes_to_f32, repack, stride, widen},
    source::DType,
};

struct Vector {
    bytes: Vec<u8>,
    /// `[rows, cols]` bits of f32.
    weights: Vec<u32>,
    rows: u32,
    cols: u32,
}

fn vector(dtype: DType) -> Vector {
    let file = bytes_of("quant/vectors.safetensors");
    let file = safetensors::SafeTensors::deserialize(&file).unwrap();
    let weights = file.tensor(&format!("{}.weights", dtype.name())).unwrap();
    Vector {
        bytes: file.tensor(&format!("{}.bytes", dtype.name())).unwrap().data().to_vec(),
        weights: weights.data().as_chunks().0.iter().map(|bits| u32::from_le_bytes(*bits)).collect(),
        rows: weights.shape()[0] as u32,
        cols: weights.shape()[1] as u32,
    }
}

fn dequantized(layout: Layout, planes: &Planes, rows: u32, cols: u32) -> Vec<f32> {
    let mut weights = vec![0.0; (rows * cols) as usize];
    for (row, out) in weights.chunks_exact_mut(cols as usize).enumerate() {
        dequantize(layout, planes, row as u32, cols, out);
    }
    weights
}

fn assert_bits(name: &str, got: &[f32], want: &[u32]) {
    assert_eq!(got.len(), want.len(), "{name}");
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert_eq!(got.to_bits(), *want, "{name}: weight {index}: got {got:e}, want {:e}", f32::from_bits(*want));
    }
}

#[test]
fn planes_hold_the_bits_that_gguf_py_dequantizes() {
    for dtype in DType::ALL {
        let Vector { bytes, weights, rows, cols } = vector(dtype);
        let planes = repack(dtype, &bytes, rows, cols);
        let layout = Layout::of(dtype);
        assert_eq!(planes.codes.len() as u32, rows * layout.code_words(cols), "{dtype:?}");
        assert_eq!(planes.scales.len() as u32, rows * layout.scale_words(cols), "{dtype:?}");
        assert_bits(dtype.name(), &dequantized(layout, &planes, rows, cols), &weights);
    }
}

#[test]
fn vectors_reach_subnormal_and_negative_scales() {
    for dtype in [DType::Q8_0, DType::Q4_0, DType::Q4_K, DType::Q6_K] {
        let Vector { bytes, rows, cols, .. } = vector(dtype);
        let scales = repack(dtype, &bytes, rows, cols).scales;
        let smallest_normal_half = 2.0f32.powi(-14);
        assert!(scales.iter().any(|s| *s != 0.0 && s.abs() < smallest_normal_half), "{dtype:?} has no subnormal scale");
        assert!(scales.iter().any(|s| *s < 0.0), "{dtype:?} has no negative scale");
    }
}

#[test]
fn rows_repacked_in_pieces_equal_rows_repacked_at_once() {
    for dtype in DType::ALL {
        let Vector { bytes, rows, cols, .. } = vector(dtype);
        let row_bytes = bytes.len() / rows as usize;
        let mut pieces = Planes::default();
        for row in bytes.chunks_exact(row_bytes) {
            let piece = repack(dtype, row, 1, cols);
            pieces.codes.extend(piece.codes);
            pieces.scales.extend(piece.scales);
        }
        assert_eq!(pieces, repack(dtype, &bytes, rows, cols), "{dtype:?}");
    }
}

#[test]
fn planes_widened_to_f32_keep_their_values() {
    for dtype in DType::ALL {
        let Vector { bytes, weights, rows, cols } = vector(dtype);
        let wide = planes_to_f32(Layout::of(dtype), &repack(dtype, &bytes, rows, cols), rows, cols);
        assert_eq!(wide.codes.len() as u32, rows * stride(cols), "{dtype:?}");
        assert!(wide.scales.is_empty());
        assert_bits(dtype.name(), &dequantized(Layout::F32, &wide, rows, cols), &weights);
    }
}

#[test]
fn rows_of_odd_length_are_padded_with_zero_codes() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        for cols in [1u32, 7, 8, 9, 13, 129] {
            let element_bytes = dtype.block_bytes() as usize;
            let rows = 3;
            let bytes = vec![0xffu8; rows * cols as usize * element_bytes];
            let planes = repack(dtype, &bytes, rows as u32, cols);
            let row_words = Layout::of(dtype).code_words(cols) as usize;
            assert_eq!(planes.codes.len(), rows * row_words, "{dtype:?} of {cols} columns");
            for (row, words) in planes.codes.chunks_exact(row_words).enumerate() {
                let stored: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                let (weights, padding) = stored.split_at(cols as usize * element_bytes);
                assert!(weights.iter().all(|byte| *byte == 0xff), "{dtype:?} of {cols} columns, row {row}: {stored:02x?}");
                assert!(padding.iter().all(|byte| *byte == 0), "{dtype:?} of {cols} columns, row {row}: {stored:02x?}");
            }
        }
    }
}

#[test]
fn nibbles_stand_in_column_order() {
    // Column c of the block has code c % 16: byte j holds columns j (low) and j + 16 (high).
    let mut block = vec![0x00, 0x3c];
    block.extend((0..16u8).map(|j| j | j << 4));
    let planes = repack(DType::Q4_0, &block, 1, 32);
    assert_eq!(planes.codes, [0x7654_3210, 0xfedc_ba98, 0x7654_3210, 0xfedc_ba98]);
    assert_eq!(planes.scales, [1.0]);
}

#[test]
fn bytes_stand_in_column_order() {
    let mut block = vec![0x00, 0xbc];
    block.extend(0..32u8);
    let planes = repack(DType::Q8_0, &block, 1, 32);
    assert_eq!(planes.codes[..2], [0x0302_0100, 0x0706_0504]);
    assert_eq!(planes.codes[7], 0x1f1e_1d1c);
    assert_eq!(planes.scales, [-1.0]);
}

#[test]
fn every_half_widens_exactly() {
    for bits in 0..=u16::MAX {
        let (got, want) = (f16_to_f32(bits), half::f16::from_bits(bits).to_f32());
        assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan(), "f16 {bits:#06x}: got {got:e}, want {want:e}");
        assert_eq!(got.is_sign_negative(), bits >> 15 == 1, "f16 {bits:#06x}");
        assert_eq!(bf16_to_f32(bits).to_bits(), u32::from(bits) << 16, "bf16 {bits:#06x}");
    }
}

#[test]
fn vectors_of_floats_widen_and_blocks_do_not() {
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let Vector { bytes, weights, .. } = vector(dtype);
        assert_bits(dtype.name(), &widen(dtype, &bytes).unwrap(), &weights);
    }
    for dtype in [DType::Q8_0, DType::Q4_0, DType::Q4_K, DType::Q6_K] {
        let error = widen(dtype, &[]).unwrap_err();
        assert!(error.to_string().contains(dtype.name()), "{error}");
    }
}

#[test]
fn any_bytes_repack_and_dequantize_without_panic() {
    let mut random = Random(3);
    for dtype in DType::ALL {
        for _ in 0..50 {
            let (rows, cols) = (1 + random.below(4) as u32, (1 + random.below(3) as u32) * dtype.block_size() as u32);
            let length = u64::from(rows * cols) / dtype.block_size() * dtype.block_bytes();
            let bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            let planes = repack(dtype, &bytes, rows, cols);
            assert_eq!(dequantized(Layout::of(dtype), &planes, rows, cols).len() as u32, rows * cols);
        }
    }
}

#[test]
#[should_panic(expected = "columns of Q4_K")]
fn columns_that_split_a_block_are_a_broken_invariant() {
    repack(DType::Q4_K, &[0; 144], 1, 128);
}
