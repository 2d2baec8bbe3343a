// norm, fused: the gain is multiplied in while x is read, and the row's factor comes out of the sum: W · (x g f) = f (W · x g).
const FUSED = true;
@group(0) @binding(7) var<storage, read> gain: array<vec4<f32>>;

fn gained(v: vec4<f32>, i: u32) -> vec4<f32> {
    return v * gain[i];
}

fn factor(squares: f32) -> f32 {
    return inverseSqrt(squares / dims.k + dims.eps);
}
