// select: the first half of plan::Sampling: mask and ban, repetition penalty, boost, the best token, the key that top_k cuts at
//   @0 dims     Dims                             uniform
//   @1 sampling Sampling                         uniform
//   @2 rows     [rows] Row                       read
//   @3 logits   [rows, vocab] f32                read_write  become keys (part key)
//   @4 history  [slots, max_seq + 1] u32         read
//   @5 mask     [2, vocab / 32] u32              read        never drawn, boosted
//   @6 seen     [rows, vocab / 32] u32           read_write  scratch
//   @7 choices  [rows] Choice                    read_write  only written
// parts: row, sampling, key, choice     grid: [rows, 1, 1]     twin: cpu sample
struct Dims {
    vocab: u32,
    stride: u32,         // of a row of logits
    history_stride: u32, // max_seq + 1
}
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> sampling: Sampling;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read_write> logits: array<u32>;
@group(0) @binding(4) var<storage, read> history: array<u32>;
@group(0) @binding(5) var<storage, read> mask: array<u32>;
@group(0) @binding(6) var<storage, read_write> seen: array<atomic<u32>>;
@group(0) @binding(7) var<storage, read_write> choices: array<Choice>;
var<workgroup> best_key: atomic<u32>;
var<workgroup> best_token: atomic<u32>;
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> found: vec2<u32>; // the bin that holds the cut, and how many are to be kept within it

/// Sets the bits of the distinct tokens of the row's sequence so far.
fn mark_seen(row: u32, thread: u32) {
    let words = (dims.vocab + 31u) / 32u;
    for (var i = thread; i < words; i += WORKGROUP) {
        atomicStore(&seen[row * words + i], 0u);
    }
    storageBarrier();
    let count = min(rows[row].position + 1u, dims.history_stride);
    for (var i = thread; i < count; i += WORKGROUP) {
        let slot = select(rows[row].slot, rows[row].prefix_slot, i < rows[row].prefix_len);
        let token = history[slot * dims.history_stride + i];
        if (token < dims.vocab) {
            atomicOr(&seen[row * words + token / 32u], 1u << (token % 32u));
        }
    }
    storageBarrier();
}

/// Whether the row has drawn a token since its prefix. Few tokens are boosted, so few ask.
fn drawn(row: u32, token: u32) -> bool {
    let end = min(rows[row].position + 1u, dims.history_stride);
    for (var i = rows[row].prefix_len + 1u; i < end; i++) {
        if (history[rows[row].slot * dims.history_stride + i] == token) {
            return true;
        }
    }
    return false;
}

/// The key of a token's logit after mask, ban, penalty and boost.
fn weigh(row: u32, token: u32) -> u32 {
    let words = (dims.vocab + 31u) / 32u;
    if (((mask[token / 32u] >> (token % 32u)) & 1u) == 1u || token == rows[row].ban) {
        return 0u;
    }
    var v = bitcast<f32>(logits[row * dims.stride + token]);
    if (sampling.repetition_penalty != 1.0) {
        if (((atomicLoad(&seen[row * words + token / 32u]) >> (token % 32u)) & 1u) == 1u) {
            v = select(v * sampling.repetition_penalty, v / sampling.repetition_penalty, v > 0.0);
        }
    }
    if (sampling.boost != 0.0 && ((mask[words + token / 32u] >> (token % 32u)) & 1u) == 1u && !drawn(row, token)) {
        v += sampling.boost;
    }
    return key_of(v);
}

/// The key of the top_k-th best token, by radix select: eight bits a pass, from the top.
fn cut(row: u32, thread: u32) -> u32 {
    var wanted = sampling.top_k;
    var prefix = 0u;
    for (var shift = 32u; shift > 0u;) {
        shift -= 8u;
        for (var i = thread; i < 256u; i += WORKGROUP) {
            atomicStore(&bins[i], 0u);
        }
        workgroupBarrier();
        for (var token = thread; token < dims.vocab; token += WORKGROUP) {
            let key = logits[row * dims.stride + token];
            // Two shifts, since shifting by 32 is not defined.
            if (((key >> shift) >> 8u) == ((prefix >> shift) >> 8u)) {
                atomicAdd(&bins[(key >> shift) & 255u], 1u);
            }
        }
        workgroupBarrier();
        if (thread == 0u) {
            var rest = wanted;
            var bin = 255u;
            for (; bin > 0u; bin--) {
                let count = atomicLoad(&bins[bin]);
                if (count >= rest) {
                    break;
                }
                rest -= count;
            }
            found = vec2<u32>(bin, rest);
        }
        let at = workgroupUniformLoad(&found);
        prefix |= at.x << shift;
        wanted = at.y;
    }
    return prefix;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group.x;
    if (rows[row].running == 0u) {
        return;
    }
    if (sampling.repetition_penalty != 1.0) {
        mark_seen(row, thread);
    }
    if (thread == 0u) {
        atomicStore(&best_key, 0u);
        atomicStore(&best_token, 0xffffffffu);
    }
    var own_key = 0u;
    var own_token = 0xffffffffu;
    for (var token = thread; token < dims.vocab; token += WORKGROUP) {
        let key = weigh(row, token);
        logits[row * dims.stride + token] = key;
        if (key > own_key || own_token == 0xffffffffu) {
            own_key = key;
            own_token = token;
        }
    }
    workgroupBarrier();
    atomicMax(&best_key, own_key);
    workgroupBarrier();
    if (own_key == atomicLoad(&best_key)) {
        atomicMin(&best_token, own_token);
    }
    var lowest = 1u;
    if (sampling.temperature > 0.0 && sampling.top_k > 0u && sampling.top_k < dims.vocab) {
        lowest = max(cut(row, thread), 1u);
    }
    workgroupBarrier();
    if (thread == 0u) {
        choices[row] = Choice(atomicLoad(&best_key), atomicLoad(&best_token), lowest, 0u);
    }
}
