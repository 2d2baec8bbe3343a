//! session.
/// Error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// Placeholder until the module lands.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
}
impl SessionError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        "bad-request"
    }
}
