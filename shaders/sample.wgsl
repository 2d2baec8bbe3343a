// sample: the second half of plan::Sampling: temperature, top_p, min_p, the draw; then the row advances by the token
//   @0 dims     Dims                        uniform
//   @1 sampling Sampling                    uniform
//   @2 rows     [rows] Row                  read_write
//   @3 keys     [rows, vocab] u32           read        of select
//   @4 choices  [rows] Choice               read
//   @5 history  [slots, max_seq + 1] u32    read_write  only written
//   @6 steps    [rows] u32                  read_write  steps done in this submission
//   @7 sampled  [steps, rows] Sampled       read_write only written: token, epoch, log-probability, 0
// parts: row, sampling, key, choice, wide     grid: [rows, 1, 1]     twin: cpu sample
//
// Probabilities are integers, exp((l - best) / temperature) * 2^31, summed in 64 bits: no order of addition changes a draw. The
// temperature divides differences, as the order of tokens does not depend on it and a tiny one must not overflow.
struct Dims {
    vocab: u32,
    stride: u32,         // of a row of keys
    history_stride: u32, // max_seq + 1
    rows: u32,
    max_steps: u32,
}
@group(0) @binding(0) var<uniform> dims: Dims;
@group(0) @binding(1) var<uniform> sampling: Sampling;
@group(0) @binding(2) var<storage, read_write> rows: array<Row>;
@group(0) @binding(3) var<storage, read> keys: array<u32>;
@group(0) @binding(4) var<storage, read> choices: array<Choice>;
@group(0) @binding(5) var<storage, read_write> history: array<u32>;
@group(0) @binding(6) var<storage, read_write> steps: array<u32>;
@group(0) @binding(7) var<storage, read_write> sampled: array<vec4<u32>>;
var<workgroup> running: u32;
var<workgroup> bins_low: array<atomic<u32>, 256>;
var<workgroup> bins_high: array<atomic<u32>, 256>;
var<workgroup> sums: array<vec2<u32>, WORKGROUP>;
var<workgroup> wanted: vec2<u32>; // mass still to be passed, kept by thread 0
var<workgroup> found: u32;

/// Which tokens may be drawn: key above `key`, or equal to it and token <= `last`.
struct Cut {
    key: u32,
    last: u32,
}

fn mass(key: u32, best: u32) -> u32 {
    return mass_at(key, best, sampling.temperature);
}

fn mass_at(key: u32, best: u32, temperature: f32) -> u32 {
    if (key == 0u) {
        return 0u;
    }
    if (key == best) {
        return 0x80000000u;
    }
    return u32(exp((value_of(key) - value_of(best)) / temperature) * 2147483648.0);
}

/// The key at which the mass of the best tokens reaches top_p, by radix select; `wanted` is left at what its ties have to add.
fn cut_mass(row: u32, best: u32, lowest: u32, thread: u32) -> u32 {
    var prefix = 0u;
    for (var shift = 32u; shift > 0u;) {
        shift -= 8u;
        for (var i = thread; i < 256u; i += WORKGROUP) {
            atomicStore(&bins_low[i], 0u);
            atomicStore(&bins_high[i], 0u);
        }
        workgroupBarrier();
        for (var token = thread; token < dims.vocab; token += WORKGROUP) {
            let key = keys[row * dims.stride + token];
            if (key >= lowest && ((key >> shift) >> 8u) == ((prefix >> shift) >> 8u)) {
                let bin = (key >> shift) & 255u;
                let m = mass(key, best);
                let before = atomicAdd(&bins_low[bin], m);
                if (before + m < before) {
                    atomicAdd(&bins_high[bin], 1u);
                }
            }
        }
        workgroupBarrier();
        if (thread == 0u) {
            if (shift == 24u) {
                var total = vec2<u32>(0u);
                for (var bin = 0u; bin < 256u; bin++) {
                    total = wide_add(total, vec2<u32>(atomicLoad(&bins_low[bin]), atomicLoad(&bins_high[bin])));
                }
                wanted = wide_fraction(total, u32(sampling.top_p * 16777216.0));
                if (wanted.x == 0u && wanted.y == 0u) {
                    wanted.x = 1u;
                }
            }
            var bin = 255u;
            for (; bin > 0u; bin--) {
                let m = vec2<u32>(atomicLoad(&bins_low[bin]), atomicLoad(&bins_high[bin]));
                if (!wide_greater(wanted, m)) {
                    break;
                }
                wanted = wide_subtract(wanted, m);
            }
            found = bin;
        }
        prefix |= workgroupUniformLoad(&found) << shift;
    }
    return prefix;
}

/// A token's mass if it may be drawn; with `ties`, only if its key is the cut's.
fn drawable(row: u32, token: u32, best: u32, cut: Cut, ties: bool) -> u32 {
    let key = keys[row * dims.stride + token];
    if (key < cut.key || (key == cut.key && token > cut.last) || (ties && key != cut.key)) {
        return 0u;
    }
    let m = mass(key, best);
    return select(m, 0u, f32(m) < sampling.min_p * 2147483648.0);
}

/// The first token at which the running mass, tokens ascending, exceeds a target: `wanted`, or for `draw` that share (of 2^24) of all
/// mass. Each round splits the range among the threads and goes on with the part that holds the target.
fn narrow(row: u32, best: u32, cut: Cut, ties: bool, draw: u32, thread: u32) -> u32 {
    var first = 0u;
    var end = dims.vocab;
    loop {
        let part = (end - first + WORKGROUP - 1u) / WORKGROUP;
        var sum = vec2<u32>(0u);
        let own = first + thread * part;
        for (var token = own; token < min(own + part, end); token++) {
            sum = wide_add(sum, vec2<u32>(drawable(row, token, best, cut, ties), 0u));
        }
        sums[thread] = sum;
        workgroupBarrier();
        if (thread == 0u) {
            if (!ties && end - first == dims.vocab) {
                var total = vec2<u32>(0u);
                for (var i = 0u; i < WORKGROUP; i++) {
                    total = wide_add(total, sums[i]);
                }
                wanted = wide_fraction(total, draw);
            }
            var i = 0u;
            for (; i < WORKGROUP - 1u; i++) {
                if (wide_greater(sums[i], wanted)) {
                    break;
                }
                wanted = wide_subtract(wanted, sums[i]);
            }
            found = i;
        }
        first += workgroupUniformLoad(&found) * part;
        end = min(first + part, end);
        if (part <= 1u) {
            break;
        }
    }
    return first;
}

/// Philox4x32-10: the first word.
fn philox(key_low: u32, key_high: u32, counter: vec4<u32>) -> u32 {
    var c = counter;
    var k = vec2<u32>(key_low, key_high);
    for (var round = 0u; round < 10u; round++) {
        let p = wide_product(0xd2511f53u, c.x);
        let r = wide_product(0xcd9e8d57u, c.z);
        c = vec4<u32>(r.y ^ c.y ^ k.x, r.x, p.y ^ c.w ^ k.y, p.x);
        k += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return c.x;
}

fn pick(row: u32, thread: u32) -> u32 {
    let best = choices[row].key;
    if (sampling.temperature <= 0.0 || best == 0u) {
        return choices[row].token;
    }
    var cut = Cut(choices[row].lowest, 0xffffffffu);
    if (sampling.top_p < 1.0) {
        cut.key = cut_mass(row, best, cut.key, thread);
        if (thread == 0u) {
            // The tie that reaches `wanted` is the first to exceed one less.
            wanted = wide_subtract(wanted, vec2<u32>(1u, 0u));
        }
        cut.last = narrow(row, best, cut, true, 0u, thread);
    }
    let state = rows[row];
    let draw = philox(sampling.seed_low, sampling.seed_high, vec4<u32>(state.position + 1u, state.draft, state.attempt, 0u)) >> 8u;
    return narrow(row, best, cut, false, draw, thread);
}

/// The logarithm of a token's share of all mass at temperature 1.
fn log_probability(row: u32, token: u32, thread: u32) -> f32 {
    let best = choices[row].key;
    var sum = vec2<u32>(0u);
    for (var i = thread; i < dims.vocab; i += WORKGROUP) {
        sum = wide_add(sum, vec2<u32>(mass_at(keys[row * dims.stride + i], best, 1.0), 0u));
    }
    sums[thread] = sum;
    workgroupBarrier();
    var total = vec2<u32>(0u);
    for (var i = 0u; i < WORKGROUP; i++) {
        total = wide_add(total, sums[i]);
    }
    let all = (f32(total.y) * 4294967296.0 + f32(total.x)) / 2147483648.0;
    return value_of(keys[row * dims.stride + token]) - value_of(best) - log(all);
}

fn advance(row: u32, token: u32) {
    var state = rows[row];
    let position = state.position + 1u;
    if (position < dims.history_stride) {
        history[state.slot * dims.history_stride + position] = token;
    }
    var ended = position >= state.limit;
    for (var i = 0u; i < min(sampling.num_end_tokens, 16u); i++) {
        ended = ended || sampling.end_tokens[i / 4u][i % 4u] == token;
    }
    rows[row].token = token;
    rows[row].position = position;
    rows[row].ban = 0xffffffffu;
    rows[row].running = select(1u, 0u, ended);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = group.x;
    if (thread == 0u) {
        running = rows[row].running;
    }
    var token = 0xffffffffu;
    var likelihood = 0.0;
    if (workgroupUniformLoad(&running) == 1u) {
        token = pick(row, thread);
        if (sampling.scored == 1u) {
            workgroupBarrier();
            likelihood = log_probability(row, token, thread);
        }
    }
    // Every thread has read the row before one changes it.
    workgroupBarrier();
    if (thread == 0u) {
        let step = min(steps[row], dims.max_steps - 1u);
        steps[row] = step + 1u;
        sampled[step * dims.rows + row] = vec4<u32>(token, rows[row].epoch, bitcast<u32>(likelihood), 0u);
        if (running == 1u) {
            advance(row, token);
        }
    }
}
