// One model in one worker, as promises and streams. Work is queued by the worker in the order it was asked for. A worker that crashes, or
// whose GPU is lost, is replaced by a fresh one when the next work is asked for, so a page stays usable.

import { abortedBy, fromFailure, KingletError } from "./errors.ts";
import type { Draft, EngineStats, GenerationStep, LoadRequest, Measurement, ModelInfo, Progress, Reply, Request, Work } from "./protocol.ts";
import { forgetKernels, keepKernels, knownKernels } from "./kernels.ts";
import { startWorker, type WasmOption, wasmForWorker, type WorkerOption } from "./start.ts";

/** What a connection is opened with. */
export interface ConnectionOptions extends Omit<LoadRequest, "type" | "wasm" | "kernels"> {
  onProgress: (progress: Progress) => void;
  worker: WorkerOption | undefined;
  wasm: WasmOption | undefined;
  signal: AbortSignal | undefined;
}

/** Who hears what a piece of work does. */
export interface Listener {
  event(event: Draft | GenerationStep | Measurement): void;
  end(stats: EngineStats): void;
  fail(error: KingletError): void;
}

/** The handshake is one message from a script of a few kilobytes; a page that has not got it by then never will. */
const HANDSHAKE_MS = 30_000;

/** Starts a worker and loads the model into it. */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { signal } = options;
  if (signal?.aborted) throw abortedBy(signal);
  const connection = new Connection(options);
  await connection.opened();
  return connection;
}

/** A loaded model in a worker. */
export class Connection {
  readonly #options: ConnectionOptions;
  readonly #listeners = new Map<number, Listener>();
  #nextId = 1;
  #worker: Worker | undefined;
  #loading: Promise<ModelInfo>;
  #rejectLoading: (error: KingletError) => void = () => {};
  #handshake: ReturnType<typeof setTimeout> | undefined;
  #loaded: ModelInfo | undefined;
  #closed: KingletError | undefined;
  readonly #abort = () => {
    if (this.#options.signal) this.close(abortedBy(this.#options.signal));
  };

  constructor(options: ConnectionOptions) {
    this.#options = options;
    options.signal?.addEventListener("abort", this.#abort, { once: true });
    this.#loading = this.#load();
  }

  /** Resolves once the model is loaded. */
  async opened(): Promise<void> {
    await this.#loading;
  }

  /** The model and its device; changes only if a crashed worker had to be replaced. */
  get info(): ModelInfo {
    if (!this.#loaded) throw new KingletError("crashed", "no model is loaded");
    return this.#loaded;
  }

  /** Why nothing can be asked any more, if so. */
  get closed(): KingletError | undefined {
    return this.#closed;
  }

  /** Queues work. The returned function cancels it: in the worker if it is there, else before it gets there. */
  run(work: Work, listener: Listener): () => void {
    const id = this.#nextId++;
    this.#listeners.set(id, listener);
    if (!this.#worker) this.#loading = this.#load();
    let posted = false;
    this.#loading.then(
      () => {
        if (!this.#listeners.has(id)) return;
        posted = true;
        this.#post({ type: "work", id, work });
      },
      (error: KingletError) => this.#take(id)?.fail(error), // `#stop` has told it already, unless no worker could be started.
    );
    return () => {
      if (posted) return this.#post({ type: "cancel", id });
      const waiting = this.#take(id);
      // Later, as a worker would: whoever cancels may have a better reason to give.
      queueMicrotask(() => waiting?.fail(new KingletError("aborted", "stopped before it began")));
    };
  }

  /** Ends the worker; everything under way fails with `error`. */
  close(error: KingletError): void {
    if (this.#closed) return;
    this.#closed = error;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#stop(error);
  }

  #load(): Promise<ModelInfo> {
    const kernels = knownKernels();
    const loading = new Promise<ModelInfo>((resolve, reject) => {
      this.#rejectLoading = reject;
      const worker = startWorker(this.#options.worker);
      this.#worker = worker;
      this.#handshake = setTimeout(() => this.#stop(noAnswer()), HANDSHAKE_MS);
      worker.onerror = (event) => {
        event.preventDefault?.();
        this.#fail(worker, event.message ? crashed(event.message) : noAnswer());
      };
      worker.onmessageerror = () => this.#fail(worker, crashed("a message could not be read"));
      worker.onmessage = ({ data }: MessageEvent<Reply>) => {
        if (this.#worker !== worker) return;
        if (data.type === "hello") {
          clearTimeout(this.#handshake);
          void this.#askToLoad(worker, kernels);
        } else if (data.type === "ready") {
          this.#loaded = data.info;
          if (this.#options.device === "auto" && data.info.device.kind === "cpu") forgetKernels(); // They may be why the GPU was left.
          keepKernels(data.info);
          resolve(data.info);
        } else {
          this.#receive(data);
        }
      };
    });
    loading.catch(() => {
      if (!this.#closed && Object.keys(kernels).length > 0) forgetKernels(); // They may be why; whoever waits hears of the rest.
    });
    return loading;
  }

  async #askToLoad(worker: Worker, kernels: LoadRequest["kernels"]): Promise<void> {
    const { model, device, exact } = this.#options;
    try {
      const wasm = await wasmForWorker(this.#options.wasm);
      const request: LoadRequest = { type: "load", wasm, model, device, exact, kernels };
      worker.postMessage(request);
    } catch (cause) {
      const message = `the wasm could not be provided: ${String(cause)}; check the option \`wasm\``;
      this.#fail(worker, new KingletError("wasm-failed", message, { cause }));
    }
  }

  #receive(reply: Exclude<Reply, { type: "hello" | "ready" }>): void {
    switch (reply.type) {
      case "progress":
        return this.#options.onProgress(reply.progress);
      case "event":
        return this.#listeners.get(reply.id)?.event(reply.event);
      case "end":
        return this.#take(reply.id)?.end(reply.stats);
      case "error": {
        const { id, failure } = reply;
        const fatal = id === undefined || failure.code === "crashed" || failure.code === "device-lost";
        const error = failure.code === "crashed" ? crashed(failure.message) : fromFailure(failure);
        return fatal ? this.#stop(error) : this.#take(id)?.fail(error);
      }
      case "crash":
        return this.#stop(crashed(reply.message));
      default:
        reply satisfies never;
    }
  }

  #take(id: number): Listener | undefined {
    const listener = this.#listeners.get(id);
    this.#listeners.delete(id);
    return listener;
  }

  #post(request: Request): void {
    this.#worker?.postMessage(request);
  }

  /** Ends a worker for what happened to it, unless another has taken its place. */
  #fail(worker: Worker, error: KingletError): void {
    if (this.#worker === worker) this.#stop(error);
  }

  #stop(error: KingletError): void {
    clearTimeout(this.#handshake);
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#rejectLoading(error);
    const failing = [...this.#listeners.values()];
    this.#listeners.clear();
    for (const listener of failing) listener.fail(error);
  }
}

function noAnswer(): KingletError {
  return new KingletError(
    "worker-failed",
    "the worker did not start: check that worker.js is served from this origin as JavaScript and that the page's Content-Security-Policy " +
      "allows it (worker-src 'self'), or pass its address as the option `worker`",
  );
}

function crashed(reason: string): KingletError {
  return new KingletError("crashed", `the worker stopped unexpectedly (${reason}); try again, and it will be started anew`);
}
