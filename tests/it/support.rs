//! What several tests need: fixtures, a generator of random numbers, and writers of GGUF and safetensors files.

use kinglet::source::{Checkpoint, Companions, MemorySource, ModelFiles, SourceError};
use std::{path::PathBuf, rc::Rc};

/// The path of a fixture.
pub fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// The bytes of a fixture.
pub fn bytes_of(path: &str) -> Vec<u8> {
    std::fs::read(fixture(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The text of a fixture.
pub fn text_of(path: &str) -> String {
    String::from_utf8(bytes_of(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A file of the malformed table, by its `path` in cases.json: as it lies there, or unpacked from packed.json (see pack.py).
pub fn malformed(path: &str) -> Vec<u8> {
    let packed: serde_json::Value = serde_json::from_str(&text_of("malformed/packed.json")).unwrap();
    let Some(entry) = packed.get(path) else { return bytes_of(&format!("malformed/{path}")) };
    let base = entry["base"].as_str().map(|base| bytes_of(&format!("malformed/{base}"))).unwrap_or_default();
    let mut bytes = Vec::new();
    for part in entry["parts"].as_array().unwrap() {
        match part.as_str() {
            Some(literal) => bytes.extend(hex(literal)),
            None => {
                let count = part[1].as_u64().unwrap() as usize;
                match part[0].as_u64() {
                    Some(start) => bytes.extend(&base[start as usize..][..count]),
                    None => bytes.extend(hex(part[0].as_str().unwrap()).repeat(count)),
                }
            }
        }
    }
    assert_eq!(bytes.len() as u64, entry["bytes"].as_u64().unwrap(), "{path}");
    bytes
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Opens one weight file in memory, with base-valid's config beside it.
pub fn open_bytes(name: &str, bytes: impl Into<Rc<[u8]>>) -> Result<Checkpoint, SourceError> {
    let companions = Companions { config: Some(text_of("malformed/base-valid/config.json")), ..Companions::default() };
    let weights: Vec<(String, Rc<dyn kinglet::source::ByteSource>)> = vec![(name.into(), Rc::new(MemorySource(bytes.into())))];
    pollster::block_on(Checkpoint::open(ModelFiles { weights, companions }))
}

/// SplitMix64: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Writes GGUF files, right ones and wrong ones.
pub struct Gguf {
    pub version: u32,
    pub alignment: u64,
    pub keys: Vec<Vec<u8>>,
    pub tensors: Vec<Vec<u8>>,
    pub data: Vec<u8>,
}

impl Default for Gguf {
    fn default() -> Self {
        Gguf { version: 3, alignment: 32, keys: Vec::new(), tensors: Vec::new(), data: Vec::new() }
    }
}

impl Gguf {
    /// Adds a key; `value` is the type's number and the payload.
    pub fn key(mut self, key: &str, kind: u32, payload: &[u8]) -> Self {
        self.keys.push([&string(key), &kind.to_le_bytes()[..], payload].concat());
        self
    }

    /// Adds a table line; `dimensions` have the contiguous axis first.
    pub fn tensor(mut self, name: &str, dimensions: &[u64], kind: u32, offset: u64) -> Self {
        let mut line = string(name);
        line.extend((dimensions.len() as u32).to_le_bytes());
        dimensions.iter().for_each(|dimension| line.extend(dimension.to_le_bytes()));
        line.extend(kind.to_le_bytes());
        line.extend(offset.to_le_bytes());
        self.tensors.push(line);
        self
    }

    /// Sets the bytes behind the header.
    pub fn data(mut self, bytes: usize) -> Self {
        self.data = (0..bytes).map(|at| at as u8).collect();
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.keys.len() as u64).to_le_bytes());
        bytes.extend(self.keys.concat());
        bytes.extend(self.tensors.concat());
        bytes.resize(bytes.len().next_multiple_of(self.alignment as usize), 0);
        bytes.extend(&self.data);
        bytes
    }
}

/// A length and the text, as GGUF has strings.
pub fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// An array's element type, count and payload, as GGUF has them.
pub fn array(kind: u32, count: u64, payload: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes()[..], payload].concat()
}

/// A safetensors file with this header and `data_bytes` of data.
pub fn safetensors(header: &str, data_bytes: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..data_bytes).map(|at| at as u8).collect();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}
