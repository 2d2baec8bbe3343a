// What loading takes, the same for the composer and the engine.

import { type Connection, connect } from "./client.ts";
import { KingletError } from "./errors.ts";
import { type ModelOption, resolveModel } from "./models.ts";
import { checkObject } from "./options.ts";
import type { DeviceKind, Progress } from "./protocol.ts";
import type { WasmOption, WorkerOption } from "./start.ts";

/** How a model is loaded. */
export interface LoadOptions {
  /** A catalogue id (`nano`, the bundled model), a URL, a Blob, or separate files; `nano` if not given. */
  model?: ModelOption;
  /** `auto` takes WebGPU on a real graphics card that passes a self-test, else the CPU; the other two are taken as they are. */
  device?: "auto" | DeviceKind;
  /** Hears how loading goes on. */
  onProgress?: (progress: Progress) => void;
  /** f32 activations everywhere: the reference arithmetic. */
  exact?: boolean;
  /** Where the worker comes from, for bundlers that do not copy it. */
  worker?: WorkerOption;
  /** Where the wasm comes from, for bundlers that do not copy it. */
  wasm?: WasmOption;
  /** Stops loading, and later ends whatever was loaded: everything then fails with `aborted`. */
  signal?: AbortSignal;
}

/** Opens the connection that a composer or an engine works through. */
export async function open(options: LoadOptions): Promise<Connection> {
  if (typeof Worker === "undefined") {
    throw new KingletError("unsupported", "this runs in a browser: no Worker here; on a server, use the kinglet command instead");
  }
  checkObject(options);
  const { device = "auto" } = options;
  if (!["auto", "webgpu", "cpu"].includes(device)) {
    throw new KingletError("invalid-option", `option device: expected auto, webgpu or cpu, found ${String(device)}`);
  }
  return connect({
    model: resolveModel(options.model ?? "nano"),
    device,
    exact: options.exact ?? false,
    onProgress: options.onProgress ?? (() => {}),
    worker: options.worker,
    wasm: options.wasm,
    signal: options.signal,
  });
}
