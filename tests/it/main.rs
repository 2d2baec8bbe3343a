//! One integration-test binary.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails, as it should")]

mod command_line;
mod compose;
mod composer;
mod cpu;
mod cpu_machine;
mod devices;
mod drafts;
mod formats;
mod layers;
mod loading;
mod machines;
mod models;
mod ops;
mod plan_gpu;
mod quant;
mod sampler;
mod session;
mod shaders;
mod support;
mod text;
