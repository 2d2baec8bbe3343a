// Measures the way from a navigation to the first word in headless Chromium: `node tests/browser/cold-start.mjs [RUNS] [CASE…]`, after `npm run build`.
// Each run has a fresh profile: a cold visit, the browser ended, then a second visit with the same profile. `page` is the page, sent a brief as
// soon as its script has run; `api` is a bare page that calls the package. Prints the medians (fastest) of every mark in milliseconds after the
// navigation, and what held the page's own thread for more than 50 ms. Not part of `npm test`: on a busy machine it would fail without reason.

import { mkdtemp, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { launch } from "../../scripts/browser.mjs";
import { serve } from "../../scripts/serve.mjs";
import { ROOT } from "../../scripts/shell.mjs";

const RUNS = Number(process.argv[2] ?? 5);
const BRIEF = "our community garden opens on Saturday";
const empty = join(ROOT, "tests", "browser", "empty.html");
const mbit = Number(process.env.MBIT ?? 0) || undefined;
const SITES = {
  page: await serve(join(ROOT, "dist-page"), { mbit }),
  api: await serve(join(ROOT, "dist"), { headers: {}, also: { "/": empty }, mbit }),
};

/** Runs in the page before its own scripts: notes when the worker says what, composes, and waits for the first word. */
function observe({ site, device, brief }) {
  const seen = { marks: {}, held: [] };
  const mark = (name) => (seen.marks[name] ??= performance.now());
  globalThis.seen = seen;
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) seen.held.push({ start: startTime, duration, ours: 0 });
  }).observe({ type: "longtask", buffered: true });
  new PerformanceObserver((list) => {
    for (const { scripts } of list.getEntries()) {
      for (const { duration, sourceURL, invoker } of scripts) if (duration > 50) seen.held.push({ ours: duration, script: `${invoker} ${sourceURL}` });
    }
  }).observe({ type: "long-animation-frame", buffered: true });
  const Original = Worker;
  globalThis.Worker = class extends Original {
    constructor(...args) {
      super(...args);
      mark("worker asked for");
      this.addEventListener("message", ({ data }) => {
        if (data.type === "hello") mark("worker runs");
        if (data.type === "ready") mark("model ready");
        if (data.type !== "progress") return;
        const { stage, loaded, total } = data.progress;
        if (stage !== "download" || loaded > 0) mark(`${stage} begun`);
        if (total > 0 && loaded >= total) mark(`${stage} done`);
      });
    }
  };
  const firstWord = () => {
    mark("first word");
    seen.done = true;
  };
  const composeOnPage = () => {
    mark("page's script ran");
    const field = document.getElementById("brief");
    field.value = brief;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    document.getElementById("compose").click();
    const look = () => [...document.querySelectorAll("#drafts .draft-text")].some(({ textContent }) => textContent !== "") && firstWord();
    new MutationObserver(look).observe(document.getElementById("drafts"), { childList: true, subtree: true, characterData: true });
  };
  const composeByApi = async () => {
    const { createComposer } = await import("/index.js");
    mark("page's script ran");
    const composer = await createComposer({ device });
    for await (const draft of composer.compose({ brief, count: 4, seed: 7 })) if (draft.text !== "") return firstWord();
  };
  document.addEventListener("DOMContentLoaded", site === "page" ? composeOnPage : composeByApi);
}

async function visit(profile, site, device) {
  const context = await launch({ profile });
  try {
    const page = await context.newPage();
    const workers = [];
    page.on("worker", (worker) => workers.push(worker));
    await new Promise((resolve) => setTimeout(resolve, 1000)); // The browser's own start is not ours.
    await page.addInitScript(observe, { site, device, brief: BRIEF });
    await page.goto(`http://localhost:${SITES[site].port}/?seed=7&device=${device}`, { waitUntil: "commit" });
    await page.waitForFunction(() => globalThis.seen?.done, undefined, { timeout: 120_000 });
    const { marks, held } = await page.evaluate(() => globalThis.seen);
    Object.assign(marks, await ofWorker(workers[0], await page.evaluate(() => performance.timeOrigin)));
    await new Promise((resolve) => setTimeout(resolve, 2000)); // Store, service worker and caches are written behind the first word.
    return { marks, held };
  } finally {
    await context.close();
  }
}

/** What the worker fetched and marked, on the page's clock. */
async function ofWorker(worker, timeOrigin) {
  const { entries, offset } = await worker.evaluate((origin) => ({
    offset: performance.timeOrigin - origin,
    entries: [...performance.getEntriesByType("resource"), ...performance.getEntriesByType("mark")].map(({ name, startTime, responseEnd }) => ({ name, startTime, responseEnd })),
  }), timeOrigin);
  const marks = {};
  for (const { name, startTime, responseEnd } of entries) {
    const file = /\.(wasm|gguf)$/.exec(name)?.[1];
    if (file) {
      marks[`${file} asked for`] ??= startTime + offset;
      if (responseEnd) marks[`${file} fetched`] = responseEnd + offset;
    } else if (responseEnd === undefined) {
      marks[name] = startTime + offset;
    }
  }
  return marks;
}

const median = (numbers) => numbers.sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const cases = Object.keys(SITES).flatMap((site) => ["cpu", "webgpu"].map((device) => ({ site, device }))).filter(({ site, device }) => {
  const only = process.argv.slice(3);
  return only.length === 0 || only.includes(`${site}-${device}`);
});
const results = new Map();
for (let run = 0; run < RUNS; run++) {
  for (const { site, device } of cases) {
    const profile = await mkdtemp(join(tmpdir(), "kinglet-profile-"));
    for (const when of ["cold", "second"]) {
      const name = `${site}, ${device}, ${when} visit`;
      results.set(name, [...(results.get(name) ?? []), await visit(profile, site, device)]);
    }
    await rm(profile, { recursive: true, force: true });
  }
}
console.log(`${RUNS} runs, ${cpus().length} cores, load ${loadavg().map((load) => load.toFixed(1)).join(" ")}`);
for (const [name, visits] of results) {
  console.log(`\n${name}`);
  const names = new Set(visits.flatMap(({ marks }) => Object.keys(marks)));
  const rows = [...names].map((mark) => ({ mark, times: visits.map(({ marks }) => marks[mark]).filter((time) => time !== undefined) }));
  for (const { mark, times } of rows.sort((a, b) => median(a.times) - median(b.times))) {
    console.log(`  ${mark.padEnd(24)} ${median(times).toFixed(0).padStart(6)} (${Math.min(...times).toFixed(0)})`);
  }
  const held = visits.flatMap(({ held }) => held);
  const ours = held.filter(({ ours }) => ours > 0).map(({ ours, script }) => `${ours.toFixed(0)} ms in ${script}`);
  const longest = Math.max(0, ...held.map(({ duration = 0 }) => duration));
  console.log(`  tasks over 50 ms on the page's thread: ${held.filter(({ duration }) => duration > 0).length}, longest ${longest.toFixed(0)} ms; in scripts: ${ours.join(", ") || "none"}`);
}
for (const site of Object.values(SITES)) await site.close();
