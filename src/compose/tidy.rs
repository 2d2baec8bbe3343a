//! What a model wrote becomes the text of one post: one line, nothing hidden, Unicode NFC. Nothing visible is added.
//!
//! White space collapses to single spaces, since a post is one paragraph here. Invisible characters go, except the joiners and selectors
//! that hold an emoji together. A first line that announces the post ("Here is a post:") goes, and so does Markdown's doubled asterisk.

use super::characters::{is_hidden, is_meaningless};
use super::emoji::{KEYCAP, VS16, ZWJ, has_emoji_form, is_keycap_base, is_skin, is_text_by_default};
use crate::text::nfc;

/// The post in a model's raw text. As the raw text grows, so does this, but for a character that is still being put together.
pub(super) fn tidy(raw: &str) -> String {
    let chars: Vec<char> = nfc(without_announcement(raw)).chars().collect();
    let mut text = String::with_capacity(raw.len());
    for (i, &c) in chars.iter().enumerate() {
        let before = text.chars().next_back();
        if c.is_whitespace() {
            if before.is_some_and(|b| b != ' ') {
                text.push(' ');
            }
        } else if text.is_empty() && is_litter(c, chars.get(i + 1)) {
            continue;
        } else if keeps(c, before, &chars[i + 1..]) && !is_emphasis(&chars, i) {
            text.push(c);
        }
    }
    text.truncate(text.trim_end_matches(' ').len());
    text
}

/// Where the raw text has an empty line after something was said: what follows is another post, or talk about this one.
pub(super) fn blank_line(raw: &str) -> Option<usize> {
    let start = raw.len() - without_announcement(raw).trim_start().len();
    let mut at = start;
    while let Some(newline) = raw[at..].find('\n').map(|i| at + i) {
        let rest = &raw[newline + 1..];
        let gap = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
        if rest[gap..].starts_with('\n') {
            return Some(newline);
        }
        at = newline + 1;
    }
    None
}

/// The text without a short first line that ends in a colon, once there is a second one.
fn without_announcement(raw: &str) -> &str {
    let text = raw.trim_start();
    match text.split_once('\n') {
        Some((first, rest)) if first.trim_end().ends_with(':') && first.len() < 80 => rest,
        _ => text,
    }
}

fn keeps(c: char, before: Option<char>, after: &[char]) -> bool {
    match c {
        VS16 => before.is_some_and(|b| if is_keycap_base(b) { after.first() == Some(&KEYCAP) } else { is_text_by_default(b) }),
        ZWJ => {
            let joins = before.is_some_and(|b| b == VS16 || is_skin(b) || (has_emoji_form(b) && !b.is_ascii()));
            joins && after.first().is_some_and(|&a| has_emoji_form(a) && !a.is_ascii())
        }
        KEYCAP => before.is_some_and(|b| b == VS16 || (has_emoji_form(b) && b.is_ascii())),
        _ => !(c.is_control() || is_hidden(c) || is_meaningless(c)),
    }
}

/// Marks that no post begins with, and the dash of a list.
fn is_litter(c: char, next: Option<&char>) -> bool {
    match c {
        '-' | '–' | '—' => next.is_none_or(|n| n.is_whitespace()),
        _ => ".,;:!?)]}*•·>|_=~%&/\\".contains(c),
    }
}

/// Whether this asterisk is one of two or more.
fn is_emphasis(chars: &[char], i: usize) -> bool {
    chars[i] == '*' && (chars.get(i + 1) == Some(&'*') || (i > 0 && chars[i - 1] == '*'))
}

#[cfg(test)]
mod tests {
    use super::{blank_line, tidy};

    #[test]
    fn one_line_without_hidden_characters() {
        for (raw, want) in [
            ("  Hello \n world.\t ", "Hello world."),
            ("a\u{200b}b\u{202e}c\u{feff}d\u{e0041}\u{0}e\u{fffd}", "abcde"),
            ("👩\u{200d}🚒 ❤\u{fe0f} a\u{fe0f} 1\u{fe0f}\u{20e3}", "👩\u{200d}🚒 ❤\u{fe0f} a 1\u{fe0f}\u{20e3}"),
            ("1\u{fe0f}a #\u{fe0f}", "1a #"),
            ("👩\u{200d}", "👩"),
            ("👩\u{200d} x", "👩 x"),
            ("🌙\u{fe0f} 🌙\u{fe0f}\u{fe0f}", "🌙 🌙"),
            ("f\u{200c}g \u{200d}", "fg"),
            ("Here is a post:\n\nWe **open** at 5 * 2.", "We open at 5 * 2."),
            ("Note: we open.", "Note: we open."),
            ("e\u{301}", "é"),
            (" - We open.", "We open."),
            ("-5 degrees.", "-5 degrees."),
            ("!) , so", "so"),
            ("\u{2028}a\u{2029}b\u{a0}c", "a b c"),
        ] {
            assert_eq!(tidy(raw), want, "{raw:?}");
        }
    }

    #[test]
    fn blank_lines_are_found_after_text_only() {
        assert_eq!(blank_line("\n\nOne.\nTwo.\n \nThree"), Some(11));
        assert_eq!(blank_line("\n\nOne.\nTwo."), None);
        assert_eq!(blank_line("Here you go:\n\nOne."), None);
        assert_eq!(blank_line("Here you go:\n\nOne.\n\nTwo"), Some(18));
    }
}
