// Which files a `model` option means: a catalogue id, a URL, a Blob, or weights with their companions. Everything leaves here as absolute
// URLs and blobs; nothing is fetched on the page's thread.

import { absolute } from "./base.ts";
import { KingletError } from "./errors.ts";
import type { CompanionName, FileSource, ModelRequest } from "./protocol.ts";

/** Models that need no URL. */
export type ModelId = "nano";

/** A file of a model: its URL, or its bytes. */
export type ModelFile = string | URL | Blob;

/** A model as separate files: one GGUF, or safetensors with what stands beside them. */
export interface ModelFiles {
  /** The weights, or their shards in order. */
  weights: ModelFile | ModelFile[];
  /** `tokenizer.json` */
  tokenizer?: ModelFile;
  /** `config.json` */
  config?: ModelFile;
  /** `tokenizer_config.json` */
  tokenizerConfig?: ModelFile;
  /** `generation_config.json` */
  generationConfig?: ModelFile;
  /** `special_tokens_map.json` */
  specialTokensMap?: ModelFile;
  /** `chat_template.jinja` */
  chatTemplate?: ModelFile;
  /** `model.safetensors.index.json`, if the weights are sharded. */
  index?: ModelFile;
}

/** What a model can be named by. */
export type ModelOption = ModelId | (string & {}) | URL | Blob | ModelFiles;

const COMPANIONS = [
  "config",
  "tokenizer",
  "tokenizerConfig",
  "generationConfig",
  "specialTokensMap",
  "chatTemplate",
  "index",
] as const satisfies readonly CompanionName[];

/** Resolves a model option to its files. */
export function resolveModel(option: ModelOption): ModelRequest {
  if (option === "nano") {
    // Literal, so that bundlers copy the file.
    return { name: "nano", weights: [{ name: "nano.gguf", source: new URL("./nano.gguf", import.meta.url).href }], companions: {} };
  }
  if (typeof option === "string" || option instanceof URL || option instanceof Blob) return fromWeights([option], {});
  if (typeof option !== "object" || option === null || !("weights" in option)) {
    throw new KingletError("invalid-option", 'option model: expected "nano", a URL, a Blob or { weights, … }');
  }
  const weights = Array.isArray(option.weights) ? option.weights : [option.weights];
  if (weights.length === 0) throw new KingletError("invalid-option", "option model.weights: expected at least one file, found none");
  const companions: ModelRequest["companions"] = {};
  for (const name of COMPANIONS) {
    const file = option[name];
    if (file !== undefined) companions[name] = resolveFile(file);
  }
  return fromWeights(weights, companions);
}

function fromWeights(files: ModelFile[], companions: ModelRequest["companions"]): ModelRequest {
  const weights = files.map(resolveFile).map((source) => ({ name: fileName(source), source }));
  const first = weights[0];
  return { name: (first?.name ?? "model").replace(/\.(gguf|safetensors)$/i, ""), weights, companions };
}

function resolveFile(file: ModelFile): FileSource {
  if (file instanceof Blob) return file;
  try {
    return absolute(file).href;
  } catch (cause) {
    throw new KingletError("invalid-option", `option model: ${String(file)} is neither a catalogue id nor a URL`, { cause });
  }
}

function fileName(source: FileSource): string {
  if (source instanceof File) return source.name;
  if (source instanceof Blob) return "model";
  const name = new URL(source).pathname.split("/").pop() || "model";
  try {
    return decodeURIComponent(name);
  } catch {
    return name; // A percent sign that begins no escape is one.
  }
}
