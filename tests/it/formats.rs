//! Files that are right open with what they hold; files that are wrong end in an error, whatever their bytes.

use crate::support::{Gguf, Random, array, bytes_of, fixture, malformed, open_bytes, safetensors, string, text_of};
use kinglet::{
    LocalFuture,
    quant::widen,
    source::{
        ByteSource, Checkpoint, Companions, DType, Description, MemorySource, ModelFiles, SourceError, file::open_model_files, gguf::Value,
    },
};
use std::{cell::RefCell, collections::BTreeMap, ops::Range, path::Path, path::PathBuf, rc::Rc, time::Instant};

fn open_path(path: &Path) -> Result<Checkpoint, SourceError> {
    pollster::block_on(Checkpoint::open(open_model_files(path)?))
}

/// All tensors' bytes by name; every range is checked by reading it.
fn contents(checkpoint: &Checkpoint) -> BTreeMap<String, Vec<u8>> {
    let read = |info| pollster::block_on(checkpoint.read_rows(info, 0..info.rows())).unwrap();
    checkpoint.tensors.values().map(|info| (info.name.clone(), read(info))).collect()
}

fn refusal(what: &str, result: Result<Checkpoint, SourceError>) -> String {
    match result {
        Ok(_) => panic!("{what} was accepted"),
        Err(error) => error.to_string(),
    }
}

mod table {
    //! Every line of malformed/cases.json that a stage here decides.
    use super::*;

    struct Case {
        id: String,
        kind: String,
        path: String,
        stage: String,
        note: String,
    }

    fn cases(list: &str) -> Vec<Case> {
        let table: serde_json::Value = serde_json::from_str(&text_of("malformed/cases.json")).unwrap();
        let text = |case: &serde_json::Value, field: &str| case[field].as_str().unwrap_or_default().to_owned();
        let case = |case| Case {
            id: text(case, "id"),
            kind: text(case, "kind"),
            path: text(case, "path"),
            stage: text(case, "stage"),
            note: text(case, "note"),
        };
        table[list].as_array().unwrap().iter().map(case).collect()
    }

    /// Opens what the case's file stands in for, if it is a file that a checkpoint is opened from.
    fn open(case: &Case) -> Option<Result<Checkpoint, SourceError>> {
        let base = || bytes_of("malformed/base-valid/model.safetensors");
        Some(match case.kind.as_str() {
            "gguf" | "safetensors" => open_bytes(&case.path, malformed(&case.path)),
            "index" => open_path(&index_directory(case)),
            "config" => {
                let config = String::from_utf8(malformed(&case.path)).unwrap();
                let weights: Vec<(String, Rc<dyn ByteSource>)> = vec![("model.safetensors".into(), Rc::new(MemorySource(base().into())))];
                let companions = Companions { config: Some(config), ..Companions::default() };
                pollster::block_on(Checkpoint::open(ModelFiles { weights, companions }))
            }
            _ => return None,
        })
    }

    /// The case's directory with base-valid's config beside the index.
    fn index_directory(case: &Case) -> PathBuf {
        let directory = scratch(&case.id);
        for file in std::fs::read_dir(fixture(&format!("malformed/{}", case.path))).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), directory.join(file.file_name())).unwrap();
        }
        std::fs::copy(fixture("malformed/base-valid/config.json"), directory.join("config.json")).unwrap();
        directory
    }

    /// Stages that opening decides; the later ones (config, bind, tokenizer, template) only must not end worse than in an error here.
    const STAGES: [&str; 2] = ["parse", "index"];

    #[test]
    fn refused_cases_are_refused_in_bounded_time() {
        let mut refused = BTreeMap::new();
        for case in cases("reject") {
            let start = Instant::now();
            let Some(result) = open(&case) else { continue };
            assert!(start.elapsed().as_secs() < 5, "{}: {} took {:?}", case.id, case.note, start.elapsed());
            if STAGES.contains(&case.stage.as_str()) {
                let message = refusal(&format!("{} ({})", case.id, case.note), result);
                assert!(message.len() < 1000, "{}: {message}", case.id);
                *refused.entry(case.stage).or_insert(0) += 1;
            }
        }
        assert_eq!(refused, BTreeMap::from([("index".into(), 5), ("parse".into(), 45)]));
    }

    #[test]
    fn configs_that_are_not_json_are_refused() {
        for id in ["cf-deep", "cf-theta-nan"] {
            let case = cases("reject").into_iter().find(|case| case.id == id).unwrap();
            let message = refusal(id, open(&case).unwrap());
            assert!(message.starts_with("config.json: expected a JSON object"), "{message}");
        }
    }

    #[test]
    fn accepted_cases_hold_the_tensors_of_their_base() {
        let base_gguf = contents(&open_bytes("base.gguf", bytes_of("malformed/base-valid/base.gguf")).unwrap());
        let base_safetensors = contents(&open_path(&fixture("malformed/base-valid/model.safetensors")).unwrap());
        assert_eq!(base_gguf.len(), 11);
        assert_eq!(base_safetensors.len(), 11);
        for case in cases("accept") {
            let checkpoint = open(&case).unwrap().unwrap_or_else(|error| panic!("{} ({}): {error}", case.id, case.note));
            let base = if case.kind == "gguf" { &base_gguf } else { &base_safetensors };
            assert!(contents(&checkpoint) == *base, "{} ({}) has other weights", case.id, case.note);
        }
    }
}

/// An empty directory of this test's own.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

mod gguf_files {
    use super::*;

    fn one_tensor() -> Gguf {
        Gguf::default().tensor("w", &[8, 3], 0, 0).data(96)
    }

    fn open(gguf: &Gguf) -> Result<Checkpoint, SourceError> {
        open_bytes("m.gguf", gguf.bytes())
    }

    fn value(kind: u32, payload: &[u8]) -> Result<Value, SourceError> {
        let checkpoint = open(&one_tensor().key("k", kind, payload))?;
        let Description::Gguf(metadata) = checkpoint.description else { panic!("not GGUF") };
        Ok(metadata["k"].clone())
    }

    #[test]
    fn dimensions_are_reversed_and_rows_are_read_where_they_lie() {
        let checkpoint = open(&one_tensor()).unwrap();
        let info = checkpoint.tensor("w").unwrap();
        assert_eq!((info.shape.as_slice(), info.rows(), info.cols(), info.row_bytes()), ([3, 8].as_slice(), 3, 8, 32));
        assert_eq!(pollster::block_on(checkpoint.read_rows(info, 1..2)).unwrap(), (32..64).collect::<Vec<u8>>());
    }

    #[test]
    fn vectors_and_scalars_are_one_row() {
        let checkpoint = open(&Gguf::default().tensor("v", &[5], 1, 0).tensor("s", &[], 0, 32).data(36)).unwrap();
        let (v, s) = (checkpoint.tensor("v").unwrap(), checkpoint.tensor("s").unwrap());
        assert_eq!((v.rows(), v.cols(), v.row_bytes()), (1, 5, 10));
        assert_eq!((s.rows(), s.cols(), s.row_bytes()), (1, 1, 4));
        assert_eq!(pollster::block_on(checkpoint.read_rows(s, 0..1)).unwrap(), [32, 33, 34, 35]);
    }

    #[test]
    fn a_matrix_of_rank_three_has_rows_along_its_first_axis() {
        let checkpoint = open(&Gguf::default().tensor("w", &[32, 3, 2], 8, 0).data(204)).unwrap();
        let info = checkpoint.tensor("w").unwrap();
        assert_eq!((info.rows(), info.cols(), info.row_bytes()), (2, 96, 102));
    }

    #[test]
    fn every_value_type_is_read() {
        let cases: [(u32, Vec<u8>, Value); 20] = [
            (0, vec![200], Value::U64(200)),
            (1, vec![200], Value::I64(-56)),
            (2, 60000u16.to_le_bytes().into(), Value::U64(60000)),
            (3, (-3i16).to_le_bytes().into(), Value::I64(-3)),
            (4, u32::MAX.to_le_bytes().into(), Value::U64(u32::MAX.into())),
            (5, i32::MIN.to_le_bytes().into(), Value::I64(i32::MIN.into())),
            (6, 0.1f32.to_le_bytes().into(), Value::F64(0.1f32.into())),
            (7, vec![1], Value::Bool(true)),
            (8, string("h\u{e9}\0"), Value::String("h\u{e9}\0".into())),
            (10, u64::MAX.to_le_bytes().into(), Value::U64(u64::MAX)),
            (11, i64::MIN.to_le_bytes().into(), Value::I64(i64::MIN)),
            (12, 1e300f64.to_le_bytes().into(), Value::F64(1e300)),
            (9, array(8, 2, &[string(""), string("ab")].concat()), Value::Strings(vec!["".into(), "ab".into()])),
            (9, array(5, 2, &[7, 0, 0, 0, 255, 255, 255, 255]), Value::Ints(vec![7, -1])),
            (9, array(0, 2, &[7, 255]), Value::Ints(vec![7, 255])),
            (9, array(10, 1, &7u64.to_le_bytes()), Value::Ints(vec![7])),
            (9, array(10, 1, &u64::MAX.to_le_bytes()), Value::LargeInts(vec![u64::MAX])),
            (9, array(6, 1, &(-2.5f32).to_le_bytes()), Value::Floats(vec![-2.5])),
            (9, array(7, 3, &[0, 1, 1]), Value::Bools(vec![false, true, true])),
            (9, array(9, 1, &array(1, 1, &[255])), Value::Arrays(vec![Value::Ints(vec![-1])])),
        ];
        for (kind, payload, want) in cases {
            assert_eq!(value(kind, &payload), Ok(want), "type {kind}");
        }
    }

    #[test]
    fn values_that_the_format_does_not_have_are_refused() {
        let nested = |depth: usize| (0..depth).fold(array(0, 0, &[]), |inner, _| array(9, 1, &inner));
        assert!(value(9, &nested(3)).is_ok(), "four deep is allowed");
        let cases: [(&str, u32, Vec<u8>); 8] = [
            ("a boolean of 2", 7, vec![2]),
            ("a boolean of 2 in an array", 9, array(7, 2, &[1, 2])),
            ("text that is not UTF-8", 8, [&1u64.to_le_bytes()[..], &[0xff]].concat()),
            ("a string past the file", 8, 4096u64.to_le_bytes().into()),
            ("a string of 2^64 - 1", 8, u64::MAX.to_le_bytes().into()),
            ("an array five deep", 9, nested(4)),
            ("an array of type 13", 9, array(13, 1, &[0; 16])),
            ("type 13", 13, vec![0; 16]),
        ];
        for (what, kind, payload) in cases {
            let error = value(kind, &payload).expect_err(what).to_string();
            assert!(error.contains("m.gguf: metadata \"k\""), "{what}: {error}");
        }
    }

    #[test]
    fn versions_two_and_three_in_little_endian_are_read() {
        for version in [2, 3] {
            assert!(open(&Gguf { version, ..one_tensor() }).is_ok(), "version {version}");
        }
        for version in [0, 1, 4, 3u32.swap_bytes(), 2u32.swap_bytes(), u32::MAX] {
            let error = refusal("version", open(&Gguf { version, ..one_tensor() }));
            assert!(error.contains("version is") && error.contains("not supported"), "{version:#x}: {error}");
        }
        assert!(refusal("big-endian", open(&Gguf { version: 3u32.swap_bytes(), ..one_tensor() })).contains("3 in big-endian order"));
    }

    #[test]
    fn alignments_are_multiples_of_eight() {
        for alignment in [8, 16, 24, 64, 4096] {
            let gguf = Gguf { alignment, ..Gguf::default() }.key("general.alignment", 4, &(alignment as u32).to_le_bytes());
            let gguf = gguf.tensor("a", &[2], 0, 0).tensor("b", &[2], 0, alignment).data(alignment as usize + 8);
            let checkpoint = open(&gguf).unwrap_or_else(|error| panic!("alignment {alignment}: {error}"));
            assert_eq!(contents(&checkpoint)["b"][0], alignment as u8, "alignment {alignment}");
        }
        for alignment in [0u32, 1, 3, 4, 12] {
            let gguf = one_tensor().key("general.alignment", 4, &alignment.to_le_bytes());
            assert!(refusal("alignment", open(&gguf)).contains("general.alignment"), "{alignment}");
        }
    }

    #[test]
    fn names_and_keys_have_the_lengths_of_the_format() {
        for (length, allowed) in [(0, true), (64, true), (65, false)] {
            let gguf = Gguf::default().tensor(&"n".repeat(length), &[8], 0, 0).data(32);
            assert_eq!(open(&gguf).is_ok(), allowed, "a name of {length}");
        }
        for (length, allowed) in [(1, true), (65_535, true), (65_536, false)] {
            assert_eq!(open(&one_tensor().key(&"k".repeat(length), 0, &[1])).is_ok(), allowed, "a key of {length}");
        }
    }

    #[test]
    fn tables_that_lie_are_refused() {
        let cases: [(&str, Gguf, &str); 12] = [
            ("the same key twice", one_tensor().key("k", 0, &[1]).key("k", 0, &[1]), "each key once"),
            ("a key that is not ASCII", one_tensor().key("\u{e9}", 0, &[1]), "expected ASCII"),
            ("the same tensor twice", one_tensor().tensor("w", &[0], 0, 0), "each tensor once"),
            ("a block cut by the row's end", Gguf::default().tensor("w", &[48, 2], 2, 0).data(64), "whole Q4_0 blocks of 32"),
            ("a row shorter than a block", Gguf::default().tensor("w", &[128, 2], 12, 0).data(144), "whole Q4_K blocks of 256"),
            ("an offset off the alignment", Gguf::default().tensor("w", &[2], 0, 8).data(32), "a multiple of 32"),
            ("one byte short", one_tensor().data(95), "within a file"),
            ("an overlap", one_tensor().tensor("x", &[2], 0, 64), "after \"w\""),
            ("the same bytes", one_tensor().tensor("x", &[8, 3], 0, 0), "after \"w\""),
            ("elements past 64 bits", Gguf::default().tensor("w", &[1 << 33, 1 << 33], 0, 0), "64 bits"),
            ("an offset past 64 bits", Gguf::default().tensor("w", &[8], 0, u64::MAX - 31), "within a file"),
            ("five dimensions", Gguf::default().tensor("w", &[1; 5], 0, 0).data(4), "at most 4"),
        ];
        for (what, gguf, says) in cases {
            let message = refusal(what, open(&gguf));
            assert!(message.contains(says), "{what}: {message}");
        }
    }

    #[test]
    fn gaps_padding_and_empty_tensors_are_allowed() {
        let gguf = Gguf::default().tensor("a", &[2], 0, 0).tensor("b", &[2], 0, 128).tensor("none", &[0, 4], 0, 64).data(4096);
        let held = contents(&open(&gguf).unwrap());
        assert_eq!((held["a"].len(), held["b"][0], held["none"].len()), (8, 128, 0));
    }

    #[test]
    fn a_type_that_is_not_read_is_refused_when_it_is_asked_for() {
        let checkpoint = open(&Gguf::default().tensor("w", &[8], 0, 192).tensor("x", &[256], 13, 0).data(224)).unwrap();
        assert!(checkpoint.tensor("w").is_ok() && checkpoint.find("y") == Ok(None));
        let want = SourceError::Unsupported {
            what: "tensor x: type".into(),
            found: "Q5_K".into(),
            supported: "F32, F16, BF16, Q8_0, Q4_0, Q4_K, Q6_K".into(),
        };
        assert_eq!(checkpoint.tensor("x"), Err(want.clone()));
        assert_eq!(checkpoint.find("x"), Err(want));
        let message = refusal("its bytes past the file", open(&Gguf::default().tensor("x", &[256], 13, 0).data(175)));
        assert!(message.contains("within a file"), "{message}");
    }

    #[test]
    fn parts_of_a_split_model_are_refused() {
        let message = refusal("a part", open(&one_tensor().key("split.count", 2, &[2, 0])));
        assert!(message.contains("split.count is 2"), "{message}");
        assert!(open(&one_tensor().key("split.count", 2, &[1, 0])).is_ok());
    }

    #[test]
    fn accessors_name_the_key_and_both_kinds() {
        let error = Value::Floats(vec![0.0; 3]).as_u64("llama.block_count").unwrap_err();
        assert_eq!(error.to_string(), "metadata \"llama.block_count\": expected an integer, found an array of 3 floats");
        assert_eq!(Value::I64(3).as_u64("k"), Ok(3));
        assert!(Value::I64(-3).as_u64("k").is_err());
        assert_eq!(Value::Floats(vec![]).strings("k"), Ok(&[] as &[Box<str>]));
        assert!(Value::Ints(vec![1]).strings("k").is_err() && Value::Strings(vec!["a".into()]).ints("k").is_err());
        assert!(Value::U64(1).as_f64("k").is_err() && Value::U64(1).as_bool("k").is_err() && Value::U64(1).as_str("k").is_err());
        assert!(Value::String(String::new()).floats("k").is_err());
    }

    /// A file of `len` bytes that begins with `head` and goes on in zeros; it notes what is read.
    struct Sparse {
        head: Vec<u8>,
        len: u64,
        reads: RefCell<Vec<Range<u64>>>,
    }

    impl ByteSource for Sparse {
        fn len(&self) -> u64 {
            self.len
        }
        fn read(&self, range: Range<u64>) -> LocalFuture<'_, Result<Vec<u8>, SourceError>> {
            assert!(range.end <= self.len);
            self.reads.borrow_mut().push(range.clone());
            let byte = |at| self.head.get(at as usize).copied().unwrap_or(0);
            Box::pin(std::future::ready(Ok(range.map(byte).collect())))
        }
    }

    fn open_sparse(head: Vec<u8>, len: u64) -> (Result<Checkpoint, SourceError>, Rc<Sparse>) {
        let source = Rc::new(Sparse { head, len, reads: RefCell::default() });
        let weights: Vec<(String, Rc<dyn ByteSource>)> = vec![("m.gguf".into(), source.clone())];
        (pollster::block_on(Checkpoint::open(ModelFiles { weights, companions: Companions::default() })), source)
    }

    #[test]
    fn a_file_of_many_gigabytes_opens_by_its_first_mebibyte() {
        let rows = 3 << 20;
        let gguf = Gguf::default().tensor("w", &[4096, rows], 1, 0).tensor("last", &[8], 0, rows * 8192);
        let head = gguf.bytes();
        let len = head.len() as u64 + rows * 8192 + 32;
        let (checkpoint, source) = open_sparse(head, len);
        let checkpoint = checkpoint.unwrap();
        assert_eq!(*source.reads.borrow(), [0..4, 0..1 << 20]);
        let info = checkpoint.tensor("w").unwrap();
        assert_eq!(pollster::block_on(checkpoint.read_rows(info, rows - 1..rows)).unwrap().len(), 8192);
        assert_eq!(source.reads.borrow().last(), Some(&(info.range.end - 8192..info.range.end)));
    }

    #[test]
    fn a_header_of_some_mebibytes_is_read_once_in_growing_parts() {
        let tokens: Vec<String> = (0..300_001).map(|id| format!("token {id}")).collect();
        let payload: Vec<u8> = tokens.iter().flat_map(|token| string(token)).collect();
        let gguf = one_tensor().key("tokens", 9, &array(8, tokens.len() as u64, &payload));
        let head = gguf.bytes();
        let len = head.len() as u64;
        let (checkpoint, source) = open_sparse(head, len + (1 << 40));
        let Description::Gguf(metadata) = checkpoint.unwrap().description else { panic!("not GGUF") };
        let got = metadata["tokens"].strings("tokens").unwrap();
        assert!(got.iter().map(|token| &**token).eq(tokens.iter().map(String::as_str)));
        assert_eq!(source.reads.borrow()[1..], [0..1 << 20, 1 << 20..2 << 20, 2 << 20..4 << 20, 4 << 20..8 << 20]);
    }

    #[test]
    fn long_arrays_end_within_their_bound() {
        // The zeros that follow are empty strings, 32 MiB of them, and then an empty key twice.
        let mut gguf = Gguf::default().key("k", 9, &array(8, 1 << 22, &[]));
        gguf.keys.extend([Vec::new(), Vec::new()]);
        let (checkpoint, source) = open_sparse(gguf.bytes(), 1 << 40);
        refusal("a header of zeros", checkpoint);
        assert_eq!(source.reads.borrow().last(), Some(&(32 << 20..64 << 20)));
        let long = one_tensor().key("k", 9, &array(0, (1 << 22) + 1, &[]));
        assert!(refusal("a long array", open_sparse(long.bytes(), 1 << 40).0).contains("at most 4194304 elements"));
    }
}

mod safetensors_files {
    use super::*;

    fn open(header: &str, data_bytes: usize) -> Result<Checkpoint, SourceError> {
        open_bytes("m.safetensors", safetensors(header, data_bytes))
    }

    #[test]
    fn odd_but_valid_headers_are_read() {
        let deep = format!(r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":{}{}}}}}"#, "[".repeat(50), "]".repeat(50));
        let cases: [(&str, &str, usize); 8] = [
            ("no tensor", "{}", 0),
            ("spaces behind", "{}      ", 0),
            ("a scalar", r#"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 4),
            (
                "an empty tensor",
                r#"{"a":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                4,
            ),
            ("fields in another order", r#"{"a":{"data_offsets":[0,2],"shape":[1],"dtype":"BF16"}}"#, 2),
            ("an unknown field", &deep, 4),
            ("integers", r#"{"a":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}"#, 16),
            ("an empty name", r#"{"":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}"#, 2),
        ];
        for (what, header, data_bytes) in cases {
            open(header, data_bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }

    #[test]
    fn damaged_headers_are_refused() {
        let tensor = |fields: &str| format!(r#"{{"a":{{{fields}}}}}"#);
        let good = r#""dtype":"F32","shape":[1],"data_offsets":[0,4]"#;
        let cases: [(&str, String, usize); 24] = [
            ("the same name twice", format!(r#"{{"a":{{{good}}},"a":{{{good}}}}}"#), 4),
            ("the same name, once escaped", format!(r#"{{"a":{{{good}}},"\u0061":{{{good}}}}}"#), 4),
            ("the same field twice", tensor(&format!(r#"{good},"dtype":"F32""#)), 4),
            ("metadata twice", r#"{"__metadata__":{},"__metadata__":{}}"#.into(), 0),
            ("a metadata key twice", r#"{"__metadata__":{"x":"1","x":"1"}}"#.into(), 0),
            ("null metadata", r#"{"__metadata__":null}"#.into(), 0),
            ("fields as a list", r#"{"a":["F32",[1],[0,4]]}"#.into(), 4),
            ("no dtype", tensor(r#""shape":[1],"data_offsets":[0,4]"#), 4),
            ("no shape", tensor(r#""dtype":"F32","data_offsets":[0,4]"#), 4),
            ("no offsets", tensor(r#""dtype":"F32","shape":[1]"#), 4),
            ("a dtype in lower case", tensor(r#""dtype":"f32","shape":[1],"data_offsets":[0,4]"#), 4),
            ("a fractional axis", tensor(r#""dtype":"F32","shape":[1.0],"data_offsets":[0,4]"#), 4),
            ("a negative axis", tensor(r#""dtype":"F32","shape":[-1],"data_offsets":[0,4]"#), 4),
            ("an axis above 64 bits", tensor(r#""dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4]"#), 4),
            ("too many bytes", tensor(r#""dtype":"F32","shape":[1],"data_offsets":[0,8]"#), 8),
            ("too few bytes", tensor(r#""dtype":"F32","shape":[2],"data_offsets":[0,4]"#), 4),
            ("half a byte", tensor(r#""dtype":"F4","shape":[1],"data_offsets":[0,0]"#), 0),
            ("a product past 64 bits by a zero", tensor(r#""dtype":"F32","shape":[9223372036854775808,8,0],"data_offsets":[0,0]"#), 0),
            ("a start past the end", tensor(r#""dtype":"F32","shape":[0],"data_offsets":[4,0]"#), 4),
            ("a late start", tensor(r#""dtype":"F32","shape":[1],"data_offsets":[4,8]"#), 8),
            ("data behind the last", tensor(good), 5),
            ("data missing", tensor(good), 3),
            ("more behind the map", format!("{} x", tensor(good)), 4),
            ("nine axes", tensor(r#""dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]"#), 4),
        ];
        assert!(open(&tensor(good), 4).is_ok());
        for (what, header, data_bytes) in cases {
            let message = refusal(what, open(&header, data_bytes));
            assert!(message.starts_with("m.safetensors: "), "{what}: {message}");
        }
        let overlap = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
        assert!(refusal("an overlap", open(overlap, 12)).contains("tensor \"b\": data_offsets"));
        refusal("brackets without end", open(&format!(r#"{{"a":{}"#, "[".repeat(1 << 20)), 0));
        refusal("brackets in an unknown field", open(&tensor(&format!(r#""x":{}"#, "[".repeat(1 << 20))), 0));
    }

    #[test]
    fn integers_are_refused_when_they_are_asked_for() {
        let checkpoint = open(r#"{"a":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}"#, 16).unwrap();
        assert!(checkpoint.tensor("a").unwrap_err().to_string().contains("tensor a: type is I64"));
        assert!(checkpoint.tensor("b").unwrap_err().to_string().contains("tensor b"));
    }

    #[test]
    fn a_config_must_stand_beside_the_weights() {
        let weights =
            || -> Vec<(String, Rc<dyn ByteSource>)> { vec![("m.safetensors".into(), Rc::new(MemorySource(safetensors("{}", 0).into())))] };
        for config in [None, Some("[]"), Some("{"), Some("")] {
            let companions = Companions { config: config.map(str::to_owned), ..Companions::default() };
            let message = refusal("this config", pollster::block_on(Checkpoint::open(ModelFiles { weights: weights(), companions })));
            assert!(message.starts_with("config.json: "), "{config:?}: {message}");
        }
        let none = ModelFiles { weights: Vec::new(), companions: Companions::default() };
        assert!(refusal("no file", pollster::block_on(Checkpoint::open(none))).contains("at least one weight file"));
    }
}

mod directories {
    use super::*;

    /// `llama-gqa` cut into the shards that its index names.
    fn sharded(name: &str) -> PathBuf {
        let directory = scratch(name);
        let from = fixture("models/llama-gqa-sharded");
        for file in std::fs::read_dir(&from).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), directory.join(file.file_name())).unwrap();
        }
        let whole = open_path(&fixture("models/llama-gqa")).unwrap();
        let bytes = contents(&whole);
        let index: serde_json::Value = serde_json::from_str(&text_of("models/llama-gqa-sharded/model.safetensors.index.json")).unwrap();
        let mut shards: BTreeMap<String, (serde_json::Map<String, serde_json::Value>, Vec<u8>)> = BTreeMap::new();
        for (tensor, shard) in index["weight_map"].as_object().unwrap() {
            let (header, data) = shards.entry(shard.as_str().unwrap().into()).or_default();
            let start = data.len();
            data.extend(&bytes[tensor]);
            let entry = serde_json::json!({"dtype": "F32", "shape": whole.tensors[tensor].shape, "data_offsets": [start, data.len()]});
            header.insert(tensor.clone(), entry);
        }
        for (shard, (header, data)) in shards {
            let header = serde_json::to_string(&header).unwrap();
            let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
            std::fs::write(directory.join(shard), file).unwrap();
        }
        directory
    }

    fn set_index(directory: &Path, edit: impl Fn(&mut serde_json::Map<String, serde_json::Value>)) {
        let path = directory.join("model.safetensors.index.json");
        let mut index: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        edit(index["weight_map"].as_object_mut().unwrap());
        std::fs::write(path, index.to_string()).unwrap();
    }

    #[test]
    fn shards_hold_what_the_whole_holds() {
        let checkpoint = open_path(&sharded("shards")).unwrap();
        assert_eq!(checkpoint.files.len(), 3);
        assert!(contents(&checkpoint) == contents(&open_path(&fixture("models/llama-gqa")).unwrap()));
    }

    #[test]
    fn shard_names_that_leave_the_directory_are_refused() {
        let directory = sharded("names");
        for name in [
            "../names/model-00001-of-00003.safetensors",
            "/etc/passwd",
            "sub/x.safetensors",
            "..\\x.safetensors",
            "c:x.safetensors",
            "..",
            "",
            ".",
            "config.json",
            "model.safetensors.index.json",
            "a\0.safetensors",
        ] {
            set_index(&directory, |map| drop(map.insert("lm_head.weight".into(), name.into())));
            let message = refusal(name, open_path(&directory));
            assert!(message.contains("a plain file name that ends in .safetensors"), "{name:?}: {message}");
        }
    }

    #[test]
    fn an_index_that_disagrees_with_the_shards_is_refused() {
        let directory = sharded("disagree");
        let second = "model-00002-of-00003.safetensors";
        set_index(&directory, |map| drop(map.insert("lm_head.weight".into(), second.into())));
        let message = refusal("a tensor in another shard", open_path(&directory));
        assert!(message.contains("lm_head.weight") && message.contains(second), "{message}");
        set_index(&directory, |map| drop(map.insert("lm_head.weight".into(), "model-00004-of-00003.safetensors".into())));
        assert!(refusal("a shard that is not there", open_path(&directory)).contains("model-00004-of-00003"));
        set_index(&directory, serde_json::Map::clear);
        assert!(refusal("an empty map", open_path(&directory)).contains("at least one tensor"));
        let twice = r#"{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}"#;
        std::fs::write(directory.join("model.safetensors.index.json"), twice).unwrap();
        assert!(refusal("a tensor twice", open_path(&directory)).contains("duplicate key"));
    }

    #[test]
    fn a_tensor_in_two_shards_is_refused() {
        let directory = sharded("two");
        std::fs::copy(directory.join("model-00001-of-00003.safetensors"), directory.join("model-00003-of-00003.safetensors")).unwrap();
        assert!(refusal("a tensor in two shards", open_path(&directory)).contains("each tensor once"));
    }

    #[cfg(unix)]
    #[test]
    fn links_may_lead_into_the_hub_cache_and_nowhere_else() {
        let root = sharded("links");
        let move_to = |target: &Path, snapshot: &Path| {
            for file in std::fs::read_dir(&root).unwrap().map(Result::unwrap).filter(|file| file.file_type().unwrap().is_file()) {
                std::fs::copy(file.path(), target.join(file.file_name())).unwrap();
                std::os::unix::fs::symlink(target.join(file.file_name()), snapshot.join(file.file_name())).unwrap();
            }
        };
        let directories = ["cache/blobs", "cache/snapshots/main", "elsewhere", "plain"].map(|name| root.join(name));
        directories.iter().for_each(|directory| std::fs::create_dir_all(directory).unwrap());
        let [blobs, snapshot, elsewhere, plain] = &directories;
        move_to(blobs, snapshot);
        assert_eq!(open_path(snapshot).unwrap().files.len(), 3);
        move_to(elsewhere, plain);
        assert!(refusal("a link out", open_path(plain)).contains("a link out of the directory"));
    }

    #[test]
    fn a_model_directory_brings_its_companions() {
        let files = open_model_files(&fixture("models/llama-gqa")).unwrap();
        assert_eq!(files.weights.len(), 1);
        let Companions { config, tokenizer, tokenizer_config, generation_config, special_tokens_map, chat_template, index } =
            files.companions;
        assert!([config, tokenizer, tokenizer_config, generation_config, special_tokens_map].iter().all(Option::is_some));
        assert!([chat_template, index].iter().all(Option::is_none));
    }

    #[test]
    fn what_is_not_a_model_is_refused() {
        let directory = scratch("empty");
        assert!(
            refusal("an empty directory", open_path(&directory)).contains("expected model.safetensors or model.safetensors.index.json")
        );
        assert!(refusal("no file", open_path(&directory.join("none.gguf"))).contains("expected a file, found none"));
        std::fs::write(directory.join("config.json"), [0xff]).unwrap();
        assert!(refusal("a config of other bytes", open_path(&directory)).contains("expected UTF-8"));
        std::fs::write(directory.join("config.json"), vec![b' '; (4 << 20) + 1]).unwrap();
        assert!(refusal("a config of 4 MiB", open_path(&directory)).contains("at most 4194304 bytes"));
        std::fs::remove_file(directory.join("config.json")).unwrap();
        std::fs::create_dir(directory.join("model.safetensors")).unwrap();
        assert!(refusal("a directory for a file", open_path(&directory)).contains("a regular file"));
        std::fs::write(directory.join("m.gguf"), b"").unwrap();
        refusal("an empty file", open_path(&directory.join("m.gguf")));
    }

    #[test]
    fn fixtures_hold_the_types_and_shapes_of_their_names() {
        let cases: [(&str, &str, DType, &[u64]); 11] = [
            ("models/llama-gqa", "model.layers.0.self_attn.k_proj.weight", DType::F32, &[32, 64]),
            ("models/llama-gqa-f16", "model.layers.0.self_attn.k_proj.weight", DType::F16, &[32, 64]),
            ("models/llama-gqa-bf16", "model.layers.0.self_attn.k_proj.weight", DType::BF16, &[32, 64]),
            ("models/llama3-rope-tied", "model.embed_tokens.weight", DType::F32, &[384, 96]),
            ("models/smollm2-like", "model.embed_tokens.weight", DType::F32, &[384, 72]),
            ("gguf/llama-gqa-Q4_0.gguf", "blk.2.attn_k.weight", DType::Q4_0, &[32, 64]),
            ("gguf/llama-gqa-Q8_0.gguf", "blk.2.attn_k.weight", DType::Q8_0, &[32, 64]),
            ("gguf/llama-k256-Q4_K_M.gguf", "blk.1.ffn_down.weight", DType::Q6_K, &[256, 256]),
            ("gguf/llama-k256-Q4_K_M.gguf", "blk.1.attn_k.weight", DType::Q4_K, &[128, 256]),
            ("gguf/llama3-rope-tied-Q8_0.gguf", "blk.1.ffn_norm.weight", DType::F32, &[96]),
            ("gguf/smollm2-like-F16.gguf", "token_embd.weight", DType::F16, &[384, 72]),
        ];
        for (path, tensor, dtype, shape) in cases {
            let checkpoint = open_path(&fixture(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            let info = checkpoint.tensor(tensor).unwrap();
            assert_eq!((info.dtype, info.shape.as_slice()), (dtype, shape), "{path}: {tensor}");
            contents(&checkpoint);
        }
    }

    #[test]
    fn a_norm_gain_is_the_same_in_both_formats() {
        let (gguf, hub) = (open_path(&fixture("gguf/llama-gqa-Q8_0.gguf")).unwrap(), open_path(&fixture("models/llama-gqa")).unwrap());
        let gain = |checkpoint: &Checkpoint, name| {
            let info = checkpoint.tensor(name).unwrap();
            widen(info.dtype, &pollster::block_on(checkpoint.read_rows(info, 0..1)).unwrap()).unwrap()
        };
        assert_eq!(gain(&gguf, "blk.1.attn_norm.weight"), gain(&hub, "model.layers.1.input_layernorm.weight"));
    }
}

mod any_bytes {
    //! No bytes make opening panic, hang or hand out a tensor that is not there.
    use super::*;

    /// Opens bytes; what opens must be whole.
    fn check(name: &str, bytes: Vec<u8>) -> bool {
        let Ok(checkpoint) = open_bytes(name, bytes) else { return false };
        for (tensor, bytes) in contents(&checkpoint) {
            let info = &checkpoint.tensors[&tensor];
            assert_eq!(bytes.len() as u64, info.rows() * info.row_bytes(), "{name}: {info:?}");
            assert_eq!(info.range.end - info.range.start, bytes.len() as u64, "{name}: {info:?}");
        }
        true
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        for name in ["base.gguf", "model.safetensors"] {
            let whole = bytes_of(&format!("malformed/base-valid/{name}"));
            let checkpoint = open_bytes(name, whole.clone()).unwrap();
            let end = checkpoint.tensors.values().map(|info| info.range.end).max().unwrap() as usize;
            for length in (0..end).filter(|length| *length < 10_000 || length % 61 == 0 || *length > end - 100) {
                assert!(!check(name, whole[..length].to_vec()), "{name} cut to {length} of {end} was accepted");
            }
            assert!(check(name, whole[..end].to_vec()), "{name} without what follows the last tensor");
        }
    }

    #[test]
    fn bits_flipped_in_a_header_end_in_a_value() {
        let mut random = Random(1);
        for name in ["base.gguf", "model.safetensors"] {
            let whole = bytes_of(&format!("malformed/base-valid/{name}"));
            let first = open_bytes(name, whole.clone()).unwrap().tensors.values().map(|info| info.range.start).min().unwrap() as usize;
            let (mut accepted, mut refused) = (0, 0);
            for _ in 0..4000 {
                let mut bytes = whole.clone();
                for _ in 0..1 + random.below(3) {
                    bytes[random.below(first)] ^= 1 << random.below(8);
                }
                if check(name, bytes) { accepted += 1 } else { refused += 1 }
            }
            assert!(accepted > 50 && refused > 50, "{name}: {accepted} accepted, {refused} refused: the flips miss the header");
        }
    }

    #[test]
    fn extreme_words_anywhere_in_a_header_end_in_a_value() {
        let mut random = Random(2);
        let words =
            [0, 1, 2, 9, 1 << 16, 1 << 31, u64::from(u32::MAX), 1 << 32, 1 << 53, 1 << 61, 1 << 62, 1 << 63, u64::MAX - 31, u64::MAX];
        for path in ["malformed/base-valid/base.gguf", "gguf/llama-k256-Q4_K_M.gguf", "gguf/smollm2-like-F16.gguf"] {
            let whole = bytes_of(path);
            let first = open_bytes(path, whole.clone()).unwrap().tensors.values().map(|info| info.range.start).min().unwrap() as usize;
            for _ in 0..1500 {
                let mut bytes = whole.clone();
                let length = if random.below(2) == 0 { 4 } else { 8 };
                let word = words[random.below(words.len())].to_le_bytes();
                bytes[random.below(first - 8)..][..length].copy_from_slice(&word[..length]);
                check(path, bytes);
            }
        }
    }

    #[test]
    fn random_bytes_behind_a_magic_are_refused() {
        let mut random = Random(4);
        for _ in 0..3000 {
            let mut bytes: Vec<u8> =
                (0..random.below(300)).map(|_| random.next() as u8 & random.next() as u8 & random.next() as u8).collect();
            let head: &[u8] = if random.below(2) == 0 { b"GGUF\x03\0\0\0" } else { b"\x20\0\0\0\0\0\0\0{\"" };
            bytes.splice(..0, head.iter().copied());
            check("m", bytes);
        }
    }
}
