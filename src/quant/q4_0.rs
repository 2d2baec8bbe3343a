//! Q4_0 → `I4`. A block of 18 bytes: f16 scale d, 16 bytes of nibbles; w = d * (q - 8).
//!
//! The low nibbles are columns 0..16 and the high ones columns 16..32; the plane has them in column order.
//! Source: ggml, `block_q4_0` in ggml-common.h and `dequantize_row_q4_0` in ggml-quants.c.

use super::{Planes, half, pack_nibbles, word};

pub(super) fn repack(bytes: &[u8], planes: &mut Planes) {
    for block in bytes.as_chunks::<18>().0 {
        planes.scales.push(half(block, 0));
        let nibbles = [word(block, 2), word(block, 6), word(block, 10), word(block, 14)];
        for shift in [0, 4] {
            planes.codes.push(pack_nibbles(nibbles[0] >> shift, nibbles[1] >> shift));
            planes.codes.push(pack_nibbles(nibbles[2] >> shift, nibbles[3] >> shift));
        }
    }
}
