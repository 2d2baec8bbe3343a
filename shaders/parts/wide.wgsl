// wide: 64-bit integers as (low, high), for sums of probability mass that no order of addition can change.
fn wide_add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + u32(low < a.x));
}

fn wide_subtract(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}

fn wide_greater(a: vec2<u32>, b: vec2<u32>) -> bool {
    return a.y > b.y || (a.y == b.y && a.x > b.x);
}

fn wide_product(a: u32, b: u32) -> vec2<u32> {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
    return vec2<u32>((other << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u));
}

/// floor(a * m / 2^24), for m < 2^25.
fn wide_fraction(a: vec2<u32>, m: u32) -> vec2<u32> {
    let low = wide_product(a.x, m);
    let high = wide_product(a.y, m);
    return wide_add(vec2<u32>((low.x >> 24u) | (low.y << 8u), low.y >> 24u), vec2<u32>(high.x << 8u, (high.y << 8u) | (high.x >> 24u)));
}
