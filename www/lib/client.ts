// One model in one worker, as promises and streams. Work is queued by the worker in the order it was asked for. A worker that crashes, or
// whose GPU is lost, is replaced by a fresh one when the next work is asked for, so a page stays usable.

import { abortedBy, fromFailure, KingletError } from "./errors.ts";
import type { Draft, EngineStats, GenerationStep, LoadRequest, ModelInfo, Progress, Reply, Request, Work } from "./protocol.ts";
import { startWorker, type WasmOption, wasmForWorker, type WorkerOption } from "./start.ts";

/** What a connection is opened with. */
export interface ConnectionOptions extends Omit<LoadRequest, "type" | "wasm"> {
  onProgress: (progress: Progress) => void;
  worker: WorkerOption | undefined;
  wasm: WasmOption | undefined;
  signal: AbortSignal | undefined;
}

/** Who hears what a piece of work does. */
export interface Listener {
  event(event: Draft | GenerationStep): void;
  end(stats: EngineStats): void;
  fail(error: KingletError): void;
}

/** The handshake is one message from a script of a few kilobytes; a page that has not got it by then never will. */
const HANDSHAKE_MS = 30_000;

/** A loaded model in a worker. */
export interface Connection {
  /** The model and its device; changes only if a crashed worker had to be replaced. */
  info(): ModelInfo;
  /** Queues work. The returned function cancels it. */
  run(work: Work, listener: Listener): () => void;
  /** Ends the worker; everything under way fails with `error`. */
  close(error: KingletError): void;
  /** Why nothing can be asked any more, if so. */
  closed(): KingletError | undefined;
}

/** Starts a worker and loads the model into it. */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const { signal } = options;
  if (signal?.aborted) throw abortedBy(signal);
  const listeners = new Map<number, Listener>();
  let nextId = 1;
  let worker: Worker | undefined;
  let closed: KingletError | undefined;
  let loaded: ModelInfo | undefined;
  let rejectLoading: (error: KingletError) => void = () => {};

  const failAll = (error: KingletError) => {
    const failing = [...listeners.values()];
    listeners.clear();
    rejectLoading(error);
    for (const listener of failing) listener.fail(error);
  };
  const stop = (error: KingletError) => {
    worker?.terminate();
    worker = undefined;
    failAll(error);
  };
  const post = (request: Request) => worker?.postMessage(request);
  const load = () =>
    new Promise<ModelInfo>((resolve, reject) => {
      rejectLoading = reject;
      const started = startWorker(options.worker);
      worker = started;
      const timer = setTimeout(() => stop(noAnswer()), HANDSHAKE_MS);
      started.onerror = (event) => {
        clearTimeout(timer);
        event.preventDefault?.();
        stop(event.message ? new KingletError("crashed", crashMessage(event.message)) : noAnswer());
      };
      started.onmessageerror = () => stop(new KingletError("crashed", crashMessage("a message could not be read")));
      started.onmessage = ({ data }: MessageEvent<Reply>) => {
        if (worker !== started) return;
        if (data.type === "hello") {
          clearTimeout(timer);
          wasmForWorker(options.wasm).then(
            (wasm) => started.postMessage(loadRequest(wasm, options)),
            (error: unknown) => stop(new KingletError("wasm-failed", `the wasm could not be provided: ${String(error)}`, { cause: error })),
          );
        } else if (data.type === "ready") {
          resolve(data.info);
        } else {
          receive(data);
        }
      };
    });
  const receive = (reply: Exclude<Reply, { type: "hello" | "ready" }>) => {
    switch (reply.type) {
      case "progress":
        return options.onProgress(reply.progress);
      case "event":
        return listeners.get(reply.id)?.event(reply.event);
      case "end": {
        const listener = listeners.get(reply.id);
        listeners.delete(reply.id);
        return listener?.end(reply.stats);
      }
      case "error": {
        const error = fromFailure(reply.failure);
        const fatal = reply.id === undefined || error.code === "crashed" || error.code === "device-lost";
        if (fatal) return stop(error);
        const listener = listeners.get(reply.id ?? 0);
        listeners.delete(reply.id ?? 0);
        return listener?.fail(error);
      }
      case "crash":
        return stop(new KingletError("crashed", crashMessage(reply.message)));
      default:
        reply satisfies never;
    }
  };
  const close = (error: KingletError) => {
    if (closed) return;
    closed = error;
    stop(error);
  };

  signal?.addEventListener("abort", () => close(abortedBy(signal)), { once: true });
  let info = load();
  loaded = await info;

  return {
    info: () => loaded as ModelInfo,
    run(work, listener) {
      const id = nextId++;
      listeners.set(id, listener);
      if (!worker) {
        info = load();
        info.then(
          (fresh) => (loaded = fresh),
          () => {},
        );
      }
      info.then(
        () => listeners.has(id) && post({ type: "work", id, work }),
        () => {}, // `failAll` has told the listener.
      );
      return () => post({ type: "cancel", id });
    },
    close,
    closed: () => closed,
  };
}

function loadRequest(wasm: LoadRequest["wasm"], { model, device, exact }: ConnectionOptions): LoadRequest {
  return { type: "load", wasm, model, device, exact };
}

function noAnswer(): KingletError {
  return new KingletError(
    "worker-failed",
    "the worker did not start: check that worker.js is served from this origin as JavaScript and that the page's Content-Security-Policy " +
      "allows it (worker-src 'self'), or pass its address as the option `worker`",
  );
}

function crashMessage(reason: string): string {
  return `the worker stopped unexpectedly (${reason}); try again, and it will be started anew`;
}
