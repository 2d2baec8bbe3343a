//! Tokens that a brief rules out from the start, so that the device never draws them.
//!
//! Looks at tokens as the vocabulary spells them: printable ASCII stands for itself there, whatever the kind of vocabulary.

use super::brief::{Brief, EmojiRule};
use crate::text::Tokenizer;
use std::collections::HashSet;

/// The first two bytes of nearly every emoji, as byte-level vocabularies spell them.
const EMOJI_BYTES: &str = "ðŁ";

/// Tokens no draft of this brief may hold: control tokens but the ends and `angles`, ids without a text, and signs the rules forbid.
pub(super) fn unwanted(tokenizer: &Tokenizer, vocab_size: u32, end_tokens: &[u32], angles: &[u32], brief: &Brief) -> Vec<u32> {
    let mut signs = Vec::new();
    if brief.hashtags.most() == 0 {
        signs.extend(["#", "＃"]);
    }
    if brief.emoji == EmojiRule::None {
        signs.push(EMOJI_BYTES);
    }
    signs.extend(["@", "://", "www."].into_iter().filter(|sign| !brief.brief.to_lowercase().contains(sign)));
    let special: std::collections::BTreeSet<u32> = tokenizer.special_ids().into_iter().collect();
    let is_unwanted = |id: u32| match tokenizer.id_to_token(id) {
        None => true,
        Some(token) => special.contains(&id) || signs.iter().any(|sign| token.contains(sign)),
    };
    (0..vocab_size).filter(|id| !end_tokens.contains(id) && !angles.contains(id) && is_unwanted(*id)).collect()
}

/// For each word the tokens that begin it inside a text, as it is and with a capital, if they say more than a letter.
pub(super) fn first_tokens<'a>(tokenizer: &Tokenizer, words: impl Iterator<Item = &'a String>) -> Vec<u32> {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let spelled = words.filter(|word| word.is_ascii()).flat_map(|word| [format!(" {word}"), format!(" {}", capital(word))]);
    let first = spelled.filter_map(|word| tokenizer.encode_plain(&word).first().copied());
    let says_enough = |id: &u32| {
        let token = tokenizer.id_to_token(*id).unwrap_or_default();
        let bare = token.trim_start_matches(['Ġ', '▁', ' ']);
        bare.len() > 1 || bare.bytes().all(|b| b.is_ascii_digit())
    };
    first.filter(says_enough).collect()
}

/// Whether a token stands at the beginning of a text and hardly anywhere else: letters without the space before them.
pub(super) fn only_begins(tokenizer: &Tokenizer, id: u32) -> bool {
    tokenizer.id_to_token(id).is_some_and(|token| token.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// Words in lower case that one token spells, with the space before it.
pub(super) fn whole_words(tokenizer: &Tokenizer, vocab_size: u32) -> HashSet<String> {
    let spelled = (0..vocab_size).filter_map(|id| tokenizer.id_to_token(id));
    let word = |token: String| token.strip_prefix(['Ġ', '▁', ' ']).map(str::to_ascii_lowercase);
    spelled.filter_map(word).filter(|word| word.len() > 2 && word.bytes().all(|c| c.is_ascii_lowercase())).collect()
}

/// All tokens but those that are a word with the space before it, short enough for the length asked for, and no single letter where there is
/// room for more: with a full stop that is an initial and ends nothing. If there are none, letters stay.
pub(super) fn all_but_words(tokenizer: &Tokenizer, vocab_size: u32, max_units: u32) -> Vec<u32> {
    let longest = (max_units as usize - 2).min(12);
    let spelled = |id: u32| tokenizer.id_to_token(id).unwrap_or_default();
    let is_letters = |text: &str| !text.is_empty() && text.len() <= longest && text.bytes().all(|b| b.is_ascii_alphabetic());
    let is_word = |id: u32| spelled(id).strip_prefix(['Ġ', '▁', ' ']).is_some_and(|text| is_letters(text) && text.len() >= longest.min(2));
    let words: Vec<u32> = (0..vocab_size).filter(|&id| is_word(id)).collect();
    let kept = match words.is_empty() {
        false => words,
        true => (0..vocab_size).filter(|&id| is_letters(&spelled(id)) || matches!(spelled(id).as_str(), "Ġ" | "▁" | " ")).collect(),
    };
    (0..vocab_size).filter(|id| kept.binary_search(id).is_err()).collect()
}
