// Hands the package to the tests, which call it from outside; the types are checked by package.test.mjs.
import { type Composer, createComposer, type Draft, KingletError, type LoadOptions } from "kinglet";
import { createEngine, type Engine, type GenerationStep } from "kinglet/engine";

async function write(options: LoadOptions): Promise<Draft[]> {
  const composer: Composer = await createComposer(options);
  try {
    const drafts: Draft[] = [];
    for await (const draft of composer.compose({ brief: "the bakery opens", tone: "friendly", network: "bluesky", count: 2, seed: 7n })) {
      drafts[draft.index] = draft;
    }
    return drafts;
  } finally {
    await composer.dispose();
  }
}

async function greedy(engine: Engine, prompt: string): Promise<number[]> {
  const tokens: number[] = [];
  for await (const step of engine.generate({ prompt, maxTokens: 8, temperature: 0 })) {
    const { token }: GenerationStep = step;
    tokens.push(token);
  }
  return tokens;
}

Object.assign(globalThis, { kinglet: { createComposer, createEngine, KingletError, write, greedy } });
