//! safetensors header → tensor table: eight bytes of length, a JSON map, then one buffer that the tensors fill without gap or overlap.
//!
//! Stricter than serde's default where it hides damage: duplicate keys are refused and an entry must be an object. Element types that
//! the format has but no model here uses (integers, bool, 8-bit floats) are sized, checked and set aside.
//! Source: <https://huggingface.co/docs/safetensors>, section "Format".

use super::{
    ByteSource, DType, SourceError, TensorInfo,
    checkpoint::{Entry, MAX_TENSORS, read},
    quoted,
};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use std::{collections::BTreeMap, fmt, marker::PhantomData, ops::Range};

/// The format's own bound on the header.
const MAX_HEADER_BYTES: u64 = 100_000_000;
/// Most axes of a tensor.
const MAX_RANK: usize = 8;

/// Bits of one element, for the types that are not read here.
#[rustfmt::skip]
const OTHER_TYPES: [(&str, u64); 19] = [
    ("BOOL", 8), ("F4", 4), ("F6_E2M3", 6), ("F6_E3M2", 6), ("U8", 8), ("I8", 8), ("F8_E5M2", 8), ("F8_E4M3", 8), ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("I16", 16), ("U16", 16), ("I32", 32), ("U32", 32), ("C64", 64), ("F64", 64), ("I64", 64),
    ("U64", 64),
];

/// Reads and checks the header of file number `file`.
///
/// # Errors
/// If the file cannot be read or is not valid.
pub(super) async fn read_header(name: &str, source: &dyn ByteSource, file: usize) -> Result<Vec<Entry>, SourceError> {
    let invalid = |expected: String, found: String| SourceError::invalid(format!("{name}: header length"), expected, found);
    let length: [u8; 8] = read(name, source, 0..source.len().min(8))
        .await?
        .try_into()
        .map_err(|bytes: Vec<u8>| invalid("8 bytes".into(), format!("a file of {}", bytes.len())))?;
    let header_bytes = u64::from_le_bytes(length);
    let most = MAX_HEADER_BYTES.min(source.len() - 8);
    if header_bytes < 2 || header_bytes > most {
        return Err(invalid(format!("2 to {most}"), header_bytes.to_string()));
    }
    let data_start = 8 + header_bytes;
    let json = read(name, source, 8..data_start).await?;
    parse(name, file, &json, data_start, source.len() - data_start)
}

fn parse(name: &str, file: usize, json: &[u8], data_start: u64, data_bytes: u64) -> Result<Vec<Entry>, SourceError> {
    if json.first() != Some(&b'{') {
        return Err(SourceError::invalid(
            format!("{name}: header"),
            "a first byte of '{'",
            format!("{:?}", json.first().map(|&byte| byte as char)),
        ));
    }
    let Header(raw) = serde_json::from_slice(json)
        .map_err(|error| SourceError::invalid(format!("{name}: header"), "a JSON map of tensors", quoted(&error.to_string())))?;
    if raw.len() as u64 > MAX_TENSORS {
        return Err(SourceError::invalid(format!("{name}: tensors"), format!("at most {MAX_TENSORS}"), raw.len().to_string()));
    }
    check_coverage(name, &raw, data_bytes)?;
    raw.into_iter().map(|(tensor, raw)| entry(name, file, tensor, raw, data_start)).collect()
}

/// Ends of tensors meet the starts of the next, from the buffer's first byte to its last.
fn check_coverage(name: &str, raw: &BTreeMap<String, RawEntry>, data_bytes: u64) -> Result<(), SourceError> {
    let mut by_start: Vec<(&String, &Range<u64>)> = raw.iter().map(|(tensor, raw)| (tensor, &raw.data_offsets)).collect();
    by_start.sort_by_key(|(_, range)| (range.start, range.end));
    let mut end = 0;
    for (tensor, range) in by_start {
        if range.start != end || range.end < range.start || range.end > data_bytes {
            return Err(SourceError::invalid(
                format!("{name}: tensor {}: data_offsets", quoted(tensor)),
                format!("a range that begins at {end} and ends by {data_bytes}"),
                format!("{range:?}"),
            ));
        }
        end = range.end;
    }
    if end != data_bytes {
        return Err(SourceError::invalid(
            format!("{name}: bytes after the header"),
            format!("{end}, as the tensors take"),
            data_bytes.to_string(),
        ));
    }
    Ok(())
}

fn entry(file_name: &str, file: usize, name: String, raw: RawEntry, data_start: u64) -> Result<Entry, SourceError> {
    let what = |field: &str| format!("{file_name}: tensor {}: {field}", quoted(&name));
    if raw.shape.len() > MAX_RANK {
        return Err(SourceError::invalid(what("shape"), format!("at most {MAX_RANK} axes"), raw.shape.len().to_string()));
    }
    let dtype = [DType::F32, DType::F16, DType::BF16].into_iter().find(|dtype| dtype.name() == raw.dtype);
    let other = OTHER_TYPES.iter().find(|(other, _)| *other == raw.dtype);
    let bits = match (dtype, other) {
        (Some(dtype), _) => dtype.block_bytes() * 8,
        (None, Some((_, bits))) => *bits,
        (None, None) => return Err(SourceError::invalid(what("dtype"), "an element type of the format", quoted(&raw.dtype))),
    };
    let num_elements = raw.shape.iter().try_fold(1u64, |product, &axis| product.checked_mul(axis));
    let num_bits = num_elements.and_then(|elements| elements.checked_mul(bits));
    let stored = raw.data_offsets.end - raw.data_offsets.start;
    if num_bits.filter(|bits| bits % 8 == 0).map(|bits| bits / 8) != Some(stored) {
        let found = format!("{} {:?}", raw.dtype, raw.shape);
        return Err(SourceError::invalid(what("shape"), format!("one of {stored} bytes, as data_offsets says"), found));
    }
    Ok(match dtype {
        Some(dtype) => {
            let range = data_start + raw.data_offsets.start..data_start + raw.data_offsets.end;
            Entry::Readable(TensorInfo { name, dtype, shape: raw.shape, file, range })
        }
        None => Entry::Unreadable { name, dtype: raw.dtype },
    })
}

/// The JSON of the header, duplicates refused.
struct Header(BTreeMap<String, RawEntry>);

struct RawEntry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: Range<u64>,
}

/// A JSON object whose keys differ; `serde_json` itself would keep the last of two.
pub(super) struct UniqueMap<T>(pub BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for UniqueMap<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = UniqueMap<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some(key) = map.next_key::<String>()? {
                    insert_new(&mut entries, key, map.next_value()?)?;
                }
                Ok(UniqueMap(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

fn insert_new<T, E: Error>(entries: &mut BTreeMap<String, T>, key: String, value: T) -> Result<(), E> {
    if entries.contains_key(&key) {
        return Err(E::custom(format_args!("duplicate key {}", quoted(&key))));
    }
    entries.insert(key, value);
    Ok(())
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Header;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut tensors = BTreeMap::new();
                let mut has_metadata = false;
                while let Some(key) = map.next_key::<String>()? {
                    if key != "__metadata__" {
                        insert_new(&mut tensors, key, map.next_value()?)?;
                    } else if std::mem::replace(&mut has_metadata, true) {
                        return Err(A::Error::duplicate_field("__metadata__"));
                    } else {
                        map.next_value::<UniqueMap<String>>()?;
                    }
                }
                Ok(Header(tensors))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

impl<'de> Deserialize<'de> for RawEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = RawEntry;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with dtype, shape and data_offsets")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawEntry, A::Error> {
                let (mut dtype, mut shape, mut data_offsets) = (None, None, None);
                while let Some(key) = map.next_key::<String>()? {
                    let repeated = match key.as_str() {
                        "dtype" => dtype.replace(map.next_value()?).is_some(),
                        "shape" => shape.replace(map.next_value()?).is_some(),
                        "data_offsets" => data_offsets.replace(map.next_value::<(u64, u64)>()?).is_some(),
                        _ => map.next_value::<IgnoredAny>().map(|_| false)?,
                    };
                    if repeated {
                        return Err(A::Error::custom(format_args!("duplicate field {}", quoted(&key))));
                    }
                }
                let (start, end) = data_offsets.ok_or_else(|| A::Error::missing_field("data_offsets"))?;
                Ok(RawEntry {
                    dtype: dtype.ok_or_else(|| A::Error::missing_field("dtype"))?,
                    shape: shape.ok_or_else(|| A::Error::missing_field("shape"))?,
                    data_offsets: start..end,
                })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
