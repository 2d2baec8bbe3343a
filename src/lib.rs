//! Kinglet writes short posts on the writer's own device: a purpose-built decoder in WebGPU shaders, and the composer around it.
//!
//! One token, start to finish: `compose` turns a brief into prompt ids, `session` prefills them and keeps several decoding steps in
//! flight, `plan` holds the forward pass as a flat list of operations, `gpu` replays it as dispatches (or `cpu` as functions over
//! slices), sampling happens on the device, and only token ids come back, to become text in `text` and a verdict in `compose`.

pub mod compose;
pub mod cpu;
pub mod engine;
pub mod error;
pub mod gpu;
pub mod model;
pub mod plan;
pub mod quant;
pub mod session;
pub mod source;
pub mod text;
#[cfg(target_arch = "wasm32")]
mod wasm;

pub use error::{Error, Result};

/// A future that stays on its thread: wasm has one thread, and native uses `pollster::block_on`.
pub type LocalFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + 'a>>;
