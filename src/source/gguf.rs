//! GGUF header → metadata and tensor table (versions 2 and 3, little-endian).
//!
//! The header has no length field: [`parse`] works on a prefix of the file and says how many bytes it needs when the prefix is short.
//! Every count and length is checked against what remains of the *file* before anything is reserved. Dimensions stand in the file with
//! the contiguous axis first and are reversed here into PyTorch order.
//! Source: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>; block sizes: `gguf-py/gguf/constants.py`, `GGML_QUANT_SIZES`.

mod cursor;
mod value;

pub use value::{Metadata, Value};

use super::{
    DType, TensorInfo,
    checkpoint::{Entry, MAX_TENSORS},
    quoted,
};
use cursor::Cursor;
pub(super) use cursor::Stop;

/// What a GGUF file says before its weights.
#[derive(Default)]
pub(super) struct Header {
    pub metadata: Metadata,
    pub tensors: Vec<Entry>,
}

const MAGIC: [u8; 4] = *b"GGUF";
/// Formats before GGUF, as their first bytes stand in the file.
const OLD_MAGICS: [&[u8; 4]; 5] = [b"lmgg", b"fmgg", b"tjgg", b"algg", b"FUGG"];
/// Most metadata keys, far above any file that exists.
const MAX_KEYS: u64 = 1 << 16;
/// A key of no bytes with a one-byte value: length, type, value.
const MIN_KEY_BYTES: u64 = 8 + 4 + 1;
/// A scalar tensor of no name: length, number of dimensions, type, offset.
const MIN_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;
/// The format's own bounds.
const MAX_KEY_BYTES: u64 = 65_535;
const MAX_NAME_BYTES: u64 = 64;
const MAX_DIMENSIONS: u32 = 4;
const DEFAULT_ALIGNMENT: u64 = 32;

/// ggml's types that are not read here: id, name, weights and bytes of a block.
#[rustfmt::skip]
const OTHER_TYPES: [(u32, &str, u64, u64); 27] = [
    (3, "Q4_1", 32, 20), (6, "Q5_0", 32, 22), (7, "Q5_1", 32, 24), (9, "Q8_1", 32, 40), (10, "Q2_K", 256, 84), (11, "Q3_K", 256, 110),
    (13, "Q5_K", 256, 176), (15, "Q8_K", 256, 292), (16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74), (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50), (20, "IQ4_NL", 32, 18), (21, "IQ3_S", 256, 110), (22, "IQ2_S", 256, 82), (23, "IQ4_XS", 256, 136),
    (24, "I8", 1, 1), (25, "I16", 1, 2), (26, "I32", 1, 4), (27, "I64", 1, 8), (28, "F64", 1, 8), (29, "IQ1_M", 256, 56),
    (34, "TQ1_0", 256, 54), (35, "TQ2_0", 256, 66), (39, "MXFP4", 32, 17), (40, "NVFP4", 64, 36), (41, "Q1_0", 128, 18),
];

/// Whether a file that begins like this is GGUF or one of its forerunners.
pub(super) fn is_magic(bytes: &[u8]) -> bool {
    bytes == MAGIC || OLD_MAGICS.iter().any(|magic| bytes == *magic)
}

/// Parses the header out of the first bytes of a file of `file_bytes`.
///
/// # Errors
/// [`Stop::Needs`] if the header goes on past the prefix, [`Stop::Refused`] if the file is not valid.
pub(super) fn parse(file: &str, prefix: &[u8], file_bytes: u64) -> Result<Header, Stop> {
    let mut cursor = Cursor::new(file, prefix, file_bytes);
    check_version(&mut cursor)?;
    let num_tensors = count(&mut cursor, "tensor count", MAX_TENSORS, MIN_TENSOR_BYTES)?;
    let num_keys = count(&mut cursor, "metadata count", MAX_KEYS, MIN_KEY_BYTES)?;
    let metadata = read_metadata(&mut cursor, num_keys)?;
    let alignment = alignment(&mut cursor, &metadata)?;
    let tensors = read_tensors(&mut cursor, num_tensors, alignment)?;
    Ok(Header { metadata, tensors })
}

fn check_version(cursor: &mut Cursor) -> Result<(), Stop> {
    cursor.field("magic");
    let magic = cursor.take(4)?;
    if OLD_MAGICS.iter().any(|old| magic == *old) {
        return Err(cursor.unsupported(format!("older than GGUF ({})", magic.escape_ascii()), "GGUF version 2 and 3"));
    }
    if magic != MAGIC {
        return Err(cursor.invalid("GGUF", magic.escape_ascii().to_string()));
    }
    cursor.field("version");
    match cursor.u32()? {
        2 | 3 => Ok(()),
        version if version & 0xffff == 0 && version != 0 => {
            Err(cursor.unsupported(format!("{} in big-endian order", version.swap_bytes()), "little-endian files of version 2 and 3"))
        }
        version => Err(cursor.unsupported(version.to_string(), "2, 3")),
    }
}

/// A number of things that follow, each of at least `min_bytes`.
fn count(cursor: &mut Cursor, field: &str, most: u64, min_bytes: u64) -> Result<u64, Stop> {
    cursor.field(field);
    let count = cursor.u64()?;
    let most = most.min(cursor.left() / min_bytes);
    if count > most {
        return Err(cursor.invalid(format!("at most {most} in a file of this size"), count.to_string()));
    }
    Ok(count)
}

fn read_metadata(cursor: &mut Cursor, num_keys: u64) -> Result<Metadata, Stop> {
    let mut metadata = Metadata::new();
    for number in 0..num_keys {
        cursor.field(format!("metadata key {number}"));
        let key = cursor.bytes_with_length(MAX_KEY_BYTES)?;
        let Some(key) = std::str::from_utf8(key).ok().filter(|key| key.is_ascii()) else {
            return Err(cursor.invalid("ASCII", format!("\"{}\"", key[..key.len().min(80)].escape_ascii())));
        };
        cursor.field(format!("metadata {}", quoted(key)));
        let value = value::read(cursor)?;
        if metadata.insert(key.to_owned(), value).is_some() {
            return Err(cursor.invalid("each key once", "a second one"));
        }
    }
    Ok(metadata)
}

/// The format asks for a multiple of 8, nothing more.
fn alignment(cursor: &mut Cursor, metadata: &Metadata) -> Result<u64, Stop> {
    cursor.field("metadata \"general.alignment\"");
    match metadata.get("general.alignment") {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(Value::U64(alignment)) if *alignment > 0 && alignment % 8 == 0 && *alignment <= u64::from(u32::MAX) => Ok(*alignment),
        Some(other) => Err(cursor.invalid("a multiple of 8 as u32", other.describe())),
    }
}

/// A line of the table, before the place of the data section is known.
struct Placed {
    entry: Entry,
    offset: u64,
    bytes: u64,
}

fn read_tensors(cursor: &mut Cursor, num_tensors: u64, alignment: u64) -> Result<Vec<Entry>, Stop> {
    let mut table = Vec::new();
    for number in 0..num_tensors {
        table.push(read_tensor(cursor, number, alignment)?);
    }
    let data_start = cursor.position().next_multiple_of(alignment);
    let mut spans = Vec::new();
    let mut entries = Vec::new();
    for Placed { entry, offset, bytes } in table {
        let name = match &entry {
            Entry::Readable(info) => info.name.clone(),
            Entry::Unreadable { name, .. } => name.clone(),
        };
        cursor.field(format!("tensor {}: data", quoted(&name)));
        let range = data_start.checked_add(offset).and_then(|start| Some(start..start.checked_add(bytes)?));
        let Some(range) = range.filter(|range| range.end <= cursor.file_bytes()) else {
            let found = format!("{bytes} bytes at {offset} after byte {data_start}");
            return Err(cursor.invalid(format!("bytes within a file of {}", cursor.file_bytes()), found));
        };
        spans.push((range.start, range.end, name));
        entries.push(match entry {
            Entry::Readable(info) => Entry::Readable(TensorInfo { range, ..info }),
            unreadable => unreadable,
        });
    }
    check_overlap(cursor, spans)?;
    Ok(entries)
}

fn read_tensor(cursor: &mut Cursor, number: u64, alignment: u64) -> Result<Placed, Stop> {
    cursor.field(format!("tensor {number}: name"));
    let name = cursor.bytes_with_length(MAX_NAME_BYTES)?;
    let Ok(name) = std::str::from_utf8(name) else {
        return Err(cursor.invalid("UTF-8", format!("\"{}\"", name.escape_ascii())));
    };
    let quoted_name = quoted(name);
    cursor.field(format!("tensor {quoted_name}: dimensions"));
    let num_dimensions = cursor.u32()?;
    if num_dimensions > MAX_DIMENSIONS {
        return Err(cursor.invalid(format!("at most {MAX_DIMENSIONS}"), num_dimensions.to_string()));
    }
    let mut shape = (0..num_dimensions).map(|_| cursor.u64()).collect::<Result<Vec<u64>, Stop>>()?;
    shape.reverse();
    cursor.field(format!("tensor {quoted_name}: type"));
    let id = cursor.u32()?;
    let (dtype, type_name, block_size, block_bytes) = element_type(cursor, id)?;
    cursor.field(format!("tensor {quoted_name}: shape"));
    let row = shape.last().copied().unwrap_or(1);
    let bytes = shape.iter().try_fold(1u64, |product, &axis| product.checked_mul(axis)).filter(|_| row % block_size == 0);
    let Some(bytes) = bytes.and_then(|elements| (elements / block_size).checked_mul(block_bytes)) else {
        return Err(cursor.invalid(format!("rows of whole {type_name} blocks of {block_size} in 64 bits of bytes"), format!("{shape:?}")));
    };
    cursor.field(format!("tensor {quoted_name}: offset"));
    let offset = cursor.u64()?;
    if offset % alignment != 0 {
        return Err(cursor.invalid(format!("a multiple of {alignment}"), offset.to_string()));
    }
    let name = name.to_owned();
    let entry = match dtype {
        Some(dtype) => Entry::Readable(TensorInfo { name, dtype, shape, file: 0, range: 0..0 }),
        None => Entry::Unreadable { name, dtype: type_name.to_owned() },
    };
    Ok(Placed { entry, offset, bytes })
}

fn element_type(cursor: &Cursor, id: u32) -> Result<(Option<DType>, &'static str, u64, u64), Stop> {
    let dtype = match id {
        0 => DType::F32,
        1 => DType::F16,
        2 => DType::Q4_0,
        8 => DType::Q8_0,
        12 => DType::Q4_K,
        14 => DType::Q6_K,
        30 => DType::BF16,
        _ => {
            let other = OTHER_TYPES.iter().find(|other| other.0 == id).map(|other| (None, other.1, other.2, other.3));
            return other.ok_or_else(|| cursor.unsupported(format!("number {id}"), &DType::supported()));
        }
    };
    Ok((Some(dtype), dtype.name(), dtype.block_size(), dtype.block_bytes()))
}

/// Tensors may stand in any order and leave gaps, but share no byte.
fn check_overlap(cursor: &mut Cursor, mut spans: Vec<(u64, u64, String)>) -> Result<(), Stop> {
    spans.retain(|(start, end, _)| start < end);
    spans.sort();
    for pair in spans.windows(2) {
        let (previous, next) = (&pair[0], &pair[1]);
        if next.0 < previous.1 {
            cursor.field(format!("tensor {}: data", quoted(&next.2)));
            let expected = format!("bytes from {} on, after {}", previous.1, quoted(&previous.2));
            return Err(cursor.invalid(expected, format!("bytes from {}", next.0)));
        }
    }
    Ok(())
}
