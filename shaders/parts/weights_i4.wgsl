// weights, layout I4: eight nibbles around 8 at a time, one scale for 32 columns: w = s * (q - 8).
@group(0) @binding(2) var<storage, read> codes: array<u32>;
@group(0) @binding(3) var<storage, read> scales: array<f32>;

fn nibbles(c: u32) -> vec4<f32> {
    return vec4<f32>((vec4<u32>(c) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u));
}

fn weights8(row: u32, k8: u32) -> mat2x4<f32> {
    let i = row * dims.k8 + k8;
    let c = codes[i];
    let s = scales[i >> 2u];
    return mat2x4<f32>(s * (nibbles(c) - 8.0), s * (nibbles(c >> 16u) - 8.0));
}
