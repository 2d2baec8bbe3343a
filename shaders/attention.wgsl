// attention: out = softmax(q · k / sqrt(head_dim)) · v over positions 0..=position of each row, online in blocks of WORKGROUP positions
//   @0 dims Dims                                       uniform
//   @1 rows [rows] Row                                 read
//   @2 q    [rows, heads * head_dim] f32               read
//   @3 k    [slots, max_seq, kv_heads, head_dim] f32   read
//   @4 v    [slots, max_seq, kv_heads, head_dim] f32   read
//   @5 out  [rows, heads * head_dim] f32               read_write  only written
// parts: row     grid: [heads, rows, 1], WORKGROUP == 64     twin: cpu attention
//
// In a block each thread first owns a position (its score), then the elements thread, thread + 64, … of the head (its share of out).
struct Dims {
    heads_per_kv: u32,
    kv_heads: u32,
    half: u32,     // head_dim / 2
    q_stride: u32,
    max_seq: u32,
    scale: f32,    // 1 / sqrt(head_dim)
}
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> q: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> k: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
var<workgroup> scores: array<f32, WORKGROUP>;
var<workgroup> shares: array<f32, WORKGROUP>;

/// Where a position's head begins in the caches, in heads.
fn cell(row: u32, position: u32, kv_head: u32) -> u32 {
    let slot = select(rows[row].slot, rows[row].prefix_slot, position < rows[row].prefix_len);
    return (slot * dims.max_seq + position) * dims.kv_heads + kv_head;
}

fn score(row: u32, head: u32, position: u32) -> f32 {
    let q0 = row * dims.q_stride / 2u + head * dims.half;
    let k0 = cell(row, position, head / dims.heads_per_kv) * dims.half;
    var sum = 0.0;
    for (var i = 0u; i < dims.half; i++) {
        sum += dot(q[q0 + i], k[k0 + i]);
    }
    return sum * dims.scale;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.x;
    let row = group.y;
    if (rows[row].running == 0u) {
        return;
    }
    let head_dim = 2u * dims.half;
    let count = min(rows[row].position + 1u, dims.max_seq);
    var best = 0.0;
    var total = 0.0;
    var out0 = 0.0;
    var out1 = 0.0;
    var out2 = 0.0;
    var out3 = 0.0;
    for (var first = 0u; first < count; first += WORKGROUP) {
        let here = min(WORKGROUP, count - first);
        if (thread < here) {
            scores[thread] = score(row, head, first + thread);
        }
        workgroupBarrier();
        var highest = scores[0];
        for (var i = 1u; i < here; i++) {
            highest = max(highest, scores[i]);
        }
        if (first > 0u) {
            highest = max(highest, best);
        }
        let fade = select(exp(best - highest), 0.0, first == 0u);
        best = highest;
        if (thread < here) {
            shares[thread] = exp(scores[thread] - best);
        }
        workgroupBarrier();
        total *= fade;
        out0 *= fade;
        out1 *= fade;
        out2 *= fade;
        out3 *= fade;
        for (var i = 0u; i < here; i++) {
            let share = shares[i];
            total += share;
            let v0 = cell(row, first + i, head / dims.heads_per_kv) * head_dim + thread;
            if (thread < head_dim) {
                out0 += share * v[v0];
            }
            if (thread + 64u < head_dim) {
                out1 += share * v[v0 + 64u];
            }
            if (thread + 128u < head_dim) {
                out2 += share * v[v0 + 128u];
            }
            if (thread + 192u < head_dim) {
                out3 += share * v[v0 + 192u];
            }
        }
    }
    let o = row * dims.q_stride + head * head_dim + thread;
    if (thread < head_dim) {
        out[o] = out0 / total;
    }
    if (thread + 64u < head_dim) {
        out[o + 64u] = out1 / total;
    }
    if (thread + 128u < head_dim) {
        out[o + 128u] = out2 / total;
    }
    if (thread + 192u < head_dim) {
        out[o + 192u] = out3 / total;
    }
}
