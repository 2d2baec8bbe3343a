// weights, layout I8: eight signed bytes at a time, one scale for 8 << dims.group_shift columns: w = s * q.
// Columns are a multiple of the group, so codes and scales share one running index.
@group(0) @binding(2) var<storage, read> codes: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<f32>;

fn signed_bytes(c: u32) -> vec4<f32> {
    return vec4<f32>((vec4<i32>(bitcast<i32>(c)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}

fn weights8(row: u32, k8: u32) -> mat2x4<f32> {
    let i = row * dims.k8 + k8;
    let c = codes[i];
    let s = scales[i >> dims.group_shift];
    return mat2x4<f32>(s * signed_bytes(c.x), s * signed_bytes(c.y));
}
