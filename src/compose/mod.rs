//! compose.
/// Error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ComposeError {
    /// Placeholder until the module lands.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
}
impl ComposeError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        "bad-brief"
    }
}
