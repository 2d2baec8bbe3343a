//! One integration-test binary.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod formats;
mod quant;
mod support;
mod text;
