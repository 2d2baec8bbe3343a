//! A reader over the first bytes of a file that knows how long the whole file is.
//!
//! So it can tell a length that the file cannot hold (refused) from one that lies past the bytes at hand (more are needed).

use super::super::SourceError;

/// Why parsing stopped.
#[derive(Debug)]
pub(in crate::source) enum Stop {
    /// The header needs this many bytes of the file's start, or more.
    Needs(u64),
    /// The file is not valid or not supported.
    Refused(SourceError),
}

/// A place in the prefix, and the field that is being read, for messages.
pub(super) struct Cursor<'a> {
    file: &'a str,
    field: String,
    prefix: &'a [u8],
    at: usize,
    file_bytes: u64,
    /// Array elements that may still be read.
    pub elements_left: u64,
}

impl<'a> Cursor<'a> {
    pub fn new(file: &'a str, prefix: &'a [u8], file_bytes: u64) -> Self {
        Cursor { file, field: String::new(), prefix, at: 0, file_bytes, elements_left: super::value::MAX_ELEMENTS }
    }

    /// Names what is read next.
    pub fn field(&mut self, field: impl Into<String>) {
        self.field = field.into();
    }

    pub fn position(&self) -> u64 {
        self.at as u64
    }

    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Bytes of the file that are not read yet.
    pub fn left(&self) -> u64 {
        self.file_bytes.saturating_sub(self.position())
    }

    /// Bytes of the prefix that are not read yet.
    pub fn at_hand(&self) -> usize {
        self.prefix.len() - self.at
    }

    pub fn take(&mut self, bytes: u64) -> Result<&'a [u8], Stop> {
        if bytes > self.left() {
            return Err(self.invalid(format!("{bytes} bytes"), format!("{} left in the file", self.left())));
        }
        if bytes > self.at_hand() as u64 {
            return Err(Stop::Needs(self.position() + bytes));
        }
        let taken = &self.prefix[self.at..][..bytes as usize];
        self.at += taken.len();
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    pub fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Stop> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A length and as many bytes, `most` of them.
    pub fn bytes_with_length(&mut self, most: u64) -> Result<&'a [u8], Stop> {
        let length = self.u64()?;
        if length > most {
            return Err(self.invalid(format!("at most {most} bytes"), length.to_string()));
        }
        self.take(length)
    }

    pub fn invalid(&self, expected: impl Into<String>, found: impl Into<String>) -> Stop {
        Stop::Refused(SourceError::invalid(format!("{}: {}", self.file, self.field), expected, found))
    }

    pub fn unsupported(&self, found: String, supported: &str) -> Stop {
        let what = format!("{}: {}", self.file, self.field);
        Stop::Refused(SourceError::Unsupported { what, found, supported: supported.to_owned() })
    }
}
