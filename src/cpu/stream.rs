//! Reads memory as fast as one thread can: the roofline that decoding, which streams the weights, is held against.

use std::hint::black_box;

/// Larger than any cache.
const BUFFER_BYTES: u64 = 64 << 20;

/// Reads about `bytes` of memory. `buffer` keeps its allocation between calls.
pub fn stream_read(buffer: &mut Vec<u64>, bytes: u64) {
    buffer.resize((BUFFER_BYTES / 8) as usize, 1);
    for _ in 0..bytes.div_ceil(BUFFER_BYTES) {
        let mut sums = [0u64; 16];
        for words in black_box(buffer.as_slice()).as_chunks::<16>().0 {
            for (sum, word) in sums.iter_mut().zip(words) {
                *sum = sum.wrapping_add(*word);
            }
        }
        black_box(sums);
    }
}
