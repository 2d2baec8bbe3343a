//! One integration-test binary.
mod cpu;
mod models;
mod support;
mod session;
