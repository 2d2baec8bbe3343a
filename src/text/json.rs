//! A tokenizer from `tokenizer.json`.
//!
//! The library's own reader holds the file as a JSON tree and trusts it: some merges, templates and options make it panic. So the model
//! section, which is nearly all of the file, is read straight into the tables, and the small sections are checked before the library
//! sees them.

use super::{TextError, special::Specials, tokenizer::MAX_VOCAB, tokenizer::Parts};
use serde::{
    Deserialize,
    de::{DeserializeOwned, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;
use std::fmt;
use tokenizers::{
    AddedToken, ModelWrapper,
    models::{
        bpe::{BPE, Merges, Vocab},
        wordpiece::WordPiece,
    },
};

const FILE: &str = "tokenizer.json";
/// The largest file that is read: that of a vocabulary of 262,144 tokens is 33 MB.
const MAX_BYTES: usize = 64 << 20;
/// Normalizer, pre-tokenizer, post-processor and decoder are a few hundred bytes each.
const MAX_PIECES: usize = 64;

const NORMALIZERS: [&str; 13] = [
    "Sequence",
    "NFC",
    "NFD",
    "NFKC",
    "NFKD",
    "Lowercase",
    "Strip",
    "StripAccents",
    "Replace",
    "Prepend",
    "Nmt",
    "BertNormalizer",
    "ByteLevel",
];
const PRE_TOKENIZERS: [&str; 11] = [
    "Sequence",
    "Split",
    "ByteLevel",
    "Digits",
    "Metaspace",
    "Whitespace",
    "WhitespaceSplit",
    "BertPreTokenizer",
    "Punctuation",
    "CharDelimiterSplit",
    "UnicodeScripts",
];
const POST_PROCESSORS: [&str; 5] = ["Sequence", "TemplateProcessing", "ByteLevel", "BertProcessing", "RobertaProcessing"];
const DECODERS: [&str; 9] = ["Sequence", "ByteLevel", "Replace", "ByteFallback", "Fuse", "Strip", "Metaspace", "WordPiece", "BPEDecoder"];

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    version: Value,
    #[serde(default)]
    added_tokens: Vec<Added>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    model: Section,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

/// The `model` section.
#[derive(Deserialize)]
struct Section {
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

/// Reads `tokenizer.json`. Which tokens begin and end a text stands in other files.
pub(super) fn read(text: &str) -> Result<Parts, TextError> {
    if text.len() > MAX_BYTES {
        return Err(bad("at most 64 MiB", format!("{} bytes", text.len())));
    }
    let file: File = serde_json::from_str(text).map_err(|error| bad("a tokenizer", error.to_string()))?;
    if !matches!(file.version.as_str(), None | Some("1.0")) {
        return Err(TextError::unsupported(format!("{FILE}: version"), file.version.to_string(), "1.0"));
    }
    check_template(&file.post_processor)?;
    let (model, mut max_id) = model(file.model)?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    let normalizer: Option<tokenizers::NormalizerWrapper> = section("normalizer", &NORMALIZERS, file.normalizer)?;
    tokenizer.with_normalizer(normalizer).map_err(|error| bad("a normalizer", error.to_string()))?;
    tokenizer.with_pre_tokenizer(section::<tokenizers::PreTokenizerWrapper>("pre_tokenizer", &PRE_TOKENIZERS, file.pre_tokenizer)?);
    tokenizer.with_post_processor(section::<tokenizers::PostProcessorWrapper>("post_processor", &POST_PROCESSORS, file.post_processor)?);
    tokenizer.with_decoder(section::<tokenizers::DecoderWrapper>("decoder", &DECODERS, file.decoder)?);
    add_tokens(&mut tokenizer, file.added_tokens, &mut max_id)?;
    check_added_ids(&tokenizer)?;
    Ok(Parts { tokenizer, specials: Specials::default(), max_id })
}

fn bad(expected: &str, found: impl Into<String>) -> TextError {
    TextError::tokenizer(FILE, expected, found)
}

fn model(section: Section) -> Result<(ModelWrapper, u32), TextError> {
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

/// One of the small sections, if the file has it.
fn section<T: DeserializeOwned>(name: &str, kinds: &[&str], value: Value) -> Result<Option<T>, TextError> {
    if value.is_null() {
        return Ok(None);
    }
    check_kinds(name, kinds, &value)?;
    let parsed = serde_json::from_value(value).map(Some);
    parsed.map_err(|error| TextError::tokenizer(format!("{FILE}: {name}"), format!("a {name}"), error.to_string()))
}

/// Refuses kinds that are not read here, at any depth, before the library sees them.
fn check_kinds(name: &str, kinds: &[&str], value: &Value) -> Result<(), TextError> {
    let kind = value["type"].as_str().ok_or_else(|| TextError::tokenizer(format!("{FILE}: {name}"), "a type", "none"))?;
    if !kinds.contains(&kind) {
        return Err(TextError::unsupported(format!("{FILE}: {name}.type"), format!("{kind:?}"), kinds.join(", ")));
    }
    for list in ["normalizers", "pretokenizers", "processors", "decoders"] {
        let parts = value[list].as_array().map(Vec::as_slice).unwrap_or_default();
        if parts.len() > MAX_PIECES {
            return Err(TextError::tokenizer(format!("{FILE}: {name}"), format!("at most {MAX_PIECES} parts"), parts.len().to_string()));
        }
        for part in parts {
            check_kinds(name, kinds, part)?;
        }
    }
    Ok(())
}

/// A template may name only special tokens that it defines, and only the one sequence there is.
fn check_template(value: &Value) -> Result<(), TextError> {
    for part in value["processors"].as_array().into_iter().flatten() {
        check_template(part)?;
    }
    if value["type"] != "TemplateProcessing" {
        return Ok(());
    }
    let what = || format!("{FILE}: post_processor");
    for (list, sequences) in [("single", &["A"][..]), ("pair", &["A", "B"][..])] {
        let pieces = value[list].as_array().map(Vec::as_slice).unwrap_or_default();
        if pieces.len() > MAX_PIECES {
            return Err(TextError::tokenizer(what(), format!("at most {MAX_PIECES} pieces"), pieces.len().to_string()));
        }
        for piece in pieces {
            let special = piece["SpecialToken"]["id"].as_str();
            let sequence = piece["Sequence"]["id"].as_str();
            let known =
                special.is_some_and(|id| is_special(&value["special_tokens"][id])) || sequence.is_some_and(|id| sequences.contains(&id));
            if !known {
                return Err(TextError::tokenizer(what(), "a special token that is defined, or the sequence", piece.to_string()));
            }
        }
    }
    Ok(())
}

fn is_special(definition: &Value) -> bool {
    let count = |list: &str| definition[list].as_array().map(Vec::len);
    count("ids").is_some_and(|ids| ids <= MAX_PIECES && count("tokens") == Some(ids))
}

/// The library numbers added tokens by itself; a file that counts otherwise does not mean this vocabulary.
fn add_tokens(tokenizer: &mut tokenizers::Tokenizer, added: Vec<Added>, max_id: &mut u32) -> Result<(), TextError> {
    let expected: Vec<(String, u32)> = added.iter().map(|token| (token.content.clone(), token.id)).collect();
    let list = added.into_iter().map(|token| AddedToken {
        content: token.content,
        single_word: token.single_word,
        lstrip: token.lstrip,
        rstrip: token.rstrip,
        normalized: token.normalized,
        special: token.special,
    });
    tokenizer.add_tokens(list.collect::<Vec<_>>()).map_err(|error| bad("added tokens that can be told apart", error.to_string()))?;
    for (token, id) in expected.iter().filter(|(token, _)| !token.is_empty()) {
        let next = tokenizer.token_to_id(token);
        if next != Some(*id) {
            let expected = next.map_or("another token".to_owned(), |next| format!("{next}, the next free one"));
            return Err(TextError::tokenizer(format!("{FILE}: id of the added token {token:?}"), expected, id.to_string()));
        }
        *max_id = (*max_id).max(*id);
    }
    Ok(())
}

/// Ids that the post-processor adds must be tokens.
fn check_added_ids(tokenizer: &tokenizers::Tokenizer) -> Result<(), TextError> {
    let empty = tokenizer.encode_fast("", true).map_err(|error| bad("a post-processor", error.to_string()))?;
    match empty.get_ids().iter().find(|&&id| tokenizer.id_to_token(id).is_none()) {
        Some(id) => Err(TextError::tokenizer(format!("{FILE}: post_processor"), "ids of tokens", id.to_string())),
        None => Ok(()),
    }
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
