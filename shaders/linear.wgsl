// linear: y = then(W · norm(x) + bias), for one piece of W
//   @0 dims   Dims             uniform
//   @1 x      [rows, k] f32    read
//   @2 codes  [n, k]           read        part weights
//   @3 scales [n, groups]      read        part weights, absent for float layouts
//   @4 bias   [outputs] f32    read        of the whole matrix; anything if dims.bias == 0
//   @5 y      [rows, width] f32 read_write accumulated into if dims.then == ADD
//   @6 rows   [rows] Row       read
//   @7 gain   [k] f32          read        part norm_fused
// parts: row, weights, rows, norm, collect
// grid: [ceil(pairs / PAIRS) spread over x and z, ceil(rows / ROWS), 1]     twin: cpu linear
//
// LANES threads share a pair of weight rows (two outputs, or gate and up of one) for ROWS rows of x; each sum runs over k in an order
// that depends on nothing but LANES, so a row's result is the same in every company.
struct Dims {
    k8: u32,          // columns / 8, rounded up
    group_shift: u32, // log2 of eights in a scale group
    outputs: u32,     // of the piece
    first: u32,       // column of y of the piece's first output
    y_stride: u32,
    then: u32,
    bias: u32,        // 1 if there is one
    pairs: u32,
    k: f32,           // columns
    eps: f32,
}
const ADD = 1u;
const GATE = 2u;
const PAIRS = WORKGROUP / LANES;
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

/// a, b: the two finished sums of a pair for one row.
fn emit(row: u32, pair: u32, a: f32, b: f32) {
    if (rows[row].running == 0u || pair >= dims.pairs) {
        return;
    }
    if (dims.then == GATE) {
        y[row * dims.y_stride + dims.first + pair] = a / (1.0 + exp(-a)) * b;
    } else {
        put(row, 2u * pair, a);
        put(row, 2u * pair + 1u, b);
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = group.y * ROWS;
    var running = 0u;
    for (var r = 0u; r < ROWS; r++) {
        running |= rows[row + r].running;
    }
    if (running == 0u) {
        return;
    }
    let base = (group.z * groups.x + group.x) * PAIRS;
    let pair = base + thread / LANES;
    // Threads past the end compute the last pair again, so that all of them reach the barrier.
    let held = min(pair, dims.pairs - 1u);
    let gated = dims.then == GATE;
    let a = select(2u * held, held, gated);
    let b = select(min(2u * held + 1u, dims.outputs - 1u), held + dims.outputs, gated);
    tile(row, pair, a, b, thread);
    settle(row, base, thread);
}
