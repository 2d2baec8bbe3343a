//! One integration-test binary.
mod formats;
mod quant;
mod support;
