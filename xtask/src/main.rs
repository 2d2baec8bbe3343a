//! Runs wasm-bindgen over the built wasm: `xtask <in.wasm> <out-dir>`.
//!
//! The pinned library replaces the command-line tool, which cannot be fetched everywhere and must match the crate's version exactly.

use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, out_dir] = arguments.as_slice() else {
        eprintln!("usage: xtask <in.wasm> <out-dir>");
        return ExitCode::from(2);
    };
    match bind(input, out_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasm-bindgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bind(input: &str, out_dir: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(input).web(true)?.typescript(true).omit_default_module_path(true);
    bindgen.generate(out_dir)?;
    Ok(())
}
