//! One integration-test binary.
mod cpu;
mod devices;
mod formats;
mod models;
mod quant;
mod session;
mod support;
