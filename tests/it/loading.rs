//! Whole models from files that are odd or wrong: accepted ones compute their golden logits, refused ones end in an error that names the
//! field, before anything is reserved for them.

use crate::{
    devices::assert_close,
    support::{bytes_of, malformed, text_of},
};
use kinglet::{
    engine::{self, DeviceChoice, EngineOptions, Loaded},
    source::{ByteSource, Companions, MemorySource, ModelFiles},
};
use std::rc::Rc;

/// Golden logits of base-valid are plain f32; see models.rs.
const TOLERANCE: f32 = 1e-3;

struct Case {
    id: String,
    kind: String,
    path: String,
    stage: String,
}

fn cases(list: &str) -> Vec<Case> {
    let table: serde_json::Value = serde_json::from_str(&text_of("malformed/cases.json")).unwrap();
    let text = |case: &serde_json::Value, field: &str| case[field].as_str().unwrap_or_default().to_owned();
    let case = |case| Case { id: text(case, "id"), kind: text(case, "kind"), path: text(case, "path"), stage: text(case, "stage") };
    table[list].as_array().unwrap().iter().map(case).collect()
}

/// Loads what the case's file stands in for, with the rest of base-valid beside it.
fn load(case: &Case) -> kinglet::Result<Loaded> {
    let file = |name: &str, bytes: Vec<u8>| -> (String, Rc<dyn ByteSource>) { (name.to_string(), Rc::new(MemorySource(bytes.into()))) };
    let mut companions = Companions {
        config: Some(text_of("malformed/base-valid/config.json")),
        tokenizer: Some(text_of("malformed/base-valid/tokenizer.json")),
        tokenizer_config: Some(text_of("malformed/base-valid/tokenizer_config.json")),
        special_tokens_map: Some(text_of("malformed/base-valid/special_tokens_map.json")),
        ..Companions::default()
    };
    let replacement = || String::from_utf8_lossy(&malformed(&case.path)).into_owned();
    let weights = match case.kind.as_str() {
        "gguf" => file("model.gguf", malformed(&case.path)),
        "safetensors" => file("model.safetensors", malformed(&case.path)),
        kind => {
            match kind {
                "config" => companions.config = Some(replacement()),
                "tokenizer" => companions.tokenizer = Some(replacement()),
                other => panic!("{}: kind {other}", case.id),
            }
            file("model.safetensors", bytes_of("malformed/base-valid/model.safetensors"))
        }
    };
    if case.kind == "gguf" {
        companions = Companions::default();
    }
    let options = EngineOptions { device: DeviceChoice::Cpu, context: 64, ..EngineOptions::default() };
    pollster::block_on(engine::load(ModelFiles { weights: vec![weights], companions }, &options))
}

#[test]
fn wrong_configurations_shapes_and_vocabularies_are_refused() {
    let stages = ["config", "bind", "tokenizer"];
    let mut refused = 0;
    for case in cases("reject").iter().filter(|case| stages.contains(&case.stage.as_str()) && case.kind != "index") {
        match load(case) {
            Ok(_) => panic!("{} was loaded", case.id),
            Err(error) => {
                assert!(error.is_bad_input(), "{}: {error}", case.id);
                assert!(error.to_string().len() < 1000, "{}: {error}", case.id);
            }
        }
        refused += 1;
    }
    assert!(refused >= 40, "{refused} cases of these stages");
}

#[test]
fn odd_but_valid_files_compute_their_golden_logits() {
    let golden = bytes_of("malformed/base-valid/golden.safetensors");
    let golden = safetensors::SafeTensors::deserialize(&golden).unwrap();
    let words = |name: &str| -> Vec<u32> {
        let words = golden.tensor(name).unwrap().data().as_chunks::<4>().0.to_vec();
        words.into_iter().map(u32::from_le_bytes).collect()
    };
    let expected: Vec<f32> = words("logits").into_iter().map(f32::from_bits).collect();
    for case in cases("accept") {
        let mut loaded = load(&case).unwrap_or_else(|error| panic!("{}: {error}", case.id));
        let logits = pollster::block_on(loaded.session.logits(&words("ids"), 64)).unwrap();
        assert_close(&case.id, &logits, &expected, TOLERANCE);
    }
}
