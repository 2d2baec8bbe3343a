// weights, layout F32: the bits of eight f32 at a time.
@group(0) @binding(2) var<storage, read> codes: array<vec4<f32>>;

fn weights8(row: u32, k8: u32) -> mat2x4<f32> {
    let i = 2u * (row * dims.k8 + k8);
    return mat2x4<f32>(codes[i], codes[i + 1u]);
}
