// The package and the page with workers made of messages, which fail when a test wants them to: what becomes of work that is under way or
// waits, of late events, of what was stored, and of what the page shows.

import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT } from "../../scripts/shell.mjs";
import { compose, open, PREFIX, state } from "./harness.mjs";

/** Messages take milliseconds; only a promise that nobody settles takes longer. */
const PATIENCE = 30_000;
let folder;
let site;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "kinglet-worker-"));
  await cp(join(ROOT, "dist-page"), folder, { recursive: true });
  await cp(join(ROOT, "dist"), join(folder, "package"), { recursive: true });
  const assets = await readdir(join(folder, "assets"));
  for (const name of assets.filter((name) => /^worker.*\.js$/.test(name))) await writeFile(join(folder, "assets", name), WORKER);
  site = await open(folder, { also: { [`${PREFIX}empty.html`]: join(ROOT, "tests", "browser", "empty.html") } });
});
after(async () => {
  await site?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The page's worker: loads whatever can be fetched, on a card with a name of its own; a brief says what becomes of it. */
const WORKER = `
const info = { model: "m", parameters: 1, bytes: 1, contextLength: 8, variants: "v" };
const failure = (code) => ({ code, message: "as the test wants it" });
onmessage = async ({ data: { type, id, work, model } }) => {
  if (type === "load") {
    const { ok } = await fetch(model.weights[0].source, { method: "HEAD", cache: "no-store" });
    const device = { kind: "webgpu", adapter: crypto.randomUUID(), software: false, reason: "" };
    postMessage(ok ? { type: "ready", info: { ...info, device } } : { type: "error", failure: failure("download-failed") });
  } else if (type === "work") {
    const { brief } = work.brief;
    if (brief === "crash") postMessage({ type: "crash", message: "as the test wants it" });
    else if (brief === "refuse") postMessage({ type: "error", id, failure: failure("no-words") });
    else postMessage({ type: "end", id, stats: {} });
  }
};
postMessage({ type: "hello" });
`;

/** Runs a script in an empty page that has the package as `kinglet` and workers that the script plays, in the order of their start. */
async function withFakes(script) {
  const visit = await site.visit("empty.html");
  await visit.page.evaluate(async (path) => {
    globalThis.kinglet = { ...(await import(`${path}package/index.js`)), ...(await import(`${path}package/engine.js`)) };
    globalThis.fakes = [];
    globalThis.fake = () => {
      const worker = { asked: [], ended: false, postMessage: (request) => worker.asked.push(request), terminate: () => (worker.ended = true) };
      worker.say = (data) => worker.onmessage({ data });
      worker.works = () => worker.asked.filter(({ type }) => type === "work").length;
      fakes.push(worker);
      return worker;
    };
    globalThis.turn = () => new Promise((resolve) => setTimeout(resolve, 0));
    globalThis.device = { kind: "webgpu", adapter: "card", software: false, reason: "" };
    globalThis.info = { model: "m", parameters: 1, bytes: 1, contextLength: 8, variants: "fast", device };
    /** Lets a worker answer its load. */
    globalThis.begin = async (worker, answer = { type: "ready", info }) => {
      worker.say({ type: "hello" });
      await turn();
      worker.say(answer);
      await turn();
    };
    globalThis.openComposer = async (options) => {
      const opening = kinglet.createComposer({ worker: fake, wasm: new Uint8Array(), ...options });
      await begin(fakes[0]);
      return opening;
    };
    globalThis.code = (promise) => promise.then(() => "done", ({ name, code }) => code ?? name);
  }, PREFIX);
  const found = await visit.page.evaluate(script);
  await visit.close();
  return found;
}

test("work that is cancelled while a worker starts is never begun", { timeout: PATIENCE }, async () => {
  const found = await withFakes(async () => {
    const composer = await openComposer();
    const brief = "rain";
    fakes[0].say({ type: "crash", message: "gone" });
    const controller = new AbortController();
    const aborted = composer.compose({ brief, signal: controller.signal });
    const left = composer.compose({ brief });
    const wanted = composer.compose({ brief });
    controller.abort("enough");
    await left[Symbol.asyncIterator]().return();
    await begin(fakes[1]);
    const { id } = fakes[1].asked.at(-1);
    fakes[1].say({ type: "end", id, stats: {} });
    const cause = await aborted.drafts.catch(({ cause }) => cause);
    return { works: fakes[1].works(), codes: [await code(aborted.drafts), await code(left.drafts), await code(wanted.drafts)], cause };
  });
  assert.deepEqual(found, { works: 1, codes: ["aborted", "aborted", "done"], cause: "enough" });
});

test("a worker that cannot be started again fails the work that asked for it, and the next work tries anew", { timeout: PATIENCE }, async () => {
  const found = await withFakes(async () => {
    let refused = false;
    const worker = () => {
      if (refused) throw new Error("refused");
      return fake();
    };
    const composer = await openComposer({ worker });
    fakes[0].say({ type: "crash", message: "gone" });
    refused = true;
    const codes = [await code(composer.compose({ brief: "rain" }).drafts)];
    refused = false;
    const again = composer.compose({ brief: "rain" });
    await begin(fakes[1]);
    fakes[1].say({ type: "end", id: fakes[1].asked.at(-1).id, stats: {} });
    return [...codes, await code(again.drafts)];
  });
  assert.deepEqual(found, ["worker-failed", "done"]);
});

test("what an old worker says late does not end the one in its place", { timeout: PATIENCE }, async () => {
  const found = await withFakes(async () => {
    const asked = [];
    const wasm = () => new Promise((resolve, reject) => asked.push({ resolve: () => resolve(new Uint8Array()), reject }));
    const opening = kinglet.createComposer({ worker: fake, wasm });
    fakes[0].say({ type: "hello" });
    asked[0].resolve();
    await begin(fakes[0]);
    const composer = await opening;
    fakes[0].say({ type: "crash", message: "gone" });
    const failed = composer.compose({ brief: "rain" });
    fakes[1].say({ type: "hello" });
    fakes[1].onerror({ message: "gone, too" });
    const wanted = composer.compose({ brief: "rain" });
    await begin(fakes[2]);
    fakes[0].onerror({ message: "late" });
    fakes[0].onmessageerror();
    asked[1].reject(new Error("late"));
    await turn();
    const { ended } = fakes[2];
    fakes[2].say({ type: "end", id: fakes[2].asked.at(-1)?.id, stats: {} });
    return { ended, codes: [await code(failed.drafts), await code(wanted.drafts)] };
  });
  assert.deepEqual(found, { ended: false, codes: ["crashed", "done"] });
});

test("kernels with which a load failed, or left the graphics card, are forgotten; a load that the caller ends forgets nothing", { timeout: PATIENCE }, async () => {
  const found = await withFakes(async () => {
    const all = {};
    const attempts = {
      failed: { answer: { type: "error", failure: { code: "self-test-failed", message: "m" } } },
      crashed: { answer: { type: "crash", message: "m" } },
      left: { answer: { type: "ready", info: { ...info, device: { ...device, kind: "cpu" } } } },
      processor: { options: { device: "cpu" }, answer: { type: "ready", info: { ...info, device: { ...device, kind: "cpu" } } } },
      good: { answer: { type: "ready", info } },
      ended: { abort: true },
    };
    for (const [name, { options, answer, abort }] of Object.entries(attempts)) {
      localStorage.setItem("kinglet:kernels", JSON.stringify({ card: { variants: "fast", at: Date.now() } }));
      const controller = new AbortController();
      const opening = code(kinglet.createEngine({ worker: fake, wasm: new Uint8Array(), signal: controller.signal, ...options }));
      fakes.at(-1).say({ type: "hello" });
      await turn();
      if (abort) controller.abort();
      else fakes.at(-1).say(answer);
      await opening;
      await turn();
      const given = fakes.at(-1).asked[0].kernels.card;
      all[name] = [given, Object.keys(JSON.parse(localStorage.getItem("kinglet:kernels") ?? "{}")).length];
    }
    return all;
  });
  const [gone, there] = [["fast", 0], ["fast", 1]];
  assert.deepEqual(found, { failed: gone, crashed: gone, left: gone, processor: there, good: there, ended: there });
});

test("an address that is none is refused by its code, and a file's name may have a percent sign", { timeout: PATIENCE }, async () => {
  const found = await withFakes(async () => {
    const name = async (model) => {
      const opening = kinglet.createEngine({ model, worker: fake, wasm: new Uint8Array() });
      await begin(fakes.at(-1));
      await opening;
      const { model: asked } = fakes.at(-1).asked[0];
      return [asked.name, asked.weights[0].name];
    };
    const [empty, many] = [await code(kinglet.createEngine({ model: "http://" })), await code(kinglet.createEngine({ model: { weights: ["http://"] } }))];
    return { empty, many, names: [await name("my%20model.gguf"), await name("50%.gguf"), await name(new File([], "50%.gguf")), await name(new Blob())] };
  });
  assert.deepEqual(found, {
    empty: "invalid-option",
    many: "invalid-option",
    names: [["my model", "my model.gguf"], ["50%", "50%.gguf"], ["50%", "50%.gguf"], ["model", "model"]],
  });
});

test("after a failed load Compose loads again, and no failed composition does", { timeout: PATIENCE }, async () => {
  const { page, close } = await site.visit("?model=late.gguf");
  assert.equal(await state(page, "ready", "error"), "error");
  await compose(page, "");
  assert.equal(await state(page, "error"), "error");
  await compose(page, "rain");
  assert.equal(await state(page, "ready", "error"), "error");
  await writeFile(join(folder, "late.gguf"), "");
  await compose(page, "rain");
  assert.equal(await state(page, "ready", "error"), "ready", await page.locator("body").innerText());
  const [worker, ...others] = page.workers();
  assert.equal(others.length, 0);
  await compose(page, "refuse");
  assert.equal(await state(page, "ready", "error"), "error");
  await compose(page, "rain");
  assert.equal(await state(page, "ready", "error"), "ready");
  assert.deepEqual(page.workers(), [worker]);
  await close();
});

test("the page shows the device of the worker that took a crashed one's place", { timeout: PATIENCE }, async () => {
  const { page, close } = await site.visit();
  await state(page, "ready");
  const before = await page.locator("#device").innerText();
  await compose(page, "crash");
  assert.equal(await state(page, "ready", "error"), "error");
  await compose(page, "rain");
  assert.equal(await state(page, "ready", "error"), "ready");
  assert.notEqual(await page.locator("#device").innerText(), before);
  await close();
});

test("the address's seed is for its address, a typed one is kept", { timeout: PATIENCE }, async () => {
  const { page, close } = await site.visit("?seed=9");
  const seedAt = async (query) => {
    await page.goto(`${site.address}${query}`);
    return page.locator("#seed").inputValue();
  };
  assert.equal(await page.locator("#seed").inputValue(), "9");
  await page.getByRole("textbox", { name: "Brief" }).fill("rain");
  assert.equal(await seedAt(""), "");
  assert.equal(await page.getByRole("textbox", { name: "Brief" }).inputValue(), "rain");
  await page.getByText("More options").click();
  await page.locator("#seed").fill("12");
  assert.equal(await seedAt("?seed=9"), "9");
  await page.getByRole("textbox", { name: "Brief" }).fill("snow");
  assert.equal(await seedAt(""), "12");
  await close();
});
