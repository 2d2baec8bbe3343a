//! A loaded model, ready to write: files, device choice, self-test, tokenizer and session in one place, for the command line and the page.

mod defaults;
mod device;
mod generation;
mod info;
mod loading;

pub use defaults::{SamplingOverrides, Writing};
pub use device::DeviceReport;
pub use generation::{GenerateRequest, Generated, Generation, Input};
pub use info::ModelInfo;

use crate::{
    Error, LocalFuture, Result,
    compose::PromptStyle,
    model::{
        ModelConfig, ModelError,
        arch::{self, Blueprint},
    },
    session::{Request, SamplingParams, Session},
    source::{Checkpoint, Description, ModelFiles, gguf::Value},
    text::{ChatTemplate, TextError, Tokenizer},
};
use loading::Loader;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Which device is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU that is not a software one and passes the self-test, else the CPU.
    Auto,
    /// Any GPU adapter, or an error.
    Gpu,
    /// The CPU.
    Cpu,
}

/// What is being done while a model loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Headers and the tokenizer are read.
    Read,
    /// Weights stream to the device.
    Upload,
    /// Kernels are compiled.
    Compile,
    /// The self-test runs.
    Warmup,
}

/// Is told of progress: stage, done, total.
pub type Progress = Rc<dyn Fn(Stage, u64, u64)>;

/// What the host lends to the core, which has no clock, scheduler or screen of its own.
#[derive(Clone, Default)]
pub struct Host {
    /// Milliseconds from any fixed point.
    pub clock: Option<Rc<dyn Fn() -> f64>>,
    /// Gives other work a turn; awaited between pieces of long CPU work.
    pub pause: Option<Rc<dyn Fn() -> LocalFuture<'static, ()>>>,
    /// Awaited again and again while a GPU's result is due, for browsers that complete work on a slow timer (`gpu::GpuOptions`).
    pub gpu_pause: Option<Rc<dyn Fn() -> LocalFuture<'static, ()>>>,
    /// Told how far loading is.
    pub progress: Option<Progress>,
    /// Only adapters whose name contains this are taken.
    pub adapter: Option<String>,
    /// By the adapter's name: the kernels that an earlier load found to be the fastest (`DeviceInfo::variants`).
    pub kernels: BTreeMap<String, String>,
}

impl Host {
    fn tell(&self, stage: Stage, done: u64, total: u64) {
        if let Some(progress) = &self.progress {
            progress(stage, done, total);
        }
    }
}

/// How to load a model.
#[derive(Clone)]
pub struct EngineOptions {
    /// Where to run.
    pub device: DeviceChoice,
    /// Most drafts together, 1 to 8.
    pub count: u32,
    /// Positions a draft may have, prompt included.
    pub context: u32,
    /// f32 activations everywhere. Else the CPU rounds them to 8 bits where they meet packed integers, several times as fast.
    pub exact: bool,
    /// Most bytes that the caches of all drafts may take: a large model gets fewer positions, though never less than 256.
    pub max_cache_bytes: u64,
    /// What the host lends.
    pub host: Host,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions {
            device: DeviceChoice::Auto,
            count: 1,
            context: 1024,
            exact: false,
            max_cache_bytes: u64::MAX,
            host: Host::default(),
        }
    }
}

impl EngineOptions {
    /// Positions that fit the bytes allowed for caches.
    fn context_for(&self, config: &ModelConfig) -> u32 {
        let width = u64::from(config.num_key_value_heads) * u64::from(config.head_dim);
        let position_bytes = u64::from(self.count) * u64::from(config.num_hidden_layers) * 2 * 4 * width;
        let fitting = (self.max_cache_bytes / position_bytes.max(1)).clamp(256, u64::from(u32::MAX));
        self.context.min(fitting as u32)
    }
}

/// A loaded model.
pub struct Engine {
    /// What the file says of itself.
    pub info: ModelInfo,
    /// Which device runs, and why.
    pub device: DeviceReport,
    /// Text ↔ ids.
    pub tokenizer: Tokenizer,
    /// The model's own chat template, if it has one.
    pub template: Option<ChatTemplate>,
    /// How the model wants to be asked for a post.
    pub prompt_style: PromptStyle,
    /// How the model wants to be sampled.
    pub sampling: SamplingParams,
    /// How drafts are best written with the model.
    pub writing: Writing,
    /// Runs requests.
    pub session: Session,
}

impl Engine {
    /// Reads headers and tokenizer, picks the device, compiles for it, streams the weights to it, and tests it.
    ///
    /// # Errors
    /// If a file is not a model that runs here, or no device that the options allow computes it correctly.
    pub async fn open(files: ModelFiles, options: EngineOptions) -> Result<Engine> {
        let Loaded { info, device, sampling, session, text, .. } = load(files, &options).await?;
        let Text { tokenizer, template, prompt_style, writing } = text?;
        Ok(Engine { info, device, tokenizer, template, prompt_style, sampling, writing, session })
    }

    /// Prompt ids of an input, with what its kind adds.
    ///
    /// # Errors
    /// If a chat is asked for and the model has no template, or the template fails.
    pub fn prompt(&self, input: &Input) -> Result<Vec<u32>> {
        Ok(match input {
            Input::Tokens(tokens) => tokens.clone(),
            Input::Prompt(text) => self.tokenizer.encode(text),
            Input::Messages(messages) => match &self.template {
                Some(template) => template.encode(&self.tokenizer, messages, &Default::default())?.1,
                None => return Err(crate::text::TextError::no_template().into()),
            },
        })
    }

    /// Starts a generation.
    ///
    /// # Errors
    /// If the request is out of bounds or the device fails.
    pub async fn generate(&mut self, request: GenerateRequest) -> Result<Generation> {
        let prompt = self.prompt(&request.input)?;
        let end_tokens = if request.ignore_end { Vec::new() } else { self.tokenizer.end_tokens() };
        let sampling = request.sampling.over(self.sampling);
        let request_ids = Request {
            prompt,
            count: request.count,
            max_tokens: request.max_tokens,
            sampling,
            seed: request.seed,
            end_tokens,
            fresh: request.fresh,
            ..Request::default()
        };
        self.session.start(&request_ids).await?;
        Ok(Generation::new(request.count, request.stop, &self.tokenizer))
    }
}

/// A model on a device, whether or not it can speak.
pub struct Loaded {
    /// What the file says of itself.
    pub info: ModelInfo,
    /// Which device runs, and why.
    pub device: DeviceReport,
    /// How the model wants to be sampled.
    pub sampling: SamplingParams,
    /// Runs requests.
    pub session: Session,
    /// Tokenizer and template. A model without a tokenizer still computes logits; one with a bad tokenizer is not loaded at all.
    pub text: Result<Text, TextError>,
}

/// Text ↔ ids of a model.
pub struct Text {
    /// Text ↔ ids.
    pub tokenizer: Tokenizer,
    /// The model's own chat template, if it has one.
    pub template: Option<ChatTemplate>,
    /// How the model wants to be asked for a post.
    pub prompt_style: PromptStyle,
    /// How drafts are best written with the model.
    pub writing: Writing,
}

/// Reads headers and tokenizer, picks the device, compiles for it, streams the weights to it, and tests it.
///
/// # Errors
/// If a file is not a model that runs here, or no device that the options allow computes it correctly.
pub async fn load(files: ModelFiles, options: &EngineOptions) -> Result<Loaded> {
    options.host.tell(Stage::Read, 0, 1);
    let checkpoint = Checkpoint::open(files).await?;
    let blueprint = arch::interpret(&checkpoint).await?;
    let text = match text(&checkpoint, &blueprint) {
        Err(Error::Text(error)) if error.is_absence() => Err(error),
        text => Ok(text?),
    };
    let sampling = defaults::sampling(&checkpoint);
    let info = ModelInfo::new(&checkpoint, &blueprint);
    options.host.tell(Stage::Read, 1, 1);
    let (session, device) = Loader { checkpoint: &checkpoint, blueprint: &blueprint, options }.load().await?;
    Ok(Loaded { info, device, sampling, session, text })
}

fn text(checkpoint: &Checkpoint, blueprint: &Blueprint) -> Result<Text> {
    let tokenizer = Tokenizer::open(&checkpoint.description, &checkpoint.companions)?;
    check_vocabulary(&tokenizer, blueprint)?;
    let template = ChatTemplate::open(&checkpoint.description, &checkpoint.companions)?;
    let asked = match &checkpoint.description {
        Description::Gguf(metadata) => metadata.get(PromptStyle::KEY),
        Description::HuggingFace(_) => None,
    };
    let prompt_style = PromptStyle::from_metadata(match asked {
        Some(Value::String(style)) => Some(style),
        _ => None,
    });
    let writing = defaults::writing(checkpoint, &tokenizer);
    Ok(Text { tokenizer, template, prompt_style, writing })
}

fn check_vocabulary(tokenizer: &Tokenizer, blueprint: &Blueprint) -> Result<(), ModelError> {
    let vocab_size = blueprint.config.vocab_size;
    match tokenizer.max_id() {
        max_id if max_id >= vocab_size => Err(ModelError::Vocabulary { max_id, vocab_size }),
        _ => Ok(()),
    }
}
