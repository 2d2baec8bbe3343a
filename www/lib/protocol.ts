// The whole worker boundary: what the page's thread asks and what the worker answers. Drafts cross whole, never as deltas, so a lost or
// coalesced message cannot corrupt one. Plain data only: everything here survives structured cloning.

import type { Failure } from "./errors.ts";

/** Where loading stands. */
export type Stage = "download" | "read" | "upload" | "compile" | "warmup";

/** One step of loading; `total` is 0 while it is unknown. */
export interface Progress {
  /** What is being done. */
  stage: Stage;
  /** How much of it is done: bytes for `download`, `read` and `upload`, else steps. */
  loaded: number;
  /** How much there is in all, in the same unit. */
  total: number;
}

/** What runs the model. */
export type DeviceKind = "webgpu" | "cpu";

/** What runs the model, and why. */
export interface DeviceInfo {
  /** `webgpu` or `cpu`. */
  kind: DeviceKind;
  /** The adapter's own name. */
  adapter: string;
  /** Whether the arithmetic is done by the processor, not by a graphics card. */
  software: boolean;
  /** Why this device was chosen, in plain words. */
  reason: string;
}

/** The model that was loaded. */
export interface ModelInfo {
  /** Name of the model. */
  model: string;
  /** Number of weights. */
  parameters: number;
  /** Bytes of the weights in the model's files; a device may hold them in another form. */
  bytes: number;
  /** Most tokens that prompt and text may have together. */
  contextLength: number;
  /** Which kernels run: the same id, seed and options give the same text. */
  variants: string;
  /** What runs it. */
  device: DeviceInfo;
}

/** Social networks whose rules are known. */
export type Network = "x" | "bluesky" | "mastodon" | "threads" | "linkedin";
/** How a draft should sound. */
export type Tone = "neutral" | "friendly" | "formal" | "witty" | "excited" | "reflective";
/** The unit in which a network counts. */
export type LengthUnit = "x-weight" | "graphemes" | "characters" | "utf16";
/** Why a text ended. */
export type StopReason = "end" | "limit" | "stop-string" | "repaired" | "cancelled";

/** How much of the network's limit a draft uses. */
export interface DraftLength {
  /** Used so far. */
  used: number;
  /** Most that the network takes. */
  limit: number;
  /** What is counted. */
  unit: LengthUnit;
}

/** A draft so far. */
export interface Draft {
  /** Which draft, from 0. */
  index: number;
  /** The whole text so far. */
  text: string;
  /** Its length as the network counts it. */
  length: DraftLength;
  /** Whether the network would accept it. */
  valid: boolean;
  /** Whether nothing more will change. */
  done: boolean;
  /** Why it ended; only once it is done. */
  stop?: StopReason;
}

/** What is to be written, every option filled in. */
export interface Brief {
  brief: string;
  tone: Tone;
  length: "short" | "medium" | "long" | number;
  network: Network;
  hashtags: "none" | "auto" | number;
  emoji: "none" | "auto";
  count: number;
  seed: bigint;
}

/** One message of a chat. */
export interface Message {
  /** Who says it. */
  role: "system" | "user" | "assistant";
  /** What is said. Never read as control tokens. */
  content: string;
}

/** What is to be generated, as the engine takes it; absent sampling options come from the model. */
export interface Generation {
  tokens?: number[];
  prompt?: string;
  messages?: Message[];
  maxTokens: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  seed: bigint;
  stop: string[];
  count: number;
  ignoreEnd: boolean;
  fresh: boolean;
}

/** One token of one sequence. */
export interface GenerationStep {
  /** Which sequence, from 0. */
  index: number;
  /** The token's id. */
  token: number;
  /** Everything so far, as text; half a character is held back. */
  text: string;
  /** Why the sequence ended; only at its last step. */
  stop?: StopReason;
}

/** Figures of the latest generation, and the memory held. */
export interface EngineStats {
  /** Milliseconds from the call to the first token. */
  ttftMs: number;
  /** Prompt tokens a second, of those that were not in the caches any more. */
  prefillTokensPerSecond: number;
  /** Tokens a second after the first, over all sequences together. */
  decodeTokensPerSecond: number;
  /** Bytes held on the device; 0 before the first generation. */
  deviceBytes: number;
  /** Bytes of the wasm memory. */
  wasmBytes: number;
}

/** What bounds the device, what a decoding step asks of it, and how the latest generation went. */
export interface Measurement {
  /** 10^9 bytes a second when the device's memory is read as fast as it can be. */
  gigabytesPerSecond: number;
  /** Microseconds that one more dispatch costs, whatever it does; about 0 on the CPU. */
  dispatchMicroseconds: number;
  /** Microseconds from submitting a dispatch to having its result; about 0 on the CPU. */
  roundTripMicroseconds: number;
  /** 10^9 multiply-adds a second of the CPU's integer loop at its best; 0 where matrices are not multiplied by it. */
  gigamultipliesPerSecond: number;
  /** Bytes of the weights that each decoding step reads. */
  weightBytes: number;
  /** Dispatches of a decoding step (operations, on the CPU). */
  dispatches: number;
  /** Decoding steps of the latest generation. */
  steps: number;
  /** Submissions that they went up in. */
  submissions: number;
  /** Times that the host waited for tokens. */
  readbacks: number;
}

/** Files beside safetensors weights, by what they are. */
export type CompanionName =
  | "config"
  | "tokenizer"
  | "tokenizerConfig"
  | "generationConfig"
  | "specialTokensMap"
  | "chatTemplate"
  | "index";

/** A file: an absolute URL, or its bytes. */
export type FileSource = string | Blob;

/** The files of a model, resolved to absolute URLs or blobs. */
export interface ModelRequest {
  /** What to call the model if it does not name itself. */
  name: string;
  /** Weight files in order, with the name that an index refers to. */
  weights: { name: string; source: FileSource }[];
  /** What stands beside them. */
  companions: Partial<Record<CompanionName, FileSource>>;
}

/** What the worker needs before anything else. */
export interface LoadRequest {
  type: "load";
  wasm: string | BufferSource | WebAssembly.Module;
  model: ModelRequest;
  device: "auto" | DeviceKind;
  exact: boolean;
  /** By adapter name: the kernels that an earlier load chose. */
  kernels: Record<string, string>;
}

/** A piece of work: it is queued, answers with `event` messages, and ends with `end` or `error`. */
export type Work =
  | { kind: "compose"; brief: Brief }
  | { kind: "generate"; generation: Generation }
  | { kind: "measure"; count: number };

/** What the page's thread asks. */
export type Request = LoadRequest | { type: "work"; id: number; work: Work } | { type: "cancel"; id: number };

/** What the worker answers. An `error` without id concerns loading. */
export type Reply =
  | { type: "hello" }
  | { type: "progress"; progress: Progress }
  | { type: "ready"; info: ModelInfo }
  | { type: "event"; id: number; event: Draft | GenerationStep | Measurement }
  | { type: "end"; id: number; stats: EngineStats }
  | { type: "error"; id?: number; failure: Failure }
  | { type: "crash"; message: string };
