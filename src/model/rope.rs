//! The rotary table: cosine and sine of every position and pair, made once at load for every device.
//!
//! Frequencies and angles are rounded to f32 before the cosine, as the reference implementation does (Hugging Face transformers,
//! `modeling_rope_utils.py`); the same table on every device keeps them comparable.

use super::config::{Rope, RopeScaling};
use std::f32::consts::PI;

/// `[max_seq, head_dim / 2, 2]` f32: cosine, then sine, of position * frequency.
pub fn rope_table(rope: &Rope, head_dim: u32, max_seq: u32) -> Vec<f32> {
    let frequencies: Vec<f32> = (0..head_dim / 2).map(|pair| frequency(rope, head_dim, pair)).collect();
    let mut table = Vec::with_capacity(max_seq as usize * head_dim as usize);
    for position in 0..max_seq {
        for frequency in &frequencies {
            let angle = f64::from(position as f32 * frequency);
            table.extend([libm::cos(angle) as f32, libm::sin(angle) as f32]);
        }
    }
    table
}

fn frequency(rope: &Rope, head_dim: u32, pair: u32) -> f32 {
    let exponent = (2 * pair) as f32 / head_dim as f32;
    let plain = 1.0 / libm::powf(rope.theta, exponent);
    match &rope.scaling {
        RopeScaling::None => plain,
        RopeScaling::Linear { factor } => plain / factor,
        RopeScaling::Factors(factors) => plain / factors[pair as usize],
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } => {
            let wavelength = 2.0 * PI / plain;
            if wavelength < original_max_position_embeddings / high_freq_factor {
                return plain;
            }
            if wavelength > original_max_position_embeddings / low_freq_factor {
                return plain / factor;
            }
            let smooth = (original_max_position_embeddings / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
            (1.0 - smooth) * plain / factor + smooth * plain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Pairing;

    #[test]
    fn position_zero_does_not_turn_and_position_one_turns_by_the_frequency() {
        let rope = Rope { theta: 10000.0, pairing: Pairing::Halves, scaling: RopeScaling::None };
        let table = rope_table(&rope, 8, 2);
        assert_eq!(&table[..8], &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        for (pair, frequency) in [1.0f64, 0.1, 0.01, 0.001].into_iter().enumerate() {
            assert!((f64::from(table[8 + 2 * pair]) - frequency.cos()).abs() < 1e-7);
            assert!((f64::from(table[9 + 2 * pair]) - frequency.sin()).abs() < 1e-7);
        }
    }

    #[test]
    fn llama3_keeps_short_wavelengths_and_divides_long_ones() {
        let scaling =
            RopeScaling::Llama3 { factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 128.0 };
        let rope = Rope { theta: 50000.0, pairing: Pairing::Halves, scaling };
        let plain = Rope { scaling: RopeScaling::None, ..rope.clone() };
        assert_eq!(frequency(&rope, 16, 0), frequency(&plain, 16, 0));
        assert_eq!(frequency(&rope, 16, 7), frequency(&plain, 16, 7) / 8.0);
        let (middle, whole) = (frequency(&rope, 16, 2), frequency(&plain, 16, 2));
        assert!(middle < whole && middle > whole / 8.0, "pair 2 is on the ramp: {middle} of {whole}");
    }
}
