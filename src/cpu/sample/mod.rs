//! `Op::Sample` for one row: logits → the next token, and the row advanced, as `plan::Sampling` defines.
//!
//! The filters are shared with [`distribution`], the fuller sampler behind the command line; masses are summed in f64.

pub mod distribution;
pub mod filters;

use crate::cpu::philox;
use crate::plan::{NO_TOKEN, Row, Sampled, Sampling};
use filters::{LogSum, Scratch};

/// What was fed and drawn, by slot and position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// tokens: `[slots, max_seq + 1]` u32
    pub tokens: Vec<u32>,
    /// Positions a slot: max_seq + 1.
    pub stride: usize,
}

impl History {
    /// Where a token stands.
    ///
    /// # Panics
    /// If the position does not exist.
    pub fn index(&self, slot: u32, position: u32) -> usize {
        assert!((position as usize) < self.stride, "history position {position} of {}", self.stride);
        slot as usize * self.stride + position as usize
    }

    /// The row's tokens at positions 0..=position, its shared prefix first.
    pub fn of<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = u32> + 'a {
        (0..=row.position).map(|position| {
            let slot = if position < row.prefix_len { row.prefix_slot } else { row.slot };
            self.tokens[self.index(slot, position)]
        })
    }
}

/// Draws tokens; holds nothing but room, which it keeps from one draw to the next.
#[derive(Clone, Debug, Default)]
pub struct Sampler {
    /// scores: `[vocab_size]` f32, as they were before anything was removed
    scores: Vec<f32>,
    filters: Scratch,
}

impl Sampler {
    /// Draws the row's next token from `logits: [vocab_size]`, which it overwrites, and advances the row.
    /// `mask`: `[2, ceil(vocab_size / 32)]`.
    ///
    /// An inactive row draws [`NO_TOKEN`] and stays as it is. If nothing may be drawn at all, the lowest id is.
    ///
    /// # Panics
    /// If the row's positions are not in the history.
    pub fn sample_row(&mut self, row: &mut Row, logits: &mut [f32], mask: &[u32], sampling: &Sampling, history: &mut History) -> Sampled {
        if row.active == 0 {
            return Sampled { token: NO_TOKEN, epoch: row.epoch, ..Sampled::default() };
        }
        filters::without_nan(logits);
        let (banned, boosted) = mask.split_at(mask.len() / 2);
        filters::mask(logits, banned);
        filters::ban(logits, [row.ban]);
        filters::repetition_penalty(logits, history.of(row), sampling.repetition_penalty, &mut self.filters);
        boost(row, logits, boosted, sampling.boost, history);
        let scored = sampling.scored == 1;
        if scored {
            // Drawing changes the scores; what they were tells how probable the token was.
            self.scores.clear();
            self.scores.extend_from_slice(logits);
        }
        let token = if sampling.temperature == 0.0 { filters::best(logits) } else { self.draw(row, logits, sampling) };
        let log_probability = if scored { LogSum::of(&self.scores).log_probability(self.scores[token as usize]) } else { 0.0 };
        advance(row, token, sampling, history);
        Sampled { token, epoch: row.epoch, log_probability, reserved: 0 }
    }

    fn draw(&mut self, row: &Row, scores: &mut [f32], sampling: &Sampling) -> u32 {
        filters::temperature(scores, sampling.temperature);
        filters::top_k(scores, sampling.top_k as usize, &mut self.filters);
        filters::top_p(scores, f64::from(sampling.top_p), &mut self.filters);
        filters::min_p(scores, f64::from(sampling.min_p));
        let key = [sampling.seed_low, sampling.seed_high];
        let counter = [row.position.wrapping_add(1), row.draft, row.attempt, 0];
        let u = philox::uniform(philox::philox4x32(key, counter)[0]);
        self.filters.weights.fill(scores);
        self.filters.weights.draw(f64::from(u)).unwrap_or(0)
    }
}

/// Adds `amount` to the scores of the tokens whose bit is set and which the row has not drawn since its prefix.
fn boost(row: &Row, scores: &mut [f32], boosted: &[u32], amount: f32, history: &History) {
    if amount == 0.0 {
        return;
    }
    let is_drawn =
        |token: u32| (row.prefix_len + 1..=row.position).any(|position| history.tokens[history.index(row.slot, position)] == token);
    for (token, score) in (0u32..).zip(scores) {
        if boosted[token as usize / 32] >> (token % 32) & 1 == 1 && !is_drawn(token) {
            *score += amount;
        }
    }
}

fn advance(row: &mut Row, token: u32, sampling: &Sampling, history: &mut History) {
    let at = history.index(row.slot, row.position + 1);
    history.tokens[at] = token;
    let num_end_tokens = (sampling.num_end_tokens as usize).min(sampling.end_tokens.len());
    let ended = sampling.end_tokens[..num_end_tokens].contains(&token);
    row.token = token;
    row.position += 1;
    row.ban = NO_TOKEN;
    row.active = u32::from(!ended && row.position < row.limit);
}
