// rows, ROWS == 8: the sums of a pair of weight rows for 8 rows of x. Named sums, since indexed local arrays cost three times as much.
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
    let x2 = (row + 2u) * stride;
    var a2 = 0.0;
    var b2 = 0.0;
    var s2 = 0.0;
    let x3 = (row + 3u) * stride;
    var a3 = 0.0;
    var b3 = 0.0;
    var s3 = 0.0;
    let x4 = (row + 4u) * stride;
    var a4 = 0.0;
    var b4 = 0.0;
    var s4 = 0.0;
    let x5 = (row + 5u) * stride;
    var a5 = 0.0;
    var b5 = 0.0;
    var s5 = 0.0;
    let x6 = (row + 6u) * stride;
    var a6 = 0.0;
    var b6 = 0.0;
    var s6 = 0.0;
    let x7 = (row + 7u) * stride;
    var a7 = 0.0;
    var b7 = 0.0;
    var s7 = 0.0;
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
        let p2 = x[x2 + i];
        let q2 = x[x2 + j];
        if (FUSED) {
            s2 += dot(p2, p2) + dot(q2, q2);
        }
        let u2 = gained(p2, i);
        let v2 = gained(q2, j);
        a2 += dot(wa[0], u2) + dot(wa[1], v2);
        b2 += dot(wb[0], u2) + dot(wb[1], v2);
        let p3 = x[x3 + i];
        let q3 = x[x3 + j];
        if (FUSED) {
            s3 += dot(p3, p3) + dot(q3, q3);
        }
        let u3 = gained(p3, i);
        let v3 = gained(q3, j);
        a3 += dot(wa[0], u3) + dot(wa[1], v3);
        b3 += dot(wb[0], u3) + dot(wb[1], v3);
        let p4 = x[x4 + i];
        let q4 = x[x4 + j];
        if (FUSED) {
            s4 += dot(p4, p4) + dot(q4, q4);
        }
        let u4 = gained(p4, i);
        let v4 = gained(q4, j);
        a4 += dot(wa[0], u4) + dot(wa[1], v4);
        b4 += dot(wb[0], u4) + dot(wb[1], v4);
        let p5 = x[x5 + i];
        let q5 = x[x5 + j];
        if (FUSED) {
            s5 += dot(p5, p5) + dot(q5, q5);
        }
        let u5 = gained(p5, i);
        let v5 = gained(q5, j);
        a5 += dot(wa[0], u5) + dot(wa[1], v5);
        b5 += dot(wb[0], u5) + dot(wb[1], v5);
        let p6 = x[x6 + i];
        let q6 = x[x6 + j];
        if (FUSED) {
            s6 += dot(p6, p6) + dot(q6, q6);
        }
        let u6 = gained(p6, i);
        let v6 = gained(q6, j);
        a6 += dot(wa[0], u6) + dot(wa[1], v6);
        b6 += dot(wb[0], u6) + dot(wb[1], v6);
        let p7 = x[x7 + i];
        let q7 = x[x7 + j];
        if (FUSED) {
            s7 += dot(p7, p7) + dot(q7, q7);
        }
        let u7 = gained(p7, i);
        let v7 = gained(q7, j);
        a7 += dot(wa[0], u7) + dot(wa[1], v7);
        b7 += dot(wb[0], u7) + dot(wb[1], v7);
    }
    keep(row, 0u, pair, a0, b0, s0, thread);
    keep(row, 1u, pair, a1, b1, s1, thread);
    keep(row, 2u, pair, a2, b2, s2, thread);
    keep(row, 3u, pair, a3, b3, s3, thread);
    keep(row, 4u, pair, a4, b4, s4, thread);
    keep(row, 5u, pair, a5, b5, s5, thread);
    keep(row, 6u, pair, a6, b6, s6, thread);
    keep(row, 7u, pair, a7, b7, s7, thread);
}
