//! One integration-test binary.
mod cpu;
mod machines;
mod ops;
mod plan_gpu;
mod shaders;
