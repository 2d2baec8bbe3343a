//! How long a post is for a network, and whether the network takes it.
//!
//! X: NFC, then 23 for a link, 2 for an emoji, 1 or 2 for any other character (twitter-text config v3). Bluesky: graphemes, and bytes
//! beside them. Mastodon: graphemes, a link with a scheme 23, `@user@host` as `@user`. Threads: characters, an emoji its UTF-8 bytes.
//! LinkedIn: UTF-16 units.

use super::characters::is_blank;
use super::emoji::{is_emoji, joined_for_x};
use super::links::{Link, Rules, find_links};
use super::network::{Network, Unit};
use crate::text::nfc;
use serde::Serialize;
use std::fmt;
use unicode_segmentation::UnicodeSegmentation;

/// How much of a network's limit a text uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Length {
    /// What the text measures.
    pub used: u32,
    /// What the network takes.
    pub limit: u32,
    /// What both are counted in.
    pub unit: Unit,
}

/// The answer to "may this be posted?".
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// Whether the network takes the text.
    pub valid: bool,
    /// How long it is.
    pub length: Length,
    /// What is wrong with it, or will surprise its readers, a sentence each.
    pub problems: Vec<Problem>,
}

/// One thing wrong with a text; serialised as its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// There is nothing to see.
    Blank,
    /// It measures more than the limit.
    TooLong(Length),
    /// It has more bytes than the network takes.
    TooManyBytes {
        /// Bytes in the text.
        used: u32,
        /// Bytes the network takes.
        limit: u32,
    },
    /// It has more different links than the network takes.
    TooManyLinks {
        /// Links in the text.
        used: u32,
        /// Links the network takes.
        limit: u32,
    },
    /// It holds a character the network refuses.
    Refused(char),
    /// It holds a control character, which networks remove or refuse; the text still counts as valid.
    Control(char),
}

impl Problem {
    /// Whether the text cannot be posted because of it.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Problem::Control(_))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Blank => write!(f, "The post is blank; write at least one visible character."),
            Problem::TooLong(Length { used, limit, unit }) => {
                write!(f, "The post is {} too long: {used} of {limit} {unit}; shorten it.", used - limit)
            }
            Problem::TooManyBytes { used, limit } => {
                write!(f, "The post is {} bytes too long: {used} of {limit} UTF-8 bytes; shorten it.", used - limit)
            }
            Problem::TooManyLinks { used, limit } => write!(f, "The post has {used} different links; at most {limit} are taken."),
            Problem::Refused(c) => write!(f, "The character U+{:04X} is refused by the network; remove it.", u32::from(*c)),
            Problem::Control(c) => write!(f, "The control character U+{:04X} cannot be seen; remove it.", u32::from(*c)),
        }
    }
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Measures a text as the network does.
pub fn measure(network: Network, text: &str) -> Length {
    let used = match network {
        Network::X => x_weight(text),
        Network::Bluesky => text.graphemes(true).count(),
        Network::Mastodon => mastodon_characters(text),
        Network::Threads => text.graphemes(true).map(|g| if is_emoji(g) { g.len() } else { g.chars().count() }).sum(),
        Network::LinkedIn => text.encode_utf16().count(),
    };
    Length { used: to_u32(used), limit: network.limit(), unit: network.unit() }
}

/// Says whether a network takes a text, and what is wrong with it.
pub fn check(network: Network, text: &str) -> Check {
    let length = measure(network, text);
    let mut problems = Vec::new();
    if text.chars().all(is_blank) {
        problems.push(Problem::Blank);
    }
    if length.used > length.limit {
        problems.push(Problem::TooLong(length));
    }
    if let Some(limit) = network.max_bytes()
        && to_u32(text.len()) > limit
    {
        problems.push(Problem::TooManyBytes { used: to_u32(text.len()), limit });
    }
    if let Some(limit) = network.max_links() {
        let used = to_u32(different_links(text));
        if used > limit {
            problems.push(Problem::TooManyLinks { used, limit });
        }
    }
    let unwelcome: std::collections::BTreeSet<char> = text.chars().collect();
    problems.extend(unwelcome.into_iter().filter_map(|c| character_problem(network, c)));
    Check { valid: !problems.iter().any(Problem::is_fatal), length, problems }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn character_problem(network: Network, c: char) -> Option<Problem> {
    if network == Network::X && matches!(c, '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}') {
        Some(Problem::Refused(c))
    } else if c.is_control() && !matches!(c, '\n' | '\r' | '\t') {
        Some(Problem::Control(c))
    } else {
        None
    }
}

/// X's weights are hundredths; every one in use is 100 or 200.
fn x_weight(text: &str) -> usize {
    let text = nfc(text);
    let chars: Vec<char> = text.chars().collect();
    let units: Vec<u16> = text.encode_utf16().collect();
    let mut links = find_links(&units, Rules::X).into_iter().peekable();
    let (mut weight, mut i, mut unit) = (0, 0, 0);
    while i < chars.len() {
        while links.next_if(|l| l.start < unit).is_some() {}
        if let Some(link) = links.next_if(|l| l.start == unit) {
            weight += 23;
            while i < chars.len() && unit < link.start + link.units {
                unit += chars[i].len_utf16();
                i += 1;
            }
            continue;
        }
        let joined = joined_for_x(&chars[i..]);
        weight += if joined.is_some() { 2 } else { character_weight(chars[i]) };
        for c in &chars[i..i + joined.unwrap_or(1)] {
            unit += c.len_utf16();
        }
        i += joined.unwrap_or(1);
    }
    weight
}

fn character_weight(c: char) -> usize {
    let light = matches!(u32::from(c), 0..=0x10FF | 0x2000..=0x200D | 0x2010..=0x201F | 0x2032..=0x2037);
    if light { 1 } else { 2 }
}

fn mastodon_characters(text: &str) -> usize {
    let units: Vec<u16> = text.encode_utf16().collect();
    let mut counted = String::new();
    let mut at = 0;
    for Link { start, units: size } in find_links(&units, Rules::Mastodon) {
        counted.push_str(&without_hosts(&String::from_utf16_lossy(&units[at..start])));
        counted.push_str("xxxxxxxxxxxxxxxxxxxxxxx");
        at = start + size;
    }
    counted.push_str(&without_hosts(&String::from_utf16_lossy(&units[at..])));
    counted.graphemes(true).count()
}

/// Drops the host of every `@user@host`.
fn without_hosts(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_user = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut kept = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        kept.push(chars[i]);
        i += 1;
        let free = i < 2 || !(is_word(chars[i - 2]) || matches!(chars[i - 2], '=' | '/'));
        if chars[i - 1] != '@' || !free {
            continue;
        }
        let name = chars[i..].iter().take_while(|&&c| is_user(c) || matches!(c, '.' | '-')).count();
        let ends_well = name > 0 && is_user(chars[i]) && is_user(chars[i + name - 1]);
        let host_at = i + name + 1;
        if ends_well && chars.get(i + name) == Some(&'@') {
            let run = chars[host_at..].iter().take_while(|&&c| is_word(c) || matches!(c, '.' | '-')).count();
            let host = chars[host_at..host_at + run].iter().rposition(|&c| is_word(c)).map_or(0, |last| last + 1);
            kept.extend(&chars[i..i + name]);
            i = if host > 1 { host_at + host } else { i + name };
        }
    }
    kept
}

fn different_links(text: &str) -> usize {
    let units: Vec<u16> = text.encode_utf16().collect();
    let mut links: Vec<&[u16]> = find_links(&units, Rules::X).iter().map(|l| &units[l.start..l.start + l.units]).collect();
    links.sort_unstable();
    links.dedup();
    links.len()
}
