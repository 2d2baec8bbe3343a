// collect, 8, 16 or 32 threads a pair: sums meet in registers as far as a subgroup reaches, the rest in workgroup memory. Neighbours first,
// then neighbouring twos, and so on: the order of collect_workgroup for subgroups of any size, where they hold consecutive threads. WGSL
// does not promise that they do; the device is asked (gpu/tune.rs).
var<workgroup> partial: array<vec3<f32>, ROWS * WORKGROUP>; // (a, b, squares)

fn lanes() -> u32 {
    return dims.lanes;
}

/// Threads of a pair whose sums meet in registers.
fn reach() -> u32 {
    return min(subgroupAdd(1u), dims.lanes);
}

fn keep(row: u32, r: u32, pair: u32, a: f32, b: f32, squares: f32, thread: u32) {
    var sums = vec3<f32>(a, b, squares);
    let width = reach();
    for (var mask = 1u; mask < width; mask *= 2u) {
        if (FUSED) {
            sums += subgroupShuffleXor(sums, mask);
        } else {
            sums += vec3<f32>(subgroupShuffleXor(sums.xy, mask), 0.0);
        }
    }
    if (thread % width == 0u) {
        partial[r * WORKGROUP + thread] = sums;
    }
}

fn settle(row: u32, base: u32, thread: u32) {
    let width = reach();
    workgroupBarrier();
    let pairs = WORKGROUP / dims.lanes;
    if (thread >= ROWS * pairs) {
        return;
    }
    let r = thread / pairs;
    let p = thread % pairs;
    let first = r * WORKGROUP + p * dims.lanes;
    for (var step = width; step < dims.lanes; step *= 2u) {
        for (var i = 0u; i < dims.lanes; i += 2u * step) {
            partial[first + i] += partial[first + i + step];
        }
    }
    let sums = partial[first];
    let f = factor(sums.z);
    emit(row + r, base + p, sums.x * f, sums.y * f);
}
