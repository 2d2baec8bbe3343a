// choice: what select tells sample about a row.
struct Choice {
    key: u32,    // of the best token
    token: u32,  // the best token, the lowest of ties
    lowest: u32, // key: tokens below it are cut by top_k
    reserved: u32,
}
