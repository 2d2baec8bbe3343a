//! Steps of sampling over `scores: [vocab_size]`: each removes tokens (a score of -inf) or changes scores in place.
//!
//! Definitions follow the logits processors of Hugging Face transformers, whose order the callers keep: every step that speaks of
//! probability means the softmax over what the steps before it left. At least the best token always stays.

const REMOVED: f32 = f32::NEG_INFINITY;

/// Removes scores that are not numbers.
pub fn without_nan(scores: &mut [f32]) {
    remove_if(scores, f32::is_nan);
}

/// Removes tokens whose bit is set.
pub fn mask(scores: &mut [f32], mask: &[u32]) {
    for (scores, word) in scores.chunks_mut(32).zip(mask) {
        if *word != 0 {
            for (bit, score) in scores.iter_mut().enumerate() {
                if word >> bit & 1 == 1 {
                    *score = REMOVED;
                }
            }
        }
    }
}

/// Removes tokens; ids outside the vocabulary are ignored.
pub fn ban(scores: &mut [f32], tokens: impl IntoIterator<Item = u32>) {
    for token in tokens {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = REMOVED;
        }
    }
}

/// Divides positive and multiplies negative scores of the distinct tokens by `penalty` (Keskar et al. 2019).
pub fn repetition_penalty(scores: &mut [f32], tokens: impl IntoIterator<Item = u32>, penalty: f32, scratch: &mut Scratch) {
    if penalty == 1.0 {
        return;
    }
    let seen = &mut scratch.seen;
    seen.clear();
    seen.resize(scores.len(), false);
    for token in tokens {
        let token = token as usize;
        if token < scores.len() && !seen[token] {
            seen[token] = true;
            scores[token] = if scores[token] < 0.0 { scores[token] * penalty } else { scores[token] / penalty };
        }
    }
}

/// What turns a score into the natural logarithm of its softmax.
#[derive(Clone, Copy, Debug)]
pub struct LogSum {
    best: f32,
    log_total: f32,
}

impl LogSum {
    /// Of all scores.
    pub fn of(scores: &[f32]) -> LogSum {
        let best = max(scores);
        // Not the platform's functions: candidates are ranked by these, on every machine alike.
        let total: f64 = scores.iter().map(|score| libm::exp(f64::from(score - best))).sum();
        LogSum { best, log_total: libm::log(total) as f32 }
    }

    /// The logarithm for one of them.
    pub fn log_probability(&self, score: f32) -> f32 {
        score - self.best - self.log_total
    }
}

/// Divides by the temperature, which is not zero; one so small that the best score overflows leaves only the best.
pub fn temperature(scores: &mut [f32], temperature: f32) {
    let best = max(scores);
    if (best / temperature).is_infinite() {
        remove_if(scores, |score| score < best);
    } else if temperature != 1.0 {
        for score in scores {
            *score /= temperature;
        }
    }
}

/// Keeps the `k` best and all ties of the k-th; 0 keeps all (Fan et al. 2018).
pub fn top_k(scores: &mut [f32], k: usize, scratch: &mut Scratch) {
    if k == 0 || k >= scores.len() {
        return;
    }
    scratch.scores.clear();
    scratch.scores.extend_from_slice(scores);
    let (_, kth, _) = scratch.scores.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let kth = *kth;
    remove_if(scores, |score| score < kth);
}

/// Keeps the smallest set of best tokens whose mass reaches `p`, the lowest id first on ties (Holtzman et al. 2019).
pub fn top_p(scores: &mut [f32], p: f64, scratch: &mut Scratch) {
    if p >= 1.0 {
        return;
    }
    let Scratch { weights, ids, .. } = scratch;
    weights.fill(scores);
    ids.clear();
    ids.extend((0..scores.len()).filter(|id| scores[*id] > REMOVED));
    let (mut mass, mut sorted, mut block) = (0.0, 0, 64);
    while sorted < ids.len() {
        let rest = &mut ids[sorted..];
        let num_best = block.min(rest.len());
        let order = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
        if num_best < rest.len() {
            rest.select_nth_unstable_by(num_best, order);
        }
        rest[..num_best].sort_unstable_by(order);
        for i in 0..num_best {
            mass += weights.values[rest[i]];
            if mass >= p * weights.sum {
                for id in &rest[i + 1..] {
                    scores[*id] = REMOVED;
                }
                return;
            }
        }
        sorted += num_best;
        block *= 2;
    }
}

/// Keeps tokens at least `p` times as probable as the best one; 0 keeps all (Nguyen et al. 2024).
pub fn min_p(scores: &mut [f32], p: f64) {
    if p <= 0.0 {
        return;
    }
    let best = max(scores);
    remove_if(scores, |score| score < best && exp_difference(score, best) < p);
}

/// Keeps the tokens whose surprise is nearest to the entropy, until their mass reaches `p` (Meister et al. 2022).
pub fn typical_p(scores: &mut [f32], p: f64) {
    if p >= 1.0 {
        return;
    }
    let weights = Weights::of(scores);
    let entropy = weights.entropy();
    let distance = |id: usize| (weights.surprise(id) - entropy).abs();
    let mut by_distance: Vec<(f64, usize)> = (0..scores.len()).filter(|id| scores[*id] > REMOVED).map(|id| (distance(id), id)).collect();
    by_distance.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut mass = 0.0;
    let last = by_distance.iter().position(|(_, id)| {
        mass += weights.probability(*id);
        mass >= p
    });
    let Some(last) = last else { return };
    let furthest = by_distance[last].0;
    for (_, id) in by_distance.iter().filter(|(distance, _)| *distance > furthest) {
        scores[*id] = REMOVED;
    }
}

/// Keeps tokens of probability `epsilon` and more (Hewitt et al. 2022).
pub fn epsilon_cutoff(scores: &mut [f32], epsilon: f64) {
    cut_below(scores, |_| epsilon);
}

/// Keeps tokens of probability min(epsilon, sqrt(epsilon) * exp(-entropy)) and more (Hewitt et al. 2022).
pub fn eta_cutoff(scores: &mut [f32], epsilon: f64) {
    cut_below(scores, |weights| epsilon.min(libm::sqrt(epsilon) * libm::exp(-weights.entropy())));
}

/// The best token, the lowest id on ties.
pub fn best(scores: &[f32]) -> u32 {
    let mut best = 0;
    for (id, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = id;
        }
    }
    best as u32
}

/// Room that the steps need beside the scores, kept from one token to the next.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    scores: Vec<f32>,
    ids: Vec<usize>,
    seen: Vec<bool>,
    /// Of the scores that `fill` saw last.
    pub weights: Weights,
}

/// Probabilities before division by their sum, removed tokens at 0.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    /// exp(score - best), `[vocab_size]`
    pub values: Vec<f64>,
    /// Of the values, in order of id.
    pub sum: f64,
}

impl Weights {
    /// The softmax, not yet divided.
    pub fn of(scores: &[f32]) -> Weights {
        let mut weights = Weights::default();
        weights.fill(scores);
        weights
    }

    /// The same in place.
    pub fn fill(&mut self, scores: &[f32]) {
        let best = max(scores);
        self.values.clear();
        self.values.extend(scores.iter().map(|score| if *score > REMOVED { exp_difference(*score, best) } else { 0.0 }));
        self.sum = self.values.iter().sum();
    }

    /// As `Distribution::draw`, for one draw: the distribution itself is not made.
    pub fn draw(&self, u: f64) -> Option<u32> {
        let mut mass = 0.0;
        let drawn = self.values.iter().position(|value| {
            if *value != 0.0 {
                mass += value / self.sum;
            }
            mass > u
        });
        drawn.or_else(|| self.values.iter().rposition(|value| value / self.sum > 0.0)).map(|id| id as u32)
    }

    /// The softmax of a token.
    pub fn probability(&self, id: usize) -> f64 {
        self.values[id] / self.sum
    }

    fn surprise(&self, id: usize) -> f64 {
        -libm::log(self.probability(id))
    }

    fn entropy(&self) -> f64 {
        let terms = (0..self.values.len()).filter(|id| self.values[*id] > 0.0);
        terms.map(|id| self.probability(id) * self.surprise(id)).sum()
    }
}

fn cut_below(scores: &mut [f32], threshold: impl Fn(&Weights) -> f64) {
    let best = max(scores);
    let weights = Weights::of(scores);
    let threshold = threshold(&weights);
    for (id, score) in scores.iter_mut().enumerate() {
        if *score < best && weights.probability(id) < threshold {
            *score = REMOVED;
        }
    }
}

fn exp_difference(score: f32, best: f32) -> f64 {
    libm::exp(f64::from(score) - f64::from(best))
}

fn max(scores: &[f32]) -> f32 {
    scores.iter().copied().fold(REMOVED, f32::max)
}

fn remove_if(scores: &mut [f32], removed: impl Fn(f32) -> bool) {
    for score in scores {
        if removed(*score) {
            *score = REMOVED;
        }
    }
}
