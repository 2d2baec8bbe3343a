//! One integration-test binary.
mod compose;
