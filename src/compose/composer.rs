//! The loop: a brief in, drafts streamed out. Tokens come from the session, decisions from [`DraftState`]; here they meet.
//!
//! More drafts than the session holds are written in rounds. A draft from which no word could be used is written once more from tokens
//! that are words, so that there are always as many valid drafts as asked for, even from a model that writes noise.

use super::brief::Brief;
use super::draft::{Action, DraftEvent, DraftState, StopReason, showable};
use super::error::ComposeError;
use super::guard::DraftGuard;
use super::prompt::{self, PromptStyle};
use super::{MAX_RETAKES, vocabulary};
use crate::{
    Result,
    engine::Engine,
    session::{End, Request, Step},
    text::Detokenizer,
};
use std::collections::VecDeque;

/// Tokens a prompt must leave for a draft, however short, and tokens a model's context must have for composing at all.
const LEAST_ROOM: u32 = 24;
const LEAST_CONTEXT: u32 = 48;
/// A form of asking that leaves less of the brief than this gives way to a shorter form.
const LEAST_BRIEF_BYTES: usize = 64;

/// Starts compositions.
pub struct Composer;

impl Composer {
    /// Asks a model for the drafts of a brief. Of a brief that is too long for the model's context, the beginning is used, up to a word.
    ///
    /// # Errors
    /// If the model's context is too short, its chat template fails, or the device does.
    pub async fn start(engine: &mut Engine, brief: &Brief) -> Result<Composition> {
        let prompt = prompt_ids(engine, brief)?;
        let together = engine.session.max_count().max(1) as usize;
        let all: Vec<u32> = (0..brief.count).collect();
        let rounds = all.chunks(together).map(|drafts| Round { drafts: drafts.to_vec(), words_only: false }).collect();
        let guard = DraftGuard::new(brief);
        let mut composition =
            Composition { brief: brief.clone(), guard, prompt, rounds, started: 0, slots: Vec::new(), ready: VecDeque::new() };
        composition.start_round(engine).await?;
        Ok(composition)
    }
}

/// Drafts being written.
pub struct Composition {
    brief: Brief,
    guard: DraftGuard,
    prompt: Vec<u32>,
    rounds: VecDeque<Round>,
    started: u64,
    /// The drafts of the running round, in the session's order.
    slots: Vec<Slot>,
    ready: VecDeque<DraftEvent>,
}

/// Drafts that are written together.
struct Round {
    drafts: Vec<u32>,
    words_only: bool,
}

/// One draft in the session.
struct Slot {
    index: u32,
    detokenizer: Detokenizer,
    state: DraftState,
    words_only: bool,
    done: bool,
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

    /// Ends every unfinished draft as `cancelled`, with the whole sentences it has. A draft with none has `valid: false` and what there is.
    pub fn cancel(&mut self, engine: &mut Engine) {
        for (draft, slot) in (0..).zip(&mut self.slots) {
            if slot.done {
                continue;
            }
            slot.done = true;
            engine.session.stop(draft);
            let event = match slot.state.cancel(&self.guard) {
                Some(text) => DraftEvent::new(slot.index, self.brief.network, text, Some(StopReason::Cancelled)),
                None => unfinished(slot.index, &self.brief, showable(slot.state.text())),
            };
            self.ready.push_back(event);
        }
        for index in std::mem::take(&mut self.rounds).into_iter().flat_map(|round| round.drafts) {
            self.ready.push_back(unfinished(index, &self.brief, ""));
        }
    }

    async fn start_round(&mut self, engine: &mut Engine) -> Result<()> {
        let Some(round) = self.rounds.pop_front() else { return Ok(()) };
        let vocab_size = engine.session.config().vocab_size;
        let end_tokens = if round.words_only { Vec::new() } else { engine.tokenizer.end_tokens() };
        let banned = match round.words_only {
            true => vocabulary::all_but_words(&engine.tokenizer, vocab_size, self.brief.max_units()),
            false => vocabulary::unwanted(&engine.tokenizer, vocab_size, &end_tokens, &self.brief),
        };
        let request = Request {
            prompt: self.prompt.clone(),
            count: round.drafts.len() as u32,
            max_tokens: 4 * self.brief.max_units() + 64,
            sampling: engine.sampling,
            seed: self.brief.seed.wrapping_add(self.started),
            end_tokens,
            banned,
        };
        self.started += 1;
        engine.session.start(&request).await?;
        let slot = |&index: &u32| Slot {
            index,
            detokenizer: engine.tokenizer.detokenizer(true),
            state: if round.words_only { DraftState::without_retakes() } else { DraftState::default() },
            words_only: round.words_only,
            done: false,
            shown: String::new(),
        };
        self.slots = round.drafts.iter().map(slot).collect();
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
        match slot.state.push(&self.guard, step.token, slot.detokenizer.text(), step.end) {
            Action::Continue => {}
            Action::Rewind { keep, ban } => {
                slot.detokenizer.truncate(keep as usize);
                engine.session.rewind(step.draft, keep, Some(ban));
            }
            Action::Finish { text, stop } => {
                slot.done = true;
                engine.session.stop(step.draft);
                self.ready.push_back(DraftEvent::new(slot.index, self.brief.network, text, Some(stop)));
                return Ok(());
            }
            Action::Abandon => {
                engine.session.stop(step.draft);
                return self.abandon(step.draft as usize);
            }
        }
        let text = showable(slot.state.text());
        if text != slot.shown {
            slot.shown = text.to_string();
            self.ready.push_back(DraftEvent::new(slot.index, self.brief.network, text.to_string(), None));
        }
        Ok(())
    }

    /// Puts a draft off to a round of its own in which it is written from words alone.
    fn abandon(&mut self, draft: usize) -> Result<(), ComposeError> {
        let slot = &mut self.slots[draft];
        slot.done = true;
        if slot.words_only {
            return Err(ComposeError::NoWords { index: slot.index, attempts: MAX_RETAKES + 2 });
        }
        self.rounds.push_back(Round { drafts: vec![slot.index], words_only: true });
        Ok(())
    }

    /// The session has nothing more for drafts that are not finished.
    fn abandon_all(&mut self) -> Result<(), ComposeError> {
        let open: Vec<usize> = (0..self.slots.len()).filter(|&i| !self.slots[i].done).collect();
        open.into_iter().try_for_each(|draft| self.abandon(draft))
    }
}

fn unfinished(index: u32, brief: &Brief, text: &str) -> DraftEvent {
    let event = DraftEvent::new(index, brief.network, text.to_string(), Some(StopReason::Cancelled));
    DraftEvent { valid: false, ..event }
}

/// How a brief is put, from the most explicit to what fits the smallest context.
#[derive(Clone, Copy)]
enum Form {
    /// As the model wants to be asked.
    Full,
    /// The brief as the only message.
    Bare,
    /// The brief as a text to go on from.
    Text,
}

/// The prompt, in the first form that leaves room for a draft and for enough of the brief.
fn prompt_ids(engine: &Engine, brief: &Brief) -> Result<Vec<u32>> {
    let max_seq = engine.session.max_seq();
    let too_short = ComposeError::Context { needed: LEAST_CONTEXT, found: max_seq };
    if max_seq < LEAST_CONTEXT {
        return Err(too_short.into());
    }
    let room = (brief.max_units() / 2 + LEAST_ROOM).min(max_seq / 2);
    for form in [Form::Full, Form::Bare, Form::Text] {
        if let Some(ids) = fitting_ids(engine, brief, form, (max_seq - room) as usize)? {
            return Ok(ids);
        }
    }
    Err(too_short.into())
}

/// The prompt in one form, the brief shortened until it fits the budget of tokens.
fn fitting_ids(engine: &Engine, brief: &Brief, form: Form, budget: usize) -> Result<Option<Vec<u32>>> {
    // Few tokens stand for more than sixteen bytes; what is still too long is cut again below.
    let mut text = prompt::shortened(&brief.brief, budget * 16);
    loop {
        let ids = encode(engine, brief, text, form)?;
        if ids.len() <= budget && !ids.is_empty() {
            return Ok(Some(ids));
        }
        let smaller = text.len() * budget / ids.len().max(1) * 15 / 16;
        let least = if matches!(form, Form::Text) { 1 } else { LEAST_BRIEF_BYTES.min(brief.brief.len()) };
        if smaller < least || smaller >= text.len() {
            return Ok(None);
        }
        text = prompt::shortened(text, smaller);
    }
}

/// Ids of the prompt: what the writer typed never becomes a control token.
fn encode(engine: &Engine, brief: &Brief, text: &str, form: Form) -> Result<Vec<u32>> {
    let tokenizer = &engine.tokenizer;
    let plain = |text: &str| tokenizer.bos().into_iter().chain(tokenizer.encode_plain(text)).collect();
    let Some(template) = engine.template.as_ref().filter(|_| !matches!(form, Form::Text)) else {
        return Ok(plain(&if matches!(form, Form::Full) { prompt::plain_text(brief, text) } else { text.to_string() }));
    };
    let style = if matches!(form, Form::Full) { engine.prompt_style } else { PromptStyle::Brief };
    let (messages, variables) = prompt::messages(brief, text, style);
    let rendered = template.encode(tokenizer, &messages, &variables).or_else(|error| match messages.len() {
        1 => Err(error),
        // Some templates refuse a system message.
        _ => template.encode(tokenizer, &prompt::single_message(brief, text), &variables),
    });
    Ok(rendered?.1)
}
