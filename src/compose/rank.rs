//! Which of several finished texts is handed out as the draft: the one that keeps most of the brief, invents nothing and repeats nothing.
//!
//! The words of a brief that a draft should mention are its content words; the list of words that are none is English, so for other
//! languages every longer word counts, which only makes the bar higher for all candidates alike.

use super::guard::{ECHO_WORDS, words};
use std::collections::BTreeSet;
use unicode_segmentation::UnicodeSegmentation;

/// Candidates written for each draft handed out, at most.
pub const MAX_CANDIDATES: u32 = 4;

const FUNCTION_WORDS: &str = "about after again all also am an and any are as at be because been before being but by can come could day \
    did do does doing don't down each every few first for from get go going got had has have having he her here hers him his how if in \
    into is it it's its i'm just let like made make me more most much my new no nor not now of off on once one only or other our out \
    over own please same she should so some still such than that that's the their them then there these they this those through to too \
    two under until up us very want was we we're were what when where which while who why will with would yes yet you your";

/// What a text loses whose every content word is its own, and what one that never keeps the brief's order.
const OWN_WORDS_COST: f32 = 1.0;
const DISORDER_COSTS: f32 = 1.0;
/// What the very same words count above all of an earlier draft's words.
const SAME_COSTS: f32 = 1.0;
/// What a text loses that holds its brief as it stands, if that has `ECHO_WORDS` words.
const ECHO_COSTS: f32 = 12.0;

/// What a brief asks to be mentioned.
#[derive(Clone, Debug)]
pub struct Keywords {
    words: Vec<String>,
    /// Those that the brief spells with capitals of their own: LinkedIn, NASA.
    names: Vec<String>,
    numbers: BTreeSet<String>,
    /// All words of the brief in lower case, in its order.
    given: Vec<String>,
}

impl Keywords {
    /// The content words and numbers of a brief.
    pub fn of(brief: &str) -> Keywords {
        let given: Vec<String> = words(brief).map(|(_, word)| word).collect();
        let content: BTreeSet<&String> = given.iter().filter(|word| is_content(word)).collect();
        let has_capitals = |word: &&str| word.chars().skip(1).any(char::is_uppercase) && is_content(&word.to_lowercase());
        let names = brief.unicode_words().filter(has_capitals).map(str::to_string).collect();
        Keywords { words: content.into_iter().cloned().collect(), names, numbers: numbers(brief), given }
    }

    /// The content words, in lower case.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// The content words that the brief spells with capitals inside, as it spells them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How well a finished text serves the brief; higher is better. Each figure is a share from 0 to 1 or a small count.
    pub fn score(&self, text: &str) -> f32 {
        let said: Vec<String> = words(text).map(|(_, word)| word).collect();
        let kept = share(self.words.iter().filter(|word| said.iter().any(|other| same_stem(word, other))).count(), self.words.len());
        let found = numbers(text);
        let numbers_kept = share(self.numbers.intersection(&found).count(), self.numbers.len());
        let invented = found.difference(&self.numbers).count() as f32 + self.invented_names(text) as f32;
        let strays = OWN_WORDS_COST * self.own_words(&said) + DISORDER_COSTS * self.disorder(&said);
        let is_echo = self.given.len() >= ECHO_WORDS && said.windows(self.given.len()).any(|run| run == self.given);
        let echo = if is_echo { ECHO_COSTS } else { 0.0 };
        3.0 * kept + numbers_kept - 2.0 * invented - 10.0 * repetition(&said) - strays - echo
    }

    /// How much a text and an earlier draft have in common: the runs of three words that stand in both, of those of the one with fewer,
    /// so that nothing is won by adding to an earlier draft; and a little more for the very same words.
    pub fn likeness(text: &str, earlier: &[String]) -> f32 {
        let runs = |text: &str| -> BTreeSet<String> {
            let said: Vec<String> = words(text).map(|(_, word)| word).collect();
            said.windows(3.min(said.len().max(1))).map(|run| run.join(" ")).collect()
        };
        let own = runs(text);
        let shared = |other: &String| {
            let other = runs(other);
            let both = other.intersection(&own).count() as f32 / own.len().min(other.len()).max(1) as f32;
            if other == own { both + SAME_COSTS } else { both }
        };
        earlier.iter().map(shared).fold(0.0, f32::max)
    }

    /// The share of content words that the brief does not hold: what a small model adds of its own is seldom sense.
    fn own_words(&self, said: &[String]) -> f32 {
        let content: Vec<&String> = said.iter().filter(|word| is_content(word)).collect();
        let own = content.iter().filter(|word| !self.given.iter().any(|given| same_stem(word, given))).count();
        if content.is_empty() { 0.0 } else { share(own, content.len()) }
    }

    /// The share of the brief's content words in a text that follow one which stands behind them in the brief.
    fn disorder(&self, said: &[String]) -> f32 {
        let place = |word: &String| self.given.iter().position(|given| same_stem(word, given));
        let places: Vec<usize> = said.iter().filter(|word| is_content(word)).filter_map(place).collect();
        let pairs = places.windows(2);
        if pairs.len() == 0 { 0.0 } else { share(pairs.clone().filter(|pair| pair[0] >= pair[1]).count(), pairs.len()) }
    }

    /// Capitalised words inside a sentence that the brief does not hold.
    fn invented_names(&self, text: &str) -> usize {
        let is_name = |(at, word): &(usize, String)| {
            let inside = text[..*at].trim_end().ends_with(|c: char| c.is_alphanumeric() || c == ',');
            let capital = text[*at..].starts_with(char::is_uppercase);
            let own = word == "i" || word.starts_with("i'") || word.contains(|c: char| c.is_ascii_digit());
            inside && capital && !own && !self.given.contains(word)
        };
        words(text).filter(is_name).count()
    }
}

/// Whether a word in lower case says what a text is about.
fn is_content(word: &str) -> bool {
    let is_function = FUNCTION_WORDS.split_whitespace().any(|function| function == word);
    (word.chars().count() > 2 || word.parse::<u64>().is_ok()) && !is_function
}

/// Whether two words in lower case are forms of one.
pub(super) fn same_stem(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let shared = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    shared >= 4
        && a.is_char_boundary(shared)
        && a.len().max(b.len()) - shared <= 3
        && a.bytes().chain(b.bytes()).all(|c| c.is_ascii_alphabetic())
}

/// Runs of digits.
fn numbers(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).map(str::to_string).collect()
}

/// The share of three-word runs, and of words, that the text has said before.
fn repetition(said: &[String]) -> f32 {
    let mut seen = BTreeSet::new();
    let again = said.windows(3).filter(|run| !seen.insert(*run)).count();
    let twice = said.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if again + twice == 0 { 0.0 } else { share(again + twice, said.len() - 1).min(1.0) }
}

/// `part / whole`, and all of nothing.
fn share(part: usize, whole: usize) -> f32 {
    if whole == 0 { 1.0 } else { part as f32 / whole as f32 }
}
