//! Ids to text, one at a time: what was given is never taken back, and never half a character.
//!
//! A byte-level vocabulary is a byte stream, so an unfinished character waits for its bytes. Other decoders change a token by what
//! follows (`<0xE4>` alone is an error, with its neighbours a letter), so there a run of byte tokens waits for its end.

use super::Tokenizer;

/// A decoder that is fed one id at a time and can be rewound.
#[derive(Clone, Debug)]
pub struct Detokenizer {
    tokenizer: Tokenizer,
    skip_special: bool,
    byte_level: bool,
    /// Where things stood after each id.
    steps: Vec<Step>,
    /// What the ids come to in a byte-level vocabulary, whose first `now.settled` bytes are in the text.
    bytes: Vec<u8>,
    /// What they come to in any other.
    tokens: Vec<String>,
    /// What was handed out.
    text: String,
    now: Step,
}

/// Lengths of `bytes`, of what of them is settled, of `tokens` and of `text`.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    bytes: usize,
    settled: usize,
    tokens: usize,
    text: usize,
}

impl Detokenizer {
    pub(super) fn new(tokenizer: Tokenizer, skip_special: bool) -> Detokenizer {
        let byte_level = tokenizer.is_byte_level();
        let (steps, bytes, tokens, text) = (Vec::new(), Vec::new(), Vec::new(), String::new());
        Detokenizer { tokenizer, skip_special, byte_level, steps, bytes, tokens, text, now: Step::default() }
    }

    /// Takes the next id and gives what can be said for sure now; it may be empty.
    pub fn push(&mut self, id: u32) -> &str {
        let start = self.text.len();
        let skipped = self.skip_special && self.tokenizer.is_special(id);
        if let Some(token) = self.tokenizer.id_to_token(id).filter(|_| !skipped) {
            if self.byte_level {
                append_bytes(&token, &mut self.bytes);
                self.settle_bytes();
            } else {
                self.tokens.push(token);
                self.settle_tokens();
            }
        }
        self.now = Step { bytes: self.bytes.len(), tokens: self.tokens.len(), text: self.text.len(), ..self.now };
        self.steps.push(self.now);
        &self.text[start..]
    }

    /// Gives what was held back, an unfinished character as U+FFFD. Afterwards [`Self::text`] is all of it.
    pub fn flush(&mut self) -> &str {
        let start = self.text.len();
        if self.byte_level {
            self.text.push_str(&String::from_utf8_lossy(&self.bytes[self.now.settled..]));
            self.now.settled = self.bytes.len();
        } else if let Some(rest) = self.tokenizer.decode_tokens(self.tokens.clone()).strip_prefix(self.text.as_str()) {
            self.text.push_str(rest);
        }
        self.now.text = self.text.len();
        &self.text[start..]
    }

    /// Everything given so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many ids were pushed.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether no id was pushed.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Goes back to where it stood after the first `len` ids; if there are fewer, it stays as it is.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.steps.len() {
            return;
        }
        self.steps.truncate(len);
        self.now = self.steps.last().copied().unwrap_or_default();
        self.bytes.truncate(self.now.bytes);
        self.tokens.truncate(self.now.tokens);
        self.text.truncate(self.now.text);
    }

    /// Takes over all bytes but an unfinished character at the end. A wrong one becomes U+FFFD at once: nothing can mend it.
    fn settle_bytes(&mut self) {
        loop {
            let rest = &self.bytes[self.now.settled..];
            let error = match std::str::from_utf8(rest) {
                Ok(valid) => {
                    self.text.push_str(valid);
                    self.now.settled = self.bytes.len();
                    return;
                }
                Err(error) => error,
            };
            self.text.push_str(&String::from_utf8_lossy(&rest[..error.valid_up_to()]));
            self.now.settled += error.valid_up_to();
            let Some(bad) = error.error_len() else { return };
            self.text.push(char::REPLACEMENT_CHARACTER);
            self.now.settled += bad;
        }
    }

    /// Takes over what the tokens before a run of byte tokens come to.
    fn settle_tokens(&mut self) {
        let run = self.tokens.iter().rev().take_while(|token| is_byte_token(token)).count();
        let settled = self.tokenizer.decode_tokens(self.tokens[..self.tokens.len() - run].to_vec());
        let settled = settled.trim_end_matches(char::REPLACEMENT_CHARACTER);
        if let Some(rest) = settled.strip_prefix(self.text.as_str()) {
            self.text.push_str(rest);
        }
    }
}

/// `<0x0A>`: one byte, spelled out.
fn is_byte_token(token: &str) -> bool {
    token.len() == 6 && token.starts_with("<0x") && token.ends_with('>')
}

/// A byte-level token spells each byte as a printable character; one with any other character in it stands for itself.
fn append_bytes(token: &str, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    for character in token.chars() {
        match spelled_byte(character) {
            Some(byte) => bytes.push(byte),
            None => {
                bytes.truncate(start);
                bytes.extend_from_slice(token.as_bytes());
                return;
            }
        }
    }
}

/// GPT-2's table: printable Latin-1 stands for itself, the 68 other bytes follow from U+0100 on.
fn spelled_byte(character: char) -> Option<u8> {
    let code = u32::from(character);
    let byte = match code {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => code,
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7F,
        0x143 => 0xAD,
        _ => return None,
    };
    u8::try_from(byte).ok()
}
