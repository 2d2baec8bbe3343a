// How the worker and the wasm are found. The two `new URL(…, import.meta.url)` below are literal on purpose: bundlers look for exactly this
// syntax and copy the files. The wasm is resolved here and not in the worker, because bundlers that copy a worker do not rewrite its URLs.

import { absolute } from "./base.ts";
import { KingletError } from "./errors.ts";

/** Where the worker comes from: its URL, its source, or a function that starts it. */
export type WorkerOption = string | URL | BufferSource | Blob | (() => Worker);

/** Where the wasm comes from: its URL, its bytes, a compiled module, or a function that gives one of them (or a `Response`). */
export type WasmOption = WasmValue | (() => WasmValue | Response | Promise<WasmValue | Response>);

/** The wasm itself, or where it is. */
export type WasmValue = string | URL | BufferSource | WebAssembly.Module;

/** Starts the worker. */
export function startWorker(option: WorkerOption | undefined): Worker {
  try {
    return start(option);
  } catch (cause) {
    throw new KingletError("worker-failed", `the worker could not be started: ${String(cause)}; check the option \`worker\``, { cause });
  }
}

function start(option: WorkerOption | undefined): Worker {
  if (option === undefined) return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  if (typeof option === "function") return option();
  if (option instanceof Blob || option instanceof ArrayBuffer || ArrayBuffer.isView(option)) {
    return fromSource(new Blob([option], { type: "text/javascript" }));
  }
  const url = absolute(option);
  const sameOrigin = url.origin === location.origin || url.protocol === "blob:" || url.protocol === "data:";
  // A worker's script must have the page's origin, but a module of its own origin may import any (with CORS).
  return sameOrigin ? new Worker(url, { type: "module" }) : fromSource(new Blob([`import ${JSON.stringify(url.href)};`], { type: "text/javascript" }));
}

function fromSource(source: Blob): Worker {
  const url = URL.createObjectURL(source);
  const worker = new Worker(url, { type: "module" });
  worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
  return worker;
}

/** The wasm in a form that can be posted to the worker. */
export async function wasmForWorker(option: WasmOption | undefined): Promise<string | BufferSource | WebAssembly.Module> {
  if (option === undefined) return new URL("./kinglet_bg.wasm", import.meta.url).href;
  const value = typeof option === "function" ? await option() : option;
  if (value instanceof Response) return value.arrayBuffer();
  return typeof value === "string" || value instanceof URL ? absolute(value).href : value;
}
