//! Top-level domains: does a text begin with one, the way X looks for them?
//!
//! The list is a text file searched in place: ASCII names sorted, by bisection; the others one after another, in the order X tries them.

/// The file: a comment line, the ASCII names, the other names.
const TLDS: &str = include_str!("tlds.txt");

/// How many units of `text` (UTF-16) are the top-level domain it begins with, if it begins with one.
///
/// The name must not be followed by an ASCII letter or digit, `@`, `+` or `-`, except after `xn--`, where anything may follow.
pub(super) fn leading_tld(text: &[u16]) -> Option<usize> {
    let run = text.iter().take_while(|&&u| is_ascii_alphanumeric(u)).count();
    if run > 0 && ends_name(text.get(run)) {
        let name: String = text[..run].iter().map(|&u| char::from(u as u8).to_ascii_lowercase()).collect();
        if is_ascii_tld(&name) {
            return Some(run);
        }
    }
    leading_other_tld(text).or_else(|| leading_punycode(text))
}

fn is_ascii_alphanumeric(unit: u16) -> bool {
    u8::try_from(unit).is_ok_and(|b| b.is_ascii_alphanumeric())
}

/// Whether what follows a name lets the name end there.
fn ends_name(next: Option<&u16>) -> bool {
    next.is_none_or(|&u| !is_ascii_alphanumeric(u) && u != '@' as u16 && u != '+' as u16 && u != '-' as u16)
}

fn is_ascii_tld(name: &str) -> bool {
    let names = TLDS.lines().nth(1).unwrap_or_default();
    let (mut low, mut high) = (0, names.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = names[low..middle].rfind(' ').map_or(low, |i| low + i + 1);
        let end = names[middle..high].find(' ').map_or(high, |i| middle + i);
        match names[start..end].cmp(name) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = (end + 1).min(high),
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

fn leading_other_tld(text: &[u16]) -> Option<usize> {
    let first = fold(*text.first()?);
    if first < 128 && first != 'V' as u16 {
        // "vermögensberatung" and "vermögensberater" are the only ones to begin in ASCII.
        return None;
    }
    let names = TLDS.trim_ascii_end().rsplit('\n').next().unwrap_or_default();
    names.split(' ').find_map(|name| {
        let mut units = 0;
        for expected in name.encode_utf16() {
            if fold(*text.get(units)?) != fold(expected) {
                return None;
            }
            units += 1;
        }
        ends_name(text.get(units)).then_some(units)
    })
}

/// Case folding of one UTF-16 unit as a regular expression's `i` flag does it: one unit to one unit.
fn fold(unit: u16) -> u16 {
    let Some(c) = char::from_u32(u32::from(unit)) else { return unit };
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(u), None) if u32::from(u) <= 0xFFFF && (unit < 128 || u32::from(u) >= 128) => u32::from(u) as u16,
        _ => unit,
    }
}

fn leading_punycode(text: &[u16]) -> Option<usize> {
    let prefix = text.get(..4)?;
    if !prefix.iter().zip(['x', 'n', '-', '-']).all(|(&u, c)| u == c as u16 || u == c.to_ascii_uppercase() as u16) {
        return None;
    }
    let rest = text[4..].iter().take_while(|&&u| is_ascii_alphanumeric(u) || u == '-' as u16).count();
    (rest > 0).then_some(4 + rest)
}
