//! A tokenizer from `tokenizer.json`.
//!
//! The library's own reader holds the file as a JSON tree and trusts it: some merges, templates and options make it panic. So the model
//! section, which is nearly all of the file, is read straight into the tables, and the small sections are checked before the library
//! sees them.

use super::{TextError, special::Specials, tokenizer::Parts, vocabulary::Section};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokenizers::AddedToken;

/// What errors call the file.
pub(super) const FILE: &str = "tokenizer.json";
/// The largest file that is read: that of a vocabulary of 262,144 tokens is 33 MB.
const MAX_BYTES: usize = 64 << 20;
/// Normalizer, pre-tokenizer, post-processor and decoder are a few hundred bytes each.
const MAX_PIECES: usize = 64;
/// So many times as long may a section make a text. A space becomes `▁`, three times as long; parts that double it multiply to anything.
const MAX_GROWTH: f64 = 16.0;
/// Bytes that a section may put before a text; `▁` has three.
const MAX_PREPENDED: usize = 64;

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
    let (model, mut max_id) = file.model.build()?;
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

pub(super) fn bad(expected: &str, found: impl Into<String>) -> TextError {
    TextError::tokenizer(FILE, expected, found)
}

/// One of the small sections, if the file has it.
fn section<T: DeserializeOwned>(name: &str, kinds: &[&str], value: Value) -> Result<Option<T>, TextError> {
    if value.is_null() {
        return Ok(None);
    }
    check_parts(name, kinds, &value)?;
    let parsed = serde_json::from_value(value).map(Some);
    parsed.map_err(|error| TextError::tokenizer(format!("{FILE}: {name}"), format!("a {name}"), error.to_string()))
}

/// Refuses kinds that are not read here, at any depth, and parts that make any text enormous, before the library sees them.
fn check_parts(name: &str, kinds: &[&str], value: &Value) -> Result<(), TextError> {
    let wrong = |expected: String, found: String| Err(TextError::tokenizer(format!("{FILE}: {name}"), expected, found));
    let mut parts = vec![value];
    let mut next = 0;
    while let Some(part) = parts.get(next) {
        let lists = ["normalizers", "pretokenizers", "processors", "decoders"].map(|list| part[list].as_array());
        parts.extend(lists.into_iter().flatten().flatten());
        if parts.len() > 1 + MAX_PIECES {
            return wrong(format!("at most {MAX_PIECES} parts"), (parts.len() - 1).to_string());
        }
        next += 1;
    }
    let (mut growth, mut prepended, mut templates) = (1.0, 0, 0);
    for part in parts {
        let kind = part["type"].as_str().ok_or_else(|| TextError::tokenizer(format!("{FILE}: {name}"), "a type", "none"))?;
        if !kinds.contains(&kind) {
            return Err(TextError::unsupported(format!("{FILE}: {name}.type"), format!("{kind:?}"), kinds.join(", ")));
        }
        if let Some(pattern) = part["pattern"]["Regex"].as_str().filter(|pattern| !is_linear(pattern)) {
            return wrong(
                "patterns without references back, and without repetition in or around what looks ahead".to_string(),
                format!("{pattern:?}"),
            );
        }
        growth *= growth_by(kind, part);
        prepended += if kind == "Prepend" { text_bytes(&part["prepend"]) } else { 0 };
        templates += u32::from(matches!(kind, "TemplateProcessing" | "BertProcessing" | "RobertaProcessing"));
        // Taken off both ends of a token that holds nothing else, the library takes more than there is.
        if name == "decoder" && kind == "Strip" && part["stop"] != 0 {
            return wrong("Strip with a stop of 0".to_string(), part["stop"].to_string());
        }
    }
    if growth > MAX_GROWTH {
        return wrong(format!("parts that make a text at most {MAX_GROWTH} times as long"), format!("{growth:.0} times"));
    }
    if prepended > MAX_PREPENDED {
        return wrong(format!("at most {MAX_PREPENDED} bytes before a text"), prepended.to_string());
    }
    // The library expects the encodings of one template only.
    if templates > 1 {
        return wrong("at most one part that adds tokens".to_string(), templates.to_string());
    }
    Ok(())
}

/// How many times as long a part may make a text.
fn growth_by(kind: &str, part: &Value) -> f64 {
    match kind {
        "Replace" => {
            let content = text_bytes(&part["content"]) as f64;
            match text_bytes(&part["pattern"]["String"]) {
                // Between any two bytes: nothing is also found there, and patterns may find it.
                0 if content > 0.0 => 1.0 + content,
                bytes => (content / bytes.max(1) as f64).max(1.0),
            }
        }
        // A byte beyond ASCII becomes a character of two.
        "ByteLevel" => 2.0,
        "BPEDecoder" if part["suffix"] == "" => 2.0,
        _ => 1.0,
    }
}

/// Whether a pattern takes about one step a character. The library tries a pattern with references back, or with something that looks ahead
/// or back beside what repeats, in every possible way, at each character anew; all known vocabularies look ahead for one character at most,
/// outside of any group.
fn is_linear(pattern: &str) -> bool {
    let mut characters = pattern.char_indices();
    // What looks around is the depth of its group, so that its end is known.
    let (mut depth, mut looking, mut in_class) = (0_u32, None, false);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                if matches!(characters.next(), Some((_, '1'..='9' | 'k' | 'g'))) {
                    return false;
                }
            }
            '[' => in_class = true,
            ']' => in_class = false,
            _ if in_class => {}
            '(' => {
                let kind = &pattern[at + 1..];
                if ["?=", "?!", "?<=", "?<!", "?>", "?("].iter().any(|looks| kind.starts_with(looks)) {
                    if depth > 0 {
                        return false;
                    }
                    looking = Some(depth);
                    characters.nth(1);
                } else if kind.starts_with("?P=") {
                    return false;
                }
                depth += 1;
            }
            ')' => {
                depth = depth.saturating_sub(1);
                looking = looking.filter(|&outside| outside < depth);
            }
            '*' | '+' | '{' | '?' if looking.is_some() => return false,
            _ => {}
        }
    }
    true
}

fn text_bytes(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
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
