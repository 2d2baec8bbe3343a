//! The template engine as chat templates expect it: Jinja with Python's methods and Python's way to print a value.
//!
//! Templates come with a model file, so they are untrusted: fuel bounds the work and the bytes of a render, and nesting is bounded
//! both when parsing and when running. The settings are those of `transformers.utils.chat_template_utils`.

use super::{
    TextError, paying,
    print::{python_str, tojson},
};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State, Value,
    machinery::{CompiledTemplate, Instruction, TemplateConfig, eval, make_string_output},
    syntax::SyntaxConfig,
};
use std::sync::Arc;

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
/// What `strftime_now` says where the host gives no `now`: the date that models' own templates fall back to.
const NO_CLOCK: &str = "2024-07-26";
const NAME: &str = "chat_template";
/// No name in a template can be one of these.
const PLUS: &str = "+";
const LIST: &str = "[]";
const TUPLE: &str = "()";
const MAP: &str = "{}";
const ITEM: &str = "x[]";
/// What the engine does for nothing, and no template is known to need.
const UNPAID_FILTERS: [&str; 7] = ["batch", "chain", "format", "groupby", "slice", "sum", "zip"];

/// A template that compiles.
pub(super) struct Engine {
    environment: Environment<'static>,
    source: String,
}

impl Engine {
    /// Compiles a template.
    pub fn new(source: &str) -> Result<Engine, TextError> {
        if source.len() > MAX_SOURCE {
            return Err(limit("its length", format!("{MAX_SOURCE} bytes")));
        }
        check_shape(source)?;
        let mut environment = Environment::new();
        environment.set_recursion_limit(MAX_RECURSION);
        environment.set_unknown_method_callback(paying::method);
        environment.set_formatter(|out, state, value| out.write_str(&python_str(state, value)?).map_err(Error::from));
        environment.add_function("raise_exception", |reason: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, reason))
        });
        environment.add_function("strftime_now", strftime_now);
        environment.add_function(PLUS, paying::plus);
        environment.add_function(LIST, paying::list);
        environment.add_function(TUPLE, paying::tuple);
        environment.add_function(MAP, paying::map);
        environment.add_function(ITEM, paying::item);
        environment.add_filter("tojson", tojson);
        environment.add_filter("string", |state: &State, value: &Value| python_str(state, value));
        environment.add_filter("trim", paying::trim);
        UNPAID_FILTERS.into_iter().for_each(|unpaid| environment.remove_filter(unpaid));
        compile(source)?;
        Ok(Engine { environment, source: source.to_owned() })
    }

    /// Renders with the given variables; `input` is how many bytes there are in them.
    pub fn render(&self, context: Value, input: usize) -> Result<String, TextError> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(BASE_FUEL + input as u64 * PASSES / 64));
        let template = compile(&self.source)?;
        let mut text = String::new();
        let mut out = make_string_output(&mut text);
        eval(&environment, &template.instructions, context, &template.blocks, &mut out, AutoEscape::None).map_err(explain)?;
        drop(out);
        Ok(text)
    }

    /// The template as it stands in the file.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Compiles, with what the engine does without paying fuel turned into calls of functions that pay.
fn compile(source: &str) -> Result<CompiledTemplate<'_>, TextError> {
    let syntax_config = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(explain)?;
    let config = TemplateConfig { syntax_config, default_auto_escape: Arc::new(|_| AutoEscape::None) };
    let mut template = CompiledTemplate::new(NAME, source, &config).map_err(explain)?;
    for instructions in std::iter::once(&mut template.instructions).chain(template.blocks.values_mut()) {
        let mut at = 0;
        while let Some(instruction) = instructions.get_mut(at) {
            let paid = match instruction {
                Instruction::Add => Some((PLUS, 2)),
                Instruction::GetItem => Some((ITEM, 2)),
                Instruction::BuildList(Some(items)) => Some((LIST, *items)),
                Instruction::BuildTuple(Some(items)) => Some((TUPLE, *items)),
                Instruction::BuildMap(pairs) => Some((MAP, 2 * *pairs)),
                _ => None,
            };
            if let Some((function, arguments)) = paid
                && let Ok(arguments) = arguments.try_into()
            {
                *instruction = Instruction::CallFunction(function, Some(arguments));
            }
            at += 1;
        }
    }
    Ok(template)
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
        if let Some(raw) = basic_tag(end.strip_prefix(['-', '+']).unwrap_or(end), "raw").filter(|_| tag == "{%") {
            rest = after_raw(raw);
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

/// What follows a tag that is only a name, as the engine's lexer finds it: nothing but white space around the name, and one sign.
fn basic_tag<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let is_space = |c: char| c.is_ascii_whitespace();
    let rest = tag.trim_start_matches(is_space).strip_prefix(name)?.trim_start_matches(is_space);
    rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix("%}")
}

/// What follows a raw block, in which nothing is a tag but its end.
fn after_raw(raw: &str) -> &str {
    let mut ends = raw.match_indices("{%").map(|(at, _)| &raw[at + 2..]);
    ends.find_map(|end| basic_tag(end.strip_prefix(['-', '+']).unwrap_or(end), "endraw")).unwrap_or_default()
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
        count += usize::from(!(character.is_whitespace() || is_word && in_word));
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
