//! One integration-test binary.
mod text;
