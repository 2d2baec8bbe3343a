//! Values of a template printed as Python prints them, and as its `json` module does.

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, ValueKind},
};
use std::fmt::Write;

/// The deepest nesting of a value that is printed.
pub(super) const MAX_DEPTH: usize = 64;

/// `str(value)`.
pub(super) fn python_str(state: &State, value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    match value.as_str() {
        Some(text) => out.push_str(text),
        None if value.is_undefined() => {}
        None => Printer { state, notation: Notation::Python, out: &mut out }.value(value, 0)?,
    }
    Ok(out)
}

/// `json.dumps(value, ensure_ascii=False, indent=…, sort_keys=…)`.
pub(super) fn tojson(state: &State, value: &Value, arguments: Kwargs) -> Result<String, Error> {
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
