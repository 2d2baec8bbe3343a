// The package as its users get it: packed, installed from the tarball, type-checked, imported on a server, built by Vite, and run in Chromium.

import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { output, ROOT, run } from "../../scripts/shell.mjs";
import { open, PATIENCE, ranOn } from "./harness.mjs";

let project;
let packed;
let site;
let visit;

/** Runs a function of the tests inside the consumer's page. */
const inPage = (script, argument) => visit.page.evaluate(script, argument);

before(async () => {
  project = await mkdtemp(join(tmpdir(), "kinglet-consumer-"));
  [packed] = JSON.parse(output("npm", ["pack", "--json", "--pack-destination", project], { cwd: join(ROOT, "dist") }));
  await cp(join(ROOT, "tests", "package"), project, { recursive: true });
  await run("npm", ["install", "--no-audit", "--no-fund", "--offline", "--loglevel=error", join(project, packed.filename)], { cwd: project });
  const { build } = await import("vite");
  await build({ root: project, base: "./", configFile: false, logLevel: "warn" });
  site = await open(join(project, "dist"));
  visit = await site.visit();
  await visit.page.waitForFunction(() => "kinglet" in globalThis);
});
after(async () => {
  await site?.close();
  await rm(project, { recursive: true, force: true });
});

test("the tarball has what it promises, and its code is at most 1.2 MB gzipped", async () => {
  const names = packed.files.map(({ path }) => path);
  const promised = ["index.js", "engine.js", "worker.js", "kinglet_bg.wasm", "nano.gguf", "index.d.ts", "engine.d.ts", "package.json"];
  for (const file of [...promised, "README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE", "ATTRIBUTION.md", "CARD.md"]) {
    assert(names.includes(file), `${file} is not packed`);
  }
  assert.deepEqual(names.filter((name) => !/\.(js|ts|wasm|gguf|json|md)$|^LICENSE/.test(name)), []);
  const manifest = JSON.parse(await readFile(join(ROOT, "dist", "package.json"), "utf8"));
  assert.equal(manifest.sideEffects, false);
  assert(manifest.private === undefined && manifest.dependencies === undefined && manifest.scripts === undefined);
  assert.equal(Object.keys(manifest.exports["."])[0], "types");
  const code = (await readdir(join(ROOT, "dist"))).filter((name) => /\.(js|wasm)$/.test(name));
  const sizes = await Promise.all(code.map(async (name) => gzipSync(await readFile(join(ROOT, "dist", name)), { level: 9 }).length));
  const all = sizes.reduce((sum, size) => sum + size);
  console.log(`${code.map((name, i) => `${name}: ${sizes[i]}`).join(", ")} bytes gzipped; together ${all}`);
  assert(all <= 1_200_000, `the code has ${all} bytes gzipped`);
  assert((await stat(join(ROOT, "dist", "nano.gguf"))).size <= 16 << 20);
});

test("the worker is one self-contained file", async () => {
  const worker = await readFile(join(ROOT, "dist", "worker.js"), "utf8");
  assert(!/\bimport\s*[("'{*\w]/.test(worker.replaceAll("import.meta", "")), "worker.js imports something");
  assert(!worker.includes("import.meta"), "worker.js resolves addresses by itself");
});

test("its types hold under strict settings, without skipping the library", async () => {
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  await run(process.execPath, [compiler, "-p", project], { cwd: project });
  await run(process.execPath, [compiler, "-p", project, "--module", "nodenext", "--moduleResolution", "nodenext"], { cwd: project });
});

test("importing it on a server touches nothing, and calling it there fails with a code", () => {
  const script = `
    for (const name of ["window", "document", "location", "Worker"]) Object.defineProperty(globalThis, name, { get() { throw new Error(name); }, configurable: true });
    const { createComposer } = await import("kinglet");
    const { createEngine } = await import("kinglet/engine");
    delete globalThis.Worker;
    const codes = await Promise.all([createComposer(), createEngine()].map((call) => call.catch((error) => error.name + " " + error.code)));
    console.log(codes.join());`;
  const printed = output(process.execPath, ["--input-type=module", "-e", script], { cwd: project });
  assert.equal(printed, "KingletError unsupported,KingletError unsupported");
});

for (const device of ["webgpu", "cpu"]) {
  test(`a composer in a Vite build writes valid drafts on ${device}`, { timeout: PATIENCE }, async () => {
    const { info, drafts, seen } = await inPage(async (device) => {
      const stages = new Set();
      const composer = await kinglet.createComposer({ model: "nano", device, onProgress: ({ stage }) => stages.add(stage) });
      const composition = composer.compose({ brief: "the bakery opens on Friday", network: "bluesky", count: 3, seed: 7 });
      let seen = 0;
      for await (const draft of composition) seen += draft.text.length > 0 ? 1 : 0;
      const drafts = await composition.drafts;
      const { info } = composer;
      await composer.dispose();
      return { info: { ...info, stages: [...stages] }, drafts, seen };
    }, device);
    assert.equal(info.device.kind, device);
    assert(info.device.reason.length > 5 && info.parameters > 1e6 && info.bytes > 1e6 && info.contextLength >= 256 && info.variants !== "");
    assert.equal(info.seed, 7);
    for (const stage of ["download", "read", "upload", "compile"]) assert(info.stages.includes(stage), `no progress of ${stage}`);
    assert.deepEqual(drafts.map(({ index, done, valid, length }) => [index, done, valid, length.limit, length.unit]), [0, 1, 2].map((i) => [i, true, true, 300, "graphemes"]));
    for (const { text, length } of drafts) assert([...new Intl.Segmenter().segment(text)].length === length.used && length.used > 0, text);
    assert(seen >= drafts.length);
    await visit.assertClean();
    ranOn(device);
  });
}

test("both devices choose the same greedy tokens, eight sequences included", { timeout: PATIENCE }, async () => {
  const runs = await inPage(async () => {
    const all = [];
    for (const [device, kept] of [["webgpu", '{"swiftshader": {"variants": 7}, "other": null}'], ["cpu", "{rubbish"]]) {
      localStorage.setItem("kinglet:kernels", kept); // Whatever stands there, it loads.
      const engine = await kinglet.createEngine({ device });
      const alone = await kinglet.greedy(engine, "The garden is");
      const together = Array.from({ length: 8 }, () => []);
      let ends = 0;
      for await (const step of engine.generate({ prompt: "The garden is", maxTokens: 8, temperature: 0, count: 8 })) {
        together[step.index].push(step.token);
        ends += step.stop === undefined ? 0 : 1;
      }
      all.push({ alone, together, ends, kind: engine.info.device.kind, stats: engine.stats });
      await engine.dispose();
    }
    return all;
  });
  assert.deepEqual(runs.map(({ kind }) => kind), ["webgpu", "cpu"]);
  assert.deepEqual(runs[0].alone, runs[1].alone);
  for (const { alone, together, ends, stats } of runs) {
    assert(alone.length > 0 && ends === 8);
    for (const tokens of together) assert.deepEqual(tokens, alone);
    for (const figure of ["ttftMs", "prefillTokensPerSecond", "decodeTokensPerSecond", "deviceBytes", "wasmBytes"]) assert(stats[figure] > 0, figure);
  }
  ranOn("webgpu");
  ranOn("cpu");
});

test("calls queue in order; abort, leaving the loop, dispose and what is not there yet give their codes", { timeout: PATIENCE }, async () => {
  const found = await inPage(async () => {
    const composer = await kinglet.createComposer({ device: "cpu" });
    const brief = "rain at the market";
    const code = (promise) => promise.then((value) => value, (error) => (error instanceof kinglet.KingletError ? error.code : String(error)));
    const order = [];
    const first = composer.compose({ brief, seed: 1 });
    const second = composer.compose({ brief, seed: 2, length: "short" });
    first.drafts.then(() => order.push("first"));
    second.drafts.then(() => order.push("second"));
    await Promise.all([first.drafts, second.drafts]);
    const controller = new AbortController();
    // Eight drafts, and ended at the first news of one: however fast they are written, the others are not there yet.
    const aborted = composer.compose({ brief, count: 8, signal: controller.signal });
    const left = composer.compose({ brief, seed: 3, count: 8 });
    const codes = {};
    codes.aborting = await code((async () => { for await (const _ of aborted) controller.abort(); })());
    codes.aborted = await code(aborted.drafts);
    for await (const _ of left) break;
    codes.left = await code(left.drafts);
    const already = AbortSignal.abort();
    codes.already = await code(composer.compose({ brief, signal: already }).drafts);
    for (const verb of ["rewrite", "shorten", "continue", "thread"]) codes[verb] = await code(composer[verb]("text").drafts);
    codes.option = await code(composer.compose({ brief, tone: "angry" }).drafts);
    codes.empty = await code(composer.compose({ brief: "" }).drafts);
    const again = await composer.compose({ brief, seed: 1 }).drafts;
    codes.same = again[0].text === (await first.drafts)[0].text;
    const cut = composer.compose({ brief });
    await composer[Symbol.asyncDispose]();
    codes.disposed = [await code(cut.drafts), await code(composer.compose({ brief }).drafts)].join();
    codes.loading = await code(kinglet.createComposer({ signal: already }));
    codes.device = await code(kinglet.createComposer({ device: "tpu" }));
    codes.model = await code(kinglet.createEngine({ model: "no-such.gguf" }));
    codes.blob = await code(kinglet.createEngine({ model: new Blob(["GGUF is not all it takes"]) }));
    codes.wasm = await code(kinglet.createEngine({ wasm: new Uint8Array([1, 2, 3]) }));
    codes.worker = await code(kinglet.createEngine({ worker: "no-such.js" }));
    return { order, codes };
  });
  assert.deepEqual(found.order, ["first", "second"]);
  const { empty, blob, ...codes } = found.codes;
  assert.deepEqual(codes, {
    aborting: "aborted",
    aborted: "aborted",
    left: "aborted",
    already: "aborted",
    rewrite: "unsupported",
    shorten: "unsupported",
    continue: "unsupported",
    thread: "unsupported",
    option: "invalid-option",
    same: true,
    disposed: "disposed,disposed",
    loading: "aborted",
    device: "invalid-option",
    model: "download-failed",
    wasm: "wasm-failed",
    worker: "worker-failed",
  });
  assert.equal(empty, "bad-brief");
  assert(["invalid-file", "unsupported-format"].includes(blob), blob);
  ranOn("cpu");
});

test("worker, wasm and model can be given as addresses, bytes, modules and functions", { timeout: PATIENCE }, async () => {
  const texts = await inPage(async () => {
    const find = async (pattern) => {
      const entries = performance.getEntriesByType("resource").map(({ name }) => name);
      return entries.find((name) => pattern.test(name));
    };
    const worker = await find(/\bworker.*\.js/);
    const base = new URL("./", worker);
    const script = await (await fetch(document.querySelector("script[src]").src)).text();
    const asset = (pattern) => new URL(script.match(pattern)[0], base).href;
    const wasm = asset(/kinglet_bg-[\w-]+\.wasm/);
    const bytes = await (await fetch(wasm)).arrayBuffer();
    const model = await (await fetch(asset(/nano-[\w-]+\.gguf/))).blob();
    const ways = [
      { wasm, worker, model: asset(/nano-[\w-]+\.gguf/) },
      { wasm: bytes, worker: new URL(worker), model },
      { wasm: await WebAssembly.compile(bytes), worker: () => new Worker(worker, { type: "module" }), model: new File([model], "mine.gguf") },
      { wasm: () => fetch(wasm), model: { weights: [model] } },
    ];
    const texts = [];
    for (const way of ways) texts.push((await kinglet.write({ device: "cpu", ...way })).map(({ text }) => text).join("|"));
    return texts;
  });
  assert(texts[0].length > 20);
  assert.deepEqual(new Set(texts).size, 1, texts.join("\n"));
  ranOn("cpu");
});
