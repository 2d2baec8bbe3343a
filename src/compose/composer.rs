//! The loop: a brief in, drafts streamed out. Tokens come from the session, decisions from [`DraftState`]; here they meet.
//!
//! For each draft the model may want several candidates written, of which the best is handed out (`rank`); the first of them is what
//! streams meanwhile. Then drafts are written one after another, each from another first word than those before it; without candidates,
//! as many together as the session holds. A draft from which no word could be used is written once more from tokens that are words, so
//! that there are always as many valid drafts as asked for, even from a model that writes noise.

use super::brief::Brief;
use super::draft::{Action, DraftEvent, DraftState, StopReason, showable};
use super::error::ComposeError;
use super::guard::DraftGuard;
use super::prompt;
use super::rank::Keywords;
use super::rank::MAX_CANDIDATES;
use super::{MAX_COUNT, MAX_RETAKES, vocabulary};
use crate::{
    Result,
    engine::Engine,
    session::{End, Request, Step},
    text::Detokenizer,
};
use std::collections::VecDeque;

/// What a candidate that never came to an end by itself loses against the others.
const REPAIRED_COSTS: f32 = 6.0;
/// What a candidate loses that says nothing but what an earlier draft says.
const LIKENESS_COSTS: f32 = 12.0;
/// What a nat of log-probability counts among candidates, beside the figures of `rank`. All of a text's, not their mean: of two drafts of one
/// brief it is the one that a strict reader called faultless in 77 of 100 pairs with this weight, in 75 with 0.2 (722 drafts of 293 briefs, 29
/// November 2026); the mean tells less.
const LIKELIHOOD_COUNTS: f32 = 1.0;

/// Starts compositions.
pub struct Composer;

impl Composer {
    /// Asks a model for the drafts of a brief. Of a brief that is too long for the model's context, the beginning is used, up to a word.
    ///
    /// # Errors
    /// If the model's context is too short, its chat template fails, or the device does.
    pub async fn start(engine: &mut Engine, brief: &Brief) -> Result<Composition> {
        let prompt = prompt::ids(engine, brief)?;
        let candidates = engine.writing.candidates.min(engine.session.max_count()).max(1);
        let drafts: Vec<u32> = (0..brief.count).collect();
        // A draft with candidates waits for those before it, in order to begin otherwise.
        let together = if candidates > 1 { 1 } else { engine.session.max_count() as usize };
        let rounds = drafts.chunks(together).map(|drafts| Round { drafts: drafts.to_vec(), candidates, words_only: false }).collect();
        let guard = match engine.writing.spelling {
            true => DraftGuard::new(brief).knowing(vocabulary::whole_words(&engine.tokenizer, engine.session.config().vocab_size)),
            false => DraftGuard::new(brief),
        };
        let keywords = Keywords::of(&brief.brief);
        let (tokenizer, vocab_size) = (&engine.tokenizer, engine.session.config().vocab_size);
        let unwanted = vocabulary::unwanted(tokenizer, vocab_size, &tokenizer.end_tokens(), &engine.writing.angles, brief);
        let boosted = vocabulary::first_tokens(tokenizer, keywords.words().iter().chain(keywords.names()));
        let mut composition = Composition {
            brief: brief.clone(),
            guard,
            keywords,
            unwanted,
            boosted,
            prompt,
            rounds,
            slots: Vec::new(),
            settled: 0,
            handed_out: Vec::new(),
            openings: Vec::new(),
            ready: VecDeque::new(),
        };
        composition.start_round(engine).await?;
        Ok(composition)
    }
}

/// Drafts being written.
pub struct Composition {
    brief: Brief,
    guard: DraftGuard,
    keywords: Keywords,
    /// Tokens that no draft may hold, and those with which the brief's words begin.
    unwanted: Vec<u32>,
    boosted: Vec<u32>,
    prompt: Vec<u32>,
    rounds: VecDeque<Round>,
    /// The candidates of the running round, in the session's order: those of one draft side by side.
    slots: Vec<Slot>,
    /// How many drafts of the running round are handed out or put off.
    settled: usize,
    /// Texts of the drafts handed out, which later ones should not say again.
    handed_out: Vec<String>,
    /// The tokens that the drafts handed out begin with, which no later one begins with.
    openings: Vec<u32>,
    ready: VecDeque<DraftEvent>,
}

/// Consecutive drafts that are written together, each by so many candidates.
struct Round {
    drafts: Vec<u32>,
    candidates: u32,
    words_only: bool,
}

/// A candidate's text.
#[derive(Clone, Debug)]
struct Finished {
    text: String,
    stop: StopReason,
    /// Sum of the logarithms of its tokens' probabilities.
    likelihood: f32,
    opening: Option<u32>,
}

/// One candidate in the session.
struct Slot {
    /// The draft it is for.
    index: u32,
    detokenizer: Detokenizer,
    state: DraftState,
    words_only: bool,
    done: bool,
    /// What became of it, once it is done; nothing if it was abandoned.
    finished: Option<Finished>,
    /// Tokens before its text: 1 if the model began with an angle.
    lead: usize,
    /// The token that its text begins with, once there is one.
    opening: Option<u32>,
    shown: String,
}

impl Composition {
    /// What happened next, or `None` when every draft is finished. The last event of each draft is `done`.
    ///
    /// # Errors
    /// If the device fails, or the vocabulary holds no words to write with.
    pub async fn next(&mut self, engine: &mut Engine) -> Result<Option<DraftEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if self.slots.iter().all(|slot| slot.done) {
                if self.rounds.is_empty() {
                    return Ok(None);
                }
                self.start_round(engine).await?;
                continue;
            }
            match engine.session.next().await? {
                Some(step) => self.take(engine, step)?,
                None => self.abandon_all()?,
            }
        }
    }

    /// Ends every unfinished draft: with the best candidate that is finished, else as `cancelled` with the whole sentences it has. A draft
    /// with none has `valid: false` and what there is.
    pub fn cancel(&mut self, engine: &mut Engine) {
        for index in self.drafts_of_round().into_iter().skip(self.settled) {
            let own = self.candidates_of(index);
            let running = own.clone().filter(|&at| !self.slots[at].done);
            let whole = running.filter_map(|at| self.slots[at].state.cancel(&self.guard));
            let cancelled = |text| Finished { text, stop: StopReason::Cancelled, likelihood: f32::NEG_INFINITY, opening: None };
            let whole = whole.map(cancelled);
            let finished = own.clone().filter_map(|at| self.slots[at].finished.clone());
            let event = match self.best(finished.chain(whole).collect()) {
                Some(Finished { text, stop, .. }) => DraftEvent::new(index, self.brief.network, text, Some(stop)),
                None => unfinished(index, &self.brief, showable(self.slots[own.start].state.text())),
            };
            for at in own {
                self.slots[at].done = true;
                engine.session.stop(at as u32);
            }
            self.ready.push_back(event);
            self.settled += 1;
        }
        for index in std::mem::take(&mut self.rounds).into_iter().flat_map(|round| round.drafts) {
            self.ready.push_back(unfinished(index, &self.brief, ""));
        }
    }

    async fn start_round(&mut self, engine: &mut Engine) -> Result<()> {
        let Some(round) = self.rounds.front() else { return Ok(()) };
        let vocab_size = engine.session.config().vocab_size;
        let end_tokens = if round.words_only { Vec::new() } else { engine.tokenizer.end_tokens() };
        let mut banned = match round.words_only {
            true => vocabulary::all_but_words(&engine.tokenizer, vocab_size, self.brief.max_units()),
            false => self.unwanted.clone(),
        };
        if round.candidates > 1 {
            banned.extend(self.openings.iter().filter(|&&token| vocabulary::only_begins(&engine.tokenizer, token)));
        }
        let request = Request {
            prompt: self.prompt.clone(),
            count: round.drafts.len() as u32 * round.candidates,
            max_tokens: 4 * self.brief.max_units() + 64,
            sampling: engine.sampling,
            seed: self.brief.seed,
            end_tokens,
            banned,
            boosted: self.boosted.clone(),
            boost: engine.writing.boost,
            scored: round.candidates > 1,
            // A draft that is written again is another one to the random counter.
            fresh: false,
            first_draft: round.drafts[0] * round.candidates + if round.words_only { MAX_COUNT * MAX_CANDIDATES } else { 0 },
        };
        engine.session.start(&request).await?;
        let Some(round) = self.rounds.pop_front() else { return Ok(()) };
        let slot = |index: u32| Slot {
            index,
            detokenizer: engine.tokenizer.detokenizer(true),
            state: match round.words_only {
                true => DraftState::without_retakes(),
                false => DraftState::without_slips(engine.writing.stutters),
            },
            words_only: round.words_only,
            done: false,
            finished: None,
            lead: 0,
            opening: None,
            shown: String::new(),
        };
        self.settled = 0;
        self.slots = round.drafts.iter().flat_map(|&index| (0..round.candidates).map(move |_| index)).map(slot).collect();
        Ok(())
    }

    /// Takes one token of one draft.
    fn take(&mut self, engine: &mut Engine, step: Step) -> Result<(), ComposeError> {
        let slot = &mut self.slots[step.draft as usize];
        if slot.done {
            return Ok(());
        }
        if step.end != Some(End::EndToken) {
            slot.detokenizer.push(step.token);
        }
        let written = slot.state.tokens().len();
        if written == 0 {
            slot.lead = usize::from(engine.writing.angles.contains(&step.token));
        }
        if written == slot.lead {
            slot.opening = Some(step.token);
        }
        match slot.state.push(&self.guard, step.token, step.log_probability, slot.detokenizer.text(), step.end) {
            Action::Continue => {}
            Action::Rewind { keep, ban } => {
                slot.detokenizer.truncate(keep as usize);
                engine.session.rewind(step.draft, keep, Some(ban));
            }
            Action::Finish { text, stop } => {
                engine.session.stop(step.draft);
                let likelihood = slot.state.likelihood();
                slot.finished = Some(Finished { text, stop, likelihood, opening: slot.opening });
                return self.conclude(step.draft as usize);
            }
            Action::Abandon => {
                engine.session.stop(step.draft);
                return self.conclude(step.draft as usize);
            }
        }
        let is_first = !self.slots[..step.draft as usize].iter().any(|other| other.index == self.slots[step.draft as usize].index);
        let slot = &mut self.slots[step.draft as usize];
        let text = showable(slot.state.text());
        if is_first && text != slot.shown {
            slot.shown = text.to_string();
            self.ready.push_back(DraftEvent::new(slot.index, self.brief.network, text.to_string(), None));
        }
        Ok(())
    }

    /// A candidate is done. Drafts are settled in order, as a later one should differ from those before it.
    fn conclude(&mut self, at: usize) -> Result<(), ComposeError> {
        self.slots[at].done = true;
        for index in self.drafts_of_round().into_iter().skip(self.settled) {
            let own = self.candidates_of(index);
            if self.slots[own].iter().any(|slot| !slot.done) {
                break;
            }
            self.settle(index)?;
            self.settled += 1;
        }
        Ok(())
    }

    /// Hands out the best candidate of a draft; if none came to anything, the draft is put off to a round of its own in which it is
    /// written from words alone.
    fn settle(&mut self, index: u32) -> Result<(), ComposeError> {
        let own = self.candidates_of(index);
        let words_only = self.slots[own.start].words_only;
        match self.best(self.slots[own].iter().filter_map(|slot| slot.finished.clone()).collect()) {
            Some(Finished { text, stop, opening, .. }) => {
                self.openings.extend(opening);
                self.handed_out.push(text.clone());
                self.ready.push_back(DraftEvent::new(index, self.brief.network, text, Some(stop)));
            }
            None if words_only => return Err(ComposeError::NoWords { index, attempts: MAX_RETAKES + 2 }),
            None => self.rounds.push_back(Round { drafts: vec![index], candidates: 1, words_only: true }),
        }
        Ok(())
    }

    /// The session has nothing more for candidates that are not finished.
    fn abandon_all(&mut self) -> Result<(), ComposeError> {
        let open: Vec<usize> = (0..self.slots.len()).filter(|&i| !self.slots[i].done).collect();
        open.into_iter().try_for_each(|at| self.conclude(at))
    }

    /// The candidate that is handed out: the first of the best, as little like the drafts before it as can be.
    fn best(&self, finished: Vec<Finished>) -> Option<Finished> {
        let score = |candidate: &Finished| {
            let ended = if candidate.stop == StopReason::Repaired { REPAIRED_COSTS } else { 0.0 };
            let alike = LIKENESS_COSTS * Keywords::likeness(&candidate.text, &self.handed_out);
            self.keywords.score(&candidate.text) + LIKELIHOOD_COUNTS * candidate.likelihood - ended - alike
        };
        finished.into_iter().reduce(|best, next| if score(&next) > score(&best) { next } else { best })
    }

    /// The drafts of the running round, in order.
    fn drafts_of_round(&self) -> Vec<u32> {
        let mut drafts: Vec<u32> = self.slots.iter().map(|slot| slot.index).collect();
        drafts.dedup();
        drafts
    }

    /// Where the candidates of a draft stand.
    fn candidates_of(&self, index: u32) -> std::ops::Range<usize> {
        let start = self.slots.iter().position(|slot| slot.index == index).unwrap_or(0);
        start..start + self.slots[start..].iter().take_while(|slot| slot.index == index).count()
    }
}

fn unfinished(index: u32, brief: &Brief, text: &str) -> DraftEvent {
    let event = DraftEvent::new(index, brief.network, text.to_string(), Some(StopReason::Cancelled));
    DraftEvent { valid: false, ..event }
}
