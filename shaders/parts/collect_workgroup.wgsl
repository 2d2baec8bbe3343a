// collect, 8, 16 or 32 threads a pair: partial sums meet in workgroup memory, and one thread for each (row, pair) adds them, two
// neighbours at a time, then two neighbouring twos, and so on: as collect_subgroups does.
var<workgroup> partial_a: array<f32, ROWS * WORKGROUP>;
var<workgroup> partial_b: array<f32, ROWS * WORKGROUP>;
var<workgroup> partial_squares: array<f32, ROWS * WORKGROUP>;

fn lanes() -> u32 {
    return dims.lanes;
}

fn keep(row: u32, r: u32, pair: u32, a: f32, b: f32, squares: f32, thread: u32) {
    let i = r * WORKGROUP + thread;
    partial_a[i] = a;
    partial_b[i] = b;
    if (FUSED) {
        partial_squares[i] = squares;
    }
}

/// (a, b, squares) of one thread.
fn one(i: u32) -> vec3<f32> {
    return vec3<f32>(partial_a[i], partial_b[i], select(0.0, partial_squares[i], FUSED));
}

fn eight(i: u32) -> vec3<f32> {
    let low = (one(i) + one(i + 1u)) + (one(i + 2u) + one(i + 3u));
    return low + ((one(i + 4u) + one(i + 5u)) + (one(i + 6u) + one(i + 7u)));
}

fn settle(row: u32, base: u32, thread: u32) {
    workgroupBarrier();
    let pairs = WORKGROUP / dims.lanes;
    if (thread >= ROWS * pairs) {
        return;
    }
    let r = thread / pairs;
    let p = thread % pairs;
    let first = r * WORKGROUP + p * dims.lanes;
    var sums = eight(first);
    if (dims.lanes > 8u) {
        sums += eight(first + 8u);
    }
    if (dims.lanes > 16u) {
        sums += eight(first + 16u) + eight(first + 24u);
    }
    let f = factor(sums.z);
    emit(row + r, base + p, sums.x * f, sums.y * f);
}
