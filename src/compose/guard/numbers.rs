//! The numbers of a draft beside those of its brief.

/// Marks that part hours and minutes.
fn is_point(byte: u8) -> bool {
    matches!(byte, b'.' | b':')
}

/// Marks within a number.
const PARTS_DIGITS: [char; 3] = ['.', ':', ','];
/// Marks that join numbers to one, as in 2026-03-18 and 12/05: what they join is given as a whole or not at all.
const JOINS_NUMBERS: [char; 3] = ['-', '–', '/'];

/// Where a text has a number that the brief does not hold, a date in parts, or a number without its minus; 7.30 is 7:30. With `is_open` more may
/// come.
pub(super) fn invented(brief: &str, text: &str, is_open: bool) -> Option<usize> {
    let same = |given: &str, found: &str| given.bytes().zip(found.bytes()).all(|(a, b)| a == b || (is_point(a) && is_point(b)));
    let fits = |given: &str, found: &str, unfinished: bool| {
        (given.len() == found.len() || (unfinished && given.len() > found.len())) && same(given, found)
    };
    // A mark at the end of an unfinished text may be the middle of a number.
    let open = |end: usize| is_open && text[end..].trim_start_matches(PARTS_DIGITS).trim_start_matches(JOINS_NUMBERS).is_empty();
    let holds = |number: std::ops::Range<usize>| {
        let (found, unfinished, negative) = (&text[number.clone()], open(number.end), is_negative(&text[..number.start]));
        let sign_fits = |given: &std::ops::Range<usize>| negative || !is_negative(&brief[..given.start]);
        numbers(brief).any(|given| sign_fits(&given) && fits(&brief[given], found, unfinished))
    };
    let holds_joined = |run: std::ops::Range<usize>| {
        let (found, unfinished) = (&text[run.clone()], open(run.end));
        !found.contains(JOINS_NUMBERS) || joined_numbers(brief).any(|given| fits(&brief[given], found, unfinished))
    };
    let foreign = |&(_, c): &(usize, char)| !c.is_ascii() && c.is_numeric() && !brief.contains(c);
    let invented = numbers(text).find(|number| !holds(number.clone())).map(|number| number.start);
    let cut = joined_numbers(text).find(|run| !holds_joined(run.clone())).map(|run| run.start);
    [invented, cut, text.char_indices().find(foreign).map(|(at, _)| at)].into_iter().flatten().min()
}

/// Byte ranges of the numbers: runs of ASCII digits, with single marks between them as in 7.30 and 1,000.
fn numbers(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    runs_of_digits(text, |c| PARTS_DIGITS.contains(&c))
}

/// Byte ranges of the numbers, those that one mark joins together.
fn joined_numbers(text: &str) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    runs_of_digits(text, |c| PARTS_DIGITS.contains(&c) || JOINS_NUMBERS.contains(&c))
}

/// Byte ranges of the runs of ASCII digits with single marks between them.
fn runs_of_digits(text: &str, is_mark: impl Fn(char) -> bool) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (start, first) = chars.find(|(_, c)| c.is_ascii_digit())?;
        let mut end = start + first.len_utf8();
        while let Some(&(at, c)) = chars.peek() {
            let joins = is_mark(c) && at == end && text[at + c.len_utf8()..].starts_with(|next: char| next.is_ascii_digit());
            if c.is_ascii_digit() {
                end = at + 1;
            } else if !joins {
                break;
            }
            chars.next();
        }
        Some(start..end)
    })
}

/// Whether what stands before a number is a minus of its own, as a sign or a word.
fn is_negative(before: &str) -> bool {
    let sign = before.strip_suffix(['-', '−']).is_some_and(|rest| !rest.ends_with(char::is_alphanumeric));
    sign || before.ends_with("minus ") || before.ends_with("Minus ")
}
