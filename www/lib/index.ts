/// <reference lib="esnext.disposable" preserve="true" />
// Kinglet's public door: load a model, hand it a brief, read drafts as they are written. Importing this touches nothing of the browser, so it
// is safe on a server; `createComposer` is what needs one.

import { type Composition, failedComposition, runComposition } from "./composition.ts";
import { KingletError } from "./errors.ts";
import { type LoadOptions, open } from "./load.ts";
import { type ComposeOptions, fromSeed, randomSeed, toBrief } from "./options.ts";
import type { ModelInfo } from "./protocol.ts";

export type { Composition } from "./composition.ts";

export { type ErrorCode, KingletError } from "./errors.ts";
export type { LoadOptions } from "./load.ts";
export type { ModelFile, ModelFiles, ModelId, ModelOption } from "./models.ts";
export { type ComposeOptions, NETWORKS, TONES } from "./options.ts";
export type {
  DeviceInfo,
  DeviceKind,
  Draft,
  DraftLength,
  LengthUnit,
  ModelInfo,
  Network,
  Progress,
  Stage,
  StopReason,
  Tone,
} from "./protocol.ts";
export type { WasmOption, WasmValue, WorkerOption } from "./start.ts";

/** What was loaded, and the seed in use. */
export interface ComposerInfo extends ModelInfo {
  /** The seed of the latest composition; before the first one, the seed it gets if it names none. */
  seed: number | bigint;
}

/** A loaded model that writes drafts. */
export interface Composer extends AsyncDisposable {
  /** The model, the device and why it was chosen. */
  readonly info: ComposerInfo;
  /** Writes drafts from a brief. Calls queue in order. Leaving the loop early stops the writing. */
  compose(options: ComposeOptions): Composition;
  /** Not there yet: fails with `unsupported`. */
  rewrite(text: string, options?: Partial<ComposeOptions>): Composition;
  /** Not there yet: fails with `unsupported`. */
  shorten(text: string, options?: Partial<ComposeOptions>): Composition;
  /** Not there yet: fails with `unsupported`. */
  continue(text: string, options?: Partial<ComposeOptions>): Composition;
  /** Not there yet: fails with `unsupported`. */
  thread(textOrBrief: string, options?: Partial<ComposeOptions>): Composition;
  /** Ends the worker and frees the device. What is under way fails with `disposed`. */
  dispose(): Promise<void>;
}

/**
 * Loads a model into a worker.
 *
 * ```ts
 * const composer = await createComposer({ model: "nano" });
 * for await (const draft of composer.compose({ brief: "our garden opens on Saturday", count: 4 })) show(draft);
 * ```
 *
 * @throws {@link KingletError}
 */
export async function createComposer(options: LoadOptions = {}): Promise<Composer> {
  const connection = await open(options);
  let seed = randomSeed();
  let seedIsFresh = true;
  const drawSeed = () => (seedIsFresh ? seed : randomSeed());

  const compose = (request: ComposeOptions): Composition => {
    try {
      const brief = toBrief(request, drawSeed);
      seed = brief.seed;
      seedIsFresh = false;
      return runComposition(connection, brief, request.signal);
    } catch (error) {
      return failedComposition(error, fromSeed(seed));
    }
  };
  const unsupported = (verb: string) => () =>
    failedComposition(new KingletError("unsupported", `${verb} is not there yet; use compose`), fromSeed(seed));
  const dispose = async () => connection.close(new KingletError("disposed", "this composer was disposed; create another one"));
  return {
    get info() {
      return { ...connection.info, seed: fromSeed(seed) };
    },
    compose,
    rewrite: unsupported("rewrite"),
    shorten: unsupported("shorten"),
    continue: unsupported("continue"),
    thread: unsupported("thread"),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}
