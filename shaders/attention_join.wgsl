// attention_join: out = the parts that attention left for each span of positions, weighted by their shares of the softmax
//   @0 dims  Dims                                        uniform
//   @1 rows  [rows] Row                                  read
//   @2 parts [rows, heads, spans, head_dim + 2] f32      read   sums, then the highest score and the total that they are relative to
//   @3 out   [rows, heads * head_dim] f32                read_write  only written
// parts: row     grid: [heads, rows, 1]     twin: cpu attention
struct Dims {
    heads: u32,
    head_dim: u32,
    q_stride: u32,
    max_seq: u32,
    span: u32,   // positions
    spans: u32,
}
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> rows: array<Row>;
@group(0) @binding(2) var<storage, read> parts: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let head = group.x;
    let row = group.y;
    if (rows[row].running == 0u) {
        return;
    }
    let count = min(rows[row].position + 1u, dims.max_seq);
    let spans = (count + dims.span - 1u) / dims.span;
    let width = dims.head_dim + 2u;
    let first = (row * dims.heads + head) * dims.spans * width;
    var best = parts[first + dims.head_dim];
    for (var i = 1u; i < spans; i++) {
        best = max(best, parts[first + i * width + dims.head_dim]);
    }
    var total = 0.0;
    for (var i = 0u; i < spans; i++) {
        let ending = first + i * width + dims.head_dim;
        total += exp(parts[ending] - best) * parts[ending + 1u];
    }
    for (var d = thread; d < dims.head_dim; d += WORKGROUP) {
        var sum = 0.0;
        for (var i = 0u; i < spans; i++) {
            let part = first + i * width;
            sum += exp(parts[part + dims.head_dim] - best) * parts[part + d];
        }
        out[row * dims.q_stride + head * dims.head_dim + d] = sum / total;
    }
}
