//! [`Tokenizer`]: text to ids and ids to text, over the `tokenizers` crate.
//!
//! One surprise: added tokens are matched in the text *before* anything else happens to it, and that is how text becomes control tokens.
//! So a second matcher over the same added tokens, which leaves the special ones alone, is kept for text that a person wrote.

use super::{Detokenizer, TextError, gguf, json, special::Specials};
use crate::source::{Companions, Description};
use std::{ops::Range, rc::Rc};
use tokenizers::{
    AddedVocabulary, Decoder, DecoderWrapper, Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString,
    PreTokenizer, Token, normalizer::Range as Referential,
};

/// The largest vocabulary that is read: no real one is a quarter as large, and ids beyond it are never used to size anything.
pub(super) const MAX_VOCAB: u32 = 1 << 21;

/// A vocabulary with its rules. Cloning shares it.
#[derive(Clone)]
pub struct Tokenizer(Rc<Inner>);

struct Inner {
    tokenizer: tokenizers::Tokenizer,
    plain: AddedVocabulary,
    specials: Specials,
    max_id: u32,
}

/// What a reader of a vocabulary file hands over.
pub(super) struct Parts {
    pub tokenizer: tokenizers::Tokenizer,
    pub specials: Specials,
    pub max_id: u32,
}

/// A stretch of text that is to become one added token: byte range and id.
pub(super) struct Match {
    pub range: Range<usize>,
    pub id: u32,
}

impl Tokenizer {
    /// Reads the vocabulary: from GGUF metadata, else from `tokenizer.json`.
    ///
    /// # Errors
    /// If there is none, it is malformed, or of a kind that is not read here.
    pub fn open(description: &Description, companions: &Companions) -> Result<Tokenizer, TextError> {
        let parts = match description {
            Description::Gguf(metadata) => gguf::read(metadata)?,
            Description::HuggingFace(config) => {
                let text = companions.tokenizer.as_deref();
                let text = text.ok_or(TextError::Missing { what: "tokenizer.json", instead: "put it beside the weights" })?;
                let mut parts = json::read(text)?;
                parts.specials = Specials::from_companions(config, companions, |token| parts.tokenizer.token_to_id(token))?;
                parts
            }
        };
        Ok(Tokenizer::from_parts(parts))
    }

    fn from_parts(parts: Parts) -> Tokenizer {
        let mut plain = parts.tokenizer.get_added_vocabulary().clone();
        plain.set_encode_special_tokens(true);
        let mut specials = parts.specials;
        specials.finish(|token| parts.tokenizer.token_to_id(token), |id| parts.tokenizer.id_to_token(id).is_some());
        Tokenizer(Rc::new(Inner { plain, specials, max_id: parts.max_id, tokenizer: parts.tokenizer }))
    }

    /// Ids of `text` as the reference library gives them: special tokens are added as the post-processor says *and* parsed in the text.
    /// Not for text that a person wrote.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        // What could fail was checked when the vocabulary was read; should a case be missed, no ids is better than a dead worker.
        self.0.tokenizer.encode_fast(text, true).map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default()
    }

    /// Ids of `text` with special tokens parsed but none added: what a rendered chat template needs, which writes its own.
    pub fn encode_parsed(&self, text: &str) -> Vec<u32> {
        let added = self.0.tokenizer.get_added_vocabulary();
        self.tokenize(added.extract_and_normalize(self.0.tokenizer.get_normalizer(), text))
    }

    /// Ids of `text` with no special token added and none parsed: whatever a person writes stays text.
    pub fn encode_plain(&self, text: &str) -> Vec<u32> {
        self.tokenize(self.0.plain.extract_and_normalize(self.0.tokenizer.get_normalizer(), text))
    }

    /// Ids of `text` where exactly the `matches`, in order and without overlap, are added tokens; all the rest is plain.
    pub(super) fn encode_matches(&self, text: &str, matches: &[Match]) -> Vec<u32> {
        let mut pieces = PreTokenizedString::from(text);
        let normalizer = self.0.tokenizer.get_normalizer();
        let split = pieces.split(|_, whole: NormalizedString| Ok(cut(&whole, text.len(), matches)));
        let normalized = split.and_then(|()| match normalizer {
            Some(normalizer) => pieces.normalize(|piece| normalizer.normalize(piece)),
            None => Ok(()),
        });
        if normalized.is_err() { Vec::new() } else { self.tokenize(pieces) }
    }

    /// Where the added tokens are that would be parsed in `text`. With `plain`, the special ones among them are left alone.
    pub(super) fn matches(&self, text: &str, plain: bool) -> Vec<Match> {
        let added = if plain { &self.0.plain } else { self.0.tokenizer.get_added_vocabulary() };
        let pieces = added.extract_and_normalize(None::<&tokenizers::NormalizerWrapper>, text);
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::Byte).into_iter();
        let found = splits.filter_map(|(_, (start, end), tokens)| Some(Match { range: start..end, id: tokens.as_ref()?.first()?.id }));
        found.collect()
    }

    fn tokenize(&self, mut pieces: PreTokenizedString) -> Vec<u32> {
        let tokenizer = &self.0.tokenizer;
        let pre_tokenized = match tokenizer.get_pre_tokenizer() {
            Some(pre_tokenizer) => pre_tokenizer.pre_tokenize(&mut pieces),
            None => Ok(()),
        };
        let done = pre_tokenized.and_then(|()| pieces.tokenize(|piece| tokenizer.get_model().tokenize(piece.get())));
        if done.is_err() {
            return Vec::new();
        }
        let splits = pieces.get_splits(OffsetReferential::Original, OffsetType::None);
        splits.into_iter().filter_map(|(_, _, tokens)| tokens.as_ref()).flatten().map(|token| token.id).collect()
    }

    /// Text of `ids`. Ids that are not in the vocabulary give nothing; bytes that are no UTF-8 give U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        let tokenizer = &self.0.tokenizer;
        let is_said = |token: &String| !(skip_special && tokenizer.get_added_vocabulary().is_special_token(token));
        self.decode_tokens(ids.iter().filter_map(|id| tokenizer.id_to_token(*id)).filter(is_said).collect())
    }

    /// A decoder that is fed one id at a time.
    pub fn detokenizer(&self, skip_special: bool) -> Detokenizer {
        Detokenizer::new(self.clone(), skip_special)
    }

    /// How many ids the vocabulary spans: [`Self::max_id`] + 1.
    pub fn vocab_size(&self) -> usize {
        self.0.max_id as usize + 1
    }

    /// The largest id; a model needs at least one row more than this.
    pub fn max_id(&self) -> u32 {
        self.0.max_id
    }

    /// The id of a token by its text in the vocabulary (`Ġthe`, `<|im_end|>`).
    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.0.tokenizer.token_to_id(token)
    }

    /// The text of an id in the vocabulary.
    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.0.tokenizer.id_to_token(id)
    }

    /// Whether `id` is a special token: one that is left out of text and that no user text may become.
    pub fn is_special(&self, id: u32) -> bool {
        self.0.tokenizer.get_added_vocabulary().get_added_tokens_decoder().get(&id).is_some_and(|token| token.special)
    }

    /// Whether `id` steers the model: a special token, or an added one that is written like a tag (`<think>`, `[INST]`).
    pub(super) fn is_control(&self, id: u32) -> bool {
        let Some(token) = self.0.tokenizer.get_added_vocabulary().get_added_tokens_decoder().get(&id) else { return false };
        let text = token.content.trim();
        let tag = |open, close| text.len() > 2 && text.starts_with(open) && text.ends_with(close);
        token.special || tag('<', '>') || tag('[', ']')
    }

    /// All special ids, ascending.
    pub fn special_ids(&self) -> Vec<u32> {
        let added = self.0.tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        let mut ids: Vec<u32> = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).collect();
        ids.sort_unstable();
        ids
    }

    /// Texts of the added tokens that steer the model.
    pub(super) fn control_tokens(&self) -> Vec<(u32, &str)> {
        let added = self.0.tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        added.iter().filter(|&(&id, _)| self.is_control(id)).map(|(&id, token)| (id, token.content.as_str())).collect()
    }

    /// The token that begins a text, if the model has one.
    pub fn bos(&self) -> Option<u32> {
        self.0.specials.bos
    }

    /// The token that ends a text, if the model names one.
    pub fn eos(&self) -> Option<u32> {
        self.0.specials.eos
    }

    /// Every token after which the model has nothing more to say: those its files name, and the well-known ends of a turn.
    pub fn end_tokens(&self) -> Vec<u32> {
        self.0.specials.end.clone()
    }

    /// `bos_token`, `eos_token` and the like, as the chat template expects them.
    pub(super) fn named_tokens(&self) -> impl Iterator<Item = (&'static str, String)> + '_ {
        self.0.specials.named.iter().filter_map(|&(name, id)| Some((name, self.id_to_token(id)?)))
    }

    /// Whether the decoder only maps each token to bytes, so that a text can grow byte by byte.
    pub(super) fn is_byte_level(&self) -> bool {
        matches!(self.0.tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_)))
    }

    /// Decodes tokens given by their text.
    pub(super) fn decode_tokens(&self, tokens: Vec<String>) -> String {
        match self.0.tokenizer.get_decoder() {
            // Some decoders expect a last token.
            _ if tokens.is_empty() => String::new(),
            Some(decoder) => decoder.decode(tokens).unwrap_or_default(),
            None => tokens.join(" "),
        }
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).field("specials", &self.0.specials).finish_non_exhaustive()
    }
}

fn cut(whole: &NormalizedString, length: usize, matches: &[Match]) -> Vec<(NormalizedString, Option<Vec<Token>>)> {
    let mut pieces = Vec::with_capacity(2 * matches.len() + 1);
    let mut at = 0;
    let mut push = |range: Range<usize>, id: Option<u32>| {
        if let Some(piece) = whole.slice(Referential::Original(range)) {
            let tokens = id.map(|id| vec![Token::new(id, piece.get().to_owned(), (0, piece.get().len()))]);
            pieces.push((piece, tokens));
        }
    };
    for Match { range, id } in matches {
        push(at..range.start, None);
        push(range.clone(), Some(*id));
        at = range.end;
    }
    push(at..length, None);
    pieces
}
