// rope: rotates q and k by position, writes q, appends k and v to the cache
//   @0 dims   Dims                                          uniform
//   @1 rows   [rows] Row                                    read
//   @2 qkv    [rows, (heads + 2 kv_heads) * head_dim] f32   read
//   @3 turns  [max_seq, head_dim / 2] (cos, sin)            read
//   @4 q      [rows, heads * head_dim] f32                  read_write  only written
//   @5 k      [slots, max_seq, kv_heads, head_dim] f32      read_write  only written
//   @6 v      [slots, max_seq, kv_heads, head_dim] f32      read_write  only written
// parts: row     grid: [ceil(pairs / WORKGROUP), rows, 1], a thread for each pair of a head     twin: cpu rope
struct Dims {
    heads: u32,
    kv_heads: u32,
    half: u32,       // head_dim / 2
    adjacent: u32,   // 1: pairs are (2 i, 2 i + 1), else (i, i + head_dim / 2)
    qkv_stride: u32,
    q_stride: u32,
    max_seq: u32,
}
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> turns: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> q: array<f32>;
@group(0) @binding(5) var<storage, read_write> k: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.y;
    let head = id.x / dims.half; // q heads, then k heads, then v heads
    let pair = id.x % dims.half;
    let position = rows[row].position;
    if (head >= dims.heads + 2u * dims.kv_heads || rows[row].running == 0u || position >= dims.max_seq) {
        return;
    }
    let head_dim = 2u * dims.half;
    let i = select(pair, 2u * pair, dims.adjacent == 1u);
    let j = select(pair + dims.half, 2u * pair + 1u, dims.adjacent == 1u);
    let source = row * dims.qkv_stride + head * head_dim;
    let a = qkv[source + i];
    let b = qkv[source + j];
    let turn = turns[position * dims.half + pair];
    let turned_a = a * turn.x - b * turn.y;
    let turned_b = b * turn.x + a * turn.y;
    let cell = (rows[row].slot * dims.max_seq + position) * dims.kv_heads;
    if (head < dims.heads) {
        let target_q = row * dims.q_stride + head * head_dim;
        q[target_q + i] = turned_a;
        q[target_q + j] = turned_b;
    } else if (head < dims.heads + dims.kv_heads) {
        let target_k = (cell + head - dims.heads) * head_dim;
        k[target_k + i] = turned_a;
        k[target_k + j] = turned_b;
    } else {
        let target_v = (cell + head - dims.heads - dims.kv_heads) * head_dim;
        v[target_v + i] = a;
        v[target_v + j] = b;
    }
}
