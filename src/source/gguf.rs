//! GGUF.
use std::collections::BTreeMap;
/// A metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any unsigned integer type.
    U64(u64),
    /// Any signed integer type.
    I64(i64),
    /// f32 or f64.
    F64(f64),
    /// A boolean.
    Bool(bool),
    /// UTF-8 text.
    String(String),
    /// An array of one type.
    Array(Vec<Value>),
}
/// Key-value metadata.
pub type Metadata = BTreeMap<String, Value>;
