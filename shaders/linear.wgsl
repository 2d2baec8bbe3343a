// linear: y = then(W · norm(x) + bias), for one piece of W and few rows of x
//   @0 dims   Dims             uniform     part product
//   @1 x      [rows, k] f32    read        part product
//   @2 codes  [n, k]           read        part weights
//   @3 scales [n, groups]      read        part weights, absent for float layouts
//   @4 bias   [outputs] f32    read        part product; of the whole matrix; anything if dims.bias == 0
//   @5 y      [rows, width] f32 read_write part product; accumulated into if dims.then == ADD
//   @6 rows   [rows] Row       read        part product
//   @7 gain   [k] f32          read        part norm_fused
// parts: row, product, weights, rows, norm, collect
// grid: [ceil(pairs * lanes / WORKGROUP) spread over x and z, ceil(rows / ROWS), 1]     twin: cpu linear
//
// lanes() threads share a pair of weight rows (two outputs, or gate and up of one) for ROWS rows of x; each sum runs over k in an order
// that depends on nothing but lanes(), so a row's result is the same in every company, and with every part `collect`.
/// a, b: the two finished sums of a pair for one row.
fn emit(row: u32, pair: u32, a: f32, b: f32) {
    if (rows[row].running == 0u || pair >= dims.pairs) {
        return;
    }
    if (dims.then == GATE) {
        put_gated(row, pair, a, b);
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
    let base = (group.z * groups.x + group.x) * (WORKGROUP / lanes());
    let pair = base + thread / lanes();
    // Threads past the end compute the last pair again, so that all of them reach the barrier.
    let held = min(pair, dims.pairs - 1u);
    let gated = dims.then == GATE;
    let a = select(2u * held, held, gated);
    let b = select(min(2u * held + 1u, dims.outputs - 1u), held + dims.outputs, gated);
    tile(row, pair, a, b, thread);
    settle(row, base, thread);
}
