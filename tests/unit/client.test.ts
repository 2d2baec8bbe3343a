// The connection to the worker, with a worker made of messages: queueing, cancelling, crashing, coming back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, type ConnectionOptions } from "../../www/lib/client.ts";
import { runComposition } from "../../www/lib/composition.ts";
import { KingletError } from "../../www/lib/errors.ts";
import { toBrief } from "../../www/lib/options.ts";
import type { Draft, EngineStats, ModelInfo, Reply, Request } from "../../www/lib/protocol.ts";

const info = { model: "m", bytes: 1, device: { kind: "cpu", adapter: "CPU", software: true, reason: "" } } as ModelInfo;
const stats = {} as EngineStats;

class FakeWorker {
  static all: FakeWorker[] = [];
  asked: Request[] = [];
  terminated = false;
  onmessage: (event: { data: Reply }) => void = () => {};
  onerror: (event: { message?: string }) => void = () => {};
  onmessageerror = () => {};
  constructor(readonly loads: Reply = { type: "ready", info }) {
    FakeWorker.all.push(this);
    queueMicrotask(() => this.say({ type: "hello" }));
  }
  say(data: Reply) {
    if (!this.terminated) this.onmessage({ data });
  }
  postMessage(request: Request) {
    this.asked.push(request);
    if (request.type === "load") queueMicrotask(() => this.say(this.loads));
  }
  terminate() {
    this.terminated = true;
  }
}

function options(start: () => FakeWorker = () => new FakeWorker(), signal?: AbortSignal): ConnectionOptions {
  return {
    model: { name: "m", weights: [], companions: {} },
    device: "auto",
    exact: false,
    onProgress: () => {},
    worker: () => start() as unknown as Worker,
    wasm: new Uint8Array(),
    signal,
  };
}

const brief = toBrief({ brief: "rain", count: 2 }, () => 1n);
const draft = (index: number, text: string, done = false): Draft => ({ index, text, done, valid: true, length: { used: 1, limit: 280, unit: "x-weight" } });
const code = (expected: string) => (error: unknown) => error instanceof KingletError && error.code === expected;
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
const latest = () => FakeWorker.all.at(-1) as FakeWorker;
const ids = (worker: FakeWorker) => worker.asked.flatMap((request) => (request.type === "work" ? [request.id] : []));

test("drafts stream, and the finished ones resolve in order", async () => {
  const connection = await connect(options());
  const composition = runComposition(connection, brief, undefined);
  await settle();
  const worker = latest();
  const [id = 0] = ids(worker);
  for (const event of [draft(1, "b", true), draft(0, "a"), draft(0, "ab", true)]) worker.say({ type: "event", id, event });
  worker.say({ type: "end", id, stats });
  assert.deepEqual((await composition.drafts).map(({ text }) => text), ["ab", "b"]);
});

test("an aborted signal fails at once and cancels in the worker", async () => {
  const connection = await connect(options());
  const controller = new AbortController();
  const composition = runComposition(connection, brief, controller.signal);
  await settle();
  controller.abort("enough");
  await assert.rejects(composition.drafts, (error) => code("aborted")(error) && (error as Error).cause === "enough");
  await assert.rejects(composition[Symbol.asyncIterator]().next(), code("aborted"));
  assert.equal(latest().asked.at(-1)?.type, "cancel");
  const late = runComposition(connection, brief, controller.signal);
  await assert.rejects(late.drafts, code("aborted"));
});

test("leaving the loop cancels in the worker", async () => {
  const connection = await connect(options());
  const composition = runComposition(connection, brief, undefined);
  await settle();
  const [id = 0] = ids(latest());
  latest().say({ type: "event", id, event: draft(0, "a") });
  for await (const _ of composition) break;
  assert.equal(latest().asked.at(-1)?.type, "cancel");
  await assert.rejects(composition.drafts, code("aborted"));
});

test("a crash fails what is under way, and the next call starts a fresh worker", async () => {
  const connection = await connect(options());
  const first = latest();
  const composition = runComposition(connection, brief, undefined);
  await settle();
  first.say({ type: "crash", message: "unreachable" });
  await assert.rejects(composition.drafts, code("crashed"));
  assert(first.terminated);
  const again = runComposition(connection, brief, undefined);
  await settle();
  const second = latest();
  assert(second !== first);
  const [id = 0] = ids(second);
  second.say({ type: "event", id, event: draft(0, "a", true) });
  second.say({ type: "end", id, stats });
  assert.equal((await again.drafts).length, 1);
});

test("a lost device is replaced in the same way, any other error leaves the worker alone", async () => {
  const connection = await connect(options());
  const worker = latest();
  for (const [failure, gone] of [["bad-brief", false], ["device-lost", true]] as const) {
    const composition = runComposition(connection, brief, undefined);
    await settle();
    worker.say({ type: "error", id: ids(worker).at(-1) ?? 0, failure: { code: failure, message: "m" } });
    await assert.rejects(composition.drafts, code(failure));
    assert.equal(worker.terminated, gone);
  }
});

test("closing fails what is under way and everything after it", async () => {
  const connection = await connect(options());
  const composition = runComposition(connection, brief, undefined);
  connection.close(new KingletError("disposed", "gone"));
  await assert.rejects(composition.drafts, code("disposed"));
  await assert.rejects(runComposition(connection, brief, undefined).drafts, code("disposed"));
  assert(latest().terminated);
});

test("loading fails with the worker's own error, its crash, or the caller's signal", async () => {
  const failing = () => new FakeWorker({ type: "error", failure: { code: "invalid-file", message: "m" } });
  await assert.rejects(connect(options(failing)), code("invalid-file"));
  assert(latest().terminated);
  await assert.rejects(connect(options(() => new FakeWorker({ type: "crash", message: "m" }))), code("crashed"));
  const missing = connect(options());
  latest().onerror({});
  await assert.rejects(missing, code("worker-failed"));
  const refused = connect(
    options(() => {
      throw new Error("SecurityError");
    }),
  );
  await assert.rejects(refused, code("worker-failed"));
  const controller = new AbortController();
  const stopped = connect(options(undefined, controller.signal));
  controller.abort();
  await assert.rejects(stopped, code("aborted"));
  assert(latest().terminated);
});
