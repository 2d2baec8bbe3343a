// norm: y = x / sqrt(mean(x^2) + eps) * gain
//   @0 dims Dims            uniform
//   @1 rows [rows] Row      read
//   @2 x    [rows, k] f32   read
//   @3 gain [k] f32         read
//   @4 y    [rows, k] f32   read_write  only written
// parts: row     grid: [ceil(rows / WORKGROUP), 1, 1], a thread for each row: no barrier, for adapters that punish them
// twin: cpu norm
struct Dims {
    k4: u32,   // row stride / 4
    rows: u32,
    k: f32,    // columns
    eps: f32,
}
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> gain: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    if (row >= dims.rows || rows[row].running == 0u) {
        return;
    }
    let first = row * dims.k4;
    var squares = 0.0;
    for (var i = 0u; i < dims.k4; i++) {
        let v = x[first + i];
        squares += dot(v, v);
    }
    let factor = inverseSqrt(squares / dims.k + dims.eps);
    for (var i = 0u; i < dims.k4; i++) {
        y[first + i] = x[first + i] * factor * gain[i];
    }
}
