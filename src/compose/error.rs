//! What can be wrong with a brief or an option of it, in words that say what to do.

/// A brief, or an option of it, that cannot be composed from.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ComposeError {
    /// There is nothing to write about.
    #[error("the brief is empty: say in a few words what the post should be about")]
    EmptyBrief,
    /// The brief is longer than any brief is.
    #[error("the brief is {found} bytes long, at most {limit} are read: shorten it to what the post should say")]
    LongBrief {
        /// Most bytes taken.
        limit: usize,
        /// Bytes given.
        found: usize,
    },
    /// The tone is not one of the six.
    #[error("unknown tone {found:?}: use one of neutral, friendly, formal, witty, excited, reflective")]
    Tone {
        /// The tone given.
        found: String,
    },
    /// The network is not one of the five.
    #[error("unknown network {found:?}: use one of x, bluesky, mastodon, threads, linkedin")]
    Network {
        /// The network given.
        found: String,
    },
    /// The length is neither a name nor a number the network allows.
    #[error("length {found:?} does not fit: use short, medium, long or a whole number from {least} to {most}")]
    Length {
        /// The length given.
        found: String,
        /// Least number taken.
        least: u32,
        /// The network's limit.
        most: u32,
    },
    /// The number of drafts is out of range.
    #[error("count {found} does not fit: use a whole number from 1 to {most}")]
    Count {
        /// The count given.
        found: String,
        /// Most drafts.
        most: u32,
    },
    /// The hashtag rule is not known.
    #[error("hashtags {found:?} does not fit: use none, auto or a whole number from 0 to {most}")]
    Hashtags {
        /// The rule given.
        found: String,
        /// Most hashtags.
        most: u32,
    },
    /// The emoji rule is not known.
    #[error("emoji {found:?} does not fit: use none or auto")]
    Emoji {
        /// The rule given.
        found: String,
    },
    /// The model's context is too small for a prompt and a draft.
    #[error("the model reads {found} tokens at once, composing needs at least {needed}: use a model with a longer context")]
    Context {
        /// Tokens needed.
        needed: u32,
        /// Tokens the session holds.
        found: u32,
    },
    /// The model produced no word that could be made into a draft.
    #[error("the model wrote no words for draft {index} in {attempts} attempts: try another brief, another seed or another model")]
    NoWords {
        /// Which draft.
        index: u32,
        /// Attempts made.
        attempts: u32,
    },
}

impl ComposeError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            ComposeError::EmptyBrief | ComposeError::LongBrief { .. } => "bad-brief",
            ComposeError::Tone { .. } => "bad-tone",
            ComposeError::Network { .. } => "bad-network",
            ComposeError::Length { .. } => "bad-length",
            ComposeError::Count { .. } => "bad-count",
            ComposeError::Hashtags { .. } => "bad-hashtags",
            ComposeError::Emoji { .. } => "bad-emoji",
            ComposeError::Context { .. } => "context-too-short",
            ComposeError::NoWords { .. } => "no-words",
        }
    }
}

/// The start of a text, short enough for a message.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
