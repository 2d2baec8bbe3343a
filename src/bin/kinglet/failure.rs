//! What the command line prints when something fails.

/// An error with its stable code and the exit code it leads to.
pub struct Failure {
    pub code: String,
    pub message: String,
    pub exit_code: u8,
}

impl Failure {
    /// Input or usage is at fault.
    pub fn input(code: &str, message: impl Into<String>) -> Failure {
        Failure { code: code.to_string(), message: message.into(), exit_code: 2 }
    }

    /// The machine is at fault.
    pub fn machine(code: &str, message: impl Into<String>) -> Failure {
        Failure { code: code.to_string(), message: message.into(), exit_code: 1 }
    }
}

impl<E: Into<kinglet::Error>> From<E> for Failure {
    fn from(error: E) -> Failure {
        let error = error.into();
        let exit_code = if error.is_bad_input() { 2 } else { 1 };
        Failure { code: error.code().to_string(), message: error.to_string(), exit_code }
    }
}
