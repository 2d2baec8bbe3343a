// stream: adds up a buffer, `passes` times, for measuring how fast the adapter reads
//   @0 dims  Dims               uniform
//   @1 data  [count] vec4<u32>  read
//   @2 total [1] vec4<u32>      read_write only written, and only if the sum is one that the data cannot have
// grid: [threads / WORKGROUP, 1, 1]     twin: cpu stream
struct Dims {
    count: u32,
    threads: u32,
    passes: u32,
}
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> total: array<vec4<u32>>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var sum = vec4<u32>(0u);
    for (var pass_index = 0u; pass_index < dims.passes; pass_index++) {
        for (var i = id.x; i < dims.count; i += dims.threads) {
            sum += data[i] + vec4<u32>(pass_index);
        }
    }
    if (sum.x == 0xffffffffu) {
        total[0] = sum;
    }
}
