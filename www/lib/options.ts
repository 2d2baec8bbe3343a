// Checks and fills in what callers pass. Bad values are refused here, by name and with what was expected, before a worker hears of them;
// what only the core can know (an empty brief, a length beyond the limit) is refused there.

import { KingletError } from "./errors.ts";
import type { Brief, Generation, Network, Tone } from "./protocol.ts";

/** The tones a draft can have. */
export const TONES = ["neutral", "friendly", "formal", "witty", "excited", "reflective"] as const satisfies readonly Tone[];
/** The networks whose rules are known. */
export const NETWORKS = ["x", "bluesky", "mastodon", "threads", "linkedin"] as const satisfies readonly Network[];
const LENGTHS = ["short", "medium", "long"] as const;
const MAX_COUNT = 8;

/** What is to be written. */
export interface ComposeOptions {
  /** What the post is about, in the writer's own words. */
  brief: string;
  /** How it should sound; `neutral` if not given. */
  tone?: Tone;
  /** About 100, 200 or 500 units, or a hard maximum in the network's unit; `medium` if not given. */
  length?: "short" | "medium" | "long" | number;
  /** Whose rules every draft obeys; `x` if not given. */
  network?: Network;
  /** How many drafts, 1 to 8; 1 if not given. */
  count?: number;
  /** 64 bits: the same seed and options on the same device give the same drafts. Drawn at random if not given. */
  seed?: number | bigint;
  /** Hashtags: none, as the model likes, or at most so many; `none` if not given. */
  hashtags?: "none" | "auto" | number;
  /** Emoji: none, or as the model likes; `auto` if not given. */
  emoji?: "none" | "auto";
  /** Stops the composition; it then fails with `aborted`. */
  signal?: AbortSignal;
}

/** What is to be generated: one of `tokens`, `prompt` or `messages`. Sampling options come from the model if not given. */
export interface GenerateOptions {
  /** Token ids. */
  tokens?: number[];
  /** Text to go on from. Control tokens in it are read as such: what a person wrote belongs in `messages`, where they are text. */
  prompt?: string;
  /** A chat, put through the model's own template. */
  messages?: { role: "system" | "user" | "assistant"; content: string }[];
  /** Most tokens for each sequence; 256 if not given. */
  maxTokens?: number;
  /** 0 takes the likeliest token. */
  temperature?: number;
  /** Draws among the k likeliest; 0 is off. */
  topK?: number;
  /** Draws among the likeliest that together reach this probability; 1 is off. */
  topP?: number;
  /** Leaves out what is less likely than this share of the likeliest; 0 is off. */
  minP?: number;
  /** Makes what was said before less likely; 1 is off. */
  repetitionPenalty?: number;
  /** 64 bits; drawn at random if not given. */
  seed?: number | bigint;
  /** Text at which a sequence ends. */
  stop?: string | string[];
  /** How many sequences, 1 to 8; 1 if not given. */
  count?: number;
  /** Goes on past the tokens that end a text, for measuring. */
  ignoreEnd?: boolean;
  /** Computes the whole prompt, even what is known of it from the call before, for measuring. */
  fresh?: boolean;
  /** Stops the generation; it then fails with `aborted`. */
  signal?: AbortSignal;
}

/** Fills in and checks a brief. */
export function toBrief(options: ComposeOptions, drawSeed: () => bigint): Brief {
  checkObject(options);
  const { length = "medium", hashtags = "none" } = options;
  if (typeof options.brief !== "string") throw invalid("brief", "a string", options.brief);
  return {
    brief: options.brief,
    tone: oneOf("tone", TONES, options.tone ?? "neutral"),
    length: typeof length === "number" ? integer("length", length, 1, 1_000_000) : oneOf("length", LENGTHS, length),
    network: oneOf("network", NETWORKS, options.network ?? "x"),
    hashtags: typeof hashtags === "number" ? integer("hashtags", hashtags, 0, 30) : oneOf("hashtags", ["none", "auto"] as const, hashtags),
    emoji: oneOf("emoji", ["none", "auto"], options.emoji ?? "auto"),
    count: toCount(options.count),
    seed: toSeed(options.seed, drawSeed),
  };
}

/** Fills in and checks a generation. */
export function toGeneration(options: GenerateOptions, drawSeed: () => bigint): Generation {
  checkObject(options);
  const { tokens, prompt, messages, stop = [] } = options;
  const inputs = [tokens, prompt, messages].filter((input) => input !== undefined);
  if (inputs.length !== 1) throw new KingletError("invalid-option", `expected one of tokens, prompt and messages, found ${inputs.length}`);
  const stops = typeof stop === "string" ? [stop] : stop;
  if (!Array.isArray(stops) || stops.some((text) => typeof text !== "string")) throw invalid("stop", "a string or strings", stop);
  const generation: Generation = {
    maxTokens: integer("maxTokens", options.maxTokens ?? 256, 1, 1_000_000),
    seed: toSeed(options.seed, drawSeed),
    stop: stops,
    count: toCount(options.count),
    ignoreEnd: options.ignoreEnd ?? false,
    fresh: options.fresh ?? false,
  };
  if (tokens !== undefined && typeof tokens !== "object") throw invalid("tokens", "token ids", tokens);
  if (tokens !== undefined) generation.tokens = Array.from(tokens, (token) => integer("tokens", token, 0, 0xffff_ffff));
  if (prompt !== undefined) generation.prompt = String(prompt);
  if (messages !== undefined) {
    if (!Array.isArray(messages) || messages.some((message) => Object(message) !== message)) throw invalid("messages", "messages with a role and a content", messages);
    generation.messages = messages.map(({ role, content }) => ({ role, content: String(content) }));
  }
  const numbers = { temperature: 100, topK: 0xffff_ffff, topP: 1, minP: 1, repetitionPenalty: 100 } as const;
  for (const name of ["temperature", "topK", "topP", "minP", "repetitionPenalty"] as const) {
    const value = options[name];
    if (value === undefined) continue;
    if (typeof value !== "number" || !(value >= 0 && value <= numbers[name])) throw invalid(name, `a number from 0 to ${numbers[name]}`, value);
    generation[name] = value;
  }
  return generation;
}

/** Refuses what holds no options; callers need not be TypeScript. */
export function checkObject(options: object): void {
  if (typeof options !== "object" || options === null) throw new KingletError("invalid-option", `expected an object of options, found ${String(options)}`);
}

/** Draws a seed that is short enough to read out and to put in an address. */
export function randomSeed(): bigint {
  return BigInt(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
}

/** A seed as callers give and read it: a number while it is exact, else a bigint. */
export function fromSeed(seed: bigint): number | bigint {
  return seed <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(seed) : seed;
}

function toSeed(seed: number | bigint | undefined, drawSeed: () => bigint): bigint {
  if (seed === undefined) return drawSeed();
  if (typeof seed === "bigint" && seed >= 0n && seed < 1n << 64n) return seed;
  if (typeof seed === "number" && Number.isSafeInteger(seed) && seed >= 0) return BigInt(seed);
  throw invalid("seed", "a whole number from 0 to 2^53 - 1, or a bigint below 2^64", seed);
}

/** A number of sequences, checked. */
export function toCount(count: number | undefined): number {
  return integer("count", count ?? 1, 1, MAX_COUNT);
}

function integer(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalid(name, `a whole number from ${least} to ${most}`, value);
}

function oneOf<T extends string>(name: string, values: readonly T[], value: T): T {
  if (values.includes(value)) return value;
  throw invalid(name, `one of ${values.join(", ")}`, value);
}

function invalid(name: string, expected: string, found: unknown): KingletError {
  const shown = typeof found === "string" ? JSON.stringify(found.slice(0, 40)) : String(found);
  return new KingletError("invalid-option", `option ${name}: expected ${expected}, found ${shown}`);
}
