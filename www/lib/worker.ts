// The worker: a message loop over the wasm. Work runs one after another; a cancel sets a flag, the loop stops asking, and the work is freed
// once its pending step has settled (freeing it earlier would pull memory from under a running future).

import init, { load, type Kinglet } from "#wasm";
import { KingletError, toFailure } from "./errors.ts";
import { openFiles } from "./files.ts";
import { createMeter } from "./meter.ts";
import type { Draft, GenerationStep, LoadRequest, Measurement, ModelInfo, Reply, Request, Stage, Work } from "./protocol.ts";

declare const self: DedicatedWorkerGlobalScope;

/** What the wasm hands out for a piece of work. */
interface Running {
  next(): Promise<Draft | GenerationStep | Measurement | undefined>;
  prefilledTokens(): number;
  cancel(): void;
  free(): void;
}

interface Job {
  id: number;
  work: Work;
  cancelled: boolean;
  running?: Running;
}

const queue: Job[] = [];
let kinglet: Kinglet | undefined;
let memory: WebAssembly.Memory | undefined;
let busy = false;

self.onmessage = ({ data }: MessageEvent<Request>) => {
  switch (data.type) {
    case "load":
      return void start(data);
    case "work":
      queue.push({ id: data.id, work: data.work, cancelled: false });
      return void runQueue();
    case "cancel":
      return cancel(data.id);
    default:
      data satisfies never;
  }
};
// A trap inside the wasm surfaces here, because the promise it belonged to never settles.
self.addEventListener("error", (event) => post({ type: "crash", message: event.message }));
self.addEventListener("unhandledrejection", (event) => post({ type: "crash", message: String(event.reason) }));
post({ type: "hello" });

async function start(request: LoadRequest): Promise<void> {
  try {
    const [wasmMemory, files] = await Promise.all([initialise(request.wasm), openFiles(request.model, throttled("download"))]);
    memory = wasmMemory;
    performance.mark("wasm compiled, model's size known");
    const progress = (stage: Stage, loaded: number, total: number) => post({ type: "progress", progress: { stage, loaded, total } });
    const slowCompletion = navigator.userAgent.includes("Firefox");
    const host = { progress, pause, wait, slowCompletion, now: () => performance.now() };
    kinglet = await load(files, { device: request.device, exact: request.exact, kernels: request.kernels }, host);
    await Promise.all(files.weights.map(({ source }) => source.close())); // Whoever ends the worker now finds the file stored.
    const info: ModelInfo = kinglet.info();
    post({ type: "ready", info });
  } catch (error) {
    post({ type: "error", failure: toFailure(error) });
  }
}

async function initialise(wasm: LoadRequest["wasm"]): Promise<WebAssembly.Memory> {
  try {
    const source = typeof wasm === "string" ? await fetchWasm(wasm) : wasm;
    return (await init({ module_or_path: source })).memory;
  } catch (cause) {
    const where = typeof wasm === "string" ? `the wasm at ${wasm}` : "the given wasm";
    throw new KingletError(
      "wasm-failed",
      `${where} could not be started: ${String(cause)}; check that it is served, that the Content-Security-Policy has 'wasm-unsafe-eval', ` +
        "and that the browser is from 2023 or later",
      { cause },
    );
  }
}

async function fetchWasm(url: string): Promise<WebAssembly.Module> {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const streams = response.headers.get("content-type")?.startsWith("application/wasm");
  return streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

async function runQueue(): Promise<void> {
  if (busy) return;
  busy = true;
  for (let job = queue.shift(); job; job = queue.shift()) await run(job);
  busy = false;
}

async function run(job: Job): Promise<void> {
  const { id, work } = job;
  try {
    if (!kinglet) throw new KingletError("crashed", "no model is loaded in this worker");
    const model = kinglet;
    const meter = createMeter();
    const running = begin(model, work);
    job.running = running;
    try {
      current = job;
      while (!job.cancelled) {
        const event = await running.next();
        if (event === undefined) break;
        if (work.kind === "generate") meter.step();
        post({ type: "event", id, event });
      }
      post({ type: "end", id, stats: meter.stats(running.prefilledTokens(), model.deviceBytes(), memory?.buffer.byteLength ?? 0) });
    } finally {
      current = undefined;
      running.free();
    }
  } catch (error) {
    post({ type: "error", id, failure: toFailure(error) });
  }
}

function begin(model: Kinglet, work: Work): Running {
  switch (work.kind) {
    case "compose":
      return model.compose(work.brief);
    case "generate":
      return model.generate(work.generation);
    case "measure":
      return model.measure(work.count);
    default:
      return work satisfies never;
  }
}

let current: Job | undefined;

function cancel(id: number): void {
  const waiting = queue.findIndex((job) => job.id === id);
  if (waiting >= 0) {
    queue.splice(waiting, 1);
    post({ type: "error", id, failure: { code: "aborted", message: "stopped before it began" } });
  }
  if (current?.id === id) {
    current.cancelled = true;
    current.running?.cancel();
  }
}

/** Lets messages in: a task, where a promise would only be a microtask. `setTimeout` would cost 4 ms. */
const channel = new MessageChannel();
const paused: (() => void)[] = [];
channel.port1.onmessage = () => paused.shift()?.();
function pause(): Promise<void> {
  return new Promise((resolve) => {
    paused.push(resolve);
    channel.port2.postMessage(undefined);
  });
}

function wait(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function throttled(stage: Stage): (loaded: number, total: number) => void {
  let last = 0;
  return (loaded, total) => {
    const now = performance.now();
    if (now - last < 50 && loaded !== total) return;
    last = now;
    post({ type: "progress", progress: { stage, loaded, total } });
  };
}

function post(reply: Reply): void {
  self.postMessage(reply);
}
