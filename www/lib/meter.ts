// Times a generation from outside: the core reads no clock.

import type { EngineStats } from "./protocol.ts";

/** Counts steps as they come. */
export interface Meter {
  /** A token came. */
  step(): void;
  /** The figures, given what only the core knows. */
  stats(prefilledTokens: number, deviceBytes: number, wasmBytes: number): EngineStats;
}

/** Starts the clock. */
export function createMeter(now: () => number = () => performance.now()): Meter {
  const start = now();
  let first = 0;
  let last = 0;
  let steps = 0;
  return {
    step() {
      last = now();
      if (steps++ === 0) first = last;
    },
    stats(prefilledTokens, deviceBytes, wasmBytes) {
      const ttftMs = steps > 0 ? first - start : 0;
      const rate = (count: number, ms: number) => (count > 0 && ms > 0 ? (count * 1000) / ms : 0);
      return {
        ttftMs,
        prefillTokensPerSecond: rate(prefilledTokens, ttftMs),
        decodeTokensPerSecond: rate(steps - 1, last - first),
        deviceBytes,
        wasmBytes,
      };
    },
  };
}
