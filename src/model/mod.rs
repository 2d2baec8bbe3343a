//! model.
/// Error.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// Placeholder until the module lands.
    #[error("{what}: {reason}")]
    Invalid {
        /// Which.
        what: String,
        /// Why.
        reason: String,
    },
}
impl ModelError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        "unsupported-model"
    }
}
