// The bench's figures: what a run measured, put into the terms of the bound.
import assert from "node:assert/strict";
import { test } from "node:test";
import { figuresOf, spread } from "../../www/bench/figures.ts";

test("a spread is the least, the median and the most", () => {
  assert.deepEqual(spread([3]), [3, 3, 3]);
  assert.deepEqual(spread([9, 1, 4]), [1, 4, 9]);
  assert.deepEqual(spread([10, 9, 1, 4]), [1, 6.5, 10]);
});

test("the bound is weights at the stream's speed and dispatches at their cost", () => {
  const measurement = {
    gigabytesPerSecond: 10,
    dispatchMicroseconds: 20,
    roundTripMicroseconds: 300,
    gigamultipliesPerSecond: 0,
    weightBytes: 40_000_000,
    dispatches: 50,
    steps: 16,
    submissions: 4,
    readbacks: 2,
  };
  const run = { timed: { firstTokenMs: 130, stepMs: 20 }, alone: { firstTokenMs: 100, stepMs: 10 }, measurement };
  const figures = figuresOf(run, 56, 4);
  assert.equal(figures.bound_read_ms, 4);
  assert.equal(figures.bound_dispatch_ms, 1);
  assert.equal(figures.bound_fraction, 0.25);
  assert.equal(figures.prefill_tok_s, 500);
  assert.equal(figures.decode_tok_s, 200);
  assert.equal(figures.alone_tok_s, 100);
  assert.equal(figures.together_ratio, 2);
  assert.equal(figures.submits_per_token, 0.25);
  assert.equal(figures.readbacks_per_token, 0.125);
  assert.equal(figuresOf({ timed: run.timed, measurement }, 56, 1).alone_tok_s, undefined);
});
