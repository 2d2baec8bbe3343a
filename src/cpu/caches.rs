//! Keys, values and the rotary table: what the rows of every plan share.

use crate::cpu::reserve;
use crate::plan::{MachineError, MemorySpec};

/// The keys and values of one layer, slot by slot. A slot's room is reserved at load, and taken as positions are written: pages that no
/// draft has reached cost nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerCache {
    /// k: for each slot `[positions written, kv_heads, head_dim]` f32
    pub k: Vec<Vec<f32>>,
    /// v: likewise
    pub v: Vec<Vec<f32>>,
}

impl LayerCache {
    /// The room of one position's keys and values, each `[width]`.
    ///
    /// # Panics
    /// If the slot does not exist.
    pub fn position(&mut self, slot: u32, position: u32, width: usize) -> (&mut [f32], &mut [f32]) {
        let end = (position as usize + 1) * width;
        let reach = |cache: &mut Vec<f32>| cache.resize(cache.len().max(end), 0.0);
        let (k, v) = (&mut self.k[slot as usize], &mut self.v[slot as usize]);
        reach(k);
        reach(v);
        (&mut k[end - width..end], &mut v[end - width..end])
    }
}

/// Every layer's cache, and the rotary table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Caches {
    /// Sequences.
    pub slots: usize,
    /// Positions a sequence.
    pub max_seq: usize,
    /// Elements of one position: kv_heads * head_dim.
    pub width: usize,
    /// rope: `[max_seq, head_dim / 2, 2]` f32: cosine and sine
    pub rope: Vec<f32>,
    /// In order.
    pub layers: Vec<LayerCache>,
}

impl Caches {
    /// Empty caches.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn new(spec: &MemorySpec) -> Result<Caches, MachineError> {
        let width = u64::from(spec.num_key_value_heads) * u64::from(spec.head_dim);
        let elements = u64::from(spec.max_seq).saturating_mul(width);
        let slots = |what: &str| (0..spec.slots).map(|_| reserve(what, elements)).collect::<Result<Vec<_>, _>>();
        let mut layers = Vec::new();
        for _ in 0..spec.num_layers {
            layers.push(LayerCache { k: slots("a key cache")?, v: slots("a value cache")? });
        }
        let (slots, max_seq) = (spec.slots as usize, spec.max_seq as usize);
        assert_eq!(spec.rope.len(), max_seq * spec.head_dim as usize, "the rotary table is [max_seq, head_dim / 2, 2]");
        Ok(Caches { slots, max_seq, width: width as usize, rope: spec.rope.clone(), layers })
    }

    /// Bytes reserved.
    pub fn bytes(&self) -> u64 {
        let elements = self.layers.len() * 2 * self.slots * self.max_seq * self.width + self.rope.len();
        4 * elements as u64
    }
}
