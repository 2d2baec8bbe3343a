//! The native command line: models, logits, generation, composing and measuring without a browser.
//!
//! Errors go to stderr as `error[CODE]: message`; exit code 2 for bad input or usage, 1 for failures of the machine.

mod arguments;
mod commands;
mod failure;
mod host;

use arguments::{Arguments, Command};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match Arguments::try_parse() {
        Ok(arguments) => run(arguments),
        Err(asked) if !asked.use_stderr() => {
            host::print_line(asked.to_string().trim_end());
            Ok(())
        }
        Err(usage) => Err(Failure::input("bad-usage", usage.to_string().trim_start_matches("error: ").trim_end())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error[{}]: {}", failure.code, failure.message);
            ExitCode::from(failure.exit_code)
        }
    }
}

fn run(Arguments { command, common }: Arguments) -> Result<(), Failure> {
    match command {
        Command::Logits(options) => commands::logits::run(&options, &common),
        Command::Generate(options) => commands::generate::run(&options, &common),
        Command::Tokenize(options) => commands::text::tokenize(&options, &common),
        Command::ChatTemplate(options) => commands::text::chat_template(&options, &common),
        Command::Sample(options) => commands::sample::run(&options, &common),
        Command::Compose(options) => commands::compose::run(&options, &common),
        Command::Check(options) => commands::compose::check(&options, &common),
        Command::Bench(options) => commands::bench::run(&options, &common),
        Command::Embed(options) => commands::embed::run(&options),
        Command::Inspect(options) => commands::inspect::run(&options, &common),
    }
}
