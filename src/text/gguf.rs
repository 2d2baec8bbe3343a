//! A tokenizer from GGUF metadata (`tokenizer.ggml.*`), built without a detour through JSON: a vocabulary of 49,152 tokens would cost
//! some 30 MB of heap on that way.
//!
//! Token types decide: control tokens never enter the merging model, so that no spelling of them can become one; they are matched as
//! added tokens only. Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use super::{TextError, json, pre, special::Specials, tokenizer::MAX_VOCAB, tokenizer::Parts};
use crate::source::{SourceError, gguf::Metadata};
use serde_json::json;
use std::borrow::Cow;
use tokenizers::{
    AddedToken, AddedVocabulary, DecoderWrapper, NormalizerWrapper, PostProcessorWrapper,
    models::bpe::{BPE, Merges, Vocab},
    pre_tokenizers::byte_level::ByteLevel,
};

const TOKENS: &str = "tokenizer.ggml.tokens";
const MERGES: &str = "tokenizer.ggml.merges";
const TYPES: &str = "tokenizer.ggml.token_type";

const NORMAL: i64 = 1;
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const UNUSED: i64 = 5;

/// Reads the vocabulary of a GGUF file.
pub(super) fn read(metadata: &Metadata) -> Result<Parts, TextError> {
    let tokens = strings(metadata, TOKENS)?;
    if let Some(parts) = embedded(metadata, tokens)? {
        return Ok(parts);
    }
    match text(metadata, "tokenizer.ggml.model")? {
        Some("gpt2") => {}
        Some(other) => return Err(TextError::unsupported("tokenizer.ggml.model", format!("{other:?}"), "gpt2 (byte-level BPE)")),
        None => return Err(TextError::tokenizer("tokenizer.ggml.model", "a name", "none")),
    }
    let tokens = tokens.ok_or_else(|| TextError::tokenizer(TOKENS, "an array of strings", "none"))?;
    let max_id = last_id(tokens.len())?;
    let types = types(metadata, tokens.len())?;
    let rules = pre::rules(text(metadata, "tokenizer.ggml.pre")?.unwrap_or("default"))?;
    let specials = specials(metadata, max_id)?;

    let merges = strings(metadata, MERGES)?.ok_or_else(|| TextError::tokenizer(MERGES, "an array of strings", "none"))?;
    let model = model(tokens, &types, merges, rules.ignore_merges)?;
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_normalizer(rules.normalizer).map_err(|error| TextError::tokenizer(TOKENS, "a vocabulary", error.to_string()))?;
    tokenizer.with_pre_tokenizer(Some(rules.pre_tokenizer));
    tokenizer.with_decoder(Some(DecoderWrapper::ByteLevel(ByteLevel::new(false, true, false))));
    tokenizer.with_added_vocabulary(added(tokens, &types)?);
    let add_bos = flag(metadata, "tokenizer.ggml.add_bos_token")?.unwrap_or(rules.add_bos);
    let add_eos = flag(metadata, "tokenizer.ggml.add_eos_token")?.unwrap_or(false);
    let first = specials.bos.filter(|_| add_bos);
    let last = specials.eos.filter(|_| add_eos);
    tokenizer.with_post_processor(post_processor(tokens, first, last)?);
    Ok(Parts { tokenizer, specials, max_id })
}

/// Some files carry the whole `tokenizer.json`. It is used if it gives every token the id that the file's own list gives it.
fn embedded(metadata: &Metadata, tokens: Option<&[Box<str>]>) -> Result<Option<Parts>, TextError> {
    let Ok(Some(text)) = text(metadata, "tokenizer.huggingface.json") else { return Ok(None) };
    let Ok(mut parts) = json::read(text) else { return Ok(None) };
    let known = |id: usize| u32::try_from(id).ok().and_then(|id| parts.tokenizer.id_to_token(id));
    let agrees = |(id, token): (usize, &str)| known(id).is_none_or(|known| known == token);
    let all_agree = |tokens: &[Box<str>]| tokens.iter().map(AsRef::as_ref).enumerate().all(agrees);
    if tokens.is_some_and(|tokens| parts.max_id as usize >= tokens.len() || !all_agree(tokens)) {
        return Ok(None);
    }
    parts.max_id = tokens.map_or(Ok(parts.max_id), |tokens| last_id(tokens.len()))?;
    parts.specials = specials(metadata, parts.max_id)?;
    Ok(Some(parts))
}

fn last_id(count: usize) -> Result<u32, TextError> {
    let id = u32::try_from(count).ok().and_then(|count| count.checked_sub(1)).filter(|&id| id < MAX_VOCAB);
    id.ok_or_else(|| TextError::tokenizer(TOKENS, format!("1 to {MAX_VOCAB} tokens"), count.to_string()))
}

fn types(metadata: &Metadata, count: usize) -> Result<Cow<'_, [i64]>, TextError> {
    let Some(value) = metadata.get(TYPES) else { return Ok(vec![NORMAL; count].into()) };
    let types = value.ints(TYPES).map_err(mismatch)?;
    if types.len() != count {
        return Err(TextError::tokenizer(TYPES, format!("one type for each of {count} tokens"), types.len().to_string()));
    }
    match types.iter().position(|kind| !(0..=6).contains(kind)) {
        Some(id) => Err(TextError::tokenizer(format!("{TYPES}[{id}]"), "0 to 6", types[id].to_string())),
        None => Ok(types.into()),
    }
}

/// Control tokens are spelled nowhere in the model, and unused ones mean nothing at all.
fn is_in_model(kind: i64) -> bool {
    !matches!(kind, UNKNOWN | CONTROL | UNUSED)
}

fn model(tokens: &[Box<str>], types: &[i64], merges: &[Box<str>], ignore_merges: bool) -> Result<BPE, TextError> {
    let mut vocab = Vocab::with_capacity(tokens.len());
    let mut outside = Vocab::default();
    for ((id, token), &kind) in (0u32..).zip(tokens).zip(types) {
        let (known, other) = if is_in_model(kind) { (&mut vocab, &outside) } else { (&mut outside, &vocab) };
        let twin = other.get(&**token).copied().or_else(|| known.insert(token.to_string(), id));
        if let Some(twin) = twin {
            return Err(TextError::tokenizer(
                format!("{TOKENS}[{id}]"),
                "a token that is not there yet",
                format!("{token:?} again, as {twin}"),
            ));
        }
    }
    let mut pairs = Merges::with_capacity(merges.len());
    for (rank, merge) in merges.iter().enumerate() {
        let what = || format!("{MERGES}[{rank}]");
        // The first piece may itself be a space in some vocabularies, hence the search from the second character on.
        let from = merge.chars().next().map_or(0, char::len_utf8);
        let split = merge[from..].find(' ').map(|at| (&merge[..from + at], &merge[from + at + 1..]));
        let (a, b) = split.ok_or_else(|| TextError::tokenizer(what(), "two pieces with a space between", format!("{merge:?}")))?;
        let whole = [a, b].concat();
        let pieces = [a, b, whole.as_str()];
        if let Some(missing) = pieces.iter().find(|&&piece| !vocab.contains_key(piece) && !outside.contains_key(piece)) {
            return Err(TextError::tokenizer(what(), "pieces that are tokens, and so is their sum", format!("{missing:?}, which is none")));
        }
        if pieces.iter().all(|&piece| vocab.contains_key(piece)) {
            pairs.push((a.to_owned(), b.to_owned()));
        }
    }
    let builder = BPE::builder().vocab_and_merges(vocab, pairs).ignore_merges(ignore_merges);
    builder.build().map_err(|error| TextError::tokenizer(MERGES, "merges of the vocabulary", error.to_string()))
}

/// Added tokens get the ids that a model gives them, so a model of only these tokens stands in while they are added.
fn added(tokens: &[Box<str>], types: &[i64]) -> Result<AddedVocabulary, TextError> {
    let chosen = || {
        (0u32..).zip(tokens).zip(types).filter(|((_, token), kind)| matches!(**kind, UNKNOWN | CONTROL | USER_DEFINED) && !token.is_empty())
    };
    let fail = |error: tokenizers::Error| TextError::tokenizer(TOKENS, "control tokens that can be told apart", error.to_string());
    let vocab: Vocab = chosen().map(|((id, token), _)| (token.to_string(), id)).collect();
    let ids = BPE::builder().vocab_and_merges(vocab, Merges::new()).build().map_err(fail)?;
    let list = chosen().map(|((_, token), &kind)| AddedToken::from(token.as_ref(), kind != USER_DEFINED).normalized(false));
    let mut added = AddedVocabulary::new();
    added.add_tokens(list.collect::<Vec<_>>(), &ids, None::<&NormalizerWrapper>).map_err(fail)?;
    Ok(added)
}

fn post_processor(tokens: &[Box<str>], first: Option<u32>, last: Option<u32>) -> Result<Option<PostProcessorWrapper>, TextError> {
    if first.is_none() && last.is_none() {
        return Ok(None);
    }
    let mut special = serde_json::Map::new();
    let mut piece = |id: u32| {
        let token = tokens.get(id as usize).map(AsRef::as_ref).unwrap_or_default();
        special.insert(token.to_owned(), json!({ "id": token, "ids": [id], "tokens": [token] }));
        json!({ "SpecialToken": { "id": token, "type_id": 0 } })
    };
    let mut single: Vec<serde_json::Value> = first.map(&mut piece).into_iter().collect();
    single.push(json!({ "Sequence": { "id": "A", "type_id": 0 } }));
    single.extend(last.map(&mut piece));
    let mut pair = single.clone();
    pair.push(json!({ "Sequence": { "id": "B", "type_id": 1 } }));
    let template = json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special });
    let processor = serde_json::from_value(template);
    processor.map(Some).map_err(|error| TextError::tokenizer("tokenizer.ggml.bos_token_id", "a token to begin with", error.to_string()))
}

fn specials(metadata: &Metadata, max_id: u32) -> Result<Specials, TextError> {
    let id = |name: &str| -> Result<Option<u32>, TextError> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let Some(value) = metadata.get(&key).map(|value| value.as_u64(&key)).transpose().map_err(mismatch)? else { return Ok(None) };
        let id = u32::try_from(value).ok().filter(|&id| id <= max_id);
        id.map(Some).ok_or_else(|| TextError::tokenizer(key, format!("an id up to {max_id}"), value.to_string()))
    };
    let mut specials = Specials::default();
    let names = [
        ("bos", "bos_token"),
        ("eos", "eos_token"),
        ("unknown", "unk_token"),
        ("seperator", "sep_token"),
        ("padding", "pad_token"),
        ("cls", "cls_token"),
        ("mask", "mask_token"),
    ];
    for (key, name) in names {
        if let Some(id) = id(key)? {
            specials.name(name, id);
        }
    }
    for key in ["eot", "eom"] {
        specials.end.extend(id(key)?);
    }
    Ok(specials)
}

fn text<'a>(metadata: &'a Metadata, key: &str) -> Result<Option<&'a str>, TextError> {
    metadata.get(key).map(|value| value.as_str(key)).transpose().map_err(mismatch)
}

fn flag(metadata: &Metadata, key: &str) -> Result<Option<bool>, TextError> {
    metadata.get(key).map(|value| value.as_bool(key)).transpose().map_err(mismatch)
}

fn strings<'a>(metadata: &'a Metadata, key: &str) -> Result<Option<&'a [Box<str>]>, TextError> {
    metadata.get(key).map(|value| value.strings(key)).transpose().map_err(mismatch)
}

fn mismatch(error: SourceError) -> TextError {
    match error {
        SourceError::Invalid { what, expected, found } => TextError::Tokenizer { what, expected, found },
        other => TextError::tokenizer("GGUF metadata", "a vocabulary", other.to_string()),
    }
}
