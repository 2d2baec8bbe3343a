// The files of a model as the wasm reads them: objects with a size and an asynchronous `read(start, end)` over Blob slices. Neither the wasm
// nor JavaScript ever holds a file; a read is a few megabytes at most.

import { KingletError } from "./errors.ts";
import type { CompanionName, FileSource, ModelRequest } from "./protocol.ts";
import { fetchFile, fetchOptional, type OnBytes } from "./store.ts";

/** A file that can be read anywhere. */
export interface ByteSource {
  readonly size: number;
  read(start: number, end: number): Promise<Uint8Array>;
}

/** A model's files, opened. */
export interface OpenedFiles {
  name: string;
  weights: { name: string; source: ByteSource }[];
  companions: Partial<Record<CompanionName, string>>;
}

const SIBLINGS: Partial<Record<CompanionName, string>> = {
  config: "config.json",
  tokenizer: "tokenizer.json",
  tokenizerConfig: "tokenizer_config.json",
  generationConfig: "generation_config.json",
  specialTokensMap: "special_tokens_map.json",
  chatTemplate: "chat_template.jinja",
};
/** Companions are text that is parsed as a whole; the largest tokenizers have some 35 MB. */
const MAX_COMPANION_BYTES = 256 << 20;

/** Downloads what has a URL and opens everything. */
export async function openFiles(model: ModelRequest, onBytes: OnBytes): Promise<OpenedFiles> {
  const weights: OpenedFiles["weights"] = [];
  const loaded = model.weights.map(() => 0);
  const total = model.weights.map(() => 0);
  const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
  for (const [i, { name, source }] of model.weights.entries()) {
    const blob = await resolve(source, (bytes, of) => {
      loaded[i] = bytes;
      total[i] = of;
      onBytes(sum(loaded), sum(total));
    });
    weights.push({ name, source: blobSource(blob) });
  }
  return { name: model.name, weights, companions: await openCompanions(model) };
}

async function openCompanions(model: ModelRequest): Promise<OpenedFiles["companions"]> {
  const companions: OpenedFiles["companions"] = {};
  for (const [name, source] of Object.entries(model.companions) as [CompanionName, FileSource][]) {
    companions[name] = await text(name, await resolve(source, () => {}));
  }
  const first = model.weights[0];
  if (typeof first?.source === "string" && first.name.endsWith(".safetensors")) {
    for (const [name, file] of Object.entries(SIBLINGS) as [CompanionName, string][]) {
      if (companions[name] !== undefined) continue;
      const blob = await fetchOptional(new URL(file, first.source).href);
      if (blob) companions[name] = await text(name, blob);
    }
  }
  return companions;
}

async function text(name: string, blob: Blob): Promise<string> {
  if (blob.size <= MAX_COMPANION_BYTES) return blob.text();
  throw new KingletError("invalid-file", `${name}: expected at most ${MAX_COMPANION_BYTES} bytes, found ${blob.size}`);
}

async function resolve(source: FileSource, onBytes: OnBytes): Promise<Blob> {
  return typeof source === "string" ? fetchFile(source, onBytes) : source;
}

function blobSource(blob: Blob): ByteSource {
  return {
    size: blob.size,
    read: async (start, end) => new Uint8Array(await blob.slice(start, end).arrayBuffer()),
  };
}
