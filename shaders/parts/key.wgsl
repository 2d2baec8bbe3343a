// key: floats as u32 in the same order. 0 stands for a token that is never drawn (masked, banned, minus infinity, not a number).
fn key_of(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    let magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u || bits == 0xff800000u) {
        return 0u;
    }
    // -0 ties with 0.
    let positive = bits == magnitude || magnitude == 0u;
    return select(~bits, magnitude | 0x80000000u, positive);
}

fn value_of(key: u32) -> f32 {
    return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}
