//! The door to JavaScript, and the only file that knows it: plain data in, plain data and futures out.
//!
//! JavaScript asks one thing at a time; the worker's loop sees to it. Nothing exported is `&mut` over an await, so a second ask is an error
//! and not a panic, and a cancel can be called while a step is under way.

mod host;
mod plain;

use crate::{
    compose::{Brief, Composer, Composition},
    engine::{Engine, EngineOptions, GenerateRequest, Generation, Host},
};
use plain::{AskedGeneration, Info, LoadOptions, Measurement, busy, event, give, parse, thrown};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::Poll,
};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `{ weights: { name, source }[], companions: { config?: string, … } }`
    pub type Files;
    #[wasm_bindgen(method, getter)]
    fn weights(this: &Files) -> Vec<NamedFile>;
    #[wasm_bindgen(method, getter)]
    fn companions(this: &Files) -> JsValue;

    pub type NamedFile;
    #[wasm_bindgen(method, getter)]
    fn name(this: &NamedFile) -> String;
    #[wasm_bindgen(method, getter)]
    fn source(this: &NamedFile) -> FileSource;

    /// `{ size: number, read(start: number, end: number): Promise<Uint8Array> }`
    pub type FileSource;
    #[wasm_bindgen(method, getter)]
    fn size(this: &FileSource) -> f64;
    #[wasm_bindgen(method, catch)]
    async fn read(this: &FileSource, start: f64, end: f64) -> Result<JsValue, JsValue>;

    /// `{ progress(stage, done, total): void, pause(): Promise<void>, wait(): Promise<void>, now(): number, slowCompletion: boolean }`
    pub type JsHost;
    #[wasm_bindgen(method)]
    fn progress(this: &JsHost, stage: &str, done: f64, total: f64);
    #[wasm_bindgen(method)]
    async fn pause(this: &JsHost);
    #[wasm_bindgen(method)]
    async fn wait(this: &JsHost);
    #[wasm_bindgen(method, getter, js_name = slowCompletion)]
    fn slow_completion(this: &JsHost) -> bool;
    #[wasm_bindgen(method)]
    fn now(this: &JsHost) -> f64;
}

/// Most drafts together; the page and the package promise eight.
const COUNT: u32 = 8;
/// Positions a draft may have, prompt included.
const CONTEXT: u32 = 1024;
/// Most bytes of all caches together.
const MAX_CACHE_BYTES: u64 = 256 << 20;

/// A loaded model.
#[wasm_bindgen]
pub struct Kinglet {
    engine: Rc<RefCell<Engine>>,
    clock: Clock,
}

/// Milliseconds from any fixed point.
type Clock = Rc<dyn Fn() -> f64>;

/// Loads a model from opened files.
///
/// # Errors
/// `{ code, message }`, as from everything here.
#[wasm_bindgen]
pub async fn load(files: Files, options: JsValue, host: JsHost) -> Result<Kinglet, JsValue> {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
    let LoadOptions { device, exact, kernels } = parse(options)?;
    let files = host::model_files(&files)?;
    let host = Rc::new(host);
    let options = EngineOptions {
        device: device.into(),
        count: COUNT,
        context: CONTEXT,
        exact,
        max_cache_bytes: MAX_CACHE_BYTES,
        host: Host { kernels, ..host::core_host(host.clone()) },
    };
    let engine = Engine::open(files, options).await.map_err(thrown)?;
    Ok(Kinglet { engine: Rc::new(RefCell::new(engine)), clock: Rc::new(move || host.now()) })
}

#[wasm_bindgen]
impl Kinglet {
    /// What was loaded, and what runs it.
    pub fn info(&self) -> Result<JsValue, JsValue> {
        let engine = self.engine.try_borrow().map_err(|_| busy())?;
        give(&Info {
            model: &engine.info.name,
            parameters: engine.info.parameters as f64,
            bytes: engine.info.bytes as f64,
            context_length: engine.session.max_seq(),
            variants: &engine.device.info.variants,
            device: &engine.device,
        })
    }

    /// Bytes held on the device; 0 while it is at work.
    #[wasm_bindgen(js_name = deviceBytes)]
    pub fn device_bytes(&self) -> f64 {
        self.engine.try_borrow().map_or(0.0, |engine| engine.session.machine().bytes() as f64)
    }

    /// Drafts from a brief.
    pub fn compose(&self, brief: JsValue) -> Result<Work, JsValue> {
        let brief = plain::brief(brief)?;
        Ok(Work::new(&self.engine, Step::ToCompose(brief)))
    }

    /// Tokens from tokens, a prompt or a chat.
    pub fn generate(&self, generation: JsValue) -> Result<Work, JsValue> {
        let generation: AskedGeneration = parse(generation)?;
        Ok(Work::new(&self.engine, Step::ToGenerate(generation.into())))
    }

    /// What bounds the device, for decoding `count` sequences together: one event.
    pub fn measure(&self, count: u32) -> Work {
        Work::new(&self.engine, Step::ToMeasure(count, self.clock.clone()))
    }
}

/// A piece of work: ask it for the next event until there is none.
#[wasm_bindgen]
pub struct Work {
    engine: Rc<RefCell<Engine>>,
    step: RefCell<Step>,
    cancelled: Cell<bool>,
}

/// Where a piece of work stands.
enum Step {
    ToCompose(Brief),
    ToGenerate(GenerateRequest),
    ToMeasure(u32, Clock),
    Measured,
    Composing(Composition),
    Generating(Generation),
}

#[wasm_bindgen]
impl Work {
    /// The next event, or `undefined` after the last one and after a cancel.
    pub async fn next(&self) -> Result<JsValue, JsValue> {
        let mut advance = pin!(self.advance());
        // Many steps may pass without an event, so a cancel is looked for at each wait; work may be dropped wherever it waits.
        poll_fn(|context| match self.cancelled.get() {
            true => Poll::Ready(Ok(JsValue::UNDEFINED)),
            false => advance.as_mut().poll(context),
        })
        .await
    }

    /// Tokens of the prompt that were computed for it, once the first event is there: the rest was still in the caches.
    #[wasm_bindgen(js_name = prefilledTokens)]
    pub fn prefilled_tokens(&self) -> u32 {
        self.engine.try_borrow().map_or(0, |engine| engine.session.counters().prefilled + 1)
    }

    /// Makes every later `next` answer `undefined`, and the one under way at its next wait. What the device has in flight is drained by
    /// whatever runs next.
    pub fn cancel(&self) {
        self.cancelled.set(true);
    }
}

impl Work {
    #[allow(clippy::await_holding_refcell_ref, reason = "a second ask meets `try_borrow_mut` and gets an error")]
    async fn advance(&self) -> Result<JsValue, JsValue> {
        let mut engine = self.engine.try_borrow_mut().map_err(|_| busy())?;
        let mut step = self.step.try_borrow_mut().map_err(|_| busy())?;
        let begun = match &*step {
            Step::ToCompose(brief) => Some(Step::Composing(Composer::start(&mut engine, brief).await.map_err(thrown)?)),
            Step::ToGenerate(request) => Some(Step::Generating(engine.generate(request.clone()).await.map_err(thrown)?)),
            Step::ToMeasure(count, clock) => {
                let measured = measure(&mut engine, *count, clock.as_ref()).await;
                *step = Step::Measured;
                return event(measured.map(Some));
            }
            _ => None,
        };
        if let Some(begun) = begun {
            *step = begun;
        }
        match &mut *step {
            Step::Composing(composition) => event(composition.next(&mut engine).await),
            Step::Generating(generation) => event(generation.next(&mut engine).await),
            _ => Ok(JsValue::UNDEFINED),
        }
    }

    fn new(engine: &Rc<RefCell<Engine>>, step: Step) -> Work {
        Work { engine: engine.clone(), step: RefCell::new(step), cancelled: Cell::new(false) }
    }
}

async fn measure(engine: &mut Engine, count: u32, clock: &dyn Fn() -> f64) -> crate::Result<Measurement> {
    let counters = engine.session.counters();
    let roofline = engine.session.roofline(clock).await?;
    Ok(Measurement {
        gigabytes_per_second: roofline.read_gb_s,
        dispatch_microseconds: roofline.dispatch_us,
        round_trip_microseconds: roofline.round_trip_us,
        gigamultiplies_per_second: roofline.multiply_gmac_s,
        weight_bytes: engine.session.weights().bytes_per_step() as f64,
        dispatches: engine.session.dispatches_per_step(count),
        steps: counters.steps,
        submissions: counters.submissions,
        readbacks: counters.readbacks,
    })
}
