//! The template engine as chat templates expect it: Jinja with Python's methods and Python's way to print a value.
//!
//! Templates come with a model file, so they are untrusted: fuel bounds the work and the bytes of a render, and nesting is bounded
//! both when parsing and when running. The settings are those of `transformers.utils.chat_template_utils`.

use super::TextError;
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State, Value,
    syntax::SyntaxConfig,
    value::{Kwargs, ValueKind},
};
use std::fmt::Write;

/// The longest template that is read; the longest in use are a tenth of it.
const MAX_SOURCE: usize = 256 << 10;
/// Instructions, and 64 bytes each, that a render may spend before what the length of its input allows.
const BASE_FUEL: u64 = 250_000;
/// A template may handle each byte of its input so many times.
const PASSES: u64 = 64;
/// Macros inside macros, loops inside loops. The stack of a wasm worker is 1 MiB.
const MAX_RECURSION: usize = 100;
/// The deepest nesting of a value that is printed.
const MAX_DEPTH: usize = 64;
/// What `strftime_now` says where the host gives no `now`: the date that models' own templates fall back to.
const NO_CLOCK: &str = "2024-07-26";
const NAME: &str = "chat_template";

/// A compiled template.
#[derive(Debug)]
pub(super) struct Engine {
    environment: Environment<'static>,
}

impl Engine {
    /// Compiles a template.
    pub fn new(source: &str) -> Result<Engine, TextError> {
        if source.len() > MAX_SOURCE {
            return Err(limit("its length", format!("{MAX_SOURCE} bytes")));
        }
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(explain)?;
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_recursion_limit(MAX_RECURSION);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(|out, _, value| out.write_str(&python_str(value)?).map_err(Error::from));
        environment.add_function("raise_exception", |reason: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, reason))
        });
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", tojson);
        environment.add_filter("string", |value: &Value| python_str(value));
        environment.add_filter("trim", trim);
        environment.add_template_owned(NAME, source.to_owned()).map_err(explain)?;
        Ok(Engine { environment })
    }

    /// Renders with the given variables; `input` is how many bytes there are in them.
    pub fn render(&self, context: Value, input: usize) -> Result<String, TextError> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(BASE_FUEL + input as u64 * PASSES / 64));
        let template = environment.get_template(NAME).map_err(explain)?;
        template.render(context).map_err(explain)
    }
}

fn limit(what: &str, limit: impl Into<String>) -> TextError {
    TextError::TemplateLimit { what: what.to_owned(), limit: limit.into() }
}

fn explain(error: Error) -> TextError {
    let mut cause = &error;
    while let Some(source) = std::error::Error::source(cause).and_then(|source| source.downcast_ref::<Error>()) {
        cause = source;
    }
    let detail = cause.detail().unwrap_or_default();
    if cause.kind() == ErrorKind::OutOfFuel {
        return limit("its work or its output", format!("{BASE_FUEL} steps of 64 bytes, and {PASSES} times its input"));
    }
    if detail.contains("recursion limit") || detail.contains("recursion exceeds") {
        return limit("nesting", format!("{MAX_RECURSION} levels"));
    }
    TextError::Template { reason: cause.to_string() }
}

/// JSON data as a template sees it.
pub(super) fn to_template(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(flag) => Value::from(*flag),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            _ => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(list) => list.iter().map(to_template).collect(),
        serde_json::Value::Object(map) => map.iter().map(|(key, value)| (key.as_str(), to_template(value))).collect(),
    }
}

/// `str(value)`.
fn python_str(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    match value.as_str() {
        Some(text) => out.push_str(text),
        None if value.is_undefined() => {}
        None => write_value(&mut out, value, Notation::Python, 0)?,
    }
    Ok(out)
}

fn trim(value: &Value, chars: Option<String>) -> Result<String, Error> {
    let text = python_str(value)?;
    Ok(match chars {
        Some(chars) => text.trim_matches(|c| chars.contains(c)).to_owned(),
        None => text.trim_matches(is_python_space).to_owned(),
    })
}

/// What Python strips: Unicode white space and the four information separators.
fn is_python_space(character: char) -> bool {
    character.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&character)
}

/// `json.dumps(value, ensure_ascii=False, indent=…, sort_keys=…)`.
fn tojson(value: &Value, arguments: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    let _: Option<bool> = arguments.get("ensure_ascii")?;
    arguments.assert_all_used()?;
    let mut out = String::new();
    write_value(&mut out, value, Notation::Json { indent: indent.map(|indent| indent.min(16)) }, 0)?;
    Ok(out)
}

#[derive(Clone, Copy)]
enum Notation {
    Python,
    Json { indent: Option<usize> },
}

fn write_value(out: &mut String, value: &Value, notation: Notation, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(ErrorKind::InvalidOperation, "recursion limit exceeded"));
    }
    let python = matches!(notation, Notation::Python);
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => out.push_str(if python { "None" } else { "null" }),
        ValueKind::Bool => out.push_str(match (value.is_true(), python) {
            (true, true) => "True",
            (false, true) => "False",
            (true, false) => "true",
            (false, false) => "false",
        }),
        ValueKind::String => quote(out, value.as_str().unwrap_or_default(), notation),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.map(|item| (None, item));
            write_items(out, items, ('[', ']'), notation, depth)?;
        }
        ValueKind::Map => {
            let keys = value.try_iter()?;
            let items = keys.map(|key| (Some(key.clone()), value.get_item(&key).unwrap_or_default()));
            write_items(out, items, ('{', '}'), notation, depth)?;
        }
        _ => {
            let _ = write!(out, "{value}");
        }
    }
    Ok(())
}

fn write_items(
    out: &mut String,
    items: impl Iterator<Item = (Option<Value>, Value)>,
    (open, close): (char, char),
    notation: Notation,
    depth: usize,
) -> Result<(), Error> {
    let indent = if let Notation::Json { indent } = notation { indent } else { None };
    let new_line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    out.push(open);
    let mut any = false;
    for (key, item) in items {
        if any {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        any = true;
        new_line(out, depth + 1);
        if let Some(key) = key {
            write_value(out, &key, notation, depth + 1)?;
            out.push_str(": ");
        }
        write_value(out, &item, notation, depth + 1)?;
    }
    if any {
        new_line(out, depth);
    }
    out.push(close);
    Ok(())
}

fn quote(out: &mut String, text: &str, notation: Notation) {
    let mark = match notation {
        Notation::Python if !text.contains('\'') || text.contains('"') => '\'',
        _ => '"',
    };
    out.push(mark);
    for character in text.chars() {
        let code = u32::from(character);
        let _ = match (character, notation) {
            ('\\', _) => out.write_str("\\\\"),
            ('\n', _) => out.write_str("\\n"),
            ('\r', _) => out.write_str("\\r"),
            ('\t', _) => out.write_str("\\t"),
            ('\u{8}', Notation::Json { .. }) => out.write_str("\\b"),
            ('\u{C}', Notation::Json { .. }) => out.write_str("\\f"),
            _ if character == mark => write!(out, "\\{mark}"),
            (_, Notation::Json { .. }) if code < 0x20 => write!(out, "\\u{code:04x}"),
            (_, Notation::Python) if character.is_control() || code == 0xAD => write!(out, "\\x{code:02x}"),
            _ => out.write_char(character),
        };
    }
    out.push(mark);
}

/// `datetime.now().strftime(format)` for the date in the variable `now` (`2026-11-23`), since the library has no clock.
fn strftime_now(state: &State, format: &str) -> String {
    const MONTHS: [&str; 12] =
        ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    let now = state.lookup("now").and_then(|now| now.as_str().map(str::to_owned)).unwrap_or_else(|| NO_CLOCK.to_owned());
    let part = |range: std::ops::Range<usize>| now.get(range).unwrap_or("01");
    let month = part(5..7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1))).unwrap_or(&MONTHS[0]);
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('Y') => out.push_str(part(0..4)),
            Some('y') => out.push_str(part(2..4)),
            Some('m') => out.push_str(part(5..7)),
            Some('d') => out.push_str(part(8..10)),
            Some('B') => out.push_str(month),
            Some('b' | 'h') => out.push_str(&month[..3]),
            Some('H' | 'M' | 'S') => out.push_str("00"),
            Some('%') => out.push('%'),
            Some(other) => out.extend(['%', other]),
            None => out.push('%'),
        }
    }
    out
}
