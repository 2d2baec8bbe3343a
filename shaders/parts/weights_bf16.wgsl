// weights, layout BF16: eight at a time; a bfloat16 is the upper half of an f32.
@group(0) @binding(2) var<storage, read> codes: array<vec4<u32>>;

fn weights8(row: u32, k8: u32) -> mat2x4<f32> {
    let c = codes[row * dims.k8 + k8];
    let low = bitcast<vec4<f32>>(c << vec4<u32>(16u));
    let high = bitcast<vec4<f32>>(c & vec4<u32>(0xffff0000u));
    return mat2x4<f32>(vec4<f32>(low.x, high.x, low.y, high.y), vec4<f32>(low.z, high.z, low.w, high.w));
}
