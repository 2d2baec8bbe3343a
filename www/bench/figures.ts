// Runs → figures: each with its least, median and most, under the names that `kinglet bench --json` uses.

import type { Measurement } from "../lib/engine.ts";

/** One timed generation. */
export interface Timed {
  firstTokenMs: number;
  /** Per decoding step after the first token, whatever the number of sequences. */
  stepMs: number;
}

/** What one run measured; nothing of it while the page was hidden. */
export interface Run {
  timed: Timed;
  /** One sequence, where several are asked for. */
  alone?: Timed;
  measurement: Measurement;
}

/** Least, median and most. */
export type Spread = [least: number, median: number, most: number];

/** Names that the table shows, in its order. */
export const LABELS = {
  ttft_ms: "First token after (ms)",
  prefill_tok_s: "Prefill (tokens/s)",
  decode_tok_s: "Decode, all drafts (tokens/s)",
  alone_tok_s: "Decode, one draft alone (tokens/s)",
  together_ratio: "All drafts over one alone",
  step_ms: "Decoding step (ms)",
  dispatches_per_token: "Dispatches a step",
  submits_per_token: "Submits a step",
  readbacks_per_token: "Readbacks a step",
  weight_bytes: "Weights read a step (MB)",
  roofline_gb_s: "Memory read at best (GB/s)",
  dispatch_us: "Cost of a dispatch (µs)",
  round_trip_us: "Submit and map (µs)",
  bound_read_ms: "Bound: reading weights (ms)",
  bound_dispatch_ms: "Bound: dispatches (ms)",
  bound_fraction: "Share of the bound reached",
  multiply_gmac_s: "The CPU's integer loop at best (10⁹ multiply-adds/s)",
} as const;

/** The name of a figure. */
export type Figure = keyof typeof LABELS;

/** All figures of a run. */
export function figuresOf({ timed, alone, measurement }: Run, promptTokens: number, count: number): Partial<Record<Figure, number>> {
  const { gigabytesPerSecond, dispatchMicroseconds, weightBytes, dispatches, steps, submissions, readbacks, gigamultipliesPerSecond } = measurement;
  const boundRead = weightBytes / gigabytesPerSecond / 1e6;
  const boundDispatch = (dispatches * dispatchMicroseconds) / 1e3;
  return {
    ttft_ms: timed.firstTokenMs,
    prefill_tok_s: ((promptTokens - 1) * 1e3) / Math.max(timed.firstTokenMs - timed.stepMs, 1e-3),
    decode_tok_s: (count * 1e3) / timed.stepMs,
    ...(alone ? { alone_tok_s: 1e3 / alone.stepMs, together_ratio: (count * alone.stepMs) / timed.stepMs } : {}),
    step_ms: timed.stepMs,
    dispatches_per_token: dispatches,
    submits_per_token: submissions / steps,
    readbacks_per_token: readbacks / steps,
    weight_bytes: weightBytes,
    roofline_gb_s: gigabytesPerSecond,
    dispatch_us: dispatchMicroseconds,
    round_trip_us: measurement.roundTripMicroseconds,
    bound_read_ms: boundRead,
    bound_dispatch_ms: boundDispatch,
    bound_fraction: (boundRead + boundDispatch) / timed.stepMs,
    ...(gigamultipliesPerSecond > 0 ? { multiply_gmac_s: gigamultipliesPerSecond } : {}),
  };
}

/** Least, median and most of some numbers, at least one. */
export function spread(numbers: number[]): Spread {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const last = sorted.length - 1;
  return [at(0), (at(Math.floor(last / 2)) + at(Math.ceil(last / 2))) / 2, at(last)];
}
