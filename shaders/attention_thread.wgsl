// attention_thread: as attention, a thread for each head of each row: no barrier, for adapters that punish them
//   @0 dims Dims                                       uniform
//   @1 rows [rows] Row                                 read
//   @2 q    [rows, heads * head_dim] f32               read
//   @3 k    [slots, max_seq, kv_heads, head_dim] f32   read
//   @4 v    [slots, max_seq, kv_heads, head_dim] f32   read
//   @5 out  [rows, heads * head_dim] f32               read_write  holds the running sums
// parts: row     grid: [ceil(heads / WORKGROUP), rows, 1]     twin: cpu attention
//
// Eight positions at a time, with named scores, since indexed local arrays cost three times as much.
struct Dims {
    heads_per_kv: u32,
    kv_heads: u32,
    half: u32,     // head_dim / 2
    q_stride: u32,
    max_seq: u32,
    scale: f32,    // 1 / sqrt(head_dim)
    heads: u32,
}
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> q: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> k: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> v: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<vec2<f32>>;

/// Where a position's head begins in the caches, in pairs of elements.
fn cell(row: u32, position: u32, kv_head: u32) -> u32 {
    let slot = select(rows[row].slot, rows[row].prefix_slot, position < rows[row].prefix_len);
    return ((slot * dims.max_seq + position) * dims.kv_heads + kv_head) * dims.half;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let head = id.x;
    let row = id.y;
    if (head >= dims.heads || rows[row].running == 0u) {
        return;
    }
    let kv_head = head / dims.heads_per_kv;
    let own = row * dims.q_stride / 2u + head * dims.half;
    let count = min(rows[row].position + 1u, dims.max_seq);
    var best = 0.0;
    var total = 0.0;
    for (var first = 0u; first < count; first += 8u) {
        // Past the end the last position stands in, with a share of 0.
        let last = count - 1u;
        let c0 = cell(row, first, kv_head);
        let c1 = cell(row, min(first + 1u, last), kv_head);
        let c2 = cell(row, min(first + 2u, last), kv_head);
        let c3 = cell(row, min(first + 3u, last), kv_head);
        let c4 = cell(row, min(first + 4u, last), kv_head);
        let c5 = cell(row, min(first + 5u, last), kv_head);
        let c6 = cell(row, min(first + 6u, last), kv_head);
        let c7 = cell(row, min(first + 7u, last), kv_head);
        var low = vec4<f32>(0.0);
        var high = vec4<f32>(0.0);
        for (var i = 0u; i < dims.half; i++) {
            let a = q[own + i];
            low += vec4<f32>(dot(a, k[c0 + i]), dot(a, k[c1 + i]), dot(a, k[c2 + i]), dot(a, k[c3 + i]));
            high += vec4<f32>(dot(a, k[c4 + i]), dot(a, k[c5 + i]), dot(a, k[c6 + i]), dot(a, k[c7 + i]));
        }
        low *= dims.scale;
        high *= dims.scale;
        let four = max(low, high);
        let two = max(four.xy, four.zw);
        var highest = max(two.x, two.y);
        if (first > 0u) {
            highest = max(highest, best);
        }
        let fade = select(exp(best - highest), 0.0, first == 0u);
        best = highest;
        let left = vec4<u32>(count - first);
        let p = select(vec4<f32>(0.0), exp(low - best), vec4<u32>(0u, 1u, 2u, 3u) < left);
        let r = select(vec4<f32>(0.0), exp(high - best), vec4<u32>(4u, 5u, 6u, 7u) < left);
        total = total * fade + dot(p, vec4<f32>(1.0)) + dot(r, vec4<f32>(1.0));
        for (var i = 0u; i < dims.half; i++) {
            let before = select(out[own + i] * fade, vec2<f32>(0.0), first == 0u);
            out[own + i] = before + p.x * v[c0 + i] + p.y * v[c1 + i] + p.z * v[c2 + i] + p.w * v[c3 + i]
                + r.x * v[c4 + i] + r.y * v[c5 + i] + r.z * v[c6 + i] + r.w * v[c7 + i];
        }
    }
    for (var i = 0u; i < dims.half; i++) {
        out[own + i] = out[own + i] / total;
    }
}
