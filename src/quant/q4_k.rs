//! Q4_K → `I4M`. A super-block of 144 bytes: f16 d, f16 dmin, 12 bytes of 6-bit scales and minimums, 128 bytes of nibbles.
//!
//! Group g of 32 columns has s = d * scale[g] and m = dmin * min[g], both exact in f32 (11 bits times 6); w = s * q - m.
//! Each 32 bytes of nibbles hold two groups, the first in the low halves.
//! Source: ggml, `block_q4_K` in ggml-common.h, `get_scale_min_k4` and `dequantize_row_q4_K` in ggml-quants.c.

use super::{Planes, half, pack_nibbles, word};

pub(super) fn repack(bytes: &[u8], planes: &mut Planes) {
    for block in bytes.as_chunks::<144>().0 {
        let (d, dmin) = (half(block, 0), half(block, 2));
        for (scale, minimum) in scales_and_minimums(&block[4..16]) {
            planes.scales.push(d * f32::from(scale));
            planes.scales.push(dmin * f32::from(minimum));
        }
        for pair in block[16..].as_chunks::<32>().0 {
            for shift in [0, 4] {
                for at in [0, 8, 16, 24] {
                    planes.codes.push(pack_nibbles(word(pair, at) >> shift, word(pair, at + 4) >> shift));
                }
            }
        }
    }
}

/// Groups 0..4 keep six bits in bytes 0..4 (scales) and 4..8 (minimums); groups 4..8 keep four in bytes 8..12 and the upper two in
/// what the first eight bytes leave free.
fn scales_and_minimums(packed: &[u8]) -> [(u8, u8); 8] {
    std::array::from_fn(|group| match group {
        0..4 => (packed[group] & 0x3f, packed[group + 4] & 0x3f),
        _ => {
            let low = packed[group + 4];
            (low & 0x0f | packed[group - 4] >> 6 << 4, low >> 4 | packed[group] >> 6 << 4)
        }
    })
}
