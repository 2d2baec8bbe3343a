//! The command line as a user calls it: every command, its JSON, its errors and exit codes.

use crate::support::fixture;
use serde_json::Value;
use std::{path::PathBuf, process::Command};

const GREEDY: [u32; 6] = [198, 73, 111, 285, 303, 271];

/// Exit code, standard output, standard error.
fn kinglet(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kinglet")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The JSON lines of a command that succeeds.
fn lines(arguments: &[&str]) -> Vec<Value> {
    let (code, out, err) = kinglet(&[arguments, &["--json", "--device", "cpu"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{arguments:?}: {e} in {line}"))).collect()
}

fn model() -> String {
    fixture("gguf/llama-gqa-Q8_0.gguf").display().to_string()
}

fn directory() -> String {
    fixture("models/llama-gqa").display().to_string()
}

fn output(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

#[test]
fn generate_gives_tokens_text_and_the_reason_it_stopped() {
    let ids = "378,83,256,345,279,314,260";
    let greedy = ["--max-tokens", "6", "--temperature", "0", "--ignore-eos", "--count", "2"];
    let drafts = lines(&[&["generate", "--model", &model(), "--tokens", ids], &greedy[..]].concat());
    assert_eq!(drafts.len(), 2);
    for draft in &drafts {
        assert_eq!(draft["tokens"], serde_json::json!(GREEDY));
        assert_eq!(draft["stop"], "limit");
    }
    let again = lines(&["generate", "--model", &directory(), "--prompt", "the browser", "--max-tokens", "8", "--seed", "5"]);
    assert_eq!(again, lines(&["generate", "--model", &directory(), "--prompt", "the browser", "--max-tokens", "8", "--seed", "5"]));
    let chat = lines(&["generate", "--model", &directory(), "--chat", "hello <|eot_id|>", "--max-tokens", "4"]);
    assert!(chat[0]["text"].is_string());
    let stopped = lines(&[&["generate", "--model", &model(), "--tokens", ids, "--stop", "b"], &greedy[..5]].concat());
    assert_eq!((&stopped[0]["stop"], stopped[0]["text"].as_str().unwrap().contains('b')), (&Value::from("stop-string"), false));
}

#[test]
fn logits_are_written_as_one_tensor() {
    let out = output("logits.safetensors");
    let path = out.display().to_string();
    lines(&["logits", "--model", &model(), "--tokens", "1,2,3", "--out", &path, "--chunk", "2"]);
    let bytes = std::fs::read(&out).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("logits").unwrap().shape(), [3, 384]);
    let sampled = lines(&["sample", "--logits", &path, "--params", r#"{"top_k": 3}"#, "--history", "1,2", "--uniform", "0.5"]);
    assert_eq!(sampled[0]["kept"].as_array().unwrap().len(), 3);
    assert_eq!(sampled[0]["probs"].as_array().unwrap().len(), 384);
}

#[test]
fn text_becomes_ids_and_ids_become_text() {
    let tokens = &lines(&["tokenize", "--model", &directory(), "--text", "the browser", "--no-special"])[0]["tokens"];
    let ids: Vec<String> = tokens.as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(lines(&["tokenize", "--model", &directory(), "--detokenize", &ids.join(",")])[0]["text"], "the browser");
    let messages = output("messages.json");
    std::fs::write(&messages, r#"[{"role": "user", "content": "hi"}]"#).unwrap();
    let rendered = &lines(&["chat-template", "--model", &directory(), "--messages", &messages.display().to_string()])[0];
    assert!(rendered["text"].as_str().unwrap().contains("hi") && !rendered["tokens"].as_array().unwrap().is_empty());
}

#[test]
fn the_bundled_model_composes_valid_drafts() {
    let compose = ["compose", "--brief", "our community garden opens on Saturday", "--tone", "friendly", "--count", "3", "--seed", "7"];
    let drafts = lines(&compose);
    assert_eq!(drafts.len(), 3);
    for draft in &drafts {
        assert_eq!(draft["valid"], true);
        let length = &draft["length"];
        assert!(length["used"].as_u64().unwrap() <= 200 && length["unit"] == "x-weight", "{draft}");
        assert_eq!(lines(&["check", "--network", "x", "--text", draft["text"].as_str().unwrap()])[0]["valid"], true);
    }
    assert_eq!(drafts, lines(&compose), "the same seed gives the same drafts");
}

#[test]
fn a_file_of_briefs_gives_drafts_of_each() {
    let file = std::env::temp_dir().join(format!("kinglet-briefs-{}.jsonl", std::process::id()));
    let path = file.to_str().expect("the path is text");
    std::fs::write(&file, "{\"brief\": \"soup on friday\", \"length\": \"short\"}\n\n{\"brief\": \"lost grey glove\", \"own\": 1}\n")
        .unwrap();
    let drafts = lines(&["compose", "--briefs", path, "--count", "2", "--seed", "7", "--candidates", "1"]);
    assert_eq!(drafts.iter().map(|draft| draft["brief_index"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert!(drafts.iter().all(|draft| draft["valid"] == true));
    let alone = ["compose", "--brief", "soup on friday", "--length", "short", "--count", "2", "--seed", "7", "--candidates", "1"];
    let texts = |drafts: &[serde_json::Value]| drafts.iter().map(|draft| draft["text"].clone()).collect::<Vec<_>>();
    assert_eq!(texts(&drafts[..2]), texts(&lines(&alone)));
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn models_are_inspected_and_measured() {
    let report = &lines(&["inspect", &model()])[0];
    assert_eq!((&report["architecture"], &report["config"]["hidden_size"]), (&Value::from("llama"), &Value::from(64)));
    let bench = &lines(&["bench", "--model", &model(), "--prompt-tokens", "9", "--max-tokens", "4", "--count", "2"])[0];
    for figure in [
        "load_ms",
        "ttft_ms",
        "prefill_tok_s",
        "decode_tok_s",
        "dispatches_per_token",
        "weight_bytes",
        "read_gb_s",
        "roofline_gb_s",
        "roofline_fraction",
        "submits_per_token",
        "readbacks_per_token",
        "bound_read_ms",
        "bound_fraction",
        "alone_tok_s",
        "together_ratio",
    ] {
        assert!(bench[figure].as_f64().unwrap() > 0.0, "{figure}: {bench}");
    }
    assert_eq!((&bench["kernels"], bench["submits_per_token"].as_f64()), (&Value::Null, Some(1.0)), "the CPU takes one step at a time");
    assert!(bench["bytes_per_token"].as_u64() > bench["weight_bytes"].as_u64(), "a step reads its cache too");
    for (figure, spread) in bench["spread"].as_object().unwrap() {
        let [least, median, most] = [0, 1, 2].map(|i| spread[i].as_f64().unwrap());
        assert!(least <= median && median <= most && bench[figure].as_f64() == Some(median), "{figure}: {bench}");
    }
    // A bandwidth that no machine has: the bound is then by the maker's figure.
    let quick =
        ["bench", "--model", &model(), "--prompt-tokens", "9", "--max-tokens", "4", "--runs", "1", "--profile", "--bandwidth", "1e9"];
    let bench = &lines(&quick)[0];
    assert_eq!((bench["bandwidth_gb_s"].as_f64(), &bench["together_ratio"]), (Some(7.5e8), &Value::Null));
    assert_eq!(bench["kernels"], serde_json::json!([]), "the CPU has no timestamps");
}

#[test]
fn errors_have_a_code_and_bad_input_exits_with_2() {
    let unsupported = fixture("gguf/qwen2-Q4_0.gguf").display().to_string();
    let cases: [(&[&str], &str); 11] = [
        (&["generate", "--model", &model(), "--tokens", "1", "--count", "4000000000"], "bad-usage"),
        (&["bench", "--model", &model(), "--count", "9"], "bad-usage"),
        (&["compose", "--brief", "x", "--count", "4000000000"], "bad-count"),
        (&["compose", "--brief", "x", "--tone", "angry"], "bad-tone"),
        (&["compose", "--brief", "  "], "bad-brief"),
        (&["compose"], "bad-usage"),
        (&["check", "--network", "myspace", "--text", "x"], "bad-network"),
        (&["inspect", &unsupported], "unsupported-model"),
        (&["logits", "--model", &model(), "--tokens", "1,384", "--out", "never-written", "--device", "cpu"], "bad-request"),
        (&["bench", "--model", &model(), "--bandwidth", "-1"], "bad-usage"),
        (&["embed", "--model", &model(), "--text", "x"], "unsupported"),
    ];
    for (arguments, code) in cases {
        let (exit, out, err) = kinglet(arguments);
        assert_eq!((exit, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.starts_with(&format!("error[{code}]: ")), "{arguments:?}: {err}");
    }
}
