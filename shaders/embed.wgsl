// embed: x = table[token], for the rows whose token lies in this piece of the table
//   @0 dims   Dims            uniform
//   @1 rows   [rows] Row      read
//   @2 codes  [count, k]      read        part weights
//   @3 scales [count, groups] read        part weights, absent for float layouts
//   @4 x      [rows, k] f32   read_write  only written
// parts: row, weights     grid: [ceil(k8 / WORKGROUP), rows, 1], a thread for each eight columns     twin: cpu embed
struct Dims {
    k8: u32,          // columns / 8, rounded up
    group_shift: u32, // log2 of eights in a scale group
    first: u32,       // first token of the piece
    count: u32,       // tokens in the piece
}
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.y;
    let k8 = id.x;
    let token = rows[row].token;
    if (rows[row].running == 0u || token < dims.first || token - dims.first >= dims.count || k8 >= dims.k8) {
        return;
    }
    let w = weights8(token - dims.first, k8);
    let i = 2u * (row * dims.k8 + k8);
    x[i] = w[0];
    x[i + 1u] = w[1];
}
