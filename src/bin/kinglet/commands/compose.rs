//! `kinglet compose` and `kinglet check`.

use crate::{
    arguments::{Check, Common, Compose},
    failure::Failure,
    host,
};
use kinglet::compose::{Brief, BriefOptions, Composer, Network, check as check_text};

pub fn run(options: &Compose, common: &Common) -> Result<(), Failure> {
    let seed = options.seed.unwrap_or_else(host::random_seed);
    let brief = Brief::parse(BriefOptions {
        brief: &options.brief,
        tone: &options.tone,
        length: &options.length,
        network: &options.network,
        hashtags: &options.hashtags,
        emoji: &options.emoji,
        count: options.count,
        seed,
    })?;
    let model = match &options.model {
        Some(model) => model.clone(),
        None => host::bundled_model()?,
    };
    let mut engine = host::engine(&model, common, options.count, 1024)?;
    let drafts = pollster::block_on(async {
        let mut composition = Composer::start(&mut engine, &brief).await?;
        let mut drafts = Vec::new();
        while let Some(event) = composition.next(&mut engine).await? {
            if event.done {
                drafts.push(event);
            }
        }
        Ok::<_, kinglet::Error>(drafts)
    })?;
    for draft in drafts {
        let line = match common.json {
            true => serde_json::to_string(&draft).expect("a draft is plain data"),
            false => format!("{}\n", draft.text),
        };
        host::print_line(&line);
    }
    if options.seed.is_none() {
        eprintln!("seed {seed}");
    }
    Ok(())
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
