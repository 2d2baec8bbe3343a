//! Q8_0 → `I8 { group: 32 }`. A block of 34 bytes: f16 scale d, 32 signed bytes q; w = d * q.
//!
//! Source: ggml, `block_q8_0` in ggml-common.h and `dequantize_row_q8_0` in ggml-quants.c.

use super::{Planes, half};

pub(super) fn repack(bytes: &[u8], planes: &mut Planes) {
    for block in bytes.as_chunks::<34>().0 {
        planes.scales.push(half(block, 0));
        planes.codes.extend(block[2..].as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)));
    }
}
