//! One integration-test binary.
mod cpu;
mod cpu_machine;
mod sampler;
