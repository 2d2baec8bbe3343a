// matmul: as linear, for many rows of x: a workgroup multiplies 32 rows by 64 weight rows, each decoded once for all 32
//   @0 dims   Dims             uniform     part product
//   @1 x      [rows, k] f32    read        part product
//   @2 codes  [n, k]           read        part weights
//   @3 scales [n, groups]      read        part weights, absent for float layouts
//   @4 bias   [outputs] f32    read        part product; of the whole matrix; anything if dims.bias == 0
//   @5 y      [rows, width] f32 read_write part product; accumulated into if dims.then == ADD
//   @6 rows   [rows] Row       read        part product
//   @7 gain   [k] f32          read        part norm_fused
// parts: row, product, weights, norm     grid: [ceil(pairs / 32) spread over x and z, ceil(rows / 32), 1]     twin: cpu linear
//
// 32 columns at a time stand in workgroup memory, four to a vec4, the vec4s of one column group side by side: neighbouring threads read
// and write neighbouring ones. A thread sums 4 rows by 4 weight rows; the next columns are on their way meanwhile. Each sum runs over k
// in order, so a row's result is the same in every company.
const THREADS = 128u;
const ROWS = 32u;
const COLUMNS = 64u; // weight rows: outputs, or 32 gates and then their 32 ups
const EIGHTS = 4u;   // of k at a time
var<workgroup> some_x: array<vec4<f32>, 2u * EIGHTS * ROWS>;
var<workgroup> some_w: array<vec4<f32>, 2u * EIGHTS * COLUMNS>;
var<workgroup> squares: array<f32, THREADS>;

/// The weight row of a column of the tile that begins at a pair. Columns past the end take the last row again.
fn weight_row(pair: u32, column: u32) -> u32 {
    if (dims.then == GATE) {
        return min(pair + column % 32u, dims.outputs - 1u) + select(0u, dims.outputs, column >= 32u);
    }
    return min(2u * pair + column, dims.outputs - 1u);
}

/// Eight columns of x, zeros past the end.
fn x8(row: u32, k8: u32) -> mat2x4<f32> {
    if (k8 >= dims.k8) {
        return mat2x4<f32>();
    }
    let i = 2u * (row * dims.k8 + k8);
    return mat2x4<f32>(x[i], x[i + 1u]);
}

/// sums + w · a, with nothing rounded between.
fn add_product(sums: vec4<f32>, w: mat4x4<f32>, a: vec4<f32>) -> vec4<f32> {
    return fma(w[3], a.wwww, fma(w[2], a.zzzz, fma(w[1], a.yyyy, fma(w[0], a.xxxx, sums))));
}

fn finish(row: u32, pair: u32, column: u32, sums: vec4<f32>) {
    if (rows[row].running == 0u) {
        return;
    }
    if (dims.then == GATE) {
        put_gated(row, pair + column, sums.x, sums.z);
        put_gated(row, pair + column + 16u, sums.y, sums.w);
    } else {
        put(row, 2u * pair + column, sums.x);
        put(row, 2u * pair + column + 16u, sums.y);
        put(row, 2u * pair + column + 32u, sums.z);
        put(row, 2u * pair + column + 48u, sums.w);
    }
}

@compute @workgroup_size(THREADS)
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
    let pair = (group.z * groups.x + group.x) * (COLUMNS / 2u);
    // What this thread brings: an eighth of four rows of x, and of two columns of the tile.
    let x_row = thread % ROWS;
    let x_k8 = thread / ROWS;
    let w_column = thread % COLUMNS;
    let w_k8 = thread / COLUMNS;
    let w_row = weight_row(pair, w_column);
    // What it sums: columns `column`, + 16, + 32, + 48 of rows `r`, + 8, + 16, + 24.
    let column = thread % 16u;
    let r = thread / 16u;
    var sums0 = vec4<f32>();
    var sums1 = vec4<f32>();
    var sums2 = vec4<f32>();
    var sums3 = vec4<f32>();
    var own_squares = 0.0;
    let last = dims.k8 - 1u;
    var next_x = x8(row + x_row, x_k8);
    var next_w = weights8(w_row, min(w_k8, last));
    var next_v = weights8(w_row, min(w_k8 + 2u, last));
    for (var k8 = 0u; k8 < dims.k8; k8 += EIGHTS) {
        if (FUSED) {
            own_squares += dot(next_x[0], next_x[0]) + dot(next_x[1], next_x[1]);
            let i = 2u * min(k8 + x_k8, last);
            next_x = mat2x4<f32>(gained(next_x[0], i), gained(next_x[1], i + 1u));
        }
        workgroupBarrier();
        some_x[2u * x_k8 * ROWS + x_row] = next_x[0];
        some_x[(2u * x_k8 + 1u) * ROWS + x_row] = next_x[1];
        some_w[2u * w_k8 * COLUMNS + w_column] = next_w[0];
        some_w[(2u * w_k8 + 1u) * COLUMNS + w_column] = next_w[1];
        some_w[(2u * w_k8 + 4u) * COLUMNS + w_column] = next_v[0];
        some_w[(2u * w_k8 + 5u) * COLUMNS + w_column] = next_v[1];
        workgroupBarrier();
        let ahead = k8 + EIGHTS;
        next_x = x8(row + x_row, ahead + x_k8);
        next_w = weights8(w_row, min(ahead + w_k8, last));
        next_v = weights8(w_row, min(ahead + w_k8 + 2u, last));
        for (var k4 = 0u; k4 < 2u * EIGHTS; k4++) {
            let c = k4 * COLUMNS + column;
            let w = transpose(mat4x4<f32>(some_w[c], some_w[c + 16u], some_w[c + 32u], some_w[c + 48u]));
            let a = k4 * ROWS + r;
            sums0 = add_product(sums0, w, some_x[a]);
            sums1 = add_product(sums1, w, some_x[a + 8u]);
            sums2 = add_product(sums2, w, some_x[a + 16u]);
            sums3 = add_product(sums3, w, some_x[a + 24u]);
        }
    }
    squares[thread] = own_squares;
    workgroupBarrier();
    finish(row + r, pair, column, sums0 * row_factor(r));
    finish(row + r + 8u, pair, column, sums1 * row_factor(r + 8u));
    finish(row + r + 16u, pair, column, sums2 * row_factor(r + 16u));
    finish(row + r + 24u, pair, column, sums3 * row_factor(r + 24u));
}

/// What the fused norm multiplies a row of the tile with.
fn row_factor(r: u32) -> f32 {
    return factor(((squares[r] + squares[r + 32u]) + squares[r + 64u]) + squares[r + 96u]);
}
