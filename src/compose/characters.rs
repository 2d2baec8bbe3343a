//! Single characters a post cares about: spaces, controls, what cannot be seen, and what links are made of.
//!
//! Functions on units take UTF-16, as X's link rules are written for it.

/// White space as X's link rules list it.
pub(super) fn is_space_unit(unit: u16) -> bool {
    matches!(unit, 0x09..=0x0D | 0x20 | 0x85 | 0xA0 | 0x1680 | 0x180E | 0x2000..=0x200A | 0x2028 | 0x2029 | 0x202F | 0x205F | 0x3000)
}

/// Whether a character leaves no mark on the page: spaces, controls, zero-width and format characters, selectors and tags.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || is_hidden(c) || c == '\u{2800}'
}

/// Characters that are never seen but change or hide what is: bidi controls, zero-width, selectors, tags, fillers, non-characters.
pub(super) fn is_hidden(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E
        | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB | 0xFDD0..=0xFDEF | 0x1BCA0..=0x1BCA3
        | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF)
        || u32::from(c) & 0xFFFE == 0xFFFE
}

/// Characters no font agrees on: private use, and the mark of undecodable bytes.
pub(super) fn is_meaningless(c: char) -> bool {
    matches!(u32::from(c), 0xE000..=0xF8FF | 0xFFFC | 0xFFFD | 0xF0000..=0x10FFFF)
}

/// A unit as a byte for comparing with ASCII; NUL, which no rule names, for everything else.
pub(super) fn ascii(unit: u16) -> u8 {
    if unit < 0x80 { unit as u8 } else { 0 }
}

/// Directional marks.
pub(super) fn is_marker(unit: u16) -> bool {
    matches!(unit, 0x061C | 0x200E | 0x200F | 0x202A..=0x202E | 0x2066..=0x2069)
}

/// Units X refuses.
pub(super) fn is_invalid(unit: u16) -> bool {
    matches!(unit, 0xFEFF | 0xFFFE | 0xFFFF)
}

/// Latin letters beyond ASCII, as X lists them.
pub(super) fn is_accented_latin(unit: u16) -> bool {
    matches!(unit,
        0xC0..=0xD6 | 0xD8..=0xF6 | 0xF8..=0x24F | 0x253 | 0x254 | 0x256 | 0x257 | 0x259 | 0x25B | 0x263 | 0x268 | 0x26F | 0x272
        | 0x289 | 0x28B | 0x2BB | 0x300..=0x36F | 0x1E00..=0x1EFF)
}

/// Letters and digits a path may hold.
pub(super) fn is_word_unit(unit: u16) -> bool {
    ascii(unit).is_ascii_alphanumeric() || (0x400..=0x4FF).contains(&unit) || is_accented_latin(unit)
}
