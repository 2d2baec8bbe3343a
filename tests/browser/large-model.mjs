// Measures a large model in headless Chromium: `node tests/browser/large-model.mjs MODEL.gguf [webgpu|cpu]`, after `npm run build`. Prints load
// time, decoding speed, the wasm's memory, and the renderer's peak beside that of an empty page (from /proc, so on Linux only). Not part of
// `npm test`, because the model (model/random_135m.py makes one) is no part of the repository.

import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { launch } from "../../scripts/browser.mjs";
import { serve } from "../../scripts/serve.mjs";
import { ROOT } from "../../scripts/shell.mjs";

const [model, device = "webgpu"] = process.argv.slice(2);
if (!model) {
  console.error("usage: node tests/browser/large-model.mjs MODEL.gguf [webgpu|cpu]");
  process.exit(2);
}

/** MiB at the peak, of the largest renderer. */
async function rendererPeak(browser) {
  const client = await browser.newBrowserCDPSession();
  const { processInfo } = await client.send("SystemInfo.getProcessInfo");
  const peaks = processInfo.filter(({ type }) => type === "renderer").map(async ({ id }) => {
    const status = await readFile(`/proc/${id}/status`, "utf8").catch(() => "");
    return Number(/VmHWM:\s*(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
  });
  return Math.max(...(await Promise.all(peaks)));
}

async function emptyPage() {
  const browser = await launch();
  const page = await browser.newPage();
  await page.goto("about:blank");
  const peak = await rendererPeak(browser);
  await browser.close();
  return peak;
}

const index = join(ROOT, "tests", "browser", "empty.html");
const site = await serve(join(ROOT, "dist"), { headers: {}, also: { "/model.gguf": resolve(model), "/": index } });
const empty = await emptyPage();
const browser = await launch();
const page = await browser.newPage();
page.on("console", (message) => console.error(message.text()));
await page.goto(`http://localhost:${site.port}/`);
const result = await page.evaluate(async (device) => {
  const { createEngine } = await import("/engine.js");
  const start = performance.now();
  const engine = await createEngine({ model: "/model.gguf", device });
  const loadMs = performance.now() - start;
  const tokens = Array.from({ length: 32 }, (_, i) => 10 + i);
  for await (const _ of engine.generate({ tokens, maxTokens: 16, temperature: 0 })) continue;
  return { loadMs, info: engine.info, stats: engine.stats };
}, device);
const peak = await rendererPeak(browser);
console.log(JSON.stringify({ ...result, rendererPeakMiB: Math.round(peak), emptyPageMiB: Math.round(empty) }, null, 2));
await browser.close();
await site.close();
