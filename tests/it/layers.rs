//! The module table of ARCHITECTURE.md, held against the source: which module may use which, and what only some files may say.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Module, and the modules of this crate that it may use. `error` may be used by all.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("source", &[]),
    ("quant", &["source"]),
    ("plan", &["quant"]),
    ("gpu", &["plan", "quant"]),
    ("cpu", &["plan", "quant"]),
    ("model", &["source", "quant", "plan", "cpu"]),
    ("session", &["plan", "model"]),
    ("text", &["source"]),
    ("compose", &["session", "text", "engine"]),
    ("engine", &["source", "plan", "gpu", "cpu", "model", "session", "text", "compose"]),
    ("wasm", &["source", "plan", "session", "text", "compose", "engine"]),
];

/// The only files that may ask which target they are compiled for.
const TARGET_FILES: [&str; 6] = ["lib.rs", "source/mod.rs", "source/index.rs", "gpu/mod.rs", "gpu/device.rs", "gpu/readback.rs"];

/// Names of architectures belong into `model/arch`.
const ARCHITECTURES: [&str; 5] = ["llama", "mistral", "qwen", "gemma", "gpt2"];

fn source_files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                files.push((path.strip_prefix(&root).expect("under src").to_path_buf(), text));
            }
        }
    }
    assert!(files.len() > 30, "the walk finds the crate");
    files
}

/// Code lines: no comments, nothing from the first `#[cfg(test)]` on.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").filter(|line| !line.trim_start().starts_with("//"))
}

/// Modules named after `crate::` in a file, in paths and in `use` groups.
fn used(text: &str) -> BTreeSet<String> {
    let text: String = code(text).collect::<Vec<_>>().join(" ");
    let mut found = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => drop(found.insert(word(rest))),
            Some(group) => {
                let mut depth = 0;
                let mut at_start = true;
                for (index, c) in group.char_indices() {
                    if at_start && c.is_alphabetic() {
                        found.insert(word(&group[index..]));
                        at_start = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => at_start = true,
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn modules_use_only_what_the_table_permits() {
    let modules: Vec<&str> = MAY_USE.iter().map(|(module, _)| *module).collect();
    let mut wrong = Vec::new();
    for (path, text) in source_files() {
        let top = path.components().next().expect("a component").as_os_str().to_string_lossy().replace(".rs", "");
        let Some((_, permitted)) = MAY_USE.iter().find(|(module, _)| *module == top) else { continue };
        for module in used(&text) {
            if modules.contains(&module.as_str()) && module != top && !permitted.contains(&module.as_str()) {
                wrong.push(format!("{} uses {module}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn only_the_listed_files_ask_for_the_target() {
    for (path, text) in source_files() {
        let name = path.to_string_lossy().to_string();
        let asks = code(&text).any(|line| line.contains("target_arch"));
        assert!(!asks || TARGET_FILES.contains(&name.as_str()), "{name} asks for the target");
    }
}

#[test]
fn javascript_is_spoken_in_one_module() {
    for (path, text) in source_files() {
        let exports = code(&text).any(|line| line.contains("wasm_bindgen"));
        assert!(!exports || path.starts_with("wasm.rs") || path.starts_with("wasm"), "{} exports to JavaScript", path.display());
        // Browsers tell an adapter's vendor in a field that wgpu leaves out.
        let reads = code(&text).any(|line| line.contains("js_sys"));
        assert!(
            !reads || path.starts_with("wasm.rs") || path.starts_with("wasm") || path.starts_with("gpu/device.rs"),
            "{} reads JavaScript",
            path.display()
        );
    }
}

#[test]
fn architectures_are_named_in_one_place() {
    for (path, text) in source_files() {
        if path.starts_with("model/arch") || path.starts_with("text") || path.starts_with("bin") {
            continue;
        }
        for line in code(&text) {
            let lower = line.to_lowercase();
            // A scaling rule and a tool carry an architecture's name without being one.
            let bare = lower.replace("llama3", "").replace("llama-gguf-split", "");
            let named = ARCHITECTURES.iter().find(|name| bare.contains(*name));
            assert!(named.is_none(), "{}: {line}", path.display());
        }
    }
}

#[test]
fn the_core_reads_no_clock_and_no_network() {
    for (path, text) in source_files() {
        if path.starts_with("bin") {
            continue;
        }
        for forbidden in ["Instant::now", "SystemTime::now", "std::net", "println!", "std::env::var"] {
            let found = code(&text).any(|line| line.contains(forbidden));
            assert!(!found, "{} says {forbidden}", path.display());
        }
    }
}
