// What the browser tests share: the page served under a path of its own, a headless Chromium, and a visit that records every request, every
// breach of the Content-Security-Policy and every error, so that each test can say there were none.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { launch } from "../../scripts/browser.mjs";
import { serve } from "../../scripts/serve.mjs";
import { ROOT } from "../../scripts/shell.mjs";

/** Long enough for a software adapter on two busy cores; a test that hangs still ends. */
export const PATIENCE = 180_000;
/** The page must not care where it is served. */
export const PREFIX = "/any/where/";
export const OUTPUT = join(ROOT, "tests", "output");

/** Tells the runner that a test really ran on a device. */
export function ranOn(device) {
  console.log(`ran on ${device}: 1`);
}

/** Serves a folder and starts a browser; `close` ends both. */
export async function open(folder, { webgpu = true, also, prefix = PREFIX } = {}) {
  await mkdir(OUTPUT, { recursive: true });
  const site = await serve(folder, { prefix, also });
  const browser = await launch({ webgpu });
  const origin = `http://localhost:${site.port}`;
  return {
    origin,
    address: `${origin}${prefix}`,
    browser,
    visit: (query = "", options = {}) => visit(browser, origin, `${origin}${prefix}${query}`, options),
    close: async () => {
      await browser.close();
      await site.close();
    },
  };
}

/** Opens an address in a context of its own: no storage is shared between tests. */
export async function visit(browser, origin, address, { permissions = [], ...options } = {}) {
  const context = await browser.newContext({ ...options, permissions });
  context.setDefaultTimeout(PATIENCE);
  const requests = [];
  context.on("request", (request) => requests.push(request.url()));
  await context.addInitScript(() => {
    globalThis.breaches = [];
    document.addEventListener("securitypolicyviolation", (event) => globalThis.breaches.push(`${event.violatedDirective} ${event.blockedURI}`));
  });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.stack ?? String(error)));
  page.on("dialog", (dialog) => {
    errors.push(`a dialog opened: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(address);
  return {
    page,
    context,
    requests,
    errors,
    /** Nothing left the origin, no policy was breached, nothing was thrown. */
    async assertClean() {
      const elsewhere = requests.filter((url) => !url.startsWith(`${origin}/`) && !/^(blob|data):/.test(url));
      assert.deepEqual(elsewhere, [], "requests left the origin");
      assert.deepEqual(await page.evaluate(() => globalThis.breaches), [], "the Content-Security-Policy was breached");
      assert.deepEqual(errors, [], "the page threw");
    },
    close: () => context.close(),
  };
}

/** Waits until the page says it is in one of these states. */
export async function state(page, ...wanted) {
  await page.waitForFunction((states) => states.includes(document.documentElement.dataset.state), wanted, { timeout: PATIENCE });
  return page.evaluate(() => document.documentElement.dataset.state);
}

/** Types a brief and presses Compose. */
export async function compose(page, brief) {
  await page.getByRole("textbox", { name: "Brief" }).fill(brief);
  await page.getByRole("button", { name: "Compose" }).click();
}

/** The drafts as a reader finds them: text, and the count that stands beside it. */
export async function draftsOf(page) {
  const items = page.getByRole("list", { name: "Drafts" }).getByRole("listitem");
  const drafts = [];
  for (const item of await items.all()) {
    const label = await item.getByRole("img").getAttribute("aria-label");
    const [, used, limit] = /^(\d+) of (\d+)/.exec(label ?? "") ?? [];
    drafts.push({ text: await item.innerText(), used: Number(used), limit: Number(limit) });
  }
  return drafts;
}

/** What every finished draft on X promises, checked without the code that promises it. */
export function assertValid(drafts, brief) {
  for (const [i, { text, used, limit }] of drafts.entries()) {
    const where = `draft ${i + 1}: ${JSON.stringify(text)}`;
    assert.equal(limit, 280, where);
    assert(used > 0 && used <= limit, `${where} uses ${used}`);
    assert.equal(text, text.trim(), where);
    assert(/[.!?…](?:["'”’)\]]|\s|\p{Extended_Pictographic}|[\u{1f3fb}-\u{1f3ff}\u200d\ufe0f])*$/u.test(text), `${where} ends where no sentence ends`);
    assert(!/<\||\|>|\ufffd|[\u0000-\u0009\u000b-\u001f\u007f\u202a-\u202e\u2066-\u2069]/u.test(text), `${where} has what no post has`);
    assert(text.length <= 280, where); // UTF-16 units outnumber X's weight for the Latin text that the model writes.
    assert(text.toLowerCase() !== brief.toLowerCase(), `${where} is the brief`);
  }
}
