// sampling: plan::Sampling as it lies in its uniform buffer.
struct Sampling {
    seed_low: u32,
    seed_high: u32,
    temperature: f32,
    top_p: f32,
    min_p: f32,
    repetition_penalty: f32,
    top_k: u32,
    num_end_tokens: u32,
    end_tokens: array<vec4<u32>, 4>,
    boost: f32,
    scored: u32,
    reserved_0: u32,
    reserved_1: u32,
}
