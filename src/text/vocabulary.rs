//! The `model` section of `tokenizer.json`: the vocabulary and the merges, read straight into the tables that the library uses.

use super::{
    TextError,
    json::{FILE, bad},
    tokenizer::MAX_VOCAB,
};
use serde::{
    Deserialize,
    de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;
use tokenizers::{
    ModelWrapper,
    models::{
        bpe::{BPE, Merges, Vocab},
        wordpiece::WordPiece,
    },
};

/// The `model` section.
#[derive(Deserialize)]
pub(super) struct Section {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Option<Table>,
    merges: Option<Pairs>,
    unk_token: Option<String>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    max_input_chars_per_word: Option<usize>,
    fuse_unk: Option<bool>,
    byte_fallback: Option<bool>,
    ignore_merges: Option<bool>,
}

/// Token to id.
enum Table {
    Map { vocab: Vocab, max_id: u32 },
    List,
}

struct Pairs(Merges);

struct Pair(String, String);

impl Section {
    /// The model, and its largest id.
    pub fn build(self) -> Result<(ModelWrapper, u32), TextError> {
        let section = self;
        let kind = section.kind.as_deref().unwrap_or(if section.merges.is_some() { "BPE" } else { "WordPiece" });
        if !matches!(kind, "BPE" | "WordPiece") {
            return Err(TextError::unsupported(format!("{FILE}: model.type"), format!("{kind:?}"), "BPE, WordPiece"));
        }
        let what = format!("{FILE}: model.vocab");
        let (vocab, max_id) = match section.vocab {
            Some(Table::Map { vocab, max_id }) if !vocab.is_empty() => (vocab, max_id),
            Some(Table::Map { .. }) => return Err(TextError::tokenizer(what, "tokens", "none")),
            Some(Table::List) => return Err(TextError::tokenizer(what, "a map from token to id", "a list")),
            None => return Err(TextError::tokenizer(what, "a map from token to id", "none")),
        };
        let unknown = section.unk_token.or_else(|| (kind == "WordPiece").then(|| "[UNK]".to_owned()));
        if let Some(unknown) = unknown.as_ref().filter(|&token| !vocab.contains_key(token)) {
            return Err(TextError::tokenizer(format!("{FILE}: model.unk_token"), "a token of the vocabulary", format!("{unknown:?}")));
        }
        let fail = |error: tokenizers::Error| bad("a model", error.to_string());
        if kind == "WordPiece" {
            let prefix = section.continuing_subword_prefix.unwrap_or_else(|| "##".to_owned());
            let longest = section.max_input_chars_per_word.unwrap_or(100);
            let builder = WordPiece::builder().vocab(vocab).unk_token(unknown.unwrap_or_default());
            let model = builder.continuing_subword_prefix(prefix).max_input_chars_per_word(longest).build().map_err(fail)?;
            return Ok((ModelWrapper::WordPiece(model), max_id));
        }
        let merges = section.merges.ok_or_else(|| TextError::tokenizer(format!("{FILE}: model.merges"), "a list of merges", "none"))?.0;
        let prefix = section.continuing_subword_prefix.filter(|prefix| !prefix.is_empty());
        check_merges(&vocab, &merges, prefix.as_deref().unwrap_or_default())?;
        let mut builder = BPE::builder().vocab_and_merges(vocab, merges);
        if let Some(unknown) = unknown {
            builder = builder.unk_token(unknown);
        }
        if let Some(prefix) = prefix {
            builder = builder.continuing_subword_prefix(prefix);
        }
        if let Some(suffix) = section.end_of_word_suffix.filter(|suffix| !suffix.is_empty()) {
            builder = builder.end_of_word_suffix(suffix);
        }
        builder = builder.fuse_unk(section.fuse_unk.unwrap_or(false)).byte_fallback(section.byte_fallback.unwrap_or(false));
        let model = builder.ignore_merges(section.ignore_merges.unwrap_or(false)).build().map_err(fail)?;
        Ok((ModelWrapper::BPE(model), max_id))
    }
}

/// Both pieces of a merge and what they make must be tokens.
fn check_merges(vocab: &Vocab, merges: &Merges, prefix: &str) -> Result<(), TextError> {
    for (rank, (a, b)) in merges.iter().enumerate() {
        let whole = b.strip_prefix(prefix).map(|b| [a, b].concat());
        let pieces = [Some(a.as_str()), Some(b.as_str()), whole.as_deref()];
        if pieces.iter().any(|piece| piece.is_none_or(|piece| !vocab.contains_key(piece))) {
            let what = format!("{FILE}: model.merges[{rank}]");
            return Err(TextError::tokenizer(what, "two tokens whose sum is a token", format!("{a:?} and {b:?}")));
        }
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Table, D::Error> {
        deserializer.deserialize_any(TableVisitor)
    }
}

struct TableVisitor;

impl<'de> Visitor<'de> for TableVisitor {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from token to id")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
        let mut vocab = Vocab::default();
        let mut taken: Vec<bool> = Vec::new();
        while let Some((token, id)) = map.next_entry::<String, u32>()? {
            let place = id as usize;
            if id >= MAX_VOCAB {
                return Err(A::Error::custom(format_args!("id of {token:?}: expected less than {MAX_VOCAB}, found {id}")));
            }
            if taken.len() <= place {
                taken.resize(place + 1, false);
            }
            if std::mem::replace(&mut taken[place], true) {
                return Err(A::Error::custom(format_args!("id of {token:?}: expected one of its own, found {id} again")));
            }
            if let Some(twin) = vocab.insert(token, id) {
                return Err(A::Error::custom(format_args!("ids {twin} and {id}: expected two tokens, found the same one")));
            }
        }
        let max_id = u32::try_from(taken.len().saturating_sub(1)).unwrap_or(MAX_VOCAB);
        Ok(Table::Map { vocab, max_id })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Table, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Table::List)
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs, D::Error> {
        let pairs = Vec::<Pair>::deserialize(deserializer)?;
        // Lists copied from a merges.txt still have its first line, "#version: 0.2".
        Ok(Pairs(pairs.into_iter().map(|Pair(a, b)| (a, b)).filter(|(a, _)| a != "#version:").collect()))
    }
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pair, D::Error> {
        deserializer.deserialize_any(PairVisitor)
    }
}

struct PairVisitor;

impl<'de> Visitor<'de> for PairVisitor {
    type Value = Pair;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("two pieces, as a list or with a space between")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Pair, E> {
        let (a, b) = text
            .split_once(' ')
            .filter(|(_, b)| !b.contains(' '))
            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))?;
        Ok(Pair(a.to_owned(), b.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Pair, A::Error> {
        let mut next = |at: usize| list.next_element::<String>()?.ok_or_else(|| A::Error::invalid_length(at, &self));
        let pair = Pair(next(0)?, next(1)?);
        match list.next_element::<IgnoredAny>()? {
            Some(_) => Err(A::Error::invalid_length(3, &self)),
            None => Ok(pair),
        }
    }
}
