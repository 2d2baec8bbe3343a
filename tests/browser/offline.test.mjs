// The second visit without a network, and what becomes of it when a new version of the page is deployed.

import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch } from "../../scripts/browser.mjs";
import { serve } from "../../scripts/serve.mjs";
import { ROOT } from "../../scripts/shell.mjs";
import { assertValid, compose, draftsOf, PATIENCE, PREFIX, ranOn, state, visit } from "./harness.mjs";

const BRIEF = "our community garden opens on Saturday";
let browser;
let folder;

before(async () => {
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), "kinglet-page-"));
  await cp(join(ROOT, "dist-page"), folder, { recursive: true });
});
after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

async function open() {
  const site = await serve(folder, { prefix: PREFIX });
  const origin = `http://localhost:${site.port}`;
  const address = `${origin}${PREFIX}?device=cpu&seed=7`;
  const visited = await visit(browser, origin, address);
  assert.equal(await state(visited.page, "ready", "error"), "ready");
  await kept(visited.page);
  return { ...visited, site, address };
}

/** Waits until the page's own files are kept. */
const kept = (page) => page.evaluate(async () => void (await navigator.serviceWorker.ready));

/** Asks the page until it says yes. */
async function until(page, question) {
  while (!(await page.evaluate(question))) await new Promise((resolve) => setTimeout(resolve, 50));
}

test("after one visit the page opens and writes without a network, and keeps nothing that is not its own", { timeout: 2 * PATIENCE }, async () => {
  const { page, context, site, address, assertClean, close } = await open();
  await compose(page, BRIEF);
  assert.equal(await state(page, "ready", "error"), "ready");
  const drafts = await draftsOf(page);
  assertValid(drafts, BRIEF);
  await site.close();
  await context.setOffline(true);
  await page.goto("about:blank");
  await page.goto(address);
  assert.equal(await state(page, "ready", "error"), "ready", await page.locator("body").innerText());
  await compose(page, BRIEF);
  assert.equal(await state(page, "ready", "error"), "ready");
  assert.deepEqual(await draftsOf(page), drafts);
  const stored = await page.evaluate(async () => {
    const requests = await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).keys()));
    return requests.flat().map(({ url }) => url);
  });
  assert(stored.length >= 8, stored.join(" "));
  assert.deepEqual(stored.filter((url) => !url.startsWith(address.split("?")[0]) || url.endsWith(".gguf")), []);
  await assertClean();
  await close();
  ranOn("cpu");
});

test("a new version is seen at once, and takes the old one's place when its last tab is closed", { timeout: PATIENCE }, async () => {
  const { page, context, site, address, close } = await open();
  const others = await page.evaluate(async () => {
    await caches.open("somebody else's");
    return caches.keys();
  });
  assert.equal(others.length, 2);
  const index = await readFile(join(folder, "index.html"), "utf8");
  await writeFile(join(folder, "index.html"), index.replace(/<title>.*<\/title>/, "<title>The next version</title>"));
  const worker = await readFile(join(folder, "offline.js"), "utf8");
  await writeFile(join(folder, "offline.js"), worker.replace(/VERSION = "\w+"/, 'VERSION = "next"'));
  await page.reload();
  assert.equal(await page.title(), "The next version");
  assert.equal(await state(page, "ready", "error"), "ready");
  await until(page, async () => (await navigator.serviceWorker.getRegistration()).waiting !== null);
  assert.equal((await page.evaluate(() => caches.keys())).length, 3, "the old version stays while a tab shows it");
  await page.close();
  const next = await context.newPage();
  await next.goto(address);
  await until(next, async () => (await caches.keys()).length === 2);
  const names = await next.evaluate(() => caches.keys());
  assert(names.includes("somebody else's"), names.join());
  assert(names.some((name) => name.endsWith(" next")), names.join());
  await site.close();
  await context.setOffline(true);
  await next.goto("about:blank");
  await next.goto(address);
  assert.equal(await next.title(), "The next version");
  await close();
});
