//! Keys, values and the rotary table: what the rows of every plan share.

use crate::cpu::zeros;
use crate::plan::{MachineError, MemorySpec};

/// The keys and values of one layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerCache {
    /// k: `[slots, max_seq, kv_heads, head_dim]` f32
    pub k: Vec<f32>,
    /// v: `[slots, max_seq, kv_heads, head_dim]` f32
    pub v: Vec<f32>,
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
        let elements = (u64::from(spec.slots) * u64::from(spec.max_seq)).saturating_mul(width);
        let mut layers = Vec::new();
        for _ in 0..spec.num_layers {
            layers.push(LayerCache { k: zeros("a key cache", elements)?, v: zeros("a value cache", elements)? });
        }
        let (slots, max_seq) = (spec.slots as usize, spec.max_seq as usize);
        assert_eq!(spec.rope.len(), max_seq * spec.head_dim as usize, "the rotary table is [max_seq, head_dim / 2, 2]");
        Ok(Caches { slots, max_seq, width: width as usize, rope: spec.rope.clone(), layers })
    }

    /// Where a position starts in `k` and `v`.
    ///
    /// # Panics
    /// If the slot or position does not exist.
    pub fn offset(&self, slot: u32, position: u32) -> usize {
        let (slot, position) = (slot as usize, position as usize);
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        assert!(position < self.max_seq, "position {position} of {}", self.max_seq);
        (slot * self.max_seq + position) * self.width
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        let elements = self.layers.iter().map(|layer| layer.k.len() + layer.v.len()).sum::<usize>() + self.rope.len();
        4 * elements as u64
    }
}
