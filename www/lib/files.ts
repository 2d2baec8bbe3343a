// The files of a model as the wasm reads them: objects with a size and an asynchronous `read(start, end)`. Neither the wasm nor JavaScript
// ever holds a file; a read is a few megabytes at most. A file that is still on its way is open as soon as its size is known.

import { KingletError } from "./errors.ts";
import { fetchOptional } from "./http.ts";
import type { CompanionName, FileSource, ModelRequest } from "./protocol.ts";
import { type ByteSource, type OnBytes, openBlob, openUrl } from "./store.ts";

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

/** Opens everything, and begins to download what has a URL. */
export async function openFiles(model: ModelRequest, onBytes: OnBytes): Promise<OpenedFiles> {
  const loaded = model.weights.map(() => 0);
  const total = model.weights.map(() => 0);
  const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
  const weights = model.weights.map(async ({ name, source }, i) => {
    const opened = await open(source, (bytes, of) => {
      loaded[i] = bytes;
      total[i] = of;
      onBytes(sum(loaded), sum(total));
    });
    return { name, source: opened };
  });
  const [opened, companions] = await Promise.all([Promise.all(weights), openCompanions(model)]);
  return { name: model.name, weights: opened, companions };
}

async function openCompanions(model: ModelRequest): Promise<OpenedFiles["companions"]> {
  const companions: OpenedFiles["companions"] = {};
  for (const [name, source] of Object.entries(model.companions) as [CompanionName, FileSource][]) {
    companions[name] = await text(name, await open(source, () => {}));
  }
  const first = model.weights[0];
  if (typeof first?.source === "string" && first.name.endsWith(".safetensors")) {
    for (const [name, file] of Object.entries(SIBLINGS) as [CompanionName, string][]) {
      if (companions[name] !== undefined) continue;
      const blob = await fetchOptional(new URL(file, first.source).href);
      if (blob) companions[name] = await text(name, openBlob(blob));
    }
  }
  return companions;
}

async function text(name: string, source: ByteSource): Promise<string> {
  if (source.size > MAX_COMPANION_BYTES) {
    throw new KingletError("invalid-file", `${name}: expected at most ${MAX_COMPANION_BYTES} bytes, found ${source.size}`);
  }
  const bytes = await source.read(0, source.size);
  await source.close();
  return new TextDecoder().decode(bytes);
}

async function open(source: FileSource, onBytes: OnBytes): Promise<ByteSource> {
  return typeof source === "string" ? openUrl(source, onBytes) : openBlob(source);
}
