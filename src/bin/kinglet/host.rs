//! What the command line lends to the core: a clock, randomness, files and an adapter's name.

use crate::{
    arguments::{Common, Device},
    failure::Failure,
};
use kinglet::{
    engine::{DeviceChoice, Engine, EngineOptions, Host},
    source::{ModelFiles, file::open_model_files},
};
use std::{
    hash::{BuildHasher, RandomState},
    io::Write,
    path::{Path, PathBuf},
    rc::Rc,
    time::Instant,
};

/// Opens a model for `count` sequences of at most `context` positions.
pub fn engine(model: &Path, common: &Common, count: u32, context: u32) -> Result<Engine, Failure> {
    Ok(pollster::block_on(Engine::open(files(model)?, options(common, count, context)))?)
}

/// A model's files, still closed.
pub fn files(model: &Path) -> Result<ModelFiles, Failure> {
    Ok(open_model_files(model)?)
}

/// How models are loaded here.
pub fn options(common: &Common, count: u32, context: u32) -> EngineOptions {
    let device = match common.device {
        Device::Auto => DeviceChoice::Auto,
        Device::Gpu => DeviceChoice::Gpu,
        Device::Cpu => DeviceChoice::Cpu,
    };
    let start = Instant::now();
    let host = Host {
        clock: Some(Rc::new(move || start.elapsed().as_secs_f64() * 1e3)),
        adapter: std::env::var("WGPU_ADAPTER_NAME").ok().filter(|name| !name.is_empty()),
        ..Host::default()
    };
    EngineOptions { device, count, context, exact: common.exact, host, ..EngineOptions::default() }
}

/// The bundled model: in the working directory's checkout, else in the one this was built from.
pub fn bundled_model() -> Result<PathBuf, Failure> {
    let name = Path::new("model/nano.gguf");
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let found = [name.to_path_buf(), built_from].into_iter().find(|path| path.is_file());
    found.ok_or_else(|| Failure::input("read-failed", "the bundled model model/nano.gguf is not here; name one with --model"))
}

/// Milliseconds of CPU time that this process has used, in all its threads; `None` where the system does not say.
pub fn cpu_ms() -> Option<f64> {
    #[cfg(unix)]
    {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(used.tv_sec as f64 * 1e3 + used.tv_nsec as f64 / 1e6)
    }
    #[cfg(not(unix))]
    None
}

/// A seed nobody chose.
pub fn random_seed() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

/// Prints one line; a reader that went away ends the program quietly.
pub fn print_line(line: &str) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(0);
    }
}

/// Reads a small text file that the user named.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let failed = |reason: String| Failure::input("read-failed", format!("cannot read {}: {reason}", path.display()));
    let bytes = std::fs::read(path).map_err(|e| failed(e.to_string()))?;
    String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_string()))
}
