// collect, LANES == 1: a thread's sums are whole.
fn keep(row: u32, r: u32, pair: u32, a: f32, b: f32, squares: f32, thread: u32) {
    let f = factor(squares);
    emit(row + r, pair, a * f, b * f);
}

fn settle(row: u32, base: u32, thread: u32) {
}
