//! The loops that decoding on the CPU spends its time in: dot products, and packed rows → f32.
//!
//! Plain loops over slices in fixed patterns, which the compiler turns into SIMD on every target; no fused multiply-add, so native and
//! wasm give the same bits. A crate of its own because a profile's `opt-level` is a crate's: the page's wasm is compiled for size, this
//! for speed. What the packed codes mean is stated in `quant` of the main crate.

pub mod attention;
pub mod panels;

/// Columns that share a scale in the nibble layouts.
const NIBBLE_GROUP: usize = 32;
/// Nibbles that are spread at once.
const NIBBLE_BLOCK: usize = 256;
/// Added to anything below 2^22, it leaves the nearest integer, ties to even, in the low bits.
const TO_INTEGER: f32 = 12_582_912.0;
/// Partial sums that run side by side.
const LANES: usize = 16;

/// sum of w[i] * x[i] over the shorter of the two.
pub fn dot(w: &[f32], x: &[f32]) -> f32 {
    let len = w.len().min(x.len());
    let (w_blocks, w_rest) = w[..len].as_chunks::<LANES>();
    let (x_blocks, x_rest) = x[..len].as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (w, x) in w_blocks.iter().zip(x_blocks) {
        for i in 0..LANES {
            sums[i] += w[i] * x[i];
        }
    }
    for ((sum, w), x) in sums.iter_mut().zip(w_rest).zip(x_rest) {
        *sum += w * x;
    }
    fold(sums)
}

/// The sum of the partial sums, folded in halves.
pub fn fold(mut sums: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
    }
    sums[0]
}

/// y[i] += x[i] over the shorter of the two.
pub fn add(y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

/// y[i] = x[i] * scale * gain[i] over the shortest of the three.
pub fn scale(x: &[f32], scale: f32, gain: &[f32], y: &mut [f32]) {
    for ((y, x), gain) in y.iter_mut().zip(x).zip(gain) {
        *y = x * scale * gain;
    }
}

/// Rotates the pairs (i, i + n / 2) of `x: [n]` by `angles: [n / 2]`, each cosine and sine.
///
/// # Panics
/// If the lengths differ.
pub fn rotate_halves(x: &[f32], angles: &[[f32; 2]], y: &mut [f32]) {
    let (x_low, x_high) = x.split_at(angles.len());
    let (y_low, y_high) = y.split_at_mut(angles.len());
    for i in 0..angles.len() {
        let [cosine, sine] = angles[i];
        y_low[i] = x_low[i] * cosine - x_high[i] * sine;
        y_high[i] = x_high[i] * cosine + x_low[i] * sine;
    }
}

/// Likewise the pairs (2 i, 2 i + 1).
pub fn rotate_adjacent(x: &[f32], angles: &[[f32; 2]], y: &mut [f32]) {
    for ((x, y), [cosine, sine]) in x.as_chunks::<2>().0.iter().zip(y.as_chunks_mut::<2>().0).zip(angles) {
        *y = [x[0] * cosine - x[1] * sine, x[1] * cosine + x[0] * sine];
    }
}

/// One f32 a word.
pub fn unpack_f32(codes: &[u32], out: &mut [f32]) {
    for (out, code) in out.iter_mut().zip(codes) {
        *out = f32::from_bits(*code);
    }
}

/// Two f16 a word.
pub fn unpack_f16(codes: &[u32], out: &mut [f32]) {
    unpack_halves(codes, out, f16_to_f32);
}

/// Two bfloat16 a word.
pub fn unpack_bf16(codes: &[u32], out: &mut [f32]) {
    unpack_halves(codes, out, |half| f32::from_bits(half << 16));
}

fn unpack_halves(codes: &[u32], out: &mut [f32], widen: impl Fn(u32) -> f32) {
    let halves: &[u16] = bytemuck::cast_slice(codes);
    for (out, half) in out.iter_mut().zip(halves) {
        *out = widen(u32::from(*half));
    }
}

/// The value of a half, subnormals, infinities and NaN included.
pub fn f16_to_f32(half: u32) -> f32 {
    // Sign, exponent and fraction in place, the exponent 112 too small; the product restores it exactly, for subnormals too.
    const RESTORE: f32 = f32::from_bits((127 + 112) << 23);
    let bits = (half & 0x8000) << 16 | (half & 0x7fff) << 13;
    let not_finite = if half & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits((f32::from_bits(bits) * RESTORE).to_bits() | not_finite)
}

/// Four signed bytes a word, a scale for each `group`: w = s * q.
pub fn unpack_i8(codes: &[u32], scales: &[f32], group: usize, out: &mut [f32]) {
    for ((out, codes), scale) in out.chunks_exact_mut(group).zip(codes.chunks_exact(group / 4)).zip(scales) {
        let codes: &[i8] = bytemuck::cast_slice(codes);
        for (out, code) in out.iter_mut().zip(codes) {
            *out = scale * f32::from(*code);
        }
    }
}

/// Eight nibbles a word, a scale for each 32: w = s * (q - 8).
pub fn unpack_i4(codes: &[u32], scales: &[f32], out: &mut [f32]) {
    let mut pairs = [0; NIBBLE_BLOCK / 2];
    let blocks = out.chunks_mut(NIBBLE_BLOCK).zip(codes.chunks(NIBBLE_BLOCK / 8)).zip(scales.chunks(NIBBLE_BLOCK / NIBBLE_GROUP));
    for ((out, codes), scales) in blocks {
        let nibbles = spread_nibbles(codes, &mut pairs).chunks_exact(NIBBLE_GROUP);
        let groups = out.chunks_exact_mut(NIBBLE_GROUP).zip(nibbles);
        for ((out, nibbles), scale) in groups.zip(scales) {
            for (out, nibble) in out.iter_mut().zip(nibbles) {
                *out = scale * f32::from(nibble - 8);
            }
        }
    }
}

/// Eight nibbles a word, a scale and a minimum for each 32: w = s * q - m.
pub fn unpack_i4m(codes: &[u32], scales: &[f32], out: &mut [f32]) {
    let mut pairs = [0; NIBBLE_BLOCK / 2];
    let blocks = out.chunks_mut(NIBBLE_BLOCK).zip(codes.chunks(NIBBLE_BLOCK / 8)).zip(scales.chunks(2 * NIBBLE_BLOCK / NIBBLE_GROUP));
    for ((out, codes), scales) in blocks {
        let nibbles = spread_nibbles(codes, &mut pairs).chunks_exact(NIBBLE_GROUP);
        let groups = out.chunks_exact_mut(NIBBLE_GROUP).zip(nibbles);
        for ((out, nibbles), [scale, minimum]) in groups.zip(scales.as_chunks::<2>().0) {
            for (out, nibble) in out.iter_mut().zip(nibbles) {
                *out = scale * f32::from(*nibble) - minimum;
            }
        }
    }
}

/// The nibbles of the codes, in column order.
fn spread_nibbles<'a>(codes: &[u32], pairs: &'a mut [u16; NIBBLE_BLOCK / 2]) -> &'a [i8] {
    let bytes: &[u8] = bytemuck::cast_slice(codes);
    // A byte's two nibbles become the two bytes of a little-endian u16: a plain map, which vectorises where an interleave does not.
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = (u16::from(*byte) | u16::from(*byte) << 4) & 0x0f0f;
    }
    bytemuck::cast_slice(pairs)
}

#[cfg(target_endian = "big")]
compile_error!("packed codes are read as little-endian bytes");
