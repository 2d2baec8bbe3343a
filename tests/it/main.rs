//! One integration-test binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

mod cpu;
mod cpu_machine;
mod sampler;
