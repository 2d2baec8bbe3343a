// Which kernels a graphics card runs fastest is found by timing them while a model loads. What was found is kept for a month, by the
// adapter's name; then it is found anew, as drivers change. What a load fails with is forgotten at once.

import type { ModelInfo } from "./protocol.ts";

const KEY = "kinglet:kernels";
const MONTH_MS = 30 * 24 * 3600 * 1000;

type Kept = Record<string, { variants: string; at: number }>;

/** Kernels by adapter name, as earlier loads found them. */
export function knownKernels(): Record<string, string> {
  const fresh = Object.entries(kept()).filter(([, { at }]) => Math.abs(Date.now() - at) < MONTH_MS);
  return Object.fromEntries(fresh.map(([adapter, { variants }]) => [adapter, variants]));
}

/** Keeps what a load found, unless it was known or there was nothing to find. */
export function keepKernels({ device, variants }: ModelInfo): void {
  if (device.kind !== "webgpu" || device.software || knownKernels()[device.adapter] !== undefined) return;
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...kept(), [device.adapter]: { variants, at: Date.now() } }));
  } catch {
    // No storage here: the next load times them again.
  }
}

/** Forgets what was kept: the next load times them anew. */
export function forgetKernels(): void {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // No storage here: nothing was kept.
  }
}

function kept(): Kept {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    const isEntry = (entry: unknown) => entry !== null && typeof entry === "object" && "variants" in entry && "at" in entry
      && typeof entry.variants === "string" && typeof entry.at === "number";
    return Object.fromEntries(Object.entries(found ?? {}).filter(([, entry]) => isEntry(entry))) as Kept;
  } catch {
    return {};
  }
}
