//! Emoji: which sequences X's counter prices as one, and which clusters a reader sees as an emoji.
//!
//! X's counter knows the emoji of 2018 only: a newer joined sequence is weighed piece by piece. Since every emoji weighs 2 and every
//! piece at least 1, that count is never below the count by today's Unicode, so it alone keeps a draft acceptable to both.

use super::emoji_tables::{
    EMOJI_PRESENTATION, EMOJI_TEXT, FLAGS, TAKES_GENDER, TAKES_SKIN, TAKES_SKIN_AND_GENDER, TAKES_STYLED_GENDER, TAKES_VS16,
    TAKES_VS16_AND_SKIN,
};

/// Zero-width joiner: glues emoji into one.
pub(super) const ZWJ: char = '\u{200D}';
/// Variation selector 16: asks for the emoji form.
pub(super) const VS16: char = '\u{FE0F}';

/// Variation selector 15: asks for the text form.
const VS15: char = '\u{FE0E}';

const MAN: char = '👨';
const WOMAN: char = '👩';
pub(super) const KEYCAP: char = '\u{20E3}';
const BLACK_FLAG: char = '\u{1F3F4}';

/// How many of the leading characters X's counter takes for one emoji, if they are two or more.
pub(super) fn joined_for_x(chars: &[char]) -> Option<usize> {
    let first = *chars.first()?;
    profession(chars)
        .or_else(|| gendered(chars))
        .or_else(|| couple(chars))
        .or_else(|| family(chars))
        .or_else(|| pair(chars))
        .or_else(|| keycap(chars))
        .or_else(|| match (chars.get(1), chars.get(2)) {
            (Some(&VS16), Some(&s)) if is_skin(s) && contains(TAKES_VS16_AND_SKIN, first) => Some(3),
            (Some(&VS16), _) if contains(TAKES_VS16, first) => Some(2),
            (Some(&s), _) if is_skin(s) && contains(TAKES_SKIN, first) => Some(2),
            _ => None,
        })
        .or_else(|| flag(chars))
}

/// Whether a grapheme cluster is shown as an emoji.
pub(super) fn is_emoji(cluster: &str) -> bool {
    let is_letter = |c: char| ('\u{1F1E6}'..='\u{1F1FF}').contains(&c);
    if cluster.chars().next().is_some_and(is_letter) {
        // One regional letter is only half a flag.
        return cluster.chars().nth(1).is_some_and(is_letter);
    }
    let mut chars = cluster.chars().peekable();
    while let Some(c) = chars.next() {
        let selected = chars.peek() == Some(&VS16) && contains(EMOJI_TEXT, c);
        if contains(EMOJI_PRESENTATION, c) || selected || c == KEYCAP {
            return true;
        }
    }
    false
}

/// Whether some reader's device may draw a grapheme cluster as an emoji: also what is text unless U+FE0F asks for more, as many do not wait for it.
pub(super) fn may_be_emoji(cluster: &str) -> bool {
    let mut chars = cluster.chars();
    let first = chars.next();
    let drawn = first.is_some_and(|c| !c.is_ascii() && has_emoji_form(c) && !matches!(c, '©' | '®' | '™'));
    is_emoji(cluster) || (drawn && chars.next() != Some(VS15))
}

/// Whether a character may stand before U+FE0F or a joiner, that is, has an emoji form.
pub(super) fn has_emoji_form(c: char) -> bool {
    contains(EMOJI_PRESENTATION, c) || contains(EMOJI_TEXT, c) || is_keycap_base(c)
}

/// Whether a character is shown as an emoji only before U+FE0F; behind any other the selector is only weight.
pub(super) fn is_text_by_default(c: char) -> bool {
    contains(EMOJI_TEXT, c) || is_keycap_base(c)
}

/// Whether a character is a skin tone.
pub(super) fn is_skin(c: char) -> bool {
    ('\u{1F3FB}'..='\u{1F3FF}').contains(&c)
}

fn contains(ranges: &[(u32, u32)], c: char) -> bool {
    let c = u32::from(c);
    let after = ranges.partition_point(|&(start, _)| start <= c);
    after > 0 && c <= ranges[after - 1].1
}

/// Whether `chars[at..]` begins with `expected`.
fn has(chars: &[char], at: usize, expected: &[char]) -> bool {
    chars.get(at..).is_some_and(|rest| rest.starts_with(expected))
}

/// A man or woman with a tool of the trade.
fn profession(chars: &[char]) -> Option<usize> {
    if !matches!(chars[0], MAN | WOMAN) {
        return None;
    }
    let joiner = 1 + usize::from(chars.get(1).is_some_and(|&c| is_skin(c)));
    if !has(chars, joiner, &[ZWJ]) {
        return None;
    }
    match chars.get(joiner + 1)? {
        '🌾' | '🍳' | '🎓' | '🎤' | '🎨' | '🏫' | '🏭' | '💻' | '💼' | '🔧' | '🔬' | '🚀' | '🚒' | '🦰' | '🦱' | '🦲' | '🦳' => {
            Some(joiner + 2)
        }
        '⚕' | '⚖' | '✈' if has(chars, joiner + 2, &[VS16]) => Some(joiner + 3),
        _ => None,
    }
}

/// A person with a gender sign.
fn gendered(chars: &[char]) -> Option<usize> {
    let (table, joiner) = match *chars.get(1)? {
        ZWJ => (TAKES_GENDER, 1),
        VS16 => (TAKES_STYLED_GENDER, 2),
        s if is_skin(s) => (TAKES_SKIN_AND_GENDER, 2),
        _ => return None,
    };
    let signed = has(chars, joiner, &[ZWJ, '♀', VS16]) || has(chars, joiner, &[ZWJ, '♂', VS16]);
    (signed && contains(table, chars[0])).then_some(joiner + 3)
}

/// Two people with a heart or a kiss between them.
fn couple(chars: &[char]) -> Option<usize> {
    if !matches!(chars[0], MAN | WOMAN) || !has(chars, 1, &[ZWJ, '❤', VS16, ZWJ]) {
        return None;
    }
    let second = if has(chars, 5, &['💋', ZWJ]) { 7 } else { 5 };
    match (chars[0], chars.get(second)?) {
        (WOMAN, &WOMAN | &MAN) | (MAN, &MAN) => Some(second + 1),
        _ => None,
    }
}

/// One or two parents with one or two children.
fn family(chars: &[char]) -> Option<usize> {
    let joined = |i: usize| if has(chars, 2 * i - 1, &[ZWJ]) { chars.get(2 * i).copied() } else { None };
    let parents = match (chars[0], joined(1)) {
        (MAN, Some(MAN | WOMAN)) | (WOMAN, Some(WOMAN)) => 2,
        (MAN | WOMAN, _) => 1,
        _ => return None,
    };
    let members = match (joined(parents), joined(parents + 1)) {
        (Some('👧'), Some('👦' | '👧')) | (Some('👦'), Some('👦')) => parents + 2,
        (Some('👧' | '👦'), _) => parents + 1,
        _ => return None,
    };
    Some(2 * members - 1)
}

/// The three other pairs.
fn pair(chars: &[char]) -> Option<usize> {
    let pairs: [&[char]; 3] = [&['🏳', VS16, ZWJ, '🌈'], &[BLACK_FLAG, ZWJ, '☠', VS16], &['👁', ZWJ, '🗨']];
    pairs.iter().find(|p| chars.starts_with(p)).map(|p| p.len())
}

/// Whether a keycap can be made of a character.
pub(super) fn is_keycap_base(c: char) -> bool {
    matches!(c, '#' | '*' | '0'..='9')
}

fn keycap(chars: &[char]) -> Option<usize> {
    let cap = 1 + usize::from(has(chars, 1, &[VS16]));
    (is_keycap_base(chars[0]) && has(chars, cap, &[KEYCAP])).then_some(cap + 1)
}

/// A flag of two regional letters, or one of the three flags written in tags.
fn flag(chars: &[char]) -> Option<usize> {
    let letter = |i: usize| chars.get(i).and_then(|&c| u32::from(c).checked_sub(0x1F1E6)).filter(|&l| l < 26);
    if let (Some(first), Some(second)) = (letter(0), letter(1)) {
        return (FLAGS[first as usize] >> second & 1 == 1).then_some(2);
    }
    if chars[0] != BLACK_FLAG {
        return None;
    }
    let tags: String = chars[1..].iter().take(6).filter_map(|&c| char::from_u32(u32::from(c).checked_sub(0xE0000)?)).collect();
    matches!(tags.as_str(), "gbeng\u{7F}" | "gbsct\u{7F}" | "gbwls\u{7F}").then_some(7)
}
