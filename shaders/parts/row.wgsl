// row: one token of one sequence, as plan::Row lays it out. `running` is Row::active (a reserved word here).
struct Row {
    token: u32,
    slot: u32,
    position: u32,
    limit: u32,
    running: u32,
    attempt: u32,
    ban: u32,
    epoch: u32,
    prefix_slot: u32,
    prefix_len: u32,
    draft: u32,
    reserved: u32,
}
