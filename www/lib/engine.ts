/// <reference lib="esnext.disposable" preserve="true" />
// The engine below the composer: tokens, prompts or chats in, tokens out. For those who bring their own model and their own idea of a text.

import type { Connection } from "./client.ts";
import { abortedBy, KingletError } from "./errors.ts";
import { type LoadOptions, open } from "./load.ts";
import { type GenerateOptions, randomSeed, toCount, toGeneration } from "./options.ts";
import type { EngineStats, GenerationStep, Measurement, ModelInfo } from "./protocol.ts";
import { createStream, type Stream } from "./stream.ts";

export { type ErrorCode, KingletError } from "./errors.ts";
export type { LoadOptions } from "./load.ts";
export type { GenerateOptions } from "./options.ts";
export type { EngineStats, GenerationStep, Measurement, ModelInfo, StopReason } from "./protocol.ts";

/** A loaded model that generates tokens. */
export interface Engine extends AsyncDisposable {
  /** The model, the device and why it was chosen. */
  readonly info: ModelInfo;
  /** Figures of the latest generation, and the memory held. */
  readonly stats: EngineStats;
  /** Generates, one step for each token of each sequence. Calls queue in order. Leaving the loop early stops it. */
  generate(options: GenerateOptions): AsyncIterableIterator<GenerationStep>;
  /**
   * Measures what bounds the device, which takes about a second, and says what decoding `count` sequences (1 if not given) asks of it. Queues
   * like a generation.
   */
  measure(options?: { count?: number }): Promise<Measurement>;
  /** Ends the worker and frees the device. What is under way fails with `disposed`. */
  dispose(): Promise<void>;
}

/**
 * Loads a model into a worker.
 *
 * ```ts
 * const engine = await createEngine({ model: "https://example.org/model.gguf" });
 * for await (const step of engine.generate({ prompt: "Once upon a time", maxTokens: 64 })) show(step.text);
 * ```
 *
 * @throws {@link KingletError}
 */
export async function createEngine(options: LoadOptions = {}): Promise<Engine> {
  const connection = await open(options);
  let stats: EngineStats = { ttftMs: 0, prefillTokensPerSecond: 0, decodeTokensPerSecond: 0, deviceBytes: 0, wasmBytes: 0 };
  const dispose = async () => connection.close(new KingletError("disposed", "this engine was disposed; create another one"));

  return {
    get info() {
      return connection.info;
    },
    get stats() {
      return stats;
    },
    generate: (request) => generate(connection, request, (figures) => (stats = figures)),
    measure: async (options = {}) => measure(connection, toCount(options?.count)),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

function measure(connection: Connection, count: number): Promise<Measurement> {
  if (connection.closed) return Promise.reject(connection.closed);
  return new Promise((resolve, reject) => {
    // The only event of a measurement; `resolve` again would change nothing.
    connection.run({ kind: "measure", count }, { event: (event) => resolve(event as Measurement), end() {}, fail: reject });
  });
}

function generate(connection: Connection, request: GenerateOptions, onStats: (stats: EngineStats) => void): Stream<GenerationStep> {
  const signal = request?.signal; // What is no request is refused below.
  let cancel = () => {};
  const stream = createStream<GenerationStep>({ onReturn: () => cancel() });
  const abort = () => {
    cancel();
    if (signal) stream.fail(abortedBy(signal));
  };
  const settled = () => signal?.removeEventListener("abort", abort);
  try {
    const generation = toGeneration(request, randomSeed);
    const refused = connection.closed ?? (signal?.aborted ? abortedBy(signal) : undefined);
    if (refused) throw refused;
    signal?.addEventListener("abort", abort, { once: true });
    cancel = connection.run(
      { kind: "generate", generation },
      {
        event: (event) => stream.push(event as GenerationStep), // A generation's events are steps.
        end(stats) {
          onStats(stats);
          settled();
          stream.end();
        },
        fail(error) {
          settled();
          stream.fail(error);
        },
      },
    );
  } catch (error) {
    stream.fail(error);
  }
  return stream;
}
