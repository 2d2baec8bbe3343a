//! Where the links are in a text, by the rules X publishes, so that a count made here is X's count.
//!
//! A link is a scheme and a domain, or a bare domain under a known top-level domain ("README.md" is one), then a port, a path and a
//! query. Works on UTF-16, as the rules do. The surprises: almost any character may be in a domain; a bare domain is cut to its Latin
//! part; without a path its query is not part of it; a t.co link ends with its slug. Every scan is linear in the text.

use super::characters::{ascii, is_accented_latin, is_invalid, is_marker, is_space_unit, is_word_unit};
use super::punycode::ascii_label_size;
use super::tlds::leading_tld;

/// Whose links.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// X: with or without a scheme.
    X,
    /// Mastodon: only with a scheme; paths in any alphabet.
    Mastodon,
}

/// One link, in UTF-16 units of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub start: usize,
    pub units: usize,
}

/// The longest link X makes, with its scheme.
const MAX_LINK_UNITS: usize = 4096;
const MAX_TCO_SLUG: usize = 40;

/// What one attempt found, as positions.
struct Match {
    start: usize,
    domain: std::ops::Range<usize>,
    path_end: Option<usize>,
    end: usize,
}

/// Finds the links of a text, left to right.
pub(super) fn find_links(text: &[u16], rules: Rules) -> Vec<Link> {
    let mut links = Vec::new();
    let mut scan = Scan { text, rules, chain: Chain { range: 0..0, dead_until: 0, last_domain: None } };
    let mut at = 0;
    while at < text.len() {
        let after = if may_precede(text[at]) { scan.link_at(at + 1) } else { None };
        let found = after.or_else(|| if at == 0 { scan.link_at(0) } else { None });
        match found {
            Some(found) => {
                scan.accept(&found, &mut links);
                at = found.end;
            }
            None => at += 1,
        }
    }
    links
}

struct Scan<'a> {
    text: &'a [u16],
    rules: Rules,
    /// The labels read last; every attempt that starts inside them shares what was found.
    chain: Chain,
}

/// A run of labels, each with its dot, and the last dot in it that ends a domain.
struct Chain {
    range: std::ops::Range<usize>,
    /// The end of what looked like one more label but has no dot, or no letter before it.
    dead_until: usize,
    /// Positions of the dot and of the end of the top-level domain after it.
    last_domain: Option<(usize, usize)>,
}

impl Scan<'_> {
    fn link_at(&mut self, start: usize) -> Option<Match> {
        let scheme = scheme_size(&self.text[start..]);
        let domain_start = start + scheme;
        let domain_end = self.domain_end(domain_start)?;
        let after_port = self.port_end(domain_end);
        let path_end = self.path_end(after_port);
        let end = self.query_end(path_end.unwrap_or(after_port));
        Some(Match { start, domain: domain_start..domain_end, path_end, end })
    }

    /// The end of the longest run of labels that a top-level domain follows.
    fn domain_end(&mut self, start: usize) -> Option<usize> {
        if !(self.chain.range.start..self.chain.dead_until).contains(&start) {
            self.chain = self.chain_from(start);
        }
        if start >= self.chain.range.end {
            return None;
        }
        let first = &self.text[start..self.chain.range.end];
        let dot = start + first.iter().position(|&u| u == '.' as u16)?;
        let label = &self.text[start..dot];
        match self.chain.last_domain {
            Some((last_dot, end)) if last_dot > dot && label.first().is_some_and(|&u| is_domain_unit(u)) => Some(end),
            _ if is_domain_label(label) => leading_tld(&self.text[dot + 1..]).map(|tld| dot + 1 + tld),
            _ => None,
        }
    }

    /// Reads labels and dots from a position as far as they are well formed.
    fn chain_from(&self, start: usize) -> Chain {
        let (mut last_domain, mut label) = (None, start);
        loop {
            let rest = &self.text[label..];
            if !rest.first().is_some_and(|&u| is_domain_unit(u)) {
                return Chain { range: start..label, dead_until: label, last_domain };
            }
            let size = rest.iter().take_while(|&&u| is_domain_unit(u) || u == '-' as u16 || u == '_' as u16).count();
            let dot = label + size;
            if rest.get(size) != Some(&('.' as u16)) || !is_domain_unit(rest[size - 1]) {
                return Chain { range: start..label, dead_until: dot, last_domain };
            }
            if is_domain_label(&rest[..size])
                && let Some(tld) = leading_tld(&self.text[dot + 1..])
            {
                last_domain = Some((dot, dot + 1 + tld));
            }
            label = dot + 1;
        }
    }

    fn port_end(&self, at: usize) -> usize {
        let digits = match self.text.get(at) {
            Some(&u) if u == ':' as u16 => self.text[at + 1..].iter().take_while(|&&u| ascii(u).is_ascii_digit()).count(),
            _ => 0,
        };
        if digits > 0 { at + 1 + digits } else { at }
    }

    /// The end of a path: the last unit a path may end with, or the slash alone.
    fn path_end(&self, at: usize) -> Option<usize> {
        if self.text.get(at) != Some(&('/' as u16)) {
            return None;
        }
        let (mut i, mut end) = (at + 1, at + 1);
        while let Some(&u) = self.text.get(i) {
            if self.in_path(u) {
                i += 1;
                if self.ends_path(u) {
                    end = i;
                }
            } else if let Some(size) = self.balanced_parens(i) {
                i += size;
                end = i;
            } else {
                break;
            }
        }
        Some(end)
    }

    /// The size of "(…)" or "(…(…)…)" at a position.
    fn balanced_parens(&self, at: usize) -> Option<usize> {
        let is = |i: usize, c: char| self.text.get(i) == Some(&(c as u16));
        let run = |from: usize| from + self.text[from.min(self.text.len())..].iter().take_while(|&&u| self.in_path(u)).count();
        if !is(at, '(') {
            return None;
        }
        let outer = run(at + 1);
        if outer > at + 1 && is(outer, ')') {
            return Some(outer + 1 - at);
        }
        let inner = run(outer + 1);
        if !is(outer, '(') || inner == outer + 1 || !is(inner, ')') {
            return None;
        }
        let close = run(inner + 1);
        is(close, ')').then_some(close + 1 - at)
    }

    fn query_end(&self, at: usize) -> usize {
        if self.text.get(at) != Some(&('?' as u16)) {
            return at;
        }
        let run = self.text[at + 1..].iter().take_while(|&&u| in_query(u)).count();
        let kept = self.text[at + 1..at + 1 + run].iter().rposition(|&u| ends_query(u));
        kept.map_or(at, |last| at + 2 + last)
    }

    fn in_path(&self, unit: u16) -> bool {
        match self.rules {
            Rules::X => is_word_unit(unit) || unit == 0x2013 || b"!*';:=+,.$/%#[]-_~@|&".contains(&ascii(unit)),
            Rules::Mastodon => !is_space_unit(unit) && !b"<>()?".contains(&ascii(unit)),
        }
    }

    fn ends_path(&self, unit: u16) -> bool {
        match self.rules {
            Rules::X => is_word_unit(unit) || b"+-=_#/".contains(&ascii(unit)),
            Rules::Mastodon => !b"!*\"';:=,.$%[]~&|@".contains(&ascii(unit)) && unit != 0x300C && unit != 0x300D,
        }
    }

    /// Applies what cannot be seen while scanning: label sizes, what stands before, the Latin part, t.co.
    fn accept(&self, found: &Match, links: &mut Vec<Link>) {
        let scheme = found.domain.start - found.start;
        let domain = &self.text[found.domain.clone()];
        let url_units = found.end - found.start;
        let scheme_units = if scheme > 0 { scheme } else { "https://".len() };
        if scheme_units + url_units > MAX_LINK_UNITS || !has_valid_labels(domain) {
            return;
        }
        if scheme > 0 {
            match tco_end(&self.text[found.start..found.end]) {
                Some((slug, _)) if slug > MAX_TCO_SLUG => {}
                Some((_, units)) => links.push(Link { start: found.start, units }),
                None => links.push(Link { start: found.start, units: url_units }),
            }
        } else if self.rules == Rules::X && !(found.start > 0 && b"-_./".contains(&ascii(self.text[found.start - 1]))) {
            let rest = if found.path_end.is_some() { found.end - found.domain.end } else { 0 };
            let first_new = links.len();
            links.extend(latin_domains(domain).map(|part| Link { start: found.domain.start + part.start, units: part.len() }));
            if let Some(last) = links[first_new..].last_mut() {
                last.units += rest;
            }
        }
    }
}

/// Whether a link may start right after this unit.
fn may_precede(unit: u16) -> bool {
    let b = ascii(unit);
    !(b.is_ascii_alphanumeric() || b"@$#".contains(&b) || matches!(unit, 0xFF20 | 0xFF03) || is_invalid(unit))
}

fn is_domain_unit(unit: u16) -> bool {
    let is_mark = b"!'#%&()*+,\\-./:;<=>?@[]^_{|}~$".contains(&ascii(unit));
    !(is_mark || is_space_unit(unit) || is_invalid(unit) || is_marker(unit))
}

/// Whether a whole label may stand right before a top-level domain.
fn is_domain_label(label: &[u16]) -> bool {
    label.first().is_some_and(|&u| is_domain_unit(u)) && label.last().is_some_and(|&u| is_domain_unit(u)) && !label.contains(&('_' as u16))
}

fn in_query(unit: u16) -> bool {
    let b = ascii(unit);
    b.is_ascii_alphanumeric() || b"!?*'@();:&=+$/%#[]-_.,~|".contains(&b)
}

fn ends_query(unit: u16) -> bool {
    let b = ascii(unit);
    b.is_ascii_alphanumeric() || b"-_&=#/".contains(&b)
}

/// The size of "http://" or "https://" in any case, else 0.
fn scheme_size(text: &[u16]) -> usize {
    let begins = |prefix: &str| text.len() >= prefix.len() && prefix.bytes().zip(text).all(|(p, &u)| ascii(u).to_ascii_lowercase() == p);
    ["https://", "http://"].into_iter().find(|p| begins(p)).map_or(0, str::len)
}

/// Whether every label fits DNS once written in ASCII, and a domain that claims to be in ASCII is.
fn has_valid_labels(domain: &[u16]) -> bool {
    let claims_ascii = domain.starts_with(&['x' as u16, 'n' as u16, '-' as u16, '-' as u16]);
    if claims_ascii && latin_domains(domain).next().is_none() {
        return false;
    }
    domain.split(|&u| u == '.' as u16).all(|label| ascii_label_size(label).is_some_and(|size| (1..=63).contains(&size)))
}

/// The parts of a domain that are domains of Latin letters, digits and hyphens under a top-level domain.
fn latin_domains(domain: &[u16]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let in_label = |u: u16| ascii(u).is_ascii_alphanumeric() || u == '-' as u16 || is_accented_latin(u);
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < domain.len() {
            let (start, mut best, mut label) = (at, None, at);
            let broken_at = loop {
                let size = domain[label..].iter().take_while(|&&u| in_label(u)).count();
                if size == 0 || domain.get(label + size) != Some(&('.' as u16)) {
                    break label + size;
                }
                label += size + 1;
                best = leading_tld(&domain[label..]).map(|tld| label + tld).or(best);
            };
            // A failed attempt rules out every start inside it: the labels it shares with them are the same.
            at = best.unwrap_or(broken_at.max(start + 1));
            if let Some(end) = best {
                return Some(start..end);
            }
        }
        None
    })
}

/// For a t.co link: the size of its slug and of the link up to there, with a query if one follows at once.
fn tco_end(url: &[u16]) -> Option<(usize, usize)> {
    let scheme = scheme_size(url);
    let rest = &url[scheme..];
    let host = "t.co/";
    if rest.len() < host.len() || !host.bytes().zip(rest).all(|(h, &u)| ascii(u).to_ascii_lowercase() == h) {
        return None;
    }
    let slug = rest[host.len()..].iter().take_while(|&&u| ascii(u).is_ascii_alphanumeric()).count();
    let end = scheme + host.len() + slug;
    let scan = Scan { text: url, rules: Rules::X, chain: Chain { range: 0..0, dead_until: 0, last_domain: None } };
    (slug > 0).then(|| (slug, scan.query_end(end)))
}
