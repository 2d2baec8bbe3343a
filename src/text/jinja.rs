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
/// Words and signs in one tag. The engine compiles a chain like `a + a + …` or `a.a.a…` by recursion, one level for each link.
const MAX_LINKS: usize = 400;
/// Branches like `{% elif %}`, which nest inside one another when compiled.
const MAX_BRANCHES: usize = 200;
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
        check_shape(source)?;
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(explain)?;
        let mut environment = Environment::new();
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_recursion_limit(MAX_RECURSION);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.set_formatter(|out, state, value| out.write_str(&python_str(state, value)?).map_err(Error::from));
        environment.add_function("raise_exception", |reason: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, reason))
        });
        environment.add_function("strftime_now", strftime_now);
        environment.add_filter("tojson", tojson);
        environment.add_filter("string", |state: &State, value: &Value| python_str(state, value));
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
        serde_json::Value::Object(map) => Value::from_pairs(map.iter().map(|(key, value)| (key.as_str(), to_template(value)))),
    }
}

/// `str(value)`.
fn python_str(state: &State, value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    match value.as_str() {
        Some(text) => out.push_str(text),
        None if value.is_undefined() => {}
        None => Printer { state, notation: Notation::Python, out: &mut out }.value(value, 0)?,
    }
    Ok(out)
}

fn trim(state: &State, value: &Value, chars: Option<String>) -> Result<String, Error> {
    let text = python_str(state, value)?;
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
fn tojson(state: &State, value: &Value, arguments: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = arguments.get("indent")?;
    let _: Option<bool> = arguments.get("ensure_ascii")?;
    arguments.assert_all_used()?;
    let mut out = String::new();
    let notation = Notation::Json { indent: indent.map(|indent| indent.min(16)) };
    Printer { state, notation, out: &mut out }.value(value, 0)?;
    Ok(out)
}

#[derive(Clone, Copy)]
enum Notation {
    Python,
    Json { indent: Option<usize> },
}

/// Prints values, paying fuel for what it prints.
struct Printer<'a> {
    state: &'a State<'a, 'a>,
    notation: Notation,
    out: &'a mut String,
}

impl Printer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::new(ErrorKind::InvalidOperation, "recursion limit exceeded"));
        }
        let text = value.as_str().unwrap_or_default();
        self.state.consume_fuel(1 + text.len() as u64 / 32)?;
        let python = matches!(self.notation, Notation::Python);
        match value.kind() {
            ValueKind::None | ValueKind::Undefined => self.out.push_str(if python { "None" } else { "null" }),
            ValueKind::Bool => self.out.push_str(match (value.is_true(), python) {
                (true, true) => "True",
                (false, true) => "False",
                (true, false) => "true",
                (false, false) => "false",
            }),
            ValueKind::String => quote(self.out, text, self.notation),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|item| (None, item));
                self.items(items, ('[', ']'), depth)?;
            }
            ValueKind::Map => {
                let items = value.try_iter()?.map(|key| (Some(key.clone()), value.get_item(&key).unwrap_or_default()));
                self.items(items, ('{', '}'), depth)?;
            }
            _ => {
                let _ = write!(self.out, "{value}");
            }
        }
        Ok(())
    }

    fn items(
        &mut self,
        items: impl Iterator<Item = (Option<Value>, Value)>,
        (open, close): (char, char),
        depth: usize,
    ) -> Result<(), Error> {
        let indent = if let Notation::Json { indent } = self.notation { indent } else { None };
        self.out.push(open);
        let mut any = false;
        for (key, item) in items {
            if any {
                self.out.push_str(if indent.is_some() { "," } else { ", " });
            }
            any = true;
            self.new_line(indent, depth + 1);
            if let Some(key) = key {
                self.value(&key, depth + 1)?;
                self.out.push_str(": ");
            }
            self.value(&item, depth + 1)?;
        }
        if any {
            self.new_line(indent, depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn new_line(&mut self, indent: Option<usize>, depth: usize) {
        if let Some(indent) = indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }
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

/// Refuses what the engine would follow down the stack too far: its own limits are on nesting only, not on chains.
fn check_shape(source: &str) -> Result<(), TextError> {
    let mut rest = source;
    let mut branches = 0;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min() {
        let (tag, end) = (&rest[at..at + 2], &rest[at + 2..]);
        if tag == "{#" {
            rest = end.split_once("#}").map_or("", |(_, rest)| rest);
            continue;
        }
        let (links, length) = links(end, if tag == "{{" { "}}" } else { "%}" });
        if links > MAX_LINKS {
            return Err(limit("one tag", format!("{MAX_LINKS} words and signs")));
        }
        branches += usize::from(end.trim_start_matches(['-', '+']).trim_start().starts_with("el"));
        if branches > MAX_BRANCHES {
            return Err(limit("its branches", MAX_BRANCHES.to_string()));
        }
        rest = &end[length..];
    }
    Ok(())
}

/// Words and signs up to the end of a tag, strings counted as one, and where that end is.
fn links(tag: &str, close: &str) -> (usize, usize) {
    let mut count = 0;
    let mut in_word = false;
    let mut characters = tag.char_indices();
    while let Some((at, character)) = characters.next() {
        if tag[at..].starts_with(close) {
            return (count, at + close.len());
        }
        let is_word = character.is_alphanumeric() || character == '_';
        count += usize::from(!character.is_whitespace() && !(is_word && in_word));
        in_word = is_word;
        if matches!(character, '"' | '\'') {
            while let Some((_, inner)) = characters.next() {
                match inner {
                    '\\' => drop(characters.next()),
                    _ if inner == character => break,
                    _ => {}
                }
            }
        }
    }
    (count, tag.len())
}
