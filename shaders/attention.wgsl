// attention: out = softmax(q · k / sqrt(head_dim)) · v over positions 0..=position of each row, online in blocks of WORKGROUP positions
//   @0 dims Dims                                       uniform
//   @1 rows [rows] Row                                 read
//   @2 q    [rows, heads * head_dim] f32               read
//   @3 k    [slots, max_seq, kv_heads, head_dim] f32   read
//   @4 v    [slots, max_seq, kv_heads, head_dim] f32   read
//   @5 out  [rows, heads * head_dim] f32, or [rows, heads, spans, head_dim + 2] f32 for attention_join   read_write  only written
// parts: row     grid: [heads, rows, spans], WORKGROUP == 256     twin: cpu attention
//
// A workgroup has one span of positions of one head. In a block LANES threads share a position's score, so that neighbours read
// neighbouring keys; then each of TEAMS teams takes every TEAMS-th position, a thread of it the elements lane, lane + 64, … of the head.
struct Dims {
    heads_per_kv: u32,
    kv_heads: u32,
    half: u32,     // head_dim / 2
    q_stride: u32,
    max_seq: u32,
    scale: f32,    // 1 / sqrt(head_dim)
    heads: u32,
    span: u32,     // positions
    spans: u32,    // 1: out is whole
}
const LANES = 8u;
const TEAMS = WORKGROUP / 64u;
const PARTIAL_STRIDE = WORKGROUP + 4u; // so that the lanes of a position write to different banks
const LOWEST = -1e30;
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> q: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> k: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
var<workgroup> own_q: array<vec2<f32>, 128>;
var<workgroup> partial: array<f32, LANES * PARTIAL_STRIDE>;
var<workgroup> shares: array<f32, WORKGROUP>; // first scores
var<workgroup> highs: array<f32, 16>;
var<workgroup> sums: array<vec4<f32>, WORKGROUP>;
var<workgroup> totals: array<f32, TEAMS>;

/// Where a position's head begins in the caches, in heads.
fn cell(row: Row, position: u32, kv_head: u32) -> u32 {
    let slot = select(row.slot, row.prefix_slot, position < row.prefix_len);
    return (slot * dims.max_seq + position) * dims.kv_heads + kv_head;
}

/// Scores of the block's positions, LOWEST past its end.
fn score(row: Row, kv_head: u32, first: u32, here: u32, thread: u32) -> f32 {
    let lane = thread % LANES;
    for (var p = thread / LANES; p < here; p += WORKGROUP / LANES) {
        let k0 = cell(row, first + p, kv_head) * dims.half;
        var sum = 0.0;
        for (var i = lane; i < dims.half; i += LANES) {
            sum += dot(own_q[i], k[k0 + i]);
        }
        partial[lane * PARTIAL_STRIDE + p] = sum;
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < LANES; i++) {
        sum += partial[i * PARTIAL_STRIDE + thread];
    }
    return select(LOWEST, sum * dims.scale, thread < here);
}

/// The highest of all threads' scores.
fn highest_of(own: f32, thread: u32) -> f32 {
    shares[thread] = own;
    workgroupBarrier();
    if (thread < 16u) {
        var high = shares[thread];
        for (var i = thread + 16u; i < WORKGROUP; i += 16u) {
            high = max(high, shares[i]);
        }
        highs[thread] = high;
    }
    workgroupBarrier();
    var high = highs[0];
    for (var i = 1u; i < 16u; i++) {
        high = max(high, highs[i]);
    }
    return high;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.x;
    let row = rows[group.y];
    let start = group.z * dims.span;
    let end = min(min(row.position + 1u, dims.max_seq), start + dims.span);
    if (row.running == 0u || start >= end) {
        return;
    }
    let kv_head = head / dims.heads_per_kv;
    let head_dim = 2u * dims.half;
    if (thread < dims.half) {
        own_q[thread] = q[group.y * dims.q_stride / 2u + head * dims.half + thread];
    }
    workgroupBarrier();
    let lane = thread % 64u;
    let team = thread / 64u;
    var best = LOWEST;
    var total = 0.0;
    var sum = vec4<f32>();
    for (var first = start; first < end; first += WORKGROUP) {
        let here = min(WORKGROUP, end - first);
        let own = score(row, kv_head, first, here, thread);
        let highest = max(best, highest_of(own, thread));
        let fade = exp(best - highest);
        best = highest;
        shares[thread] = exp(own - best);
        workgroupBarrier();
        total *= fade;
        sum *= fade;
        for (var p = team; p < here; p += TEAMS) {
            let share = shares[p];
            total += share;
            let v0 = cell(row, first + p, kv_head) * head_dim + lane;
            if (lane < head_dim) {
                sum.x += share * v[v0];
            }
            if (lane + 64u < head_dim) {
                sum.y += share * v[v0 + 64u];
            }
            if (lane + 128u < head_dim) {
                sum.z += share * v[v0 + 128u];
            }
            if (lane + 192u < head_dim) {
                sum.w += share * v[v0 + 192u];
            }
        }
        workgroupBarrier();
    }
    sums[thread] = sum;
    if (lane == 0u) {
        totals[team] = total;
    }
    workgroupBarrier();
    if (team > 0u) {
        return;
    }
    for (var other = 1u; other < TEAMS; other++) {
        sum += sums[other * 64u + lane];
        total += totals[other];
    }
    var o = group.y * dims.q_stride + head * head_dim;
    if (dims.spans > 1u) {
        o = ((group.y * dims.heads + head) * dims.spans + group.z) * (head_dim + 2u);
        if (lane == 0u) {
            out[o + head_dim] = best;
            out[o + head_dim + 1u] = total;
        }
    } else {
        sum /= total;
    }
    for (var i = 0u; i < 4u; i++) {
        if (lane + 64u * i < head_dim) {
            out[o + lane + 64u * i] = sum[i];
        }
    }
}
