//! Where a sentence ends, so that a post may end there.
//!
//! A sentence ends with a full stop, "!", "?" or "…", its closing quotes and brackets, and the emoji or hashtags set after it. A dot
//! ends none after an abbreviation or an initial, inside a number, a link or an open quotation, nor before a lower-case word.

use super::emoji::is_emoji;
use unicode_segmentation::UnicodeSegmentation;

/// Abbreviations whose dot never ends a post, in lower case and without their last dot.
const ABBREVIATIONS: &str = " e.g eg i.e ie dr mr mrs ms mx prof st vs cf ca approx capt sgt lt messrs jan feb apr aug sept oct nov dec tue \
                             tues thu thur thurs fri dept tel incl excl viz z.b d.h u.a bzw bspw hr mme mlle sra p.ex ";

/// Words that a number follows after their dot ("No. 5") and that are words of their own otherwise.
const BEFORE_NUMBERS: &str = " no nos nr fig figs vol pp p art sec ";

/// Byte positions after each sentence of a text whose end has not been seen: something must follow for an end to be sure.
pub(super) fn sure_ends(text: &str) -> Vec<usize> {
    scan(text).0
}

/// Whether the text, being all there is, ends with a sentence: also with any emoji or hashtag.
pub(super) fn ends_with_sentence(text: &str) -> bool {
    let (_, at_end) = scan(text);
    let last_word = text.rsplit(' ').next().unwrap_or_default();
    let by_mark = text.graphemes(true).next_back().is_some_and(is_emoji) || is_hashtag(last_word);
    (at_end || by_mark) && text.chars().any(char::is_alphanumeric)
}

/// A word that is a hashtag.
pub(super) fn is_hashtag(word: &str) -> bool {
    word.strip_prefix(['#', '＃']).is_some_and(|tag| tag.chars().all(|c| c.is_alphanumeric() || c == '_') && !tag.is_empty())
}

/// Marks that end a sentence.
pub(super) fn is_terminator(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '‽' | '。' | '！' | '？' | '｡' | '．' | '؟' | '۔' | '।' | '॥' | '։' | '።' | '⁉' | '‼')
}

/// Marks that may follow the end within the same sentence.
pub(super) fn is_closer(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | '»' | '›' | ')' | ']' | '}' | '」' | '』' | '）' | '】' | '》')
}

/// Sentence ends inside the text, and whether the text itself ends with one.
fn scan(text: &str) -> (Vec<usize>, bool) {
    let mut ends = Vec::new();
    let mut quotes = Quotes::default();
    let mut start = 0;
    let mut at = 0;
    while let Some(mark) = text[at..].find(is_terminator).map(|i| at + i) {
        quotes.read(&text[at..mark], at == 0);
        let marks = run(&text[mark..], is_terminator);
        let closers = run(&text[mark + marks..], is_closer);
        let end = mark + marks + closers;
        quotes.read(&text[mark..end], false);
        at = end;
        if !quotes.all_closed() || !ends_sentence(text, start..mark, mark + marks, end) {
            continue;
        }
        let end = after_marks(text, end);
        quotes.read(&text[at..end], false);
        (at, start) = (end, end);
        if end == text.len() {
            return (ends, true);
        }
        ends.push(end);
    }
    (ends, false)
}

/// Whether the terminators at the end of `sentence` end it; `marks_end` is after them and `end` after their closers.
fn ends_sentence(text: &str, sentence: std::ops::Range<usize>, marks_end: usize, end: usize) -> bool {
    let marks = &text[sentence.end..marks_end];
    let (before, after) = (&text[sentence], &text[end..]);
    let wide = marks.chars().all(|c| !c.is_ascii() && c != '…');
    if !(after.is_empty() || after.starts_with(' ') || wide || after.graphemes(true).next().is_some_and(is_emoji)) {
        return false;
    }
    if !before.chars().any(char::is_alphabetic) && !before.trim().is_empty() && marks == "." {
        return false;
    }
    if before.trim().is_empty() {
        return false;
    }
    marks != "." || !(is_abbreviation(before, after) || after.trim_start().starts_with(char::is_lowercase))
}

/// Whether the dot between these texts belongs to the last word before it.
fn is_abbreviation(before: &str, after: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || "([\"“/-–—".contains(c)).next().unwrap_or_default();
    let word = format!(" {} ", word.trim_start_matches(|c: char| !c.is_alphanumeric()).to_lowercase());
    let initial = word.len() == 3 && word.as_bytes()[1].is_ascii_alphabetic() && word != " i ";
    let numbered = after.trim_start().starts_with(|c: char| c.is_ascii_digit());
    initial || (word.len() > 2 && (ABBREVIATIONS.contains(&word) || (numbered && BEFORE_NUMBERS.contains(&word))))
}

/// The end of the emoji and hashtags that follow a sentence.
fn after_marks(text: &str, end: usize) -> usize {
    let mut end = end;
    loop {
        let rest = &text[end..];
        let gap = rest.len() - rest.trim_start_matches(' ').len();
        let next = &rest[gap..];
        let emoji: usize = next.graphemes(true).take_while(|g| is_emoji(g)).map(str::len).sum();
        let word = next.split(' ').next().unwrap_or_default();
        let size = match emoji {
            0 if gap > 0 && is_hashtag(word) => word.len(),
            emoji => emoji,
        };
        if size == 0 {
            return end;
        }
        end += gap + size;
    }
}

/// Bytes of the leading characters that satisfy a test.
fn run(text: &str, test: fn(char) -> bool) -> usize {
    text.len() - text.trim_start_matches(test).len()
}

/// Quotations and brackets that are open. A quotation mark that opens the whole text is not counted: models like to quote themselves.
#[derive(Default)]
struct Quotes {
    straight: bool,
    curly: u32,
    brackets: u32,
}

impl Quotes {
    fn read(&mut self, part: &str, first: bool) {
        for (i, c) in part.char_indices() {
            match c {
                '"' | '“' | '„' | '«' if first && i == 0 => {}
                '"' => self.straight = !self.straight,
                '“' | '„' | '«' => self.curly += 1,
                '”' | '»' => self.curly = self.curly.saturating_sub(1),
                '(' | '[' => self.brackets += 1,
                ')' | ']' => self.brackets = self.brackets.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn all_closed(&self) -> bool {
        !self.straight && self.curly == 0 && self.brackets == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{ends_with_sentence, sure_ends};

    fn sentences(text: &str) -> Vec<&str> {
        let mut start = 0;
        sure_ends(text).into_iter().map(|end| text[std::mem::replace(&mut start, end)..end].trim()).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_says() {
        for (text, want) in [
            ("We open. Come by! Why? Well…  ok", &["We open.", "Come by!", "Why?", "Well…"][..]),
            ("Ask Dr. Kay, e.g. on Monday. Next", &["Ask Dr. Kay, e.g. on Monday."]),
            ("It costs 3.50 at example.com now. Yes", &["It costs 3.50 at example.com now."]),
            ("Open at 10 a.m. on Saturday. Go", &["Open at 10 a.m. on Saturday."]),
            ("J. Doe reads. Hi", &["J. Doe reads."]),
            ("Wait... what? No", &["Wait...", "what?"]),
            ("He said \"Go. Now.\" Then left. Ok", &["He said \"Go. Now.\"", "Then left."]),
            ("(Bring tea. And cake.) Thanks. A", &["(Bring tea. And cake.)", "Thanks."]),
            ("\"We moved. Come in. And", &["\"We moved.", "Come in."]),
            ("Open now! 🌿🌿 #Garden #Tea Come", &["Open now! 🌿🌿 #Garden #Tea"]),
            ("I love 🌿 tea. And", &["I love 🌿 tea."]),
            ("開きます。来てね！はい", &["開きます。", "来てね！"]),
            ("1. Water. 2. Sun. X", &["1. Water.", "2. Sun."]),
            ("ends here.", &[]),
            ("In 2024. Then", &["In 2024."]),
            ("She said no. Room No. 5 is mine. So am I. Ok", &["She said no.", "Room No. 5 is mine.", "So am I."]),
            ("a.b.c", &[]),
            ("... and then", &[]),
        ] {
            assert_eq!(sentences(text), want, "{text:?}");
        }
    }

    #[test]
    fn posts_end_with_a_mark_an_emoji_or_a_hashtag() {
        for text in [
            "Yes.",
            "Yes!",
            "Why?)",
            "So…",
            "“Yes.”",
            "We open 🌿",
            "We open ❤\u{fe0f}",
            "We open #Tea",
            "Ok? 🌿",
            "It is 3.",
            "はい。",
            "U.S. news.",
        ] {
            assert!(ends_with_sentence(text), "{text:?}");
        }
        for text in
            ["", ".", "🌿", "yes", "yes,", "e.g.", "Ask Dr.", "see (you.", "He said \"yes.", "yes:", "yes #", "a.m", "go 7", "…", "by J."]
        {
            assert!(!ends_with_sentence(text), "{text:?}");
        }
    }
}
