//! What a good model seldom does, and a draft may: saying a thing again, spelling a word that does not exist, a sentence with a small letter
//! at its beginning, "a" for "an".

use super::{DraftGuard, Ending, seen, words};
use crate::compose::rank::same_stem;
use std::collections::HashSet;

/// Words that may stand twice in a row.
const MAY_DOUBLE: [&str; 8] = ["very", "really", "that", "had", "so", "many", "long", "far"];
/// What a full stop shortens.
const SHORT_FORMS: [&str; 14] = ["no", "nr", "st", "mr", "mrs", "ms", "dr", "vs", "etc", "min", "max", "approx", "dept", "hrs"];

/// A word in lower case, and where it begins.
type Word = (usize, String);

impl DraftGuard {
    /// Where a small model slipped: it says again what it has said, or writes what is no English. A draft may; so it is no fault.
    pub fn slip(&self, text: &str, ending: Ending) -> Option<usize> {
        let said: Vec<Word> = words(seen(text, ending)).collect();
        let again = self.stutter(&said);
        if self.known_words.is_empty() {
            return again;
        }
        let slips =
            [again, self.misspelling(&said), self.miscasing(text, &said), small_start(text, &said), self.wrong_article(text, &said)];
        slips.into_iter().flatten().min()
    }

    /// Where "a" stands before a vowel or "an" before a consonant, and the brief has not put it so.
    fn wrong_article(&self, text: &str, said: &[Word]) -> Option<usize> {
        let is_wrong = |pair: &&[Word]| {
            let [(at, article), (start, word)] = pair else { return false };
            let beside = *start == at + article.len() + 1 && text.as_bytes()[start - 1] == b' ';
            let spelled_out =
                text[*start..].chars().nth(1).is_some_and(char::is_lowercase) || word.starts_with(|c: char| c.is_ascii_digit());
            let is_other = ["a", "an"].contains(&article.as_str()) && article_for(word).is_some_and(|right| right != article);
            let given = || self.brief_words.windows(2).any(|run| run[0] == *article && run[1] == *word);
            is_other && beside && spelled_out && !given()
        };
        said.windows(2).find(is_wrong).map(|pair| pair[0].0)
    }

    /// Where a word of the brief stands in capitals and small letters that are neither the brief's nor usual: linkedIn for LinkedIn.
    fn miscasing(&self, text: &str, said: &[Word]) -> Option<usize> {
        let is_odd = |spelled: &str| {
            let mut rest = spelled.chars().skip(1);
            spelled.contains(char::is_uppercase) && rest.clone().any(char::is_uppercase) && rest.any(char::is_lowercase)
                || spelled.starts_with(char::is_lowercase) && spelled.contains(char::is_uppercase)
        };
        let is_wrong = |(start, word): &&Word| {
            let spelled = text.get(*start..start + word.len()).unwrap_or_default();
            is_odd(spelled) && self.brief_words.contains(word) && !self.brief_spelled.iter().any(|given| given == spelled)
        };
        said.iter().find(is_wrong).map(|(start, _)| *start)
    }

    /// Where a word goes wrong that neither the model nor the brief knows, in any form: at the first letter in which it differs from the
    /// brief's word that begins most like it.
    fn misspelling(&self, said: &[Word]) -> Option<usize> {
        let is_known = |word: &str| {
            // What an apostrophe cuts off is short: I'm, we'll, nobody's.
            if word.split_once('\'').is_some_and(|(_, tail)| tail.len() > 2 && tail != "clock") {
                return self.brief_words.iter().any(|given| given == word);
            }
            let is_spelled = word.len() < 3 || word.bytes().any(|c| !c.is_ascii_lowercase()) || self.known_words.contains(word);
            is_spelled || self.brief_words.iter().any(|given| same_stem(given, word))
        };
        let (start, wrong) = said.iter().find(|(_, word)| !is_known(word))?;
        let shared = |given: &String| given.bytes().zip(wrong.bytes()).take_while(|(a, b)| a == b).count();
        Some(start + self.brief_words.iter().map(shared).filter(|&shared| shared > 2).max().unwrap_or(0))
    }

    /// Where a text begins to say again what it has said: the last word of three in a row that it had before, or the second of one word
    /// twice in a row that the brief does not double.
    fn stutter(&self, said: &[Word]) -> Option<usize> {
        let run = |at: usize| [&said[at - 2].1, &said[at - 1].1, &said[at].1];
        let twice = |at: usize| {
            let (start, word) = &said[at - 1];
            said[at].1 == *word && said[at].0 == start + word.len() + 1 && !MAY_DOUBLE.contains(&word.as_str())
        };
        let given = |from: usize, to: usize| {
            self.brief_words.windows(to - from).any(|run| run.iter().eq(said[from..to].iter().map(|(_, word)| word)))
        };
        let mut runs = HashSet::new();
        (1..said.len()).find(|&at| (twice(at) && !given(at - 1, at + 1)) || (at >= 2 && !runs.insert(run(at)))).map(|at| said[at].0)
    }
}

/// Where a sentence begins with a small letter: "It rains. we stay." What follows a short form may ("a.m. and"), and a name that is spelled
/// so (iPhone, example.org).
fn small_start(text: &str, said: &[Word]) -> Option<usize> {
    let begins = |start: usize| match text[..start].strip_suffix(' ') {
        None => start == 0,
        Some(before) if before.ends_with(['!', '?']) => true,
        Some(before) => before.strip_suffix('.').is_some_and(|rest| {
            let last = rest.rsplit(' ').next().unwrap_or_default();
            let is_number = !last.is_empty() && last.bytes().all(|c| c.is_ascii_digit() || c == b':' || c == b'.') && !last.ends_with('.');
            is_number || last.len() > 1 && !last.contains('.') && !SHORT_FORMS.contains(&last.to_lowercase().as_str())
        }),
    };
    let is_small = |(start, word): &&Word| {
        let spelled = text.get(*start..start + word.len()).unwrap_or_default();
        spelled.starts_with(char::is_lowercase) && !spelled.contains(|c: char| c.is_uppercase() || c == '.') && begins(*start)
    };
    said.iter().find(is_small).map(|(start, _)| *start)
}

/// The article before a word in lower case, if its letters tell: not of "sms" and "mp3", which are spelled out.
fn article_for(word: &str) -> Option<&'static str> {
    let begins = |starts: &[&str]| starts.iter().any(|start| word.starts_with(start));
    if let Some(number) = word.split(|c: char| !c.is_ascii_digit()).next().filter(|digits| !digits.is_empty()) {
        return Some(if number.starts_with('8') || ["11", "18"].contains(&number) { "an" } else { "a" });
    }
    if !word.bytes().all(|c| c.is_ascii_alphabetic()) || !word.contains(['a', 'e', 'i', 'o', 'u', 'y']) {
        return None;
    }
    match word.as_bytes().first()? {
        b'a' | b'i' => Some("an"),
        b'e' => (!begins(&["eu", "ew"])).then_some("an"),
        b'o' => (!begins(&["one", "once", "oui"])).then_some("an"),
        // A university and an umbrella: what follows "un" says little, so only what is sure counts.
        b'u' => begins(&["um", "up", "ug", "unc", "und", "unf", "unl", "unr", "unt", "unu", "unw"]).then_some("an"),
        b'h' if begins(&["hour", "heir", "honest", "honou", "honor"]) => Some("an"),
        b'h' => (!begins(&["hist", "hotel", "herb"])).then_some("a"),
        _ => Some("a"),
    }
}
