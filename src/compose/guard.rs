//! Text so far → verdict: go on, finished, or take something back.
//!
//! The rules a draft is held to: valid for its network and no longer than asked; ends where a sentence ends; no hashtag, emoji, link or
//! handle that was not allowed or given; no number that the brief does not hold; no sentence twice; not the brief again. What should
//! not be said twice in smaller pieces, and words that do not exist, are told apart from the rules: [`DraftGuard::slip`]. Pure functions over text that `tidy`
//! made; who acts on a verdict is `draft`.

mod numbers;
mod slips;

use super::brief::{Brief, EmojiRule};
use super::emoji::may_be_emoji;
use super::length::{check, measure};
use super::links::{Rules, find_links};
use super::network::Network;
use super::sentence::{ends_with_sentence, is_terminator, sure_ends};
use std::collections::HashSet;
use unicode_segmentation::UnicodeSegmentation;

/// Share of the length asked for that makes a cut at a sentence good enough.
const ENOUGH_PERCENT: u32 = 40;
/// A brief of so many words may not be how a draft begins.
pub(super) const ECHO_WORDS: usize = 6;
/// A model that ends with fewer words has said nothing yet, unless there is room for no more.
const FEW_WORDS: usize = 3;
const FEW_WORDS_ROOM: u32 = 40;

/// How the text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// More may come; the last word may be unfinished.
    Open,
    /// The model has ended it.
    Model,
    /// There is no room for more; the last word may be unfinished.
    Room,
}

/// What to do with a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// The draft is finished; this is its text.
    Stop {
        /// The text, all of it or up to its last whole sentence.
        text: String,
        /// Whether a limit was the reason.
        at_limit: bool,
    },
    /// Go back to the first `keep` bytes and try again.
    Rewind {
        /// Bytes of the text that may stay.
        keep: usize,
        /// Why.
        fault: Fault,
    },
}

/// Why a draft cannot stand as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Something that may not be in it begins after the kept part.
    Forbidden,
    /// It begins with the brief, or is it.
    Echo,
    /// It does not come to an end in time, or ends too soon.
    Unfinished,
}

/// The rules of one brief.
#[derive(Clone, Debug)]
pub struct DraftGuard {
    network: Network,
    max_units: u32,
    max_hashtags: u32,
    allow_emoji: bool,
    /// The brief in lower case, its words, and what it holds of the things no draft may invent.
    brief: String,
    brief_words: Vec<String>,
    /// The same words as they are spelled.
    brief_spelled: Vec<String>,
    brief_links: Vec<String>,
    /// Words that the model spells with one token; empty if it may use any word.
    known_words: HashSet<String>,
}

impl DraftGuard {
    /// The rules that a brief sets.
    pub fn new(brief: &Brief) -> DraftGuard {
        let lower = brief.brief.to_lowercase();
        DraftGuard {
            network: brief.network,
            max_units: brief.max_units(),
            max_hashtags: brief.hashtags.most(),
            allow_emoji: brief.emoji == EmojiRule::Auto,
            brief_words: words(&lower).map(|(_, word)| word).collect(),
            brief_spelled: brief.brief.unicode_words().map(str::to_string).collect(),
            brief_links: links(&lower).map(|range| lower[range].to_string()).collect(),
            brief: lower,
            known_words: HashSet::new(),
        }
    }

    /// Words beside the brief's own that the model is trusted to spell ([`DraftGuard::slip`]).
    pub fn knowing(self, known_words: HashSet<String>) -> DraftGuard {
        DraftGuard { known_words, ..self }
    }

    /// Judges a text.
    pub fn judge(&self, text: &str, ending: Ending) -> Verdict {
        if let Some((keep, fault)) = self.first_fault(text, ending) {
            return Verdict::Rewind { keep, fault };
        }
        let over = !self.fits(text);
        if ending == Ending::Open && !over {
            return Verdict::Continue;
        }
        let whole = (ending != Ending::Open && !over).then_some(text.len());
        if ending == Ending::Model
            && let Some(text) = whole.and_then(|_| self.acceptable(text))
        {
            return Verdict::Stop { text, at_limit: false };
        }
        let ends = sure_ends(text);
        for end in whole.into_iter().chain(ends.iter().rev().copied()) {
            let Some(text) = self.acceptable(&text[..end]) else { continue };
            if measure(self.network, &text).used * 100 >= self.max_units * ENOUGH_PERCENT {
                return Verdict::Stop { text, at_limit: ending != Ending::Model };
            }
            break;
        }
        let keep = match ending {
            Ending::Model if !over => text.len(),
            _ => ends.into_iter().rev().find(|&end| self.fits(&text[..end])).unwrap_or(0),
        };
        let fault = if ending == Ending::Model && self.is_echo(text) { Fault::Echo } else { Fault::Unfinished };
        Verdict::Rewind { keep, fault }
    }

    /// Whether a text may be handed out as a finished draft; if so, the text as it is handed out.
    pub fn acceptable(&self, text: &str) -> Option<String> {
        let text = unquoted(text);
        let enough_words = !self.has_room() || words(text).take(FEW_WORDS).count() >= FEW_WORDS;
        (enough_words && self.is_post(text)).then(|| text.to_string())
    }

    /// Whether there is room for a sentence of some words.
    pub(super) fn has_room(&self) -> bool {
        self.max_units >= FEW_WORDS_ROOM
    }

    /// Whether a text keeps every rule but that of a least number of words.
    pub(super) fn is_post(&self, text: &str) -> bool {
        ends_with_sentence(text) && self.fits(text) && !self.is_echo(text) && self.first_fault(text, Ending::Model).is_none()
    }

    /// Whether a text is valid for the network and within the length asked for.
    pub fn fits(&self, text: &str) -> bool {
        let check = check(self.network, text);
        check.length.used <= self.max_units && (check.valid || text.is_empty())
    }

    /// The text up to the first thing that may not be in it.
    pub(super) fn faultless<'a>(&self, text: &'a str, ending: Ending) -> &'a str {
        match self.first_fault(text, ending) {
            Some((keep, Fault::Forbidden)) => text[..keep].trim_end(),
            _ => text,
        }
    }

    /// The first thing that may not be in a draft: where it begins (for an echo: where it ends), and what kind of fault it is.
    fn first_fault(&self, text: &str, ending: Ending) -> Option<(usize, Fault)> {
        let signs = [self.hashtag(text), self.emoji(text), self.link(text, ending), self.handle(text, ending)];
        let forbidden = signs.into_iter().chain([numbers::invented(&self.brief, text, ending == Ending::Open), repeated(text, ending)]);
        let echo = self.echo(text, ending).map(|end| (end, Fault::Echo));
        forbidden.flatten().map(|at| (at, Fault::Forbidden)).chain(echo).min_by_key(|&(at, _)| at)
    }

    fn hashtag(&self, text: &str) -> Option<usize> {
        let mut signs = text
            .char_indices()
            .filter(|&(i, c)| matches!(c, '#' | '＃') && !text[i + c.len_utf8()..].starts_with(['\u{FE0F}', '\u{20E3}']));
        signs.nth(self.max_hashtags as usize).map(|(i, _)| i)
    }

    fn emoji(&self, text: &str) -> Option<usize> {
        if self.allow_emoji {
            return None;
        }
        text.grapheme_indices(true).find(|(_, g)| may_be_emoji(g)).map(|(i, _)| i)
    }

    fn link(&self, text: &str, ending: Ending) -> Option<usize> {
        let seen = seen(text, ending);
        let held = |link: &str| {
            let link = link.to_lowercase();
            self.brief_links.iter().any(|given| *given == link || given.split("://").nth(1) == Some(link.as_str()))
        };
        let invented = links(seen).find(|range| !held(&seen[range.clone()])).map(|range| range.start);
        let found = |mark: &str| text.as_bytes().windows(mark.len()).position(|bytes| bytes.eq_ignore_ascii_case(mark.as_bytes()));
        let started = ["://", "www."].into_iter().filter_map(found).find_map(|at| {
            let start = text[..at].rfind(' ').map_or(0, |space| space + 1);
            let word = text[start..].split(' ').next().unwrap_or_default().to_lowercase();
            let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/');
            (!self.brief.contains(word)).then_some(start)
        });
        invented.into_iter().chain(started).min()
    }

    /// An `@name` that the brief does not hold.
    fn handle(&self, text: &str, ending: Ending) -> Option<usize> {
        let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '@');
        let mut signs = text.char_indices().filter(|&(_, c)| matches!(c, '@' | '＠'));
        signs.find_map(|(at, sign)| {
            let rest = &text[at + sign.len_utf8()..];
            let name: String = rest.chars().take_while(|&c| in_name(c)).flat_map(char::to_lowercase).collect();
            let unfinished = ending == Ending::Open && name.len() >= rest.len();
            let name = name.trim_end_matches(['.', '-', '@']);
            (!name.is_empty() && !self.holds_handle(name, unfinished)).then_some(at)
        })
    }

    fn holds_handle(&self, name: &str, unfinished: bool) -> bool {
        self.brief.match_indices(name).any(|(at, _)| {
            let after = self.brief[at + name.len()..].chars().next();
            self.brief[..at].ends_with(['@', '＠']) && (unfinished || !after.is_some_and(|c| c.is_alphanumeric() || c == '_'))
        })
    }

    /// Where the brief ends, if a text begins with all of it.
    fn echo(&self, text: &str, ending: Ending) -> Option<usize> {
        if self.brief_words.len() < ECHO_WORDS {
            return None;
        }
        let seen = seen(text, ending);
        let mut given = self.brief_words.iter();
        let mut end = 0;
        for (start, word) in words(seen) {
            match given.next() {
                Some(expected) if *expected == word => end = start,
                Some(_) => return None,
                None => return Some(end),
            }
        }
        given.next().is_none().then_some(end)
    }

    /// Whether a text is the brief, give or take case and marks.
    fn is_echo(&self, text: &str) -> bool {
        words(text).map(|(_, word)| word).eq(self.brief_words.iter().cloned())
    }
}

/// The words of a text in lower case, with the byte where each begins.
pub(super) fn words(text: &str) -> impl Iterator<Item = (usize, String)> + '_ {
    text.unicode_word_indices().map(|(at, word)| (at, word.to_lowercase()))
}

/// The part of a text whose words are finished.
fn seen(text: &str, ending: Ending) -> &str {
    match ending {
        Ending::Open => &text[..text.rfind(' ').map_or(0, |space| space + 1)],
        _ => text,
    }
}

/// Byte ranges of the links in a text, as X would make them.
fn links(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let units: Vec<u16> = text.encode_utf16().collect();
    let found = if text.contains('.') { find_links(&units, Rules::X) } else { Vec::new() };
    // Links come in order, so one walk over the text finds the bytes of all.
    let mut walk = text.char_indices().peekable();
    let mut unit = 0;
    let mut byte = move |wanted: usize| {
        while unit < wanted
            && let Some((_, c)) = walk.next()
        {
            unit += c.len_utf16();
        }
        walk.peek().map_or(text.len(), |&(at, _)| at)
    };
    found.into_iter().map(move |link| {
        let start = byte(link.start);
        start..byte(link.start + link.units)
    })
}

/// Where a sentence begins that the text has already said.
fn repeated(text: &str, ending: Ending) -> Option<usize> {
    let mut said: Vec<Vec<String>> = Vec::new();
    let last = if ending == Ending::Open { None } else { Some(text.len()) };
    let mut start = 0;
    for end in sure_ends(text).into_iter().chain(last) {
        let sentence: Vec<String> = words(&text[start..end]).map(|(_, word)| word).collect();
        if sentence.len() > 1 && said.contains(&sentence) {
            return Some(start);
        }
        said.push(sentence);
        start = end;
    }
    None
}

/// A text without the quotation marks around all of it, or the one before it that no other closes.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let Some(open) = text.chars().next().filter(|c| matches!(c, '"' | '“' | '„' | '«')) else { return text };
    let inside = &text[open.len_utf8()..];
    let close = |c: char| if open == '"' { c == '"' } else { matches!(c, '”' | '“' | '»' | '"') };
    match inside.find(close) {
        None => inside.trim_start(),
        Some(at) if at + inside[at..].chars().next().map_or(0, char::len_utf8) == inside.len() && inside[..at].ends_with(is_terminator) => {
            inside[..at].trim()
        }
        Some(_) => text,
    }
}
