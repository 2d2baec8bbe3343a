// Settings → a report: loads a model through the public package, then times generations in turn with the device's roofline.
//
// Browsers slow hidden pages down, so a run during which the page was hidden even for a moment is void: it waits for the page to be seen, and
// is taken again.

import { createEngine, type Engine, type LoadOptions, type ModelInfo } from "../lib/engine.ts";
import { type Figure, figuresOf, type Run, type Spread, spread, type Timed } from "./figures.ts";

/** What is measured, and how often. */
export interface Settings {
  model: NonNullable<LoadOptions["model"]>;
  device: NonNullable<LoadOptions["device"]>;
  promptTokens: number;
  maxTokens: number;
  count: number;
  runs: number;
}

/** The result, as it is exported; medians stand at the top, as in `kinglet bench --json`. */
export interface Report extends Partial<Record<Figure, number>> {
  date: string;
  userAgent: string;
  model: ModelInfo;
  prompt_tokens: number;
  max_tokens: number;
  count: number;
  runs: number;
  /** Runs that were taken again because the page was hidden. */
  void_runs: number;
  load_ms: number;
  spread: Partial<Record<Figure, Spread>>;
}

/** Hears how it goes on: `done` of `total` runs, the first of which warms up. */
export type OnRun = (done: number, total: number) => void;

/** Measures. Fails with the package's errors, `aborted` among them. */
export async function measure(settings: Settings, onRun: OnRun, signal: AbortSignal): Promise<Report> {
  const { model, device, promptTokens, maxTokens, count, runs } = settings;
  const start = performance.now();
  const engine = await createEngine({ model, device, signal });
  const loadMs = performance.now() - start;
  const visibility = watchVisibility();
  const figures: Partial<Record<Figure, number[]>> = {};
  let voidRuns = 0;
  try {
    for (let done = 0; done <= runs; ) {
      onRun(done, runs + 1);
      await visibility.seen(signal);
      const run = await timeRun(engine, settings, done + voidRuns);
      if (visibility.wasHidden()) {
        voidRuns++;
        continue;
      }
      if (done++ === 0) continue;
      for (const [name, value] of Object.entries(figuresOf(run, promptTokens, count)) as [Figure, number][]) (figures[name] ??= []).push(value);
    }
    onRun(runs + 1, runs + 1);
    const spreads = Object.entries(figures).map(([name, values]) => [name, spread(values)] as const);
    return {
      date: new Date().toISOString(),
      userAgent: navigator.userAgent,
      model: engine.info,
      prompt_tokens: promptTokens,
      max_tokens: maxTokens,
      count,
      runs,
      void_runs: voidRuns,
      load_ms: loadMs,
      ...Object.fromEntries(spreads.map(([name, [, median]]) => [name, median])),
      spread: Object.fromEntries(spreads),
    };
  } finally {
    visibility.close();
    await engine.dispose();
  }
}

async function timeRun(engine: Engine, { promptTokens, maxTokens, count }: Settings, index: number): Promise<Run> {
  const alone = count > 1 ? await time(engine, { promptTokens, maxTokens, count: 1 }, 2 * index) : undefined;
  const timed = await time(engine, { promptTokens, maxTokens, count }, 2 * index + 1);
  const measurement = await engine.measure({ count });
  return alone ? { timed, alone, measurement } : { timed, measurement };
}

async function time(engine: Engine, request: { promptTokens: number; maxTokens: number; count: number }, index: number): Promise<Timed> {
  const { promptTokens, maxTokens, count } = request;
  // Every vocabulary holds the first 256 ids.
  const tokens = Array.from({ length: promptTokens }, (_, i) => (i * 7919 + index * 104_729 + 11) % 256);
  const start = performance.now();
  let first: number | undefined;
  let last = start;
  let steps = 0;
  for await (const _ of engine.generate({ tokens, maxTokens, count, seed: index, ignoreEnd: true, fresh: true })) {
    last = performance.now();
    first ??= last;
    steps++;
  }
  const firstTokenMs = (first ?? last) - start;
  return { firstTokenMs, stepMs: (last - start - firstTokenMs) / Math.max(steps / count - 1, 1) };
}

interface Visibility {
  /** Resolves as soon as the page is visible, and starts watching anew. */
  seen(signal: AbortSignal): Promise<void>;
  /** Whether the page was hidden at any time since. */
  wasHidden(): boolean;
  close(): void;
}

function watchVisibility(): Visibility {
  let hidden = false;
  const note = () => {
    hidden ||= document.visibilityState !== "visible";
  };
  document.addEventListener("visibilitychange", note);
  return {
    async seen(signal) {
      while (document.visibilityState !== "visible" && !signal.aborted) {
        await new Promise<void>((resolve) => {
          document.addEventListener("visibilitychange", () => resolve(), { once: true, signal });
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
      hidden = false;
    },
    wasHidden() {
      note();
      return hidden;
    },
    close: () => document.removeEventListener("visibilitychange", note),
  };
}
