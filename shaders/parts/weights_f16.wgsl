// weights, layout F16: eight halves at a time, decoded with integers because unpack2x16float may flush subnormals.
@group(0) @binding(2) var<storage, read> codes: array<vec4<u32>>;

fn halves(a: u32, b: u32) -> vec4<f32> {
    let h = vec4<u32>(a & 0xffffu, a >> 16u, b & 0xffffu, b >> 16u);
    let magnitude = h & vec4<u32>(0x7fffu);
    // Exponent bias 15 -> 127; infinities and NaNs (exponent 31) move up to exponent 255.
    let bias = select(vec4<u32>(0x38000000u), vec4<u32>(0x70000000u), magnitude >= vec4<u32>(0x7c00u));
    let normal = (magnitude << vec4<u32>(13u)) + bias;
    let subnormal = bitcast<vec4<u32>>(vec4<f32>(magnitude) * 5.9604644775390625e-8);
    let bits = select(normal, subnormal, magnitude < vec4<u32>(0x400u));
    return bitcast<vec4<f32>>(bits | ((h & vec4<u32>(0x8000u)) << vec4<u32>(16u)));
}

fn weights8(row: u32, k8: u32) -> mat2x4<f32> {
    let c = codes[row * dims.k8 + k8];
    return mat2x4<f32>(halves(c.x, c.y), halves(c.z, c.w));
}
