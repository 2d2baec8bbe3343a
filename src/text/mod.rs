//! text.
/// Error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TextError {
    /// Placeholder until the module lands.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
}
impl TextError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        "bad-tokenizer"
    }
}
