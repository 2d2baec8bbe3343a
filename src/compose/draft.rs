//! One draft as a state machine: tokens in, decisions out. Knows which token stands at which byte, so that a verdict about text becomes
//! a rewind of tokens; counts the attempts; and repairs when they are used up. Knows no device and no tokenizer.

use super::guard::{DraftGuard, Ending, Fault, Verdict, words};
use super::length::{Check, check};
use super::repair::repair;
use super::tidy::{blank_line, tidy};
use super::{Length, Network};
use crate::session::End;
use serde::Serialize;

/// Most times a draft is taken back because it did not end, or because it is the brief.
pub const MAX_RETAKES: u32 = 8;
/// Most times a draft is taken back by a few tokens because of something that may not be in it.
const MAX_LOCAL_RETAKES: u32 = 24;

/// Why a draft is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// The model ended it.
    End,
    /// The length was used up; the text ends with its last whole sentence.
    Limit,
    /// A stop string was met.
    StopString,
    /// It never came to an end: cut at a word, with a full stop added.
    Repaired,
    /// It was cancelled.
    Cancelled,
}

/// What the session is to do with a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Draw the next token.
    Continue,
    /// Go back to the first `keep` tokens and do not draw `ban` next.
    Rewind {
        /// Tokens kept.
        keep: u32,
        /// The token that stood next.
        ban: u32,
    },
    /// The draft is finished.
    Finish {
        /// Its text.
        text: String,
        /// Why.
        stop: StopReason,
    },
    /// No word of it can be used.
    Abandon,
}

/// A draft being written.
#[derive(Clone, Debug, Default)]
pub struct DraftState {
    tokens: Vec<u32>,
    /// Bytes of `text` after each token.
    marks: Vec<usize>,
    /// How probable each token was, as a logarithm.
    log_probabilities: Vec<f32>,
    /// Where it was taken back because it was the brief.
    echoes: Vec<usize>,
    text: String,
    retakes: u32,
    local_retakes: u32,
    /// Times it may still be taken back for a slip.
    slips_left: u32,
    /// Tokens that the last slip left.
    last_slip: Option<usize>,
    /// The longest repaired text of all attempts.
    spare: Option<String>,
    /// Whether nothing else would be tried after it.
    is_last_chance: bool,
}

impl DraftState {
    /// A draft that is repaired at once when it does not end by itself.
    pub fn without_retakes() -> DraftState {
        DraftState { retakes: MAX_RETAKES, local_retakes: MAX_LOCAL_RETAKES, is_last_chance: true, ..DraftState::default() }
    }

    /// A draft that is taken back up to so many times for slips of the model ([`DraftGuard::slip`]).
    pub fn without_slips(slips_left: u32) -> DraftState {
        DraftState { slips_left, ..DraftState::default() }
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tokens so far.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The sum of its tokens' log-probabilities.
    pub fn likelihood(&self) -> f32 {
        self.log_probabilities.iter().sum()
    }

    /// Takes the next token and how probable it was, 0 if unknown. `raw` is everything the model has written in this draft, as it decodes.
    pub fn push(&mut self, guard: &DraftGuard, token: u32, log_probability: f32, raw: &str, end: Option<End>) -> Action {
        self.tokens.push(token);
        self.log_probabilities.push(log_probability);
        let ending = match end {
            None => Ending::Open,
            Some(End::EndToken) => Ending::Model,
            Some(End::Limit) => Ending::Room,
        };
        if let Some(cut) = blank_line(raw).filter(|_| ending != Ending::Model) {
            let post = tidy(&raw[..cut]);
            if let Some(text) = guard.acceptable(&post) {
                return Action::Finish { text, stop: StopReason::End };
            }
        }
        self.text = tidy(raw);
        self.marks.push(self.text.len());
        let verdict = guard.judge(&self.text, ending);
        if self.slips_left > 0
            && matches!(verdict, Verdict::Continue | Verdict::Stop { at_limit: false, .. })
            && let Some(keep) = guard.slip(&self.text, ending)
        {
            self.slips_left -= 1;
            let first = self.tokens_within(keep);
            // The same place again means that the token before it is at fault.
            let first = if self.last_slip == Some(first) { first.saturating_sub(1) } else { first };
            self.last_slip = Some(first);
            return self.back_to(first);
        }
        match verdict {
            Verdict::Continue => Action::Continue,
            Verdict::Stop { text, at_limit } => Action::Finish { text, stop: if at_limit { StopReason::Limit } else { StopReason::End } },
            Verdict::Rewind { keep, fault } => self.take_back(guard, keep, fault, ending),
        }
    }

    /// Ends the draft where it is: its whole sentences, if there are any that stand.
    pub fn cancel(&self, guard: &DraftGuard) -> Option<String> {
        let ends = super::sentence::sure_ends(&self.text);
        let all = std::iter::once(self.text.len()).chain(ends.into_iter().rev());
        all.into_iter().find_map(|end| guard.acceptable(&self.text[..end]))
    }

    fn take_back(&mut self, guard: &DraftGuard, keep: usize, fault: Fault, ending: Ending) -> Action {
        let attempts = match fault {
            Fault::Forbidden => &mut self.local_retakes,
            Fault::Unfinished | Fault::Echo => &mut self.retakes,
        };
        let attempt = *attempts;
        *attempts += 1;
        let most = if fault == Fault::Forbidden { MAX_LOCAL_RETAKES } else { MAX_RETAKES };
        if fault != Fault::Echo {
            self.remember_repair(guard, ending);
        }
        if attempt >= most {
            return match self.spare.take() {
                Some(text) => Action::Finish { text, stop: StopReason::Repaired },
                None if fault == Fault::Forbidden && self.retakes < MAX_RETAKES => {
                    self.retakes += 1;
                    self.local_retakes = 0;
                    self.back_to(0)
                }
                None => Action::Abandon,
            };
        }
        let first = self.tokens_within(keep);
        let spread = self.tokens.len() - 1 - first;
        let keep = match fault {
            // The same place again and again means that what leads up to it is at fault.
            Fault::Forbidden => first.saturating_sub(2 * (attempt as usize / 4)),
            Fault::Echo => self.least_sure_word(),
            Fault::Unfinished => first + spread * [0, 2, 0, 1][attempt as usize % 4] / 4,
        };
        self.back_to(keep)
    }

    /// Keeps the first `keep` tokens, of more.
    fn back_to(&mut self, keep: usize) -> Action {
        let ban = self.tokens[keep];
        self.tokens.truncate(keep);
        self.marks.truncate(keep);
        self.log_probabilities.truncate(keep);
        let kept = self.marks.last().copied().unwrap_or(0);
        self.text.truncate(self.text.floor_char_boundary(kept));
        Action::Rewind { keep: keep as u32, ban }
    }

    fn remember_repair(&mut self, guard: &DraftGuard, ending: Ending) {
        let size = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let repaired = repair(guard, &self.text, ending, self.is_last_chance);
        if size(&repaired) > size(&self.spare) {
            self.spare = repaired;
        }
    }

    /// The most tokens whose text lies within the first `bytes`, never all of them.
    fn tokens_within(&self, bytes: usize) -> usize {
        let all = self.tokens.len() - 1;
        (1..=all).rev().find(|&k| self.marks[k - 1] <= bytes).unwrap_or(0)
    }

    /// The first token of the word that was the least probable, and not yet taken back for an echo: there another word comes easiest.
    fn least_sure_word(&mut self) -> usize {
        let starts = words(&self.text).map(|(at, _)| self.tokens_within(at));
        let untried = starts.filter(|first| !self.echoes.contains(first));
        let first = untried.min_by(|&a, &b| self.log_probabilities[a].total_cmp(&self.log_probabilities[b]));
        let first = first.unwrap_or_else(|| {
            self.echoes.clear();
            self.tokens_within(0)
        });
        self.echoes.push(first);
        first
    }
}

/// The part of an unfinished text that can be shown: without a last emoji, which may still change.
pub(super) fn showable(text: &str) -> &str {
    use unicode_segmentation::UnicodeSegmentation;
    match text.grapheme_indices(true).next_back() {
        Some((at, last)) if !last.is_ascii() && super::emoji::is_emoji(last) => text[..at].trim_end(),
        _ => text,
    }
}

/// A draft as it is streamed: the whole text so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DraftEvent {
    /// Which draft.
    pub index: u32,
    /// Everything written so far; a later event may have less, when something was taken back.
    pub text: String,
    /// How long it is.
    pub length: Length,
    /// Whether this text can be posted; always so for a finished draft that was not cancelled.
    pub valid: bool,
    /// Whether it is finished.
    pub done: bool,
    /// Why it is finished.
    pub stop: Option<StopReason>,
}

impl DraftEvent {
    /// A draft as it stands.
    pub(super) fn new(index: u32, network: Network, text: String, stop: Option<StopReason>) -> DraftEvent {
        let Check { length, valid, .. } = check(network, &text);
        DraftEvent { index, text, length, valid, done: stop.is_some(), stop }
    }
}
