// collect, LANES > 1: partial sums meet in workgroup memory, and one thread for each (row, pair) adds them in lane order.
var<workgroup> partial_a: array<f32, ROWS * WORKGROUP>;
var<workgroup> partial_b: array<f32, ROWS * WORKGROUP>;
var<workgroup> partial_squares: array<f32, ROWS * WORKGROUP>;

fn keep(row: u32, r: u32, pair: u32, a: f32, b: f32, squares: f32, thread: u32) {
    let i = r * WORKGROUP + thread;
    partial_a[i] = a;
    partial_b[i] = b;
    if (FUSED) {
        partial_squares[i] = squares;
    }
}

fn settle(row: u32, base: u32, thread: u32) {
    workgroupBarrier();
    if (thread >= ROWS * PAIRS) {
        return;
    }
    let r = thread / PAIRS;
    let p = thread % PAIRS;
    let first = r * WORKGROUP + p * LANES;
    var a = 0.0;
    var b = 0.0;
    var squares = 0.0;
    for (var lane = 0u; lane < LANES; lane++) {
        a += partial_a[first + lane];
        b += partial_b[first + lane];
        if (FUSED) {
            squares += partial_squares[first + lane];
        }
    }
    let f = factor(squares);
    emit(row + r, base + p, a * f, b * f);
}
