//! GGUF metadata values: all thirteen types of the format, arrays kept as plain vectors of one kind.
//!
//! A vocabulary is three arrays of up to a quarter of a million elements, so an element must cost no more than a few times its bytes.

use super::{super::SourceError, super::quoted, cursor::Cursor, cursor::Stop};
use std::collections::BTreeMap;

/// Most array elements in one file: three times what a vocabulary of 256 Ki tokens with types, scores and merges takes.
pub(super) const MAX_ELEMENTS: u64 = 1 << 22;
/// Longest string value.
const MAX_STRING_BYTES: u64 = 64 << 20;
/// Deepest array in an array.
const MAX_DEPTH: u32 = 4;

/// Key-value metadata.
pub type Metadata = BTreeMap<String, Value>;

/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any unsigned integer type.
    U64(u64),
    /// Any signed integer type.
    I64(i64),
    /// f32 or f64.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// UTF-8 text.
    String(String),
    /// An array of text.
    Strings(Vec<Box<str>>),
    /// An array of any integer type whose elements all fit.
    Ints(Vec<i64>),
    /// An array of u64 of which one at least is above `i64::MAX`.
    LargeInts(Vec<u64>),
    /// An array of f32 or f64.
    Floats(Vec<f64>),
    /// An array of booleans.
    Bools(Vec<bool>),
    /// An array of arrays.
    Arrays(Vec<Value>),
}

impl Value {
    /// An integer that is not negative.
    ///
    /// # Errors
    /// If the value, which stands under `key`, is anything else.
    pub fn as_u64(&self, key: &str) -> Result<u64, SourceError> {
        match self {
            Value::U64(value) => Ok(*value),
            Value::I64(value) => u64::try_from(*value).map_err(|_| self.mismatch(key, "an integer of 0 or more")),
            _ => Err(self.mismatch(key, "an integer")),
        }
    }

    /// A float.
    ///
    /// # Errors
    /// If the value, which stands under `key`, is anything else.
    pub fn as_f64(&self, key: &str) -> Result<f64, SourceError> {
        match self {
            Value::F64(value) => Ok(*value),
            _ => Err(self.mismatch(key, "a float")),
        }
    }

    /// A boolean.
    ///
    /// # Errors
    /// If the value, which stands under `key`, is anything else.
    pub fn as_bool(&self, key: &str) -> Result<bool, SourceError> {
        match self {
            Value::Bool(value) => Ok(*value),
            _ => Err(self.mismatch(key, "a boolean")),
        }
    }

    /// Text.
    ///
    /// # Errors
    /// If the value, which stands under `key`, is anything else.
    pub fn as_str(&self, key: &str) -> Result<&str, SourceError> {
        match self {
            Value::String(value) => Ok(value),
            _ => Err(self.mismatch(key, "a string")),
        }
    }

    /// An array of text. Empty arrays pass, whatever their type.
    ///
    /// # Errors
    /// If the value, which stands under `key`, is anything else.
    pub fn strings(&self, key: &str) -> Result<&[Box<str>], SourceError> {
        match self {
            Value::Strings(values) => Ok(values),
            _ if self.is_empty_array() => Ok(&[]),
            _ => Err(self.mismatch(key, "an array of strings")),
        }
    }

    /// An array of integers. Empty arrays pass, whatever their type.
    ///
    /// # Errors
    /// If the value, which stands under `key`, is anything else.
    pub fn ints(&self, key: &str) -> Result<&[i64], SourceError> {
        match self {
            Value::Ints(values) => Ok(values),
            _ if self.is_empty_array() => Ok(&[]),
            _ => Err(self.mismatch(key, "an array of integers")),
        }
    }

    /// An array of floats. Empty arrays pass, whatever their type.
    ///
    /// # Errors
    /// If the value, which stands under `key`, is anything else.
    pub fn floats(&self, key: &str) -> Result<&[f64], SourceError> {
        match self {
            Value::Floats(values) => Ok(values),
            _ if self.is_empty_array() => Ok(&[]),
            _ => Err(self.mismatch(key, "an array of floats")),
        }
    }

    /// The value in a few words, for messages.
    pub fn describe(&self) -> String {
        match self {
            Value::U64(value) => format!("the integer {value}"),
            Value::I64(value) => format!("the integer {value}"),
            Value::F64(value) => format!("the float {value}"),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::String(value) => format!("the string {}", quoted(value)),
            Value::Strings(values) => format!("an array of {} strings", values.len()),
            Value::Ints(values) => format!("an array of {} integers", values.len()),
            Value::LargeInts(values) => format!("an array of {} integers, some above {}", values.len(), i64::MAX),
            Value::Floats(values) => format!("an array of {} floats", values.len()),
            Value::Bools(values) => format!("an array of {} booleans", values.len()),
            Value::Arrays(values) => format!("an array of {} arrays", values.len()),
        }
    }

    fn mismatch(&self, key: &str, expected: &str) -> SourceError {
        SourceError::invalid(format!("metadata {}", quoted(key)), expected, self.describe())
    }

    fn is_empty_array(&self) -> bool {
        match self {
            Value::Strings(values) => values.is_empty(),
            Value::Ints(values) => values.is_empty(),
            Value::Floats(values) => values.is_empty(),
            Value::Bools(values) => values.is_empty(),
            Value::Arrays(values) => values.is_empty(),
            _ => false,
        }
    }
}

const BOOL: u32 = 7;
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Reads a type and a value of it.
pub(super) fn read(cursor: &mut Cursor) -> Result<Value, Stop> {
    let kind = cursor.u32()?;
    Ok(match kind {
        0 | 2 | 4 => Value::U64(integers(cursor, kind, 1)?[0] as u64),
        10 => Value::U64(cursor.u64()?),
        1 | 3 | 5 | 11 => Value::I64(integers(cursor, kind, 1)?[0]),
        6 => Value::F64(f32::from_le_bytes(cursor.array()?).into()),
        12 => Value::F64(f64::from_le_bytes(cursor.array()?)),
        BOOL => {
            let [byte] = cursor.array()?;
            Value::Bool(boolean(cursor, byte)?)
        }
        STRING => Value::String(string(cursor)?.to_owned()),
        ARRAY => read_array(cursor, 1)?,
        _ => return Err(cursor.invalid("a value type from 0 to 12", kind.to_string())),
    })
}

/// Reads the element type, the number of elements and the elements.
fn read_array(cursor: &mut Cursor, depth: u32) -> Result<Value, Stop> {
    if depth > MAX_DEPTH {
        return Err(cursor.invalid(format!("arrays nested at most {MAX_DEPTH} deep"), "a deeper one"));
    }
    let kind = cursor.u32()?;
    let count = cursor.u64()?;
    let element_bytes = match kind {
        0 | 1 | BOOL => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 | STRING => 8,
        ARRAY => 12,
        _ => return Err(cursor.invalid("an element type from 0 to 12", kind.to_string())),
    };
    let most = cursor.elements_left.min(cursor.left() / element_bytes);
    if count > most {
        return Err(cursor.invalid(format!("an array of at most {most} elements here"), count.to_string()));
    }
    cursor.elements_left -= count;
    let room = (count as usize).min(cursor.at_hand() / element_bytes as usize);
    Ok(match kind {
        6 => Value::Floats(elements(cursor, count)?.map(|bytes| f32::from_le_bytes(bytes).into()).collect()),
        12 => Value::Floats(elements(cursor, count)?.map(f64::from_le_bytes).collect()),
        10 => {
            let values: Vec<u64> = elements(cursor, count)?.map(u64::from_le_bytes).collect();
            if values.iter().all(|&value| i64::try_from(value).is_ok()) {
                Value::Ints(values.into_iter().map(|value| value as i64).collect())
            } else {
                Value::LargeInts(values)
            }
        }
        BOOL => Value::Bools(cursor.take(count)?.iter().map(|&byte| boolean(cursor, byte)).collect::<Result<_, Stop>>()?),
        STRING => {
            let mut values = Vec::with_capacity(room);
            for _ in 0..count {
                values.push(string(cursor)?.into());
            }
            Value::Strings(values)
        }
        ARRAY => {
            let mut values = Vec::with_capacity(room);
            for _ in 0..count {
                values.push(read_array(cursor, depth + 1)?);
            }
            Value::Arrays(values)
        }
        _ => Value::Ints(integers(cursor, kind, count)?),
    })
}

/// `count` integers of a type that fits i64.
fn integers(cursor: &mut Cursor, kind: u32, count: u64) -> Result<Vec<i64>, Stop> {
    Ok(match kind {
        0 => elements(cursor, count)?.map(|bytes| u8::from_le_bytes(bytes).into()).collect(),
        1 => elements(cursor, count)?.map(|bytes| i8::from_le_bytes(bytes).into()).collect(),
        2 => elements(cursor, count)?.map(|bytes| u16::from_le_bytes(bytes).into()).collect(),
        3 => elements(cursor, count)?.map(|bytes| i16::from_le_bytes(bytes).into()).collect(),
        4 => elements(cursor, count)?.map(|bytes| u32::from_le_bytes(bytes).into()).collect(),
        5 => elements(cursor, count)?.map(|bytes| i32::from_le_bytes(bytes).into()).collect(),
        _ => elements(cursor, count)?.map(i64::from_le_bytes).collect(),
    })
}

fn elements<'a, const N: usize>(cursor: &mut Cursor<'a>, count: u64) -> Result<impl Iterator<Item = [u8; N]> + use<'a, N>, Stop> {
    let bytes = cursor.take(count * N as u64)?;
    Ok(bytes.as_chunks::<N>().0.iter().copied())
}

fn boolean(cursor: &Cursor, byte: u8) -> Result<bool, Stop> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(cursor.invalid("a boolean of 0 or 1", byte.to_string())),
    }
}

fn string<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Stop> {
    let bytes = cursor.bytes_with_length(MAX_STRING_BYTES)?;
    std::str::from_utf8(bytes).map_err(|error| cursor.invalid("UTF-8", format!("another byte at {} of a string", error.valid_up_to())))
}
