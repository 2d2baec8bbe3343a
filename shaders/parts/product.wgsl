// product: what the matrix kernels share: their sizes, bindings and what becomes of a finished sum.
struct Dims {
    k8: u32,          // columns / 8, rounded up
    group_shift: u32, // log2 of eights in a scale group
    outputs: u32,     // of the piece
    first: u32,       // column of y of the piece's first output
    y_stride: u32,
    then: u32,
    bias: u32,        // 1 if there is one
    pairs: u32,       // pairs of weight rows: two outputs, or gate and up of one
    k: f32,           // columns
    eps: f32,
    lanes: u32,       // threads that share a pair, in linear
}
const ADD = 1u;
const GATE = 2u;
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<f32>;
@group(0) @binding(6) var<storage, read> rows: array<Row>;

fn put(row: u32, output: u32, sum: f32) {
    if (output >= dims.outputs) {
        return;
    }
    var v = sum;
    if (dims.bias == 1u) {
        v += bias[dims.first + output];
    }
    let i = row * dims.y_stride + dims.first + output;
    if (dims.then == ADD) {
        v += y[i];
    }
    y[i] = v;
}

/// The sums of gate and up of one output.
fn put_gated(row: u32, output: u32, gate: f32, up: f32) {
    if (output < dims.outputs) {
        y[row * dims.y_stride + dims.first + output] = gate / (1.0 + exp(-gate)) * up;
    }
}
