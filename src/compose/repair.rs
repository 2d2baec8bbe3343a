//! The last resort for a draft that never came to an end: cut at a word, add a full stop.
//!
//! Words are only taken away. A cut is never made inside a word, a number, a link or an emoji, and small words that would dangle
//! ("and the") go too where something else is left.

use super::guard::{DraftGuard, Ending};
use unicode_segmentation::UnicodeSegmentation;

/// Words a post does not end with.
const DANGLING: &str = " a an the and or but nor so of to in on at by for with from as than that which who whose when while where if because \
                        into our your my their his her its this these those is are was were be been has have had will would can could may \
                        not no very more most such & ";

/// The longest valid beginning of a text that becomes a draft by adding a full stop. With `Ending::Model` the last word is whole. Where
/// there is room for a sentence it has some words and no dangling end, unless the `last_chance` is all that is left.
pub(super) fn repair(guard: &DraftGuard, text: &str, ending: Ending, last_chance: bool) -> Option<String> {
    let text = guard.faultless(text, ending);
    let ends = word_ends(text, ending);
    let closed = |end: usize| {
        let words = text[..end].trim_end();
        format!("{words}{}", if words.chars().next_back().is_some_and(is_unspaced) { '。' } else { '.' })
    };
    let tidy = ends.iter().rev().filter(|&&end| !dangles(&text[..end])).find_map(|&end| guard.acceptable(&closed(end)));
    let any = || ends.iter().rev().map(|&end| closed(end)).find(|post| guard.is_post(post));
    if last_chance || !guard.has_room() { tidy.or_else(any) } else { tidy }
}

/// Bytes after each word at which a text can be cut.
fn word_ends(text: &str, ending: Ending) -> Vec<usize> {
    let ends = text.unicode_word_indices().map(|(at, word)| at + word.len());
    ends.filter(|&end| can_cut(text, end) && (ending == Ending::Model || end < text.len())).collect()
}

/// Whether what stands before and after a position belongs to different words.
fn can_cut(text: &str, end: usize) -> bool {
    let rest = &text[end..];
    let marks = rest.len() - rest.trim_start_matches([',', ';', ':', '.', '!', '?', '…', ')', '"', '”', '’']).len();
    let spaced = rest[marks..].is_empty() || rest[marks..].starts_with(' ');
    let last = text[..end].chars().next_back();
    spaced || (last.is_some_and(is_unspaced) && rest.chars().next().is_some_and(is_unspaced))
}

/// Scripts written without spaces: Han and kana.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c), 0x3041..=0x30FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
}

fn dangles(text: &str) -> bool {
    let last = text.rsplit(' ').next().unwrap_or_default().to_lowercase();
    DANGLING.contains(&format!(" {last} "))
}
