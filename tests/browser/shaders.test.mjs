// Every shader through Chromium's own WGSL compiler, also those that only real GPUs run: naga, which the Rust tests ask, takes some texts
// that it refuses. The texts are written by the Rust tests (tests/it/shaders.rs).

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "../../scripts/shell.mjs";
import { OUTPUT, open, ranOn } from "./harness.mjs";

test("every shader compiles in the browser without a message", async () => {
  const missing = () => assert.fail("tests/output/shaders.json is missing: run cargo test first, which writes it");
  const shaders = await readFile(join(OUTPUT, "shaders.json"), "utf8").then(JSON.parse, missing);
  const site = await open(join(ROOT, "tests", "browser"));
  try {
    const { page } = await site.visit("empty.html");
    assert.deepEqual(await page.evaluate(complaints, shaders), []);
    assert.deepEqual((await page.evaluate(complaints, [{ name: "wrong", text: "fn f() -> u32 { return 1u << 2u & 3u; }" }])).length, 1);
    ranOn("webgpu");
  } finally {
    await site.close();
  }
});

/** In the page: the shaders that the compiler says something about, and what it says. */
async function complaints(shaders) {
  const adapter = await navigator.gpu.requestAdapter();
  const subgroups = adapter.features.has("subgroups");
  const device = await adapter.requestDevice({ requiredFeatures: subgroups ? ["subgroups"] : [] });
  const found = [];
  for (const { name, text } of shaders) {
    if (!subgroups && text.startsWith("enable subgroups")) continue;
    device.pushErrorScope("validation");
    const { messages } = await device.createShaderModule({ code: text }).getCompilationInfo();
    await device.popErrorScope();
    if (messages.length > 0) found.push(`${name}: ${messages.map(({ lineNum, message }) => `${lineNum}: ${message}`).join("; ")}`);
  }
  device.destroy();
  return found;
}
