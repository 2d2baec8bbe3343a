//! What a good model seldom does, and a draft may: saying a thing again, spelling a word that does not exist.

use super::{DraftGuard, Ending, seen, words};
use crate::compose::rank::same_stem;
use std::collections::HashSet;

/// Words that may stand twice in a row.
const MAY_DOUBLE: [&str; 8] = ["very", "really", "that", "had", "so", "many", "long", "far"];

impl DraftGuard {
    /// Where a small model slipped: it says again what it has said, or spells a word that does not exist. A draft may; so it is no fault.
    pub fn slip(&self, text: &str, ending: Ending) -> Option<usize> {
        [self.stutter(text, ending), self.misspelling(text, ending), self.miscasing(text, ending)].into_iter().flatten().min()
    }

    /// Where a word of the brief stands in capitals and small letters that are neither the brief's nor usual: linkedIn for LinkedIn.
    fn miscasing(&self, text: &str, ending: Ending) -> Option<usize> {
        if self.known_words.is_empty() {
            return None;
        }
        let is_odd = |spelled: &str| {
            let mut rest = spelled.chars().skip(1);
            spelled.contains(char::is_uppercase) && rest.clone().any(char::is_uppercase) && rest.any(char::is_lowercase)
                || spelled.starts_with(char::is_lowercase) && spelled.contains(char::is_uppercase)
        };
        let is_wrong = |(start, word): &(usize, String)| {
            let spelled = text.get(*start..start + word.len()).unwrap_or_default();
            is_odd(spelled) && self.brief_words.contains(word) && !self.brief_spelled.iter().any(|given| given == spelled)
        };
        words(seen(text, ending)).find(is_wrong).map(|(start, _)| start)
    }

    /// Where a word goes wrong that neither the model nor the brief knows, in any form: at the first letter in which it differs from the
    /// brief's word that begins most like it.
    fn misspelling(&self, text: &str, ending: Ending) -> Option<usize> {
        if self.known_words.is_empty() {
            return None;
        }
        let is_known = |word: &str| {
            let is_spelled = word.len() < 3 || word.bytes().any(|c| !c.is_ascii_lowercase()) || self.known_words.contains(word);
            is_spelled || self.brief_words.iter().any(|given| same_stem(given, word))
        };
        let (start, wrong) = words(seen(text, ending)).find(|(_, word)| !is_known(word))?;
        let shared = |given: &String| given.bytes().zip(wrong.bytes()).take_while(|(a, b)| a == b).count();
        Some(start + self.brief_words.iter().map(shared).filter(|&shared| shared > 2).max().unwrap_or(0))
    }

    /// Where a text begins to say again what it has said: the last word of three in a row that it had before, or the second of one word
    /// twice in a row that the brief does not double.
    fn stutter(&self, text: &str, ending: Ending) -> Option<usize> {
        let said: Vec<(usize, String)> = words(seen(text, ending)).collect();
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
