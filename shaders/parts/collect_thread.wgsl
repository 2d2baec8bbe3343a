// collect, one thread a pair: its sums are whole.
fn lanes() -> u32 {
    return 1u;
}

fn keep(row: u32, r: u32, pair: u32, a: f32, b: f32, squares: f32, thread: u32) {
    let f = factor(squares);
    emit(row + r, pair, a * f, b * f);
}

fn settle(row: u32, base: u32, thread: u32) {
}
