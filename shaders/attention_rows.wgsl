// attention_rows: as attention, for many rows: 16 rows share each reading of 32 positions
//   @0 dims Dims                                       uniform
//   @1 rows [rows] Row                                 read
//   @2 q    [rows, heads * head_dim] f32               read
//   @3 k    [slots, max_seq, kv_heads, head_dim] f32   read
//   @4 v    [slots, max_seq, kv_heads, head_dim] f32   read
//   @5 out  [rows, heads * head_dim] f32               read_write  only written
// parts: row     grid: [heads, ceil(rows / 16), ceil(head_dim / 64)], a workgroup for 64 elements of a head     twin: cpu attention
//
// Eight threads have a row: in a block of positions each scores four, then sums two vec4s of the head over all. Rows of a prompt read the
// same slot; should a tile hold rows of several, it is gone through once for each. What a row does not see has a share of 0, so its result
// is the same in every company. Rows in workgroup memory are a vec4 (or a word) longer than needed: neighbours then lie in other banks.
struct Dims {
    heads_per_kv: u32,
    kv_heads: u32,
    half: u32,     // head_dim / 2
    q_stride: u32,
    max_seq: u32,
    scale: f32,    // 1 / sqrt(head_dim)
}
const THREADS = 128u;
const ROWS = 16u;
const POSITIONS = 32u;
const QUADS = 16u; // vec4s of a head at a time
const STRIDE = QUADS + 1u;
const SHARES_STRIDE = POSITIONS + 1u;
const LOWEST = -1e30;
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> q: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> k: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> v: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<vec2<f32>>;
var<workgroup> queries: array<vec4<f32>, ROWS * STRIDE>;
var<workgroup> cached: array<vec4<f32>, POSITIONS * STRIDE>; // keys, then values
var<workgroup> shares: array<f32, ROWS * SHARES_STRIDE>;     // first scores

/// Whether two rows read the same cells at the positions that both see.
fn reads_alike(a: u32, b: u32) -> bool {
    return rows[a].slot == rows[b].slot && rows[a].prefix_slot == rows[b].prefix_slot && rows[a].prefix_len == rows[b].prefix_len;
}

/// How many positions a row sees.
fn seen(row: u32) -> u32 {
    return select(min(rows[row].position + 1u, dims.max_seq), 0u, rows[row].running == 0u);
}

/// Where a position's head begins in the caches, in pairs of elements.
fn cell(row: u32, position: u32, kv_head: u32) -> u32 {
    let slot = select(rows[row].slot, rows[row].prefix_slot, position < rows[row].prefix_len);
    return ((slot * dims.max_seq + position) * dims.kv_heads + kv_head) * dims.half;
}

/// Two neighbouring pairs, the second being pair + 1 of the head; zeros past its end.
fn within(pair: u32, a: vec2<f32>, b: vec2<f32>) -> vec4<f32> {
    return vec4<f32>(select(vec2<f32>(), a, pair < dims.half), select(vec2<f32>(), b, pair + 1u < dims.half));
}

/// Brings QUADS vec4s of the tile's queries.
fn bring_queries(row: u32, head: u32, quad: u32, thread: u32) {
    for (var n = thread; n < ROWS * QUADS; n += THREADS) {
        let pair = 2u * (quad + n % QUADS);
        let at = (row + n / QUADS) * dims.q_stride / 2u + head * dims.half + pair;
        queries[n / QUADS * STRIDE + n % QUADS] = within(pair, q[at], q[at + 1u]);
    }
}

/// Brings QUADS vec4s of the keys of a block of positions.
fn bring_keys(row: u32, kv_head: u32, first: u32, count: u32, quad: u32, thread: u32) {
    for (var n = thread; n < POSITIONS * QUADS; n += THREADS) {
        let pair = 2u * (quad + n % QUADS);
        let at = cell(row, min(first + n / QUADS, count - 1u), kv_head) + pair;
        cached[n / QUADS * STRIDE + n % QUADS] = within(pair, k[at], k[at + 1u]);
    }
}

/// Brings QUADS vec4s of the values of a block of positions.
fn bring_values(row: u32, kv_head: u32, first: u32, count: u32, quad: u32, thread: u32) {
    for (var n = thread; n < POSITIONS * QUADS; n += THREADS) {
        let pair = 2u * (quad + n % QUADS);
        let at = cell(row, min(first + n / QUADS, count - 1u), kv_head) + pair;
        cached[n / QUADS * STRIDE + n % QUADS] = within(pair, v[at], v[at + 1u]);
    }
}

fn write(row: u32, head: u32, quad: u32, values: vec4<f32>) {
    let at = row * dims.q_stride / 2u + head * dims.half + 2u * quad;
    if (2u * quad < dims.half) {
        out[at] = values.xy;
    }
    if (2u * quad + 1u < dims.half) {
        out[at + 1u] = values.zw;
    }
}

/// Rows of the tile that read as `lead` does, which sees positions 0..count with the one of them that sees the most.
fn attend(tile: u32, lead: u32, count: u32, head: u32, out_quad: u32, thread: u32) {
    let kv_head = head / dims.heads_per_kv;
    let lane = thread % 8u;
    let r = thread / 8u;
    let own = select(0u, seen(tile + r), reads_alike(tile + r, lead));
    let own_shares = r * SHARES_STRIDE + lane;
    var best = LOWEST;
    var total = 0.0;
    var low = vec4<f32>();
    var high = vec4<f32>();
    for (var first = 0u; first < count; first += POSITIONS) {
        var scores = vec4<f32>();
        for (var quad = 0u; 2u * quad < dims.half; quad += QUADS) {
            workgroupBarrier();
            bring_queries(tile, head, quad, thread);
            bring_keys(lead, kv_head, first, count, quad, thread);
            workgroupBarrier();
            for (var i = 0u; i < QUADS; i++) {
                let c = lane * STRIDE + i;
                let keys = mat4x4<f32>(cached[c], cached[c + 8u * STRIDE], cached[c + 16u * STRIDE], cached[c + 24u * STRIDE]);
                scores += queries[r * STRIDE + i] * keys;
            }
        }
        let visible = vec4<u32>(first + lane) + vec4<u32>(0u, 8u, 16u, 24u) < vec4<u32>(own);
        scores = select(vec4<f32>(LOWEST), scores * dims.scale, visible);
        for (var i = 0u; i < 4u; i++) {
            shares[own_shares + 8u * i] = scores[i];
        }
        workgroupBarrier();
        bring_values(lead, kv_head, first, count, out_quad, thread);
        var highest = best;
        for (var i = 0u; i < POSITIONS; i++) {
            highest = max(highest, shares[r * SHARES_STRIDE + i]);
        }
        let fade = select(exp(best - highest), 1.0, best == highest);
        best = highest;
        workgroupBarrier();
        let own_share = select(vec4<f32>(), exp(scores - best), visible);
        for (var i = 0u; i < 4u; i++) {
            shares[own_shares + 8u * i] = own_share[i];
        }
        workgroupBarrier();
        total *= fade;
        low *= fade;
        high *= fade;
        for (var i = 0u; i < POSITIONS; i++) {
            let share = shares[r * SHARES_STRIDE + i];
            total += share;
            low += share * cached[i * STRIDE + lane];
            high += share * cached[i * STRIDE + lane + 8u];
        }
    }
    if (own > 0u) {
        write(tile + r, head, out_quad + lane, low / total);
        write(tile + r, head, out_quad + lane + 8u, high / total);
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let tile = group.y * ROWS;
    var served = 0u; // a bit for each row
    for (var lead = 0u; lead < ROWS; lead++) {
        if (((served >> lead) & 1u) == 1u || rows[tile + lead].running == 0u) {
            continue;
        }
        var count = 0u;
        for (var r = lead; r < ROWS; r++) {
            if (reads_alike(tile + lead, tile + r)) {
                served |= 1u << r;
                count = max(count, seen(tile + r));
            }
        }
        attend(tile, tile + lead, count, group.x, group.z * QUADS, thread);
    }
}
