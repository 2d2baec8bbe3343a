// A Chromium with WebGPU for the tests: one that is there, else one that can be installed. Its WebGPU runs on SwiftShader, which every Chromium
// carries, so a machine without a graphics card tests the same shaders.

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { output, ROOT, run, say, Stop } from "./shell.mjs";

const PLACES = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:/Program Files/Google/Chrome/Application/chrome.exe",
];

const LAVAPIPE = ["x86_64.json", "aarch64.json", "json"].map((end) => `/usr/share/vulkan/icd.d/lvp_icd.${end}`);
const VULKAN_DRIVERS = [...LAVAPIPE, "/usr/lib/chromium/vk_swiftshader_icd.json"];

const FLAGS = [
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
];

/** Installs a browser and a software Vulkan driver where both the need and the right to do so are plain. */
export async function setUpBrowser() {
  const wanted = [];
  if (!(await findBrowser())) wanted.push("chromium");
  // Chromium's own driver would do, but comes without the loader that native programs need.
  if (process.platform === "linux" && !LAVAPIPE.some((path) => existsSync(path))) wanted.push("mesa-vulkan-drivers", "libvulkan1");
  if (wanted.length > 0 && process.getuid?.() === 0 && (await isDebian())) {
    say(`apt-get install ${wanted.join(" ")}`);
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    await run("apt-get", ["update", "-qq"], { env });
    await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...wanted], { env });
  } else if (wanted.includes("chromium")) {
    say("playwright install chromium");
    await run(process.execPath, [join(ROOT, "node_modules", "playwright-core", "cli.js"), "install", "chromium"]).catch(() => {});
  }
  if (!(await findBrowser())) {
    throw new Stop("no Chromium is found for the tests: install Chromium or Google Chrome, or set CHROME_PATH to one (Debian: apt-get install chromium)");
  }
  if (process.platform === "linux" && !vulkanDriver()) {
    throw new Stop("no software Vulkan driver is found for the tests: install lavapipe (Debian, Ubuntu: apt-get install mesa-vulkan-drivers)");
  }
}

/** The path of a Chromium, if there is one. */
export async function findBrowser() {
  const { chromium } = await import("playwright-core");
  return [process.env.CHROME_PATH, ...PLACES, chromium.executablePath()].find((path) => path && existsSync(path));
}

/** A manifest of a Vulkan driver that needs no graphics card: lavapipe, else Chromium's SwiftShader. */
export function vulkanDriver() {
  return VULKAN_DRIVERS.find((path) => existsSync(path));
}

/** Starts Chromium without a window. `webgpu: false` starts one that has none; a `profile` folder gives its one context instead, which lasts. */
export async function launch({ webgpu = true, args = [], profile } = {}) {
  const { chromium } = await import("playwright-core");
  const executablePath = await findBrowser();
  if (!executablePath) throw new Stop("no Chromium is found");
  const off = ["--disable-features=WebGPU,WebGPUService", "--disable-gpu", "--disable-3d-apis", "--disable-blink-features=WebGPU"];
  const options = {
    executablePath,
    headless: true,
    chromiumSandbox: process.platform === "linux" && process.getuid?.() !== 0 ? undefined : false,
    args: [...(webgpu ? FLAGS : [...FLAGS.slice(0, 5), ...off]), ...args],
  };
  return profile === undefined ? chromium.launch(options) : chromium.launchPersistentContext(profile, options);
}

async function isDebian() {
  const release = existsSync("/etc/os-release") ? await readFile("/etc/os-release", "utf8") : "";
  return /^ID=debian$/m.test(release) && output("apt-get", ["--version"]) !== undefined;
}
