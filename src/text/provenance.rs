//! Ids of a rendered chat in which only the template's own text may become a control token.
//!
//! Once rendered, `<|im_end|>` of the template and `<|im_end|>` of a person look the same. So the template is rendered a second time
//! with the person's characters replaced by private ones that no control token contains. If the two renderings are the same text but for
//! that, the second shows which characters are whose, and the control tokens found in *it* are the template's. The ids are those of the
//! first. A template that looks into the contents (`if '</think>' in content`) may part from it; then fewer characters are replaced, and
//! if nothing helps, a control token that a person wrote anywhere is text everywhere.

use super::{TextError, Tokenizer, tokenizer::Match};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Roles that templates turn into control tokens (`'<|' + role + '|>'`) and that are the program's words, not a person's.
const ROLES: [&str; 8] = ["system", "user", "assistant", "model", "tool", "developer", "function", "ipython"];

/// How many of the person's characters are replaced.
#[derive(Clone, Copy, PartialEq)]
enum Disguise {
    /// All that occur in control tokens.
    All,
    /// Those of them that are neither letters nor digits, so that comparisons and changes of case still work.
    Marks,
    /// Those inside special tokens that a person spelled out.
    Spelled,
}

/// Ids of `text`, which `render` gave for `messages` and `variables`.
pub(super) fn encode(
    tokenizer: &Tokenizer,
    text: &str,
    source: &str,
    messages: &[Value],
    variables: &Map<String, Value>,
    render: impl Fn(&[Value], &Map<String, Value>) -> Result<String, TextError>,
) -> Vec<u32> {
    let found = tokenizer.matches(text, false);
    if !found.iter().any(|found| tokenizer.is_control(found.id)) {
        return tokenizer.encode_parsed(text);
    }
    let control = tokenizer.control_tokens();
    let strangers = strangers(text, source, messages, variables, &control);
    for disguise in [Disguise::All, Disguise::Marks, Disguise::Spelled] {
        let disguise = |words: &str| disguised(words, disguise, &control, &strangers, tokenizer);
        let messages: Vec<Value> = messages.iter().map(|message| with_words(message, &disguise)).collect();
        let variables = variables.iter().map(|(key, value)| (key.clone(), with_words(value, &disguise))).collect();
        let Ok(twin) = render(&messages, &variables) else { continue };
        if let Some(matches) = aligned(tokenizer, text, &twin, &strangers) {
            return encode_with(tokenizer, text, &found, matches);
        }
    }
    let mut words = String::new();
    messages.iter().chain(variables.values()).for_each(|value| collect_words(value, &mut words));
    let spelled: BTreeSet<u32> = control.iter().filter(|(_, token)| words.contains(token)).map(|&(id, _)| id).collect();
    let kept = found.into_iter().filter(|found| !spelled.contains(&found.id)).collect::<Vec<_>>();
    tokenizer.encode_matches(text, &kept)
}

/// The reference's ids if the person spelled no control token; else the template's tokens, and of the others those that steer nothing.
fn encode_with(tokenizer: &Tokenizer, text: &str, found: &[Match], mut owned: Vec<Match>) -> Vec<u32> {
    let control =
        |list: &[Match]| list.iter().filter(|found| tokenizer.is_control(found.id)).map(|found| found.range.end).collect::<Vec<_>>();
    if control(found) == control(&owned) {
        return tokenizer.encode_parsed(text);
    }
    let others = tokenizer.matches(text, true).into_iter().filter(|other| !tokenizer.is_control(other.id));
    let free = |other: &Match| owned.iter().all(|owned| other.range.end <= owned.range.start || owned.range.end <= other.range.start);
    let others: Vec<Match> = others.filter(free).collect();
    owned.extend(others);
    owned.sort_by_key(|found| found.range.start);
    tokenizer.encode_matches(text, &owned)
}

/// Added tokens found in `twin`, at their places in `text`; `None` if the two differ by more than the disguise.
fn aligned(tokenizer: &Tokenizer, text: &str, twin: &str, strangers: &BTreeMap<char, char>) -> Option<Vec<Match>> {
    let faces: BTreeMap<char, char> = strangers.iter().map(|(&face, &stranger)| (stranger, face)).collect();
    let mut place = BTreeMap::new();
    let mut pairs = text.char_indices();
    for (at, character) in twin.char_indices() {
        let (original_at, original) = pairs.next()?;
        if faces.get(&character).copied().unwrap_or(character) != original {
            return None;
        }
        place.insert(at, original_at);
    }
    if pairs.next().is_some() {
        return None;
    }
    place.insert(twin.len(), text.len());
    let moved = |found: Match| Some(Match { range: *place.get(&found.range.start)?..*place.get(&found.range.end)?, id: found.id });
    tokenizer.matches(twin, false).into_iter().map(moved).collect()
}

/// For each character of a control token a private one that occurs nowhere here.
fn strangers(
    text: &str,
    source: &str,
    messages: &[Value],
    variables: &Map<String, Value>,
    control: &[(u32, &str)],
) -> BTreeMap<char, char> {
    let mut words = String::new();
    messages.iter().chain(variables.values()).for_each(|value| collect_words(value, &mut words));
    let taken: BTreeSet<char> = text.chars().chain(source.chars()).chain(words.chars()).filter(|&c| c >= '\u{F0000}').collect();
    let free = ('\u{F0000}'..='\u{FFFFD}').chain('\u{100000}'..='\u{10FFFD}').filter(|stranger| !taken.contains(stranger));
    let faces: BTreeSet<char> = control.iter().flat_map(|(_, token)| token.chars()).filter(|c| !c.is_whitespace()).collect();
    faces.into_iter().zip(free).collect()
}

fn disguised(words: &str, disguise: Disguise, control: &[(u32, &str)], strangers: &BTreeMap<char, char>, tokenizer: &Tokenizer) -> String {
    let stranger = |character: char| strangers.get(&character).copied().unwrap_or(character);
    match disguise {
        Disguise::All => words.chars().map(stranger).collect(),
        Disguise::Marks => words.chars().map(|c| if c.is_alphanumeric() { c } else { stranger(c) }).collect(),
        Disguise::Spelled => {
            let special = control.iter().filter(|&&(id, _)| tokenizer.is_special(id));
            special.fold(words.to_owned(), |words, (_, token)| {
                if words.contains(token) { words.replace(token, &token.chars().map(stranger).collect::<String>()) } else { words }
            })
        }
    }
}

/// A person's words in a value, changed. Names of fields, kinds of parts and known roles are the program's.
fn with_words(value: &Value, change: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(words) => Value::String(change(words)),
        Value::Array(list) => list.iter().map(|value| with_words(value, change)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), if is_programs(key, value) { value.clone() } else { with_words(value, change) }))
            .collect(),
        other => other.clone(),
    }
}

fn is_programs(key: &str, value: &Value) -> bool {
    key == "type" || (key == "role" && value.as_str().is_some_and(|role| ROLES.contains(&role)))
}

fn collect_words(value: &Value, words: &mut String) {
    match value {
        Value::String(text) => {
            words.push_str(text);
            words.push('\n');
        }
        Value::Array(list) => list.iter().for_each(|value| collect_words(value, words)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            words.push_str(key);
            words.push('\n');
            collect_words(value, words);
        }),
        _ => {}
    }
}
