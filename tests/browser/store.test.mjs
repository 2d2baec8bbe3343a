// The model's download: kept, resumed where it broke, renewed when the server has another version, and done without when the disk is full.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT } from "../../scripts/shell.mjs";
import { launch } from "../../scripts/browser.mjs";
import { PATIENCE, visit as visitPage } from "./harness.mjs";

const TYPES = { js: "text/javascript", wasm: "application/wasm", html: "text/html" };
let browser;
let server;
let origin;
let model;
/** What the server does with the model, and what it was asked. */
let site = { breakAfter: 0, etag: '"1"', asked: [] };
/** For another site's model: no header that would have to be exposed can be read, as is usual. */
const CORS = { "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "range", "Last-Modified": "Sat, 28 Nov 2026 10:00:00 GMT" };

before(async () => {
  model = await readFile(join(ROOT, "model", "nano.gguf"));
  server = createServer(answer);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://localhost:${server.address().port}`;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.closeAllConnections();
  server?.close();
});

async function answer(request, response) {
  const name = request.url.slice(1) || "index.html";
  if (name === "index.html") return void response.writeHead(200, { "Content-Type": "text/html" }).end("<!doctype html><title>store</title>");
  if (!/^(m|nano)(-\w{8})?\.gguf$/.test(name)) {
    const file = await readFile(join(ROOT, "dist", name)).catch(() => undefined);
    return void response.writeHead(file ? 200 : 404, { "Content-Type": TYPES[name.split(".").pop()] ?? "text/plain" }).end(file);
  }
  if (request.method === "OPTIONS") return void response.writeHead(204, CORS).end();
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? "");
  site.asked.push(range ? `${request.method} ${range[1]}` : request.method);
  if (site.down) return void response.writeHead(503, CORS).end();
  const start = range ? Number(range[1]) : 0;
  const body = model.subarray(start);
  response.writeHead(range ? 206 : 200, {
    ...CORS,
    ETag: site.etag,
    "Content-Length": body.length,
    "Content-Type": "application/octet-stream",
    ...(range ? { "Content-Range": `bytes ${start}-${model.length - 1}/${model.length}` } : {}),
  });
  if (request.method === "HEAD") return void response.end();
  if (site.breakAfter === 0) return void response.end(body);
  const part = body.subarray(0, site.breakAfter);
  site.breakAfter = 0;
  site.down = site.thenDown;
  response.write(part, () => setTimeout(() => response.destroy(), 50));
}

const load = (page, model = "/m.gguf") =>
  page.evaluate(async (model) => {
    const { createEngine } = await import("/engine.js");
    const last = { download: 0 };
    const engine = await createEngine({ model, device: "cpu", onProgress: ({ stage, loaded, total }) => (last[stage] = loaded / total) });
    const tokens = [];
    for await (const step of engine.generate({ tokens: [5, 6, 7], maxTokens: 4, temperature: 0 })) tokens.push(step.token);
    await engine.dispose();
    return { tokens: tokens.join(), downloaded: last.download };
  }, model);

test("a broken download goes on where it ended, and the next visit downloads nothing", { timeout: PATIENCE }, async () => {
  const { page, close } = await visitPage(browser, origin, `${origin}/`);
  site = { breakAfter: 5_000_000, etag: '"1"', asked: [] };
  const first = await load(page);
  assert.equal(first.downloaded, 1);
  const [start, resumed, ...more] = site.asked;
  assert.equal(start, "GET");
  const from = Number(/^GET (\d+)$/.exec(resumed)?.[1]);
  assert(from > 0 && from <= 5_000_000, `asked ${site.asked.join(", ")}`);
  assert.deepEqual(more, []);
  site.asked = [];
  assert.deepEqual(await load(page), first);
  assert.deepEqual(site.asked, ["HEAD"]);
  site = { breakAfter: 0, etag: '"2"', asked: [] };
  assert.deepEqual(await load(page), first);
  assert.deepEqual(site.asked, ["HEAD", "GET"]);
  await close();
});

test("a download from another site goes on, though the size of the whole file cannot be read there", { timeout: PATIENCE }, async () => {
  const { page, close } = await visitPage(browser, origin, `${origin}/`);
  const address = `http://127.0.0.1:${server.address().port}/m.gguf`;
  site = { breakAfter: 5_000_000, thenDown: true, etag: '"1"', asked: [] };
  await assert.rejects(load(page, address), /503/);
  site = { breakAfter: 0, etag: '"1"', asked: [] };
  const resumed = await load(page, address);
  assert.match(site.asked.join(), /^GET [1-9]\d*$/);
  assert.equal(resumed.downloaded, 1);
  site.asked = [];
  assert.deepEqual(await load(page, address), resumed);
  assert.deepEqual(site.asked, ["HEAD"]);
  await close();
});

test("the model of a new release takes the place of the one before it, and of nothing else", { timeout: PATIENCE }, async () => {
  const { page, close } = await visitPage(browser, origin, `${origin}/`);
  site = { breakAfter: 0, etag: '"1"', asked: [] };
  for (const model of ["/nano.gguf", "/m-instruct.gguf", "/m-thinking.gguf", "/nano-aaaaaaaa.gguf", "/nano-bbbbbbbb.gguf"]) await load(page, model);
  const stored = await page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("kinglet-models");
    const urls = [];
    let files = 0;
    for await (const [name, handle] of folder.entries()) {
      files++;
      if (name.endsWith(".json")) urls.push(new URL(JSON.parse(await (await handle.getFile()).text()).url).pathname);
    }
    return { urls: urls.sort(), files };
  });
  assert.deepEqual(stored, { urls: ["/m-instruct.gguf", "/m-thinking.gguf", "/nano-bbbbbbbb.gguf", "/nano.gguf"], files: 8 });
  await close();
});

test("a full disk is no reason not to run", { timeout: PATIENCE }, async () => {
  const { page, context, close } = await visitPage(browser, origin, `${origin}/`);
  const client = await context.newCDPSession(page);
  await client.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 1_000_000 });
  site = { breakAfter: 0, etag: '"1"', asked: [] };
  const { tokens } = await load(page);
  assert(tokens.length > 0);
  assert.equal((await load(page)).tokens, tokens);
  const downloads = site.asked.filter((what) => what === "GET").length;
  assert.equal(downloads, 4, "each of the two loads asks once for the store, finds no room, and asks once more to do without");
  await close();
});

test("two tabs load the same model at once and download it once", { timeout: PATIENCE }, async () => {
  const { page, context, close } = await visitPage(browser, origin, `${origin}/`);
  const other = await context.newPage();
  await other.goto(`${origin}/`);
  site = { breakAfter: 0, etag: '"1"', asked: [] };
  const [a, b] = await Promise.all([load(page), load(other)]);
  assert.deepEqual(a, b);
  assert.equal(site.asked.filter((what) => what.startsWith("GET")).length, 1);
  await close();
});
