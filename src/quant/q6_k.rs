//! Q6_K → `I8 { group: 16 }`. A super-block of 210 bytes: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, f16 d.
//!
//! Group g of 16 columns has s = d * scale[g], exact in f32 (11 bits times 8); w = s * (q - 32). Of each half of 128 columns, the low
//! nibbles are columns 0..64 (low halves of 64 bytes) and 64..128 (high halves), and the bit pairs of one byte belong to columns
//! l, l + 32, l + 64 and l + 96. Source: ggml, `block_q6_K` in ggml-common.h and `dequantize_row_q6_K` in ggml-quants.c.

use super::{Planes, half, word};

pub(super) fn repack(bytes: &[u8], planes: &mut Planes) {
    for block in bytes.as_chunks::<210>().0 {
        let d = half(block, 208);
        planes.scales.extend(block[192..208].iter().map(|&scale| d * f32::from(scale as i8)));
        for half in 0..2 {
            let (nibbles, pairs) = (&block[half * 64..], &block[128 + half * 32..]);
            for quarter in 0..4 {
                let (nibbles, nibble_shift) = (&nibbles[quarter % 2 * 32..], quarter / 2 * 4);
                for at in (0..32).step_by(4) {
                    let low = word(nibbles, at) >> nibble_shift & 0x0f0f_0f0f;
                    let upper = word(pairs, at) >> (2 * quarter) & 0x0303_0303;
                    planes.codes.push(minus_32(low | upper << 4));
                }
            }
        }
    }
}

/// Four bytes of 0..64, each less 32, as i8: the borrow stops at bit 7, which is set before and flipped after.
fn minus_32(bytes: u32) -> u32 {
    ((bytes | 0x8080_8080) - 0x2020_2020) ^ 0x8080_8080
}
