//! What the writer asks for, read from the strings and numbers of the command line and the JavaScript API.

use super::error::{ComposeError, excerpt};
use super::network::Network;
use serde::Serialize;

/// Longest brief that is read, in bytes. What does not fit the model's context is left out at a word; see `prompt`.
pub const MAX_BRIEF_BYTES: usize = 64 * 1024;
/// Most drafts of one brief.
pub const MAX_COUNT: u32 = 8;
/// Shortest length that can be asked for: room for a short word and its full stop.
pub const MIN_UNITS: u32 = 10;
/// Most hashtags that can be asked for.
pub const MAX_HASHTAGS: u32 = 30;

/// How a draft should sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// Plain.
    Neutral,
    /// Warm.
    Friendly,
    /// Polite and businesslike.
    Formal,
    /// With a wink.
    Witty,
    /// With delight.
    Excited,
    /// Looking back or inward.
    Reflective,
}

impl Tone {
    /// Every tone, in the order they are listed to people.
    pub const ALL: [Tone; 6] = [Tone::Neutral, Tone::Friendly, Tone::Formal, Tone::Witty, Tone::Excited, Tone::Reflective];

    /// The tone's name, as it is written everywhere.
    pub fn id(self) -> &'static str {
        match self {
            Tone::Neutral => "neutral",
            Tone::Friendly => "friendly",
            Tone::Formal => "formal",
            Tone::Witty => "witty",
            Tone::Excited => "excited",
            Tone::Reflective => "reflective",
        }
    }

    /// Reads a tone's name.
    ///
    /// # Errors
    /// `bad-tone` for any other text.
    pub fn parse(name: &str) -> Result<Tone, ComposeError> {
        Tone::ALL.into_iter().find(|t| t.id() == name).ok_or_else(|| ComposeError::Tone { found: excerpt(name) })
    }
}

/// How long a draft should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetLength {
    /// At most 100 units.
    Short,
    /// At most 200 units.
    Medium,
    /// At most 500 units, or the network's limit if that is less.
    Long,
    /// At most this many units.
    Units(u32),
}

/// How many hashtags a draft may have. None is ever invented to reach a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashtags {
    /// No `#tag`.
    None,
    /// As the model likes, within reason.
    Auto,
    /// At most this many.
    AtMost(u32),
}

impl Hashtags {
    /// Most hashtags a draft may have.
    pub fn most(self) -> u32 {
        match self {
            Hashtags::None => 0,
            Hashtags::Auto => 5,
            Hashtags::AtMost(most) => most,
        }
    }
}

/// Whether a draft may have emoji.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmojiRule {
    /// No emoji.
    None,
    /// As the model likes.
    Auto,
}

/// A brief as it comes from outside, before anything is checked.
#[derive(Clone, Copy, Debug)]
pub struct BriefOptions<'a> {
    /// What the post should say.
    pub brief: &'a str,
    /// One of the six tones.
    pub tone: &'a str,
    /// `short`, `medium`, `long` or a number of units.
    pub length: &'a str,
    /// One of the five networks.
    pub network: &'a str,
    /// `none`, `auto` or a number.
    pub hashtags: &'a str,
    /// `none` or `auto`.
    pub emoji: &'a str,
    /// Drafts wanted.
    pub count: u32,
    /// Same seed, same drafts.
    pub seed: u64,
}

impl Default for BriefOptions<'_> {
    fn default() -> Self {
        BriefOptions { brief: "", tone: "neutral", length: "medium", network: "x", hashtags: "none", emoji: "auto", count: 1, seed: 0 }
    }
}

/// What to write, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Brief {
    /// What the post should say; not blank.
    pub brief: String,
    /// How it should sound.
    pub tone: Tone,
    /// How long it should be.
    pub length: TargetLength,
    /// Where it goes.
    pub network: Network,
    /// How many hashtags it may have.
    pub hashtags: Hashtags,
    /// Whether it may have emoji.
    pub emoji: EmojiRule,
    /// Drafts wanted, 1 to 8.
    pub count: u32,
    /// Same seed, same drafts.
    pub seed: u64,
}

impl Brief {
    /// Checks every option.
    ///
    /// # Errors
    /// For the first option that is out of bounds, with what would be accepted.
    pub fn parse(options: BriefOptions) -> Result<Brief, ComposeError> {
        if options.brief.len() > MAX_BRIEF_BYTES {
            return Err(ComposeError::LongBrief { limit: MAX_BRIEF_BYTES, found: options.brief.len() });
        }
        if options.brief.chars().all(super::characters::is_blank) {
            return Err(ComposeError::EmptyBrief);
        }
        if !(1..=MAX_COUNT).contains(&options.count) {
            return Err(ComposeError::Count { found: options.count.to_string(), most: MAX_COUNT });
        }
        let network = Network::parse(options.network)?;
        Ok(Brief {
            brief: options.brief.trim().to_string(),
            tone: Tone::parse(options.tone)?,
            length: parse_length(options.length, network)?,
            network,
            hashtags: parse_hashtags(options.hashtags)?,
            emoji: parse_emoji(options.emoji)?,
            count: options.count,
            seed: options.seed,
        })
    }

    /// The hard maximum of a draft, in the network's unit.
    pub fn max_units(&self) -> u32 {
        let most = match self.length {
            TargetLength::Short => 100,
            TargetLength::Medium => 200,
            TargetLength::Long => 500,
            TargetLength::Units(n) => n,
        };
        most.min(self.network.limit())
    }
}

fn parse_length(name: &str, network: Network) -> Result<TargetLength, ComposeError> {
    match name {
        "short" => Ok(TargetLength::Short),
        "medium" => Ok(TargetLength::Medium),
        "long" => Ok(TargetLength::Long),
        number => match number.parse() {
            Ok(n) if (MIN_UNITS..=network.limit()).contains(&n) && is_plain_number(number) => Ok(TargetLength::Units(n)),
            _ => Err(ComposeError::Length { found: excerpt(number), least: MIN_UNITS, most: network.limit() }),
        },
    }
}

fn parse_hashtags(name: &str) -> Result<Hashtags, ComposeError> {
    match name {
        "none" => Ok(Hashtags::None),
        "auto" => Ok(Hashtags::Auto),
        number => match number.parse() {
            Ok(0) if is_plain_number(number) => Ok(Hashtags::None),
            Ok(n) if n <= MAX_HASHTAGS && is_plain_number(number) => Ok(Hashtags::AtMost(n)),
            _ => Err(ComposeError::Hashtags { found: excerpt(number), most: MAX_HASHTAGS }),
        },
    }
}

fn parse_emoji(name: &str) -> Result<EmojiRule, ComposeError> {
    match name {
        "none" => Ok(EmojiRule::None),
        "auto" => Ok(EmojiRule::Auto),
        other => Err(ComposeError::Emoji { found: excerpt(other) }),
    }
}

/// Digits only: Rust also reads "+5".
fn is_plain_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}
