//! One integration-test binary.
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
