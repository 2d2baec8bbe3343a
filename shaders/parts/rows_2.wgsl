// rows, ROWS == 2: the sums of a pair of weight rows for 2 rows of x. Named sums, since indexed local arrays cost three times as much.
fn tile(row: u32, pair: u32, a: u32, b: u32, thread: u32) {
    let stride = 2u * dims.k8;
    let x0 = row * stride;
    var a0 = 0.0;
    var b0 = 0.0;
    var s0 = 0.0;
    let x1 = (row + 1u) * stride;
    var a1 = 0.0;
    var b1 = 0.0;
    var s1 = 0.0;
    for (var k8 = thread % lanes(); k8 < dims.k8; k8 += lanes()) {
        let wa = weights8(a, k8);
        let wb = weights8(b, k8);
        let i = 2u * k8;
        let j = i + 1u;
        let p0 = x[x0 + i];
        let q0 = x[x0 + j];
        if (FUSED) {
            s0 += dot(p0, p0) + dot(q0, q0);
        }
        let u0 = gained(p0, i);
        let v0 = gained(q0, j);
        a0 += dot(wa[0], u0) + dot(wa[1], v0);
        b0 += dot(wb[0], u0) + dot(wb[1], v0);
        let p1 = x[x1 + i];
        let q1 = x[x1 + j];
        if (FUSED) {
            s1 += dot(p1, p1) + dot(q1, q1);
        }
        let u1 = gained(p1, i);
        let v1 = gained(q1, j);
        a1 += dot(wa[0], u1) + dot(wa[1], v1);
        b1 += dot(wb[0], u1) + dot(wb[1], v1);
    }
    keep(row, 0u, pair, a0, b0, s0, thread);
    keep(row, 1u, pair, a1, b1, s1, thread);
}
