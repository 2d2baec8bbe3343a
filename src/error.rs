//! The crate's one error: each module's enum, gathered, with a stable code for JavaScript and the command line.

/// A result, with the crate's error unless a module's own is named.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by the module that noticed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model file could not be read or is not valid.
    #[error(transparent)]
    Source(#[from] crate::source::SourceError),
    /// A tokenizer or chat template could not be read or used.
    #[error(transparent)]
    Text(#[from] crate::text::TextError),
    /// The metadata or the tensors do not describe a model this crate runs.
    #[error(transparent)]
    Model(#[from] crate::model::ModelError),
    /// The device could not be opened, ran out of memory, was lost, or computed wrongly.
    #[error(transparent)]
    Machine(#[from] crate::plan::MachineError),
    /// Sampling parameters or logits that the sampler alone cannot use.
    #[error(transparent)]
    Sample(#[from] crate::cpu::sample::distribution::SampleError),
    /// A generation was asked for that the session cannot run.
    #[error(transparent)]
    Session(#[from] crate::session::SessionError),
    /// A brief or an option of it is out of bounds.
    #[error(transparent)]
    Compose(#[from] crate::compose::ComposeError),
}

impl Error {
    /// The stable code that crosses to JavaScript and to stderr.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Source(e) => e.code(),
            Error::Text(e) => e.code(),
            Error::Model(e) => e.code(),
            Error::Machine(e) => e.code(),
            Error::Sample(e) => e.code(),
            Error::Session(e) => e.code(),
            Error::Compose(e) => e.code(),
        }
    }

    /// Whether the input is at fault (exit code 2) rather than the machine (exit code 1).
    pub fn is_bad_input(&self) -> bool {
        !matches!(self, Error::Machine(_)) && self.code() != "read-failed"
    }
}
