//! Typed verbs → a flat list of operations, with every shape checked when the verb is stated.
//!
//! A plan that builds is a plan that fits: a wrong shape is a bug of this crate, so it panics with a sentence.

use super::{Buffer, BufferId, Heads, Norm, Op, Plan, Then, VectorId, WeightId};

/// A matrix as the builder sees it: its id and the shape that its operations must match.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    /// Id in the machine.
    pub id: WeightId,
    /// Outputs.
    pub rows: u32,
    /// Inputs.
    pub cols: u32,
}

/// What [`PlanBuilder::linear`] does around the product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Linear {
    /// Norm of the input, if any.
    pub norm: Option<Norm>,
    /// `[n]`, if any.
    pub bias: Option<VectorId>,
    /// What becomes of the sums.
    pub then: Then,
}

/// Collects buffers and operations.
#[derive(Debug)]
pub struct PlanBuilder {
    plan: Plan,
}

impl PlanBuilder {
    /// An empty plan for up to `rows` rows.
    pub fn new(name: &'static str, rows: u32) -> PlanBuilder {
        assert!(rows > 0 && (rows <= super::MAX_DECODE_ROWS || rows.is_multiple_of(8)), "a plan has 1 to 8 rows, or a multiple of 8");
        PlanBuilder { plan: Plan { name, rows, buffers: Vec::new(), ops: Vec::new() } }
    }

    /// An activation buffer `[rows, width]` f32.
    pub fn buffer(&mut self, name: &'static str, width: u32) -> BufferId {
        self.plan.buffers.push(Buffer { name, width });
        BufferId(self.plan.buffers.len() - 1)
    }

    /// x = table[token]
    pub fn embed(&mut self, table: Matrix, x: BufferId) {
        self.expect_width(x, table.cols, "embed writes its columns");
        self.plan.ops.push(Op::Embed { table: table.id, x });
    }

    /// y = then(W · norm(x) + bias)
    pub fn linear(&mut self, weight: Matrix, x: BufferId, y: BufferId, linear: Linear) {
        assert!(x != y, "a linear operation cannot run in place");
        self.expect_width(x, weight.cols, "linear reads its columns");
        self.expect_width(y, weight.rows, "linear writes its rows");
        let Linear { norm, bias, then } = linear;
        self.plan.ops.push(Op::Linear { weight: weight.id, x, norm, bias, y, then });
    }

    /// Rotates q and k, writes q, appends k and v to the layer's cache.
    pub fn rope(&mut self, qkv: BufferId, q: BufferId, layer: u32, heads: Heads) {
        let queries = heads.num_attention_heads * heads.head_dim;
        self.expect_width(qkv, queries + 2 * heads.num_key_value_heads * heads.head_dim, "rope reads q, k and v");
        self.expect_width(q, queries, "rope writes q");
        self.plan.ops.push(Op::Rope { qkv, q, layer, heads });
    }

    /// Causal grouped-query attention over the layer's cache.
    pub fn attention(&mut self, q: BufferId, out: BufferId, layer: u32, heads: Heads) {
        let queries = heads.num_attention_heads * heads.head_dim;
        self.expect_width(q, queries, "attention reads q");
        self.expect_width(out, queries, "attention writes one value a query element");
        self.plan.ops.push(Op::Attention { q, out, layer, heads });
    }

    /// Draws the next token of each row.
    pub fn sample(&mut self, logits: BufferId) {
        self.plan.ops.push(Op::Sample { logits });
    }

    /// The finished plan.
    pub fn finish(self) -> Plan {
        self.plan
    }

    fn expect_width(&self, buffer: BufferId, width: u32, why: &str) {
        let found = &self.plan.buffers[buffer.0];
        assert!(found.width == width, "{why}: buffer {} is {} wide, expected {width}", found.name, found.width);
    }
}
