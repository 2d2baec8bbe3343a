//! How GGUF names the rules that cut text into words before byte-pair merging (`tokenizer.ggml.pre`).
//!
//! The names and the rules behind them are llama.cpp's (`src/llama-vocab.cpp`), the patterns those of the `tokenizer.json` files that
//! llama.cpp quotes. Each pattern splits what the one before it left; every match and every gap is a piece.

use super::TextError;
use tokenizers::{
    NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior,
    normalizers::NFC,
    pre_tokenizers::{byte_level::ByteLevel, digits::Digits, sequence::Sequence, split::Split, split::SplitPattern},
};

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const DEFAULT: [&str; 4] = [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"];

/// The names that are read, for messages.
const SUPPORTED: &str = "default, gpt-2, smollm, starcoder, llama-bpe, qwen2, stablelm2, dbrx, tekken, gpt-4o and their aliases";

/// What follows from the name.
pub(super) struct Rules {
    pub normalizer: Option<NormalizerWrapper>,
    pub pre_tokenizer: PreTokenizerWrapper,
    /// A piece that is a token as a whole is taken as it is, whatever the merges say.
    pub ignore_merges: bool,
    /// Whether the first token is added where the file does not say.
    pub add_bos: bool,
}

/// The rules behind a name.
///
/// # Errors
/// If the name is not one of those that are read here.
pub(super) fn rules(name: &str) -> Result<Rules, TextError> {
    let rules = |pre_tokenizer| Rules { normalizer: None, pre_tokenizer, ignore_merges: false, add_bos: false };
    let words = || patterns(&[GPT2]);
    Ok(match name {
        "default" => rules(patterns(&DEFAULT)?),
        "gpt-2" | "phi-2" | "jina-es" | "jina-de" | "jina-v2-es" | "jina-v2-de" | "gigachat" | "a.x-4.0" | "mellum" | "modern-bert"
        | "mpt" | "olmo" | "jais" | "trillion" | "granite-docling" | "exaone4" => rules(words()?),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" | "minerva-7b" | "mellum2" => {
            let digits = PreTokenizerWrapper::Digits(Digits::new(true));
            rules(PreTokenizerWrapper::Sequence(Sequence::new(vec![digits, words()?])))
        }
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" | "falcon-h1" | "pixtral" | "midm-2.0" | "lfm2" | "jina-v5-nano" => {
            Rules { ignore_merges: true, add_bos: true, ..rules(patterns(&[LLAMA3])?) }
        }
        "dbrx" | "smaug-bpe" | "glm4" | "chatglm-bpe" | "jais-2" => rules(patterns(&[LLAMA3])?),
        // llama.cpp leaves the NFC of this family's tokenizer.json out; the models were trained with it.
        "qwen2" | "deepseek-r1-qwen" | "kormo" | "f2llmv2" | "megrez" => {
            Rules { normalizer: Some(NormalizerWrapper::NFC(NFC)), ..rules(patterns(&[QWEN2])?) }
        }
        "stablelm2" | "hunyuan" | "solar-open" | "grok-2" => rules(patterns(&[QWEN2])?),
        "tekken" => Rules { ignore_merges: true, add_bos: true, ..rules(patterns(&[TEKKEN])?) },
        "gpt-4o" | "llama4" | "kanana2" | "minimax-m2" => rules(patterns(&[GPT4O])?),
        other => return Err(TextError::unsupported("tokenizer.ggml.pre", format!("{other:?}"), SUPPORTED)),
    })
}

/// One splitting step per pattern, then bytes written as the printable characters that byte-level vocabularies use.
fn patterns(patterns: &[&str]) -> Result<PreTokenizerWrapper, TextError> {
    let mut steps = Vec::with_capacity(patterns.len() + 1);
    for &pattern in patterns {
        let split = Split::new(SplitPattern::Regex(pattern.to_owned()), SplitDelimiterBehavior::Isolated, false);
        let split = split.map_err(|error| TextError::unsupported("tokenizer.ggml.pre", error.to_string(), SUPPORTED))?;
        steps.push(PreTokenizerWrapper::Split(split));
    }
    steps.push(PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, false)));
    Ok(PreTokenizerWrapper::Sequence(Sequence::new(steps)))
}
