// What callers pass: filled in, or refused by name.
import assert from "node:assert/strict";
import { test } from "node:test";
import { KingletError } from "../../www/lib/errors.ts";
import { type ComposeOptions, fromSeed, type GenerateOptions, randomSeed, toBrief, toGeneration } from "../../www/lib/options.ts";

const refused = (name: string) => (error: unknown) =>
  error instanceof KingletError && error.code === "invalid-option" && error.message.includes(name) && error.message.includes("found");

test("a brief alone gets the contract's defaults", () => {
  assert.deepEqual(toBrief({ brief: "rain" }, () => 9n), {
    brief: "rain",
    tone: "neutral",
    length: "medium",
    network: "x",
    hashtags: "none",
    emoji: "auto",
    count: 1,
    seed: 9n,
  });
});

test("what holds no options, and what is no list, is refused with a code", () => {
  const isRefused = (error: unknown) => error instanceof KingletError && error.code === "invalid-option";
  for (const nothing of [undefined, null, "hi", 7]) {
    assert.throws(() => toBrief(nothing as unknown as ComposeOptions, randomSeed), isRefused);
    assert.throws(() => toGeneration(nothing as unknown as GenerateOptions, randomSeed), isRefused);
  }
  const cases: [string, object][] = [
    ["stop", { prompt: "a", stop: 5 }],
    ["stop", { prompt: "a", stop: ["b", 5] }],
    ["messages", { messages: "hi" }],
    ["messages", { messages: ["hi"] }],
    ["tokens", { tokens: "12" }],
  ];
  for (const [name, options] of cases) assert.throws(() => toGeneration(options as GenerateOptions, randomSeed), refused(name));
});

test("every bad option of a brief is refused by its name", () => {
  const cases: [string, object][] = [
    ["brief", { brief: 7 }],
    ["tone", { tone: "angry" }],
    ["tone", { tone: "toString" }],
    ["length", { length: "huge" }],
    ["length", { length: 0 }],
    ["length", { length: 1.5 }],
    ["length", { length: Number.NaN }],
    ["network", { network: "myspace" }],
    ["count", { count: 0 }],
    ["count", { count: 9 }],
    ["count", { count: "4" }],
    ["hashtags", { hashtags: -1 }],
    ["hashtags", { hashtags: "many" }],
    ["emoji", { emoji: true }],
    ["seed", { seed: -1 }],
    ["seed", { seed: 2 ** 53 }],
    ["seed", { seed: 1n << 64n }],
    ["seed", { seed: "7" }],
  ];
  for (const [name, options] of cases) {
    assert.throws(() => toBrief({ brief: "rain", ...options } as ComposeOptions, randomSeed), refused(name));
  }
});

test("seeds keep all 64 bits and read back as given", () => {
  for (const seed of [0, 7, Number.MAX_SAFE_INTEGER, (1n << 64n) - 1n]) {
    assert.equal(fromSeed(toBrief({ brief: "rain", seed }, randomSeed).seed), seed);
  }
});

test("a generation takes exactly one of tokens, prompt and messages", () => {
  assert.throws(() => toGeneration({}, randomSeed), refused("tokens"));
  assert.throws(() => toGeneration({ prompt: "a", tokens: [1] }, randomSeed), refused("tokens"));
  const plain = { maxTokens: 256, seed: 1n, stop: ["b"], count: 1, ignoreEnd: false, fresh: false, prompt: "a" };
  assert.deepEqual(toGeneration({ prompt: "a", stop: "b", seed: 1 }, randomSeed), plain);
});

test("every bad option of a generation is refused by its name", () => {
  const cases: [string, object][] = [
    ["tokens", { prompt: undefined, tokens: [1, -1] }],
    ["tokens", { prompt: undefined, tokens: [0.5] }],
    ["maxTokens", { maxTokens: 0 }],
    ["temperature", { temperature: Number.NaN }],
    ["temperature", { temperature: -0.1 }],
    ["topP", { topP: 1.01 }],
    ["minP", { minP: "0" }],
    ["repetitionPenalty", { repetitionPenalty: Number.POSITIVE_INFINITY }],
    ["count", { count: 100 }],
  ];
  for (const [name, options] of cases) assert.throws(() => toGeneration({ prompt: "a", ...options } as GenerateOptions, randomSeed), refused(name));
});
