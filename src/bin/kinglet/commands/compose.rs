//! `kinglet compose` and `kinglet check`.

use crate::{
    arguments::{Check, Common, Compose},
    failure::Failure,
    host,
};
use kinglet::{
    compose::{Brief, BriefOptions, Composer, DraftEvent, MAX_COUNT, Network, check as check_text},
    engine::Engine,
};
use std::path::Path;

pub fn run(options: &Compose, common: &Common) -> Result<(), Failure> {
    let seed = options.seed.unwrap_or_else(host::random_seed);
    let rows = match &options.briefs {
        Some(file) => read_briefs(file)?,
        None => vec![Row { brief: options.brief.clone().unwrap_or_default(), ..Row::default() }],
    };
    let briefs = rows.iter().map(|row| row.parse(options, seed)).collect::<Result<Vec<Brief>, _>>()?;
    let model = match &options.model {
        Some(model) => model.clone(),
        None => host::bundled_model()?,
    };
    let mut engine = host::engine(&model, common, MAX_COUNT, 1024)?;
    engine.writing.boost = options.boost.unwrap_or(engine.writing.boost);
    engine.writing.candidates = options.candidates.unwrap_or(engine.writing.candidates);
    engine.sampling.temperature = options.temperature.unwrap_or(engine.sampling.temperature);
    for (brief_index, brief) in briefs.iter().enumerate() {
        for draft in pollster::block_on(drafts(&mut engine, brief))? {
            let line = match common.json {
                true if options.briefs.is_some() => serde_json::to_string(&OfMany { brief_index, draft: &draft }),
                true => serde_json::to_string(&draft),
                false => Ok(format!("{}\n", draft.text)),
            };
            host::print_line(&line.expect("a draft is plain data"));
        }
    }
    if options.seed.is_none() {
        eprintln!("seed {seed}");
    }
    Ok(())
}

async fn drafts(engine: &mut Engine, brief: &Brief) -> kinglet::Result<Vec<DraftEvent>> {
    let mut composition = Composer::start(engine, brief).await?;
    let mut drafts = Vec::new();
    while let Some(event) = composition.next(engine).await? {
        if event.done {
            drafts.push(event);
        }
    }
    Ok(drafts)
}

/// A draft of one of many briefs.
#[derive(serde::Serialize)]
struct OfMany<'a> {
    brief_index: usize,
    #[serde(flatten)]
    draft: &'a DraftEvent,
}

/// A line of a file of briefs; what it leaves out is as the options say. Other fields are the file's own.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Row {
    brief: String,
    tone: Option<String>,
    length: Option<String>,
    network: Option<String>,
    hashtags: Option<String>,
    emoji: Option<String>,
}

impl Row {
    fn parse(&self, options: &Compose, seed: u64) -> Result<Brief, Failure> {
        Ok(Brief::parse(BriefOptions {
            brief: &self.brief,
            tone: self.tone.as_ref().unwrap_or(&options.tone),
            length: self.length.as_ref().unwrap_or(&options.length),
            network: self.network.as_ref().unwrap_or(&options.network),
            hashtags: self.hashtags.as_ref().unwrap_or(&options.hashtags),
            emoji: self.emoji.as_ref().unwrap_or(&options.emoji),
            count: options.count,
            seed,
        })?)
    }
}

fn read_briefs(file: &Path) -> Result<Vec<Row>, Failure> {
    let failed = |what: String| Failure::input("read-failed", format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let malformed =
        |at: usize, error: serde_json::Error| Failure::input("bad-request", format!("{}: line {}: {error}", file.display(), at + 1));
    lines.map(|(at, line)| serde_json::from_str(line).map_err(|error| malformed(at, error))).collect()
}

pub fn check(options: &Check, common: &Common) -> Result<(), Failure> {
    let network = Network::parse(&options.network)?;
    let result = check_text(network, &options.text);
    if common.json {
        host::print_line(&serde_json::to_string(&result).expect("a check is plain data"));
        return Ok(());
    }
    let verdict = if result.valid { "valid" } else { "not valid" };
    host::print_line(&format!("{verdict}: {} of {} {}", result.length.used, result.length.limit, result.length.unit));
    for problem in &result.problems {
        host::print_line(&format!("- {problem}"));
    }
    Ok(())
}
