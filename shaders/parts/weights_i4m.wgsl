// weights, layout I4M: eight nibbles at a time, a scale and a minimum for 32 columns: w = s * q - m.
@group(0) @binding(2) var<storage, read> codes: array<u32>;
@group(0) @binding(3) var<storage, read> scales: array<vec2<f32>>;

fn nibbles(c: u32) -> vec4<f32> {
    return vec4<f32>((vec4<u32>(c) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u));
}

fn weights8(row: u32, k8: u32) -> mat2x4<f32> {
    let i = row * dims.k8 + k8;
    let c = codes[i];
    let s = scales[i >> 2u];
    return mat2x4<f32>(s.x * nibbles(c) - s.y, s.x * nibbles(c >> 16u) - s.y);
}
