//! The sampler: transformers' own results case by case, the published Philox vectors, and `Op::Sample` against a naive f64 twin.

use crate::cpu::Random;
use kinglet::cpu::philox::{philox4x32, uniform};
use kinglet::cpu::sample::distribution::{Distribution, SampleError, SampleParams, distribution};
use kinglet::cpu::sample::{History, Sampler};
use kinglet::plan::{NO_TOKEN, Row, Sampled, Sampling};
use serde_json::Value;
use std::collections::BTreeMap;

/// The fixtures give 9 digits of an f64 softmax over f32 scores.
const PROBABILITY_TOLERANCE: f64 = 1e-6;

fn fixtures() -> Value {
    serde_json::from_str(include_str!("../fixtures/sampler/cases.json")).unwrap()
}

fn floats(value: &Value) -> Vec<f32> {
    let float = |value: &Value| value.as_f64().map_or(f32::NEG_INFINITY, |value| value as f32);
    value.as_array().unwrap().iter().map(float).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn params(json: &str) -> SampleParams {
    SampleParams::from_json(json).unwrap()
}

#[test]
fn every_fixture_case_gives_the_kept_set_and_the_probabilities() {
    let fixtures = fixtures();
    let cases = fixtures["cases"].as_array().unwrap();
    assert!(cases.len() > 100, "{} cases", cases.len());
    for case in cases {
        let (id, name) = (case["id"].as_str().unwrap(), case["logits"].as_str().unwrap());
        let logits = floats(&fixtures["logits"][name]);
        let params = params(&case["params"].to_string());
        let got = distribution(&logits, &params, &ids(&case["history"])).unwrap();
        let want = ids(&case["kept"]);
        if case["tie_at_cut"] == true {
            let scores = |kept: &[u32]| {
                let mut scores: Vec<f32> = kept.iter().map(|id| logits[*id as usize]).collect();
                scores.sort_by(f32::total_cmp);
                scores
            };
            assert_eq!(scores(&got.kept), scores(&want), "{id}: kept {:?}, want {want:?} up to ties", got.kept);
            continue;
        }
        assert_eq!(got.kept, want, "{id}: {}", case["params"]);
        let probs = case["probs"].as_array().unwrap();
        for (token, probability) in got.kept.iter().zip(&got.probs) {
            let want = probs[*token as usize].as_f64().unwrap();
            let error = (probability - want).abs();
            assert!(error < PROBABILITY_TOLERANCE, "{id}, token {token}: got {probability}, want {want}");
        }
    }
}

#[test]
fn fixture_uniforms_draw_the_fixture_tokens() {
    let fixtures = fixtures();
    for draws in fixtures["draws"].as_array().unwrap() {
        let logits = floats(&fixtures["logits"][draws["logits"].as_str().unwrap()]);
        let distribution = distribution(&logits, &params(&draws["params"].to_string()), &[]).unwrap();
        let uniforms = draws["uniforms"].as_array().unwrap().iter().map(|u| u.as_f64().unwrap());
        let got: Vec<u32> = uniforms.map(|u| distribution.draw(u).unwrap()).collect();
        assert_eq!(got, ids(&draws["tokens"]), "{}", draws["params"]);
    }
}

#[test]
fn unknown_and_impossible_parameters_are_errors() {
    for json in ["{\"topp\": 0.9}", "{\"top_p\": \"high\"}", "{\"top_k\": -1}", "[]", "", "{\"temperature\": 1e999}"] {
        assert!(matches!(SampleParams::from_json(json), Err(SampleError::Params { .. })), "{json}");
    }
    for (json, name) in [
        ("{\"top_p\": 1.5}", "top_p"),
        ("{\"min_p\": -0.1}", "min_p"),
        ("{\"temperature\": -1}", "temperature"),
        ("{\"repetition_penalty\": 0}", "repetition_penalty"),
    ] {
        match SampleParams::from_json(json) {
            Err(SampleError::OutOfRange { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{json}: {other:?}"),
        }
    }
    assert_eq!(distribution(&[0.0, f32::NAN], &SampleParams::default(), &[]).unwrap_err().code(), "bad-sampling");
    let nothing = distribution(&[0.0, 1.0], &params("{\"suppress\": [0, 1]}"), &[]);
    assert_eq!(nothing, Err(SampleError::NothingLeft { vocab_size: 2 }));
    assert_eq!(distribution(&[], &SampleParams::default(), &[]), Err(SampleError::NothingLeft { vocab_size: 0 }));
}

#[test]
fn ids_outside_the_vocabulary_do_nothing() {
    let json = "{\"suppress\": [9], \"logit_bias\": {\"7\": 3.0}, \"bad_words_ids\": [[8], []], \"repetition_penalty\": 2.0,
        \"no_repeat_ngram_size\": 1, \"min_new_tokens\": 5, \"eos\": [11]}";
    let distribution = distribution(&[0.5, 0.5, 0.5], &params(json), &[4, 6]).unwrap();
    assert_eq!((distribution.kept, distribution.probs), (vec![0, 1, 2], vec![1.0 / 3.0; 3]));
}

#[test]
fn temperature_zero_keeps_the_best_token_with_the_lowest_id() {
    let got = distribution(&[1.0, 4.0, -2.0, 4.0], &params("{\"temperature\": 0}"), &[]).unwrap();
    assert_eq!(got, Distribution { kept: vec![1], probs: vec![1.0] });
}

#[test]
fn a_tiny_temperature_is_greedy_up_to_ties() {
    for shift in [0.0, -5.0] {
        let logits = [1.0, 4.0, 2.0, 4.0].map(|logit| logit + shift);
        let got = distribution(&logits, &params("{\"temperature\": 1e-39, \"top_p\": 0.9, \"min_p\": 0.5}"), &[]).unwrap();
        assert_eq!(got, Distribution { kept: vec![1, 3], probs: vec![0.5, 0.5] }, "logits {logits:?}");
    }
    let sampling = Sampling { temperature: 1e-39, ..off() };
    let mut row = Row { active: 1, limit: 9, ban: NO_TOKEN, ..Row::default() };
    assert_eq!(Sampler::default().sample_row(&mut row, &mut [1.0, -4.0, 2.0], &[0; 2], &sampling, &mut history(1, 4)).token, 2);
}

#[test]
fn a_uniform_beyond_the_rounded_mass_draws_the_last_possible_token() {
    let distribution = Distribution { kept: vec![2, 5, 9], probs: vec![0.5, 0.4999999, 0.0] };
    assert_eq!(distribution.draw(0.0), Some(2));
    assert_eq!(distribution.draw(0.5), Some(5));
    assert_eq!(distribution.draw(0.99999999), Some(5));
}

/// Known answers of the Random123 library (kat_vectors, philox4x32 with 10 rounds).
#[test]
fn philox_gives_the_published_vectors() {
    let all = u32::MAX;
    let vectors = [
        ([0, 0], [0, 0, 0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]),
        ([all, all], [all, all, all, all], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]),
        ([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]),
    ];
    for (key, counter, want) in vectors {
        assert_eq!(philox4x32(key, counter), want, "key {key:x?}, counter {counter:x?}");
    }
    assert_eq!((uniform(0), uniform(255), uniform(256), uniform(u32::MAX)), (0.0, 0.0, 1.0 / 16777216.0, 16777215.0 / 16777216.0));
}

fn history(slots: usize, stride: usize) -> History {
    History { tokens: vec![NO_TOKEN; slots * stride], stride }
}

fn off() -> Sampling {
    Sampling {
        seed_low: 1,
        seed_high: 2,
        temperature: 1.0,
        top_p: 1.0,
        min_p: 0.0,
        repetition_penalty: 1.0,
        top_k: 0,
        num_end_tokens: 0,
        end_tokens: [0; 16],
        boost: 0.0,
        scored: 0,
        reserved: [0; 2],
    }
}

/// `plan::Sampling` written down once more: plain sorts, f64, no shared code but the draw's uniform.
fn naive_token(row: &Row, logits: &[f32], mask: &[u32], sampling: &Sampling, so_far: &[u32]) -> u32 {
    let mut scores: BTreeMap<u32, f64> = (0..).zip(logits.iter().map(|l| f64::from(*l))).collect();
    scores.retain(|id, _| mask[*id as usize / 32] >> (id % 32) & 1 == 0 && *id != row.ban);
    let penalty = f64::from(sampling.repetition_penalty);
    for (id, score) in &mut scores {
        if so_far.contains(id) {
            *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
        }
    }
    let words = mask.len() / 2;
    for (id, score) in &mut scores {
        let boosted = mask[words + *id as usize / 32] >> (id % 32) & 1 == 1;
        if boosted && !so_far.iter().skip(row.prefix_len as usize + 1).any(|drawn| drawn == id) {
            *score += f64::from(sampling.boost);
        }
    }
    let best_first = |scores: &BTreeMap<u32, f64>| {
        let mut order: Vec<(u32, f64)> = scores.iter().map(|(id, score)| (*id, *score)).collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        order
    };
    if sampling.temperature == 0.0 {
        return best_first(&scores)[0].0;
    }
    scores.values_mut().for_each(|score| *score /= f64::from(sampling.temperature));
    if sampling.top_k > 0 && (sampling.top_k as usize) < scores.len() {
        let kth = best_first(&scores)[sampling.top_k as usize - 1].1;
        scores.retain(|_, score| *score >= kth);
    }
    let mass = |scores: &BTreeMap<u32, f64>| scores.values().map(|score| score.exp()).sum::<f64>();
    let total = mass(&scores);
    let mut reached = 0.0;
    for (id, score) in best_first(&scores) {
        if sampling.top_p < 1.0 && reached >= f64::from(sampling.top_p) * total {
            scores.remove(&id);
        }
        reached += score.exp();
    }
    let best = best_first(&scores)[0].1;
    scores.retain(|_, score| (*score - best).exp() >= f64::from(sampling.min_p));
    let total = mass(&scores);
    let words = philox4x32([sampling.seed_low, sampling.seed_high], [row.position + 1, row.draft, row.attempt, 0]);
    let u = f64::from(words[0] >> 8) / f64::from(1 << 24);
    let mut cumulative = 0.0;
    for (id, score) in &scores {
        cumulative += score.exp() / total;
        if cumulative > u {
            return *id;
        }
    }
    *scores.keys().next_back().unwrap()
}

#[test]
fn sampling_a_row_equals_the_naive_twin_over_seeds_and_settings() {
    let mut random = Random(21);
    let mut drawn = std::collections::BTreeSet::new();
    let mut sampler = Sampler::default();
    for round in 0..400 {
        let vocab_size = [7, 129, 1030][round % 3];
        let logits: Vec<f32> = random.floats(vocab_size).iter().map(|l| 6.0 * l).collect();
        let words = 2 * vocab_size.div_ceil(32);
        let mask: Vec<u32> = (0..words).map(|_| (random.word() & random.word() & random.word()) as u32 & !1).collect();
        let pick = |random: &mut Random, choices: [f32; 3]| choices[random.below(3) as usize];
        let sampling = Sampling {
            seed_low: random.word() as u32,
            seed_high: random.word() as u32,
            temperature: pick(&mut random, [0.0, 0.7, 1.3]),
            top_p: pick(&mut random, [1.0, 0.9, 0.3]),
            min_p: pick(&mut random, [0.0, 0.05, 0.4]),
            repetition_penalty: pick(&mut random, [1.0, 1.3, 0.8]),
            top_k: [0, 1, 5, 40, 2000][random.below(5) as usize],
            boost: pick(&mut random, [0.0, 0.5, 3.0]),
            ..off()
        };
        let mut history = history(3, 12);
        history.tokens.iter_mut().for_each(|token| *token = random.below(vocab_size as u64) as u32);
        let position = random.below(11) as u32;
        let mut row = Row { slot: 2, position, limit: 11, active: 1, draft: 3, attempt: 1, ..Row::default() };
        (row.prefix_slot, row.prefix_len) = (1, random.below(8) as u32);
        row.ban = [NO_TOKEN, 1][random.below(2) as usize];
        let slot = |p: u32| if p < row.prefix_len { 1 } else { 2 };
        let so_far: Vec<u32> = (0..=position).map(|p| history.tokens[slot(p) * 12 + p as usize]).collect();
        let want = naive_token(&row, &logits, &mask, &sampling, &so_far);
        let got = sampler.sample_row(&mut row, &mut logits.clone(), &mask, &sampling, &mut history);
        assert_eq!(got.token, want, "round {round}, vocabulary {vocab_size}, {sampling:?}, {row:?}");
        assert_eq!(history.tokens[2 * 12 + position as usize + 1], want, "round {round}: history");
        let moved = (row.token, row.position, row.ban, row.active);
        assert_eq!(moved, (want, position + 1, NO_TOKEN, u32::from(position + 1 < 11)), "round {round}: row");
        drawn.insert(want);
    }
    assert!(drawn.len() > 50, "only {} different tokens were drawn", drawn.len());
}

/// To the bit, whatever is done to the scores in drawing.
#[test]
fn a_scored_draw_tells_the_log_softmax_of_the_scores_before_temperature_and_filters() {
    let mut random = Random(22);
    let mut sampler = Sampler::default();
    for temperature in [0.0, 0.7, 1.3] {
        let logits = random.floats(129);
        let sampling = Sampling { temperature, top_k: 40, top_p: 0.9, scored: 1, ..off() };
        let mut row = Row { active: 1, limit: 9, ban: NO_TOKEN, ..Row::default() };
        let got = sampler.sample_row(&mut row, &mut logits.clone(), &[0; 10], &sampling, &mut history(1, 4));
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let total: f64 = logits.iter().map(|logit| f64::from(logit - best).exp()).sum();
        let want = logits[got.token as usize] - best - total.ln() as f32;
        assert_eq!(got.log_probability.to_bits(), want.to_bits(), "temperature {temperature}: {} for {want}", got.log_probability);
    }
}

#[test]
fn greedy_takes_the_lowest_id_on_ties_and_after_the_mask() {
    let logits = [1.0, 3.0, -1.0, 3.0, 3.0];
    let sampling = Sampling { temperature: 0.0, ..off() };
    for (mask, ban, want) in [(0, NO_TOKEN, 1), (0b10, NO_TOKEN, 3), (0b10, 3, 4), (0b1_1010, 0, 2), (0, 1, 3)] {
        let mut row = Row { active: 1, limit: 9, ban, ..Row::default() };
        let got = Sampler::default().sample_row(&mut row, &mut logits.clone(), &[mask, 0], &sampling, &mut history(1, 4));
        assert_eq!(got.token, want, "mask {mask:#b}, ban {ban}");
    }
}

#[test]
fn the_penalty_counts_a_token_once_and_pushes_negative_scores_down() {
    let sampling = Sampling { temperature: 0.0, repetition_penalty: 2.0, ..off() };
    let mut history = history(1, 5);
    history.tokens[..3].copy_from_slice(&[1, 1, 1]);
    let mut row = Row { active: 1, limit: 9, position: 2, ban: NO_TOKEN, ..Row::default() };
    let mut logits = [1.9, 4.0, -3.0];
    assert_eq!(Sampler::default().sample_row(&mut row, &mut logits, &[0; 2], &sampling, &mut history).token, 1, "4 / 2 is still above 1.9");
    assert_eq!(logits, [1.9, 2.0, -3.0]);
    let mut logits = [-1.9, -1.0, -3.0];
    row = Row { active: 1, limit: 9, position: 2, ban: NO_TOKEN, ..Row::default() };
    assert_eq!(Sampler::default().sample_row(&mut row, &mut logits, &[0; 2], &sampling, &mut history).token, 0, "-1 * 2 is below -1.9");
}

#[test]
fn an_inactive_row_draws_nothing_and_stays() {
    let mut row = Row { active: 0, epoch: 5, position: 1, ..Row::default() };
    let before = row;
    let mut history = history(1, 4);
    let got = Sampler::default().sample_row(&mut row, &mut [1.0, 2.0], &[0; 2], &off(), &mut history);
    assert_eq!(got, Sampled { token: NO_TOKEN, epoch: 5, ..Sampled::default() });
    assert_eq!((row, history), (before, self::history(1, 4)));
}

#[test]
fn draws_follow_the_probabilities() {
    let logits = [0.0f32, 1.0, 2.0, -1.0, 0.5];
    let total: f64 = logits.iter().map(|l| f64::from(*l).exp()).sum();
    let (num_draws, mut counts) = (20_000, [0u32; 5]);
    for draft in 0..num_draws {
        let mut row = Row { active: 1, limit: 9, draft, ban: NO_TOKEN, ..Row::default() };
        counts[Sampler::default().sample_row(&mut row, &mut logits.clone(), &[0; 2], &off(), &mut history(1, 4)).token as usize] += 1;
    }
    for (id, count) in counts.iter().enumerate() {
        let p = f64::from(logits[id]).exp() / total;
        let (got, sigma) = (f64::from(*count) / f64::from(num_draws), (p * (1.0 - p) / f64::from(num_draws)).sqrt());
        assert!((got - p).abs() < 5.0 * sigma, "token {id}: drawn {got}, probability {p}");
    }
}
