//! shaders/ → `shaders.rs`: kernels and parts by name, without comments and indentation, which every page would download for nothing. Lines
//! stay where they are, so that what a compiler says of a line is true of the file.

use std::{env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=shaders");
    let mut files = Vec::new();
    for folder in ["shaders", "shaders/parts"] {
        for entry in fs::read_dir(folder).expect("the folder of shaders") {
            let path = entry.expect("an entry of the folder").path();
            if path.extension().is_some_and(|extension| extension == "wgsl") {
                let text = fs::read_to_string(&path).expect("a shader");
                let lines = text.lines().map(|line| line.split("//").next().unwrap_or("").trim());
                let name = path.file_stem().expect("a file's name").to_string_lossy().into_owned();
                files.push((name, lines.map(|line| format!("{line}\n")).collect::<String>()));
            }
        }
    }
    files.sort();
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("shaders.rs"), format!("&{files:?}")).expect("the build folder can be written to");
}
