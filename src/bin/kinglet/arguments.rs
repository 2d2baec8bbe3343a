//! What each command takes.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Small transformers that write finished, valid posts on your own device.
#[derive(Parser)]
#[command(name = "kinglet", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: Common,
}

/// Options of every command.
#[derive(Args)]
pub struct Common {
    /// Where to run; auto takes a real GPU that passes the self-test, else the CPU
    #[arg(long, value_enum, default_value = "auto", global = true)]
    pub device: Device,
    /// f32 activations everywhere: the reference arithmetic
    #[arg(long, global = true)]
    pub exact: bool,
    /// One JSON object per result line on stdout, and nothing else there
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Device {
    Auto,
    Gpu,
    Cpu,
}

#[derive(Subcommand)]
pub enum Command {
    /// Logits at every position, as a safetensors file
    Logits(Logits),
    /// Continue a prompt, a chat or token ids
    Generate(Generate),
    /// Text to token ids, or back
    Tokenize(Tokenize),
    /// Render a conversation with the model's own template
    ChatTemplate(ChatTemplate),
    /// The sampler alone
    Sample(Sample),
    /// Drafts of a post from a brief
    Compose(Compose),
    /// Whether a text is a valid post
    Check(Check),
    /// Measure loading, prefill and decoding
    Bench(Bench),
    /// A text's embedding (encoder models)
    Embed(Embed),
    /// What a model file holds
    Inspect(Inspect),
}

#[derive(Args)]
pub struct Model {
    /// A .gguf file, or a directory with config.json, model.safetensors and tokenizer.json
    #[arg(long)]
    pub model: PathBuf,
}

#[derive(Args)]
pub struct Logits {
    #[command(flatten)]
    pub model: Model,
    /// Token ids, separated by commas
    #[arg(long, value_delimiter = ',', required = true)]
    pub tokens: Vec<u32>,
    /// Where to write `logits`, f32 [num_tokens, vocab_size]
    #[arg(long)]
    pub out: PathBuf,
    /// Positions computed together
    #[arg(long, default_value_t = 64)]
    pub chunk: u32,
    /// Activations of 8 bits where the CPU has them, as the other commands
    #[arg(long, conflicts_with = "exact")]
    pub rounded: bool,
}

#[derive(Args)]
pub struct Sampling {
    /// 0 takes the best token
    #[arg(long)]
    pub temperature: Option<f32>,
    /// Only the k best tokens; 0 is off
    #[arg(long)]
    pub top_k: Option<u32>,
    /// Only the best tokens that make up this probability
    #[arg(long)]
    pub top_p: Option<f32>,
    /// Only tokens with this share of the best one's probability
    #[arg(long)]
    pub min_p: Option<f32>,
    /// Above 1, tokens that occurred become less likely
    #[arg(long)]
    pub repetition_penalty: Option<f32>,
    /// Same seed, same text; random without
    #[arg(long)]
    pub seed: Option<u64>,
}

#[derive(Args)]
#[group(id = "input", required = true, multiple = false, args = ["prompt", "chat", "tokens"])]
pub struct Generate {
    #[command(flatten)]
    pub model: Model,
    /// Text to continue
    #[arg(long)]
    pub prompt: Option<String>,
    /// A user's message, put into the model's chat template
    #[arg(long)]
    pub chat: Option<String>,
    /// Token ids to continue, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub tokens: Option<Vec<u32>>,
    /// Most tokens of a sequence
    #[arg(long, default_value_t = 128)]
    pub max_tokens: u32,
    #[command(flatten)]
    pub sampling: Sampling,
    /// Sequences of the same prompt, 1 to 8
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub count: u32,
    /// A text that ends a sequence; may be given several times
    #[arg(long)]
    pub stop: Vec<String>,
    /// Go on past end tokens
    #[arg(long)]
    pub ignore_eos: bool,
}

#[derive(Args)]
#[group(id = "direction", required = true, multiple = false, args = ["text", "detokenize"])]
pub struct Tokenize {
    #[command(flatten)]
    pub model: Model,
    /// Text to encode
    #[arg(long, allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Ids to decode, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub detokenize: Option<Vec<u32>>,
    /// Add no special tokens and parse none in the text
    #[arg(long)]
    pub no_special: bool,
}

#[derive(Args)]
pub struct ChatTemplate {
    #[command(flatten)]
    pub model: Model,
    /// A JSON file: a list of messages {role, content}, or an object with `messages` and template variables
    #[arg(long)]
    pub messages: PathBuf,
}

#[derive(Args)]
pub struct Sample {
    /// A safetensors file with `logits` (the last row counts), or a JSON list of numbers
    #[arg(long)]
    pub logits: PathBuf,
    /// A JSON object: temperature, top_k, top_p, min_p, repetition_penalty …
    #[arg(long)]
    pub params: String,
    /// Ids so far, separated by commas
    #[arg(long, value_delimiter = ',')]
    pub history: Option<Vec<u32>>,
    /// The uniform number that draws, 0 to below 1
    #[arg(long)]
    pub uniform: Option<f64>,
}

#[derive(Args)]
pub struct Compose {
    /// A model; the bundled one without
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// What the post is about
    #[arg(long, required_unless_present = "briefs", allow_hyphen_values = true)]
    pub brief: Option<String>,
    /// Many briefs: a file of JSON lines with brief, and if wanted tone, length, network, hashtags, emoji
    #[arg(long, conflicts_with = "brief")]
    pub briefs: Option<PathBuf>,
    /// How much likelier words of the brief are made until they are written; the model's own wish without
    #[arg(long)]
    pub boost: Option<f32>,
    /// Candidates written for each draft handed out, 1 to 4; the model's own wish without
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4))]
    pub candidates: Option<u32>,
    /// How freely tokens are drawn; the model's own wish without
    #[arg(long)]
    pub temperature: Option<f32>,
    /// neutral, friendly, formal, witty, excited or reflective
    #[arg(long, default_value = "neutral")]
    pub tone: String,
    /// short, medium, long, or a number of the network's units
    #[arg(long, default_value = "medium")]
    pub length: String,
    /// x, bluesky, mastodon, threads or linkedin
    #[arg(long, default_value = "x")]
    pub network: String,
    /// none, auto, or a number
    #[arg(long, default_value = "none")]
    pub hashtags: String,
    /// none or auto
    #[arg(long, default_value = "auto")]
    pub emoji: String,
    /// Drafts, 1 to 8
    #[arg(long, default_value_t = 1)]
    pub count: u32,
    /// Same seed, same drafts; random without
    #[arg(long)]
    pub seed: Option<u64>,
}

#[derive(Args)]
pub struct Check {
    /// x, bluesky, mastodon, threads or linkedin
    #[arg(long)]
    pub network: String,
    /// The post
    #[arg(long, allow_hyphen_values = true)]
    pub text: String,
}

#[derive(Args)]
pub struct Bench {
    #[command(flatten)]
    pub model: Model,
    /// Tokens of the prompt
    #[arg(long, default_value_t = 64)]
    pub prompt_tokens: u32,
    /// Tokens decoded in each sequence
    #[arg(long, default_value_t = 64)]
    pub max_tokens: u32,
    /// Sequences together, 1 to 8; above 1, one alone is timed beside them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8))]
    pub count: u32,
    /// Timed runs, after one that warms up
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// The device's bandwidth in GB/s as its maker states it: the bound takes 75 % of it where that is more than was measured
    #[arg(long)]
    pub bandwidth: Option<f64>,
    /// Time each kernel of a decoding step on the device
    #[arg(long)]
    pub profile: bool,
}

#[derive(Args)]
pub struct Embed {
    #[command(flatten)]
    pub model: Model,
    /// The text
    #[arg(long, allow_hyphen_values = true)]
    pub text: String,
}

#[derive(Args)]
pub struct Inspect {
    /// A model file or directory
    pub model: PathBuf,
}
