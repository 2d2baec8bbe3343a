// Every test, and what they ran on: Rust natively (CPU and software Vulkan), TypeScript, then the page and the package in headless Chromium
// with WebGPU. A device on which nothing ran is a failure: a suite that skips itself must not pass.

import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { run as runNodeTests } from "node:test";
import { build, buildWasm } from "./build.mjs";
import { setUpBrowser, vulkanDriver } from "./browser.mjs";
import { ROOT, run, say, stream } from "./shell.mjs";

const SUITES = {
  rust: rustTests,
  unit: async (tally) => {
    await buildWasm(); // The types of the worker come from it.
    await checkTypes();
    await nodeTests(tally, "tests/unit", await bundleUnitTests());
  },
  browser: async (tally) => {
    await build();
    await nodeTests(tally, "tests/browser", join(ROOT, "tests", "browser"));
  },
};

/** Runs all suites, or those that are named; says whether everything passed. */
export async function test(names) {
  const chosen = names.length > 0 ? names : Object.keys(SUITES);
  await setUpBrowser();
  await mkdir(join(ROOT, "tests", "output"), { recursive: true });
  const tally = { passed: 0, failed: 0, ran: { cpu: 0, vulkan: 0, webgpu: 0 }, failures: [] };
  for (const name of chosen) {
    if (!SUITES[name]) throw new Error(`no suite is called ${name}: ${Object.keys(SUITES).join(", ")}`);
    const failed = tally.failed;
    try {
      await SUITES[name](tally);
    } catch (error) {
      tally.failed++;
      tally.failures.push(`${name}: ${error.message}`);
    }
    if (tally.failed > failed) say(`${name}: ${tally.failed - failed} failed`);
  }
  return report(tally, names.length === 0);
}

function report({ passed, failed, ran, failures }, complete) {
  const devices = { cpu: "the CPU", vulkan: "native Vulkan", webgpu: "Chromium's WebGPU" };
  if (complete) {
    for (const [device, name] of Object.entries(devices)) {
      if (ran[device] > 0) continue;
      failed++;
      failures.push(`no test ran on ${name}`);
    }
  }
  console.log("");
  for (const failure of failures) console.log(`failed: ${failure}`);
  console.log(`ran on the CPU: ${ran.cpu}, on native Vulkan: ${ran.vulkan}, in Chromium's WebGPU: ${ran.webgpu}`);
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0;
}

/** Lines such as `ran on vulkan: 12` are printed by tests of every suite. */
function countDevices(tally, line) {
  const match = /(?:^|\.\.\. )ran on (cpu|vulkan|webgpu): (\d+)$/.exec(line.trim());
  if (match) tally.ran[match[1]] += Number(match[2]);
}

async function rustTests(tally) {
  say("cargo test");
  const driver = vulkanDriver();
  const env = { ...process.env, REQUIRE_GPU: "1", ...(driver && !process.env.VK_DRIVER_FILES ? { VK_DRIVER_FILES: driver } : {}) };
  const before = tally.failed;
  const onLine = (line) => {
    countDevices(tally, line);
    const result = /^test result: \w+\. (\d+) passed; (\d+) failed/.exec(line);
    if (result) {
      tally.passed += Number(result[1]);
      tally.failed += Number(result[2]);
    }
    const failure = /^test (\S+) \.\.\. FAILED/.exec(line);
    if (failure) tally.failures.push(failure[1]);
  };
  const { code } = await stream("cargo", ["test", "--workspace", "--no-fail-fast", "--", "--nocapture"], { env, onLine });
  if (code !== 0 && tally.failed === before) throw new Error(`cargo test ended with exit code ${code}`);
}

async function checkTypes() {
  say("tsc");
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  for (const config of ["tsconfig.json", "tsconfig.worker.json"]) await run(process.execPath, [compiler, "-p", join(ROOT, config), "--noEmit"]);
}

async function bundleUnitTests() {
  const { rolldown } = await import("rolldown");
  const from = join(ROOT, "tests", "unit");
  const input = (await readdir(from)).filter((file) => file.endsWith(".test.ts")).map((file) => join(from, file));
  const bundle = await rolldown({ cwd: ROOT, input, platform: "node" });
  const dir = join(ROOT, "tests", "output", "unit");
  await bundle.write({ dir, format: "esm", entryFileNames: "[name].mjs", chunkFileNames: "[name].mjs", cleanDir: true });
  await bundle.close();
  return dir;
}

/** Runs each `*.test.mjs` of a folder by itself: browsers on two cores do not like company. */
async function nodeTests(tally, title, folder) {
  say(title);
  const files = (await readdir(folder)).filter((file) => file.endsWith(".test.mjs")).map((file) => join(folder, file));
  const events = runNodeTests({ files, concurrency: 1, timeout: 900_000 });
  for await (const { type, data } of events) {
    if (type === "test:stdout") {
      process.stdout.write(data.message);
      data.message.split("\n").forEach((line) => countDevices(tally, line));
    } else if (type === "test:stderr") {
      process.stderr.write(data.message);
    } else if ((type === "test:pass" || type === "test:fail") && data.details?.type !== "suite" && !files.includes(data.name)) {
      const passed = type === "test:pass";
      tally[passed ? "passed" : "failed"]++;
      console.log(`${passed ? "ok" : "FAILED"}  ${data.name} (${Math.round(data.details.duration_ms)} ms)`);
      if (!passed) {
        tally.failures.push(data.name);
        console.log(data.details.error?.cause?.stack ?? data.details.error);
      }
    } else if (type === "test:fail" && files.includes(data.name) && data.details?.error?.failureType !== "subtestsFailed") {
      tally.failed++;
      tally.failures.push(`${data.name}: ${data.details?.error?.message}`);
    }
  }
}

