//! y = then(W x + bias) over any run of a matrix's rows and any set of activation rows.
//!
//! Each weight row is unpacked once and multiplied with every active row, so a row's result is bitwise the same alone and together,
//! and the same whether the matrix is computed whole or in runs (as the load-time self-test does while weights stream).

use crate::cpu::{dot::dot, unpack::PlanesView};
use crate::plan::{Activation, Then};
use std::ops::Range;

/// Rows of activations, some of them to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Activations<'a> {
    /// x: `[rows, stride]` f32, padding zero
    pub values: &'a [f32],
    /// Elements a row.
    pub stride: usize,
    /// The rows to compute, as indices.
    pub active: &'a [usize],
}

/// Where a run of outputs goes.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// y: `[rows, stride]` f32
    pub values: &'a mut [f32],
    /// Elements a row.
    pub stride: usize,
    /// The column that output row 0 of the view has in y.
    pub first: usize,
}

/// Computes outputs `outputs` of the view (0 is its first) for every active row.
///
/// `bias: [outputs of the view]`, never with [`Then::Gate`], whose planes hold gate rows, then as many up rows.
/// `scratch` keeps its allocation between calls; its contents do not matter.
///
/// # Panics
/// If the shapes do not fit, or a gate has a bias.
pub fn linear_rows(
    weight: &PlanesView,
    outputs: Range<usize>,
    x: Activations,
    bias: Option<&[f32]>,
    then: Then,
    y: &mut Outputs,
    scratch: &mut Vec<f32>,
) {
    let stride = weight.stride();
    assert!(x.stride >= stride, "activations of stride {} are narrower than the matrix, {stride}", x.stride);
    assert!(bias.is_none() || !matches!(then, Then::Gate(_)), "a gate has no bias");
    scratch.resize(2 * stride, 0.0);
    let (room, up_room) = scratch.split_at_mut(stride);
    let num_outputs = if matches!(then, Then::Gate(_)) { weight.num_rows() / 2 } else { weight.num_rows() };
    for output in outputs {
        let w = weight.row(output, room);
        let up = if matches!(then, Then::Gate(_)) { weight.row(num_outputs + output, up_room) } else { &[] };
        for row in x.active {
            let x = &x.values[row * x.stride..][..stride];
            let y = &mut y.values[row * y.stride + y.first + output];
            let sum = dot(w, x) + bias.map_or(0.0, |bias| bias[output]);
            match then {
                Then::Store => *y = sum,
                Then::Add => *y += sum,
                Then::Gate(Activation::Silu) => *y = silu(sum) * dot(up, x),
            }
        }
    }
}

/// x * sigmoid(x)
pub fn silu(x: f32) -> f32 {
    x / (1.0 + libm::expf(-x))
}
