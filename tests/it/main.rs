//! One integration-test binary.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod compose;
mod cpu;
mod cpu_machine;
mod devices;
mod formats;
mod layers;
mod models;
mod quant;
mod sampler;
mod session;
mod support;
