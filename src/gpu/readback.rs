//! Device → host: waiting for a callback, and the staging buffers that draws come back in.
//!
//! The only difference between native and web in this crate's use of the GPU is here: natively someone must poll the device for
//! callbacks to run, on the web the event loop does it.

use crate::LocalFuture;
use crate::plan::MachineError;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A short rest that lets the host's event loop turn.
pub type Pause = Rc<dyn Fn() -> LocalFuture<'static, ()>>;

/// A value that a callback brings once.
pub(super) struct Signal<T>(Arc<Mutex<State<T>>>);

struct State<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

impl<T> Clone for Signal<T> {
    fn clone(&self) -> Signal<T> {
        Signal(self.0.clone())
    }
}

impl<T> Signal<T> {
    pub(super) fn new() -> Signal<T> {
        Signal(Arc::new(Mutex::new(State { value: None, waker: None })))
    }

    /// Brings the value and wakes who waits for it.
    pub(super) fn set(&self, value: T) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.value = Some(value);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn poll(&self, context: &Context<'_>) -> Poll<T> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// What is needed to wait for a device.
#[derive(Clone)]
pub(super) struct Waiter {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pause: Option<Pause>,
}

impl Waiter {
    /// Waits for a signal that a callback of the submission sets, but for no later submission.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) async fn wait<T>(&self, signal: &Signal<T>, submission: &wgpu::SubmissionIndex) -> Result<T, MachineError> {
        let lost = |reason: String| MachineError::Lost { reason };
        loop {
            let due = match self.pause {
                Some(_) => wgpu::PollType::Poll,
                None => wgpu::PollType::Wait { submission_index: Some(submission.clone()), timeout: None },
            };
            self.device.poll(due).map_err(|error| lost(error.to_string()))?;
            if let Poll::Ready(value) = poll_fn(|context| Poll::Ready(signal.poll(context))).await {
                return Ok(value);
            }
            match &self.pause {
                Some(pause) => pause().await,
                None => return Err(lost("a submission completed without its callback".to_string())),
            }
        }
    }

    /// Waits for a signal, with an empty submission after each pause.
    #[cfg(target_arch = "wasm32")]
    pub(super) async fn wait<T>(&self, signal: &Signal<T>, _submission: &wgpu::SubmissionIndex) -> Result<T, MachineError> {
        let mut pausing: Option<LocalFuture<'static, ()>> = None;
        let value = poll_fn(|context| {
            if let Poll::Ready(value) = signal.poll(context) {
                return Poll::Ready(value);
            }
            while let Some(pause) = &self.pause {
                if pausing.get_or_insert_with(|| pause()).as_mut().poll(context).is_pending() {
                    break;
                }
                pausing = None;
                self.queue.submit([]);
            }
            Poll::Pending
        });
        Ok(value.await)
    }

    /// Waits until everything submitted so far is done.
    pub(super) async fn drain(&self) -> Result<(), MachineError> {
        let submission = self.queue.submit([]);
        let done = Signal::new();
        let callback = done.clone();
        self.queue.on_submitted_work_done(move || callback.set(()));
        self.wait(&done, &submission).await
    }

    /// Copies the first bytes of a buffer to the host.
    pub(super) async fn read<T: bytemuck::Pod>(&self, source: &wgpu::Buffer, bytes: u64) -> Result<Vec<T>, MachineError> {
        let staging = staging(&self.device, bytes);
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(source, 0, &staging, 0, Some(bytes));
        let submission = self.queue.submit([encoder.finish()]);
        Arriving::new(staging, bytes, submission).take(self).await
    }
}

/// A staging buffer on its way back.
pub(super) struct Arriving {
    buffer: wgpu::Buffer,
    bytes: u64,
    mapped: Signal<Result<(), wgpu::BufferAsyncError>>,
    submission: wgpu::SubmissionIndex,
}

impl Arriving {
    /// Asks for the first bytes of a staging buffer that the submission fills.
    pub(super) fn new(buffer: wgpu::Buffer, bytes: u64, submission: wgpu::SubmissionIndex) -> Arriving {
        let mapped = Signal::new();
        let callback = mapped.clone();
        buffer.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| callback.set(result));
        Arriving { buffer, bytes, mapped, submission }
    }

    /// Waits for the bytes, as plain values; the buffer is free afterwards.
    pub(super) async fn take<T: bytemuck::Pod>(&self, waiter: &Waiter) -> Result<Vec<T>, MachineError> {
        let lost = |reason: String| MachineError::Lost { reason };
        waiter.wait(&self.mapped, &self.submission).await?.map_err(|error| lost(error.to_string()))?;
        let view = self.buffer.slice(..self.bytes).get_mapped_range().map_err(|error| lost(error.to_string()))?;
        let values = bytemuck::pod_collect_to_vec(&view[..]);
        drop(view);
        self.buffer.unmap();
        Ok(values)
    }

    /// The staging buffer, for reuse.
    pub(super) fn into_buffer(self) -> wgpu::Buffer {
        self.buffer
    }
}

/// A buffer to read results in.
pub(super) fn staging(device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("staging"),
        size: bytes,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}
