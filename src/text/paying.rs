//! What the template engine does without paying fuel for it, as functions that pay.
//!
//! A list of a list twice, forty times over, is small in memory and endless for whoever walks over it: to print it, to compare it, to sort it.
//! So each part that a value holds is paid for when the value is made, shared parts again each time (minijinja 3.1 pays for none of it).

use super::print::{MAX_DEPTH, python_str};
use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Rest, Tuple, ValueKind},
};

/// `[a, b]`.
pub(super) fn list(state: &State, items: Rest<Value>) -> Result<Value, Error> {
    pay_for_all(state, &items)?;
    Ok(items.0.into())
}

/// `(a, b)`.
pub(super) fn tuple(state: &State, items: Rest<Value>) -> Result<Value, Error> {
    pay_for_all(state, &items)?;
    Ok(Tuple::from(items.0).into())
}

/// `{a: b, c: d}`, given as a, b, c, d.
pub(super) fn map(state: &State, items: Rest<Value>) -> Result<Value, Error> {
    pay_for_all(state, &items)?;
    Ok(Value::from_pairs(items.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()))))
}

/// `a + b` for text, numbers and lists.
pub(super) fn plus(state: &State, a: &Value, b: &Value) -> Result<Value, Error> {
    let is_list = |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => {
            state.consume_fuel((a.len() + b.len()) as u64 / 64)?;
            return Ok(Value::from([a, b].concat()));
        }
        _ if is_list(a) && is_list(b) => {
            for list in [a, b] {
                // What says no length may have no end.
                state.consume_fuel(list.len().map_or(u64::MAX, |_| 0))?;
                pay_for(state, list, 0)?;
            }
            return Ok(a.try_iter()?.chain(b.try_iter()?).collect());
        }
        _ => {}
    }
    let whole = |value: &Value| value.is_integer().then(|| i64::try_from(value.clone()).ok()).flatten();
    let number = |value: &Value| (value.kind() == ValueKind::Number).then(|| f64::try_from(value.clone()).ok()).flatten();
    let sum = whole(a).zip(whole(b)).and_then(|(a, b)| a.checked_add(b)).map(Value::from);
    let sum = sum.or_else(|| number(a).zip(number(b)).map(|(a, b)| Value::from(a + b)));
    sum.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("cannot add {} and {}", a.kind(), b.kind())))
}

/// `value[key]`: a text is walked to get at its characters.
pub(super) fn item(state: &State, value: &Value, key: &Value) -> Result<Value, Error> {
    state.consume_fuel(1 + value.as_str().map_or(0, str::len) as u64 / 64)?;
    value.get_item(key)
}

/// Python's methods of text, lists and maps.
pub(super) fn method(state: &mut State, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    if let Some(text) = value.as_str() {
        let given: usize = arguments.iter().filter_map(Value::as_str).map(str::len).sum();
        let strips = name.ends_with("strip");
        pay_for_text(state, text.len(), if strips { given.max(1) } else { 1 })?;
        pay_for_text(state, given, 1)?;
        if name == "format" && text.contains(':') {
            return Err(Error::new(ErrorKind::InvalidOperation, "format with a width or a notation is not there")); // Widths make text enormous.
        }
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments)
}

/// What `str.strip` leaves.
pub(super) fn trim(state: &State, value: &Value, chars: Option<String>) -> Result<String, Error> {
    let text = python_str(state, value)?;
    pay_for_text(state, text.len(), chars.as_ref().map_or(1, String::len))?;
    Ok(match chars {
        Some(chars) => text.trim_matches(|c| chars.contains(c)).to_owned(),
        None => text.trim_matches(is_python_space).to_owned(),
    })
}

/// What Python strips: Unicode white space and the four information separators.
fn is_python_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&character)
}

fn pay_for_text(state: &State, bytes: usize, times: usize) -> Result<(), Error> {
    state.consume_fuel((bytes as u64).saturating_mul(times as u64) / 64)
}

fn pay_for_all(state: &State, items: &[Value]) -> Result<(), Error> {
    items.iter().try_for_each(|item| pay_for(state, item, 0))
}

/// Pays for each part of a value.
fn pay_for(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(ErrorKind::InvalidOperation, "recursion limit exceeded"));
    }
    state.consume_fuel(1)?;
    match value.kind() {
        // What has no length can be walked over once only.
        ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => {
            value.try_iter()?.try_for_each(|item| pay_for(state, &item, depth + 1))
        }
        ValueKind::Map => value.try_iter()?.try_for_each(|key| pay_for(state, &value.get_item(&key).unwrap_or_default(), depth + 1)),
        _ => Ok(()),
    }
}
