//! One integration-test binary.
mod cpu;
