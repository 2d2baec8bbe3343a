//! The networks a post can be written for: how much each takes and in which unit it counts.
//!
//! Sources: X's config/v3.json; the lexicon app.bsky.feed.post; Mastodon's instance API (500 unless an instance says otherwise);
//! the Threads API reference; LinkedIn's share limit. Checked in November 2026. A new network is a row in each match here.

use super::ComposeError;
use serde::Serialize;

/// Where a post is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// X, formerly Twitter: 280 weighted units.
    X,
    /// Bluesky: 300 graphemes and 3,000 bytes.
    Bluesky,
    /// Mastodon: 500 characters, links at a flat price.
    Mastodon,
    /// Threads: 500 characters, emoji at their bytes.
    Threads,
    /// LinkedIn: 3,000 UTF-16 units.
    LinkedIn,
}

/// What a length is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// X's weighted characters: 1 for most alphabets, 2 for the rest and for an emoji, 23 for a link.
    XWeight,
    /// Extended grapheme clusters: what a reader calls a character.
    Graphemes,
    /// Characters by the network's own rule, which prices links, mentions or emoji apart.
    Characters,
    /// UTF-16 code units.
    Utf16,
}

impl Unit {
    /// The unit's name as it is printed and serialised.
    pub fn name(self) -> &'static str {
        match self {
            Unit::XWeight => "x-weight",
            Unit::Graphemes => "graphemes",
            Unit::Characters => "characters",
            Unit::Utf16 => "utf16",
        }
    }
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Network {
    /// Every network, in the order they are listed to people.
    pub const ALL: [Network; 5] = [Network::X, Network::Bluesky, Network::Mastodon, Network::Threads, Network::LinkedIn];

    /// Reads a network's name as the command line and the JavaScript API spell it.
    ///
    /// # Errors
    /// `bad-network` for any other text.
    pub fn parse(name: &str) -> Result<Network, ComposeError> {
        Network::ALL.into_iter().find(|n| n.id() == name).ok_or_else(|| ComposeError::Network { found: super::error::excerpt(name) })
    }

    /// The name `parse` reads.
    pub fn id(self) -> &'static str {
        match self {
            Network::X => "x",
            Network::Bluesky => "bluesky",
            Network::Mastodon => "mastodon",
            Network::Threads => "threads",
            Network::LinkedIn => "linkedin",
        }
    }

    /// The name people know.
    pub fn label(self) -> &'static str {
        match self {
            Network::X => "X",
            Network::Bluesky => "Bluesky",
            Network::Mastodon => "Mastodon",
            Network::Threads => "Threads",
            Network::LinkedIn => "LinkedIn",
        }
    }

    /// The most a post may measure, in `unit`.
    pub fn limit(self) -> u32 {
        match self {
            Network::X => 280,
            Network::Bluesky => 300,
            Network::Mastodon | Network::Threads => 500,
            Network::LinkedIn => 3000,
        }
    }

    /// What `limit` is counted in.
    pub fn unit(self) -> Unit {
        match self {
            Network::X => Unit::XWeight,
            Network::Bluesky => Unit::Graphemes,
            Network::Mastodon | Network::Threads => Unit::Characters,
            Network::LinkedIn => Unit::Utf16,
        }
    }

    /// The most UTF-8 bytes a post may have, where the network says so too.
    pub fn max_bytes(self) -> Option<u32> {
        (self == Network::Bluesky).then_some(3000)
    }

    /// The most different links a post may have, where the network says so.
    pub fn max_links(self) -> Option<u32> {
        (self == Network::Threads).then_some(5)
    }
}
