// The benchmark page as a visitor uses it: it measures the bundled model, voids what it measured while hidden, and exports what it shows.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT } from "../../scripts/shell.mjs";
import { open, ranOn, state } from "./harness.mjs";

let site;

before(async () => {
  site = await open(join(ROOT, "dist-page"));
});
after(() => site?.close());

async function fill(page, { device, prompt = "8", tokens = "6", count = "2", runs = "2" }) {
  await page.getByLabel("Device").selectOption(device);
  await page.getByLabel("Prompt tokens").fill(prompt);
  await page.getByLabel("Tokens written").fill(tokens);
  await page.getByLabel("Drafts together").fill(count);
  await page.getByLabel("Runs", { exact: true }).fill(runs);
}

async function exported(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download JSON" }).click()]);
  assert.match(download.suggestedFilename(), /^kinglet-bench-[\dT-]+Z\.json$/);
  return JSON.parse(await readFile(await download.path(), "utf8"));
}

function assertReport(report, { count, runs }) {
  assert.deepEqual([report.count, report.runs, report.prompt_tokens, report.max_tokens], [count, runs, 8, 6]);
  assert(report.load_ms > 0 && !Number.isNaN(Date.parse(report.date)) && report.userAgent.includes("Chrom"));
  for (const [name, [least, median, most]] of Object.entries(report.spread)) {
    assert(least <= median && median <= most && least >= 0, `${name}: ${least}, ${median}, ${most}`);
    assert.equal(report[name], median, name);
  }
  for (const name of ["ttft_ms", "prefill_tok_s", "decode_tok_s", "step_ms", "weight_bytes", "roofline_gb_s", "bound_read_ms", "bound_fraction"]) {
    assert(report[name] > 0, `${name}: ${report[name]}`);
  }
  const [least, , most] = report.spread.decode_tok_s.map((rate) => (rate * report.spread.step_ms[1]) / (count * 1000));
  assert(least <= 1.001 && most >= 0.999, "the rate is the step's inverse, times the drafts");
  assert.equal(report.together_ratio === undefined, count === 1);
  assert(report.weight_bytes > 10_000_000 && report.weight_bytes < 20_000_000, `${report.weight_bytes} bytes of the bundled model`);
  assert(report.readbacks_per_token > 0 && report.readbacks_per_token <= report.submits_per_token);
}

test("the page leads to its bench, which measures the processor and shows what it exports", async () => {
  const visit = await site.visit("", { permissions: ["clipboard-read", "clipboard-write"] });
  const { page } = visit;
  await page.getByRole("link", { name: "How fast is this device?" }).click();
  await page.getByRole("button", { name: "Measure" }).waitFor();
  await fill(page, { device: "cpu" });
  await page.getByRole("button", { name: "Measure" }).click();
  assert.equal(await state(page, "done", "error"), "done");
  const report = await exported(page);
  assertReport(report, { count: 2, runs: 2 });
  assert.equal(report.model.device.kind, "cpu");
  assert(report.dispatch_us < 1 && report.round_trip_us < 100, "the processor dispatches nothing");
  assert.deepEqual([report.void_runs, report.submits_per_token], [0, 1]);
  const rows = page.getByRole("table").getByRole("row");
  assert.equal(await rows.count(), 1 + Object.keys(report.spread).length);
  assert.match(await page.getByRole("row", { name: /^Dispatches a step/ }).innerText(), new RegExp(`\\b${report.dispatches_per_token}\\b`));
  await page.getByRole("button", { name: "Copy JSON" }).click();
  await page.getByText("Copied.").waitFor();
  assert.deepEqual(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), report);
  await visit.assertClean();
  await visit.close();
  ranOn("cpu");
});

test("a run that was hidden is taken again, and a cancel stops", async () => {
  const visit = await site.visit("bench/");
  const { page } = visit;
  // Headless tabs are always visible: the page is told otherwise, as soon as the first run has begun.
  await page.evaluate(() => {
    globalThis.seen = "visible";
    Object.defineProperty(document, "visibilityState", { get: () => globalThis.seen });
    globalThis.show = (seen) => {
      globalThis.seen = seen;
      document.dispatchEvent(new Event("visibilitychange"));
    };
    const status = document.getElementById("status");
    const observer = new MutationObserver(() => {
      if (status.textContent !== "Warming up.") return;
      observer.disconnect();
      globalThis.show("hidden");
    });
    observer.observe(status, { childList: true });
  });
  await fill(page, { device: "cpu", count: "1", runs: "1" });
  await page.getByRole("button", { name: "Measure" }).click();
  await page.getByText("as soon as this page is in view again").waitFor();
  await page.evaluate(() => globalThis.show("visible"));
  assert.equal(await state(page, "done", "error"), "done");
  const report = await exported(page);
  assert.equal(report.void_runs, 1);
  assertReport(report, { count: 1, runs: 1 });

  await page.getByLabel("Runs", { exact: true }).fill("100");
  await page.getByRole("button", { name: "Measure" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  assert.equal(await state(page, "ready", "done", "error"), "ready");
  await page.getByLabel("Model").selectOption("url");
  await page.getByLabel("Address of a GGUF file").fill("https://example.org/model.gguf");
  await page.getByRole("button", { name: "Measure" }).click();
  await page.getByRole("alert").getByText("name a model on this site").waitFor();
  await visit.assertClean();
  await visit.close();
});

test("the bench measures WebGPU", async () => {
  const visit = await site.visit("bench/");
  await fill(visit.page, { device: "webgpu", runs: "1" });
  await visit.page.getByRole("button", { name: "Measure" }).click();
  assert.equal(await state(visit.page, "done", "error"), "done");
  const report = await exported(visit.page);
  assertReport(report, { count: 2, runs: 1 });
  assert.equal(report.model.device.kind, "webgpu");
  assert(report.dispatch_us > 0.1 && report.round_trip_us > report.dispatch_us && report.bound_dispatch_ms > 0, "dispatches have a cost");
  await visit.assertClean();
  await visit.close();
  ranOn("webgpu");
});
