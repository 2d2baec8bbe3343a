// What a clean clone still lacks: the Rust toolchain's wasm target and the npm packages. Each is looked for first, so that a second run
// does nothing. The browser for the tests is found (or installed) by browser.mjs.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { output, ROOT, run, say, Stop } from "./shell.mjs";

const WASM = "wasm32-unknown-unknown";

/** Installs whatever is missing, or stops with one line that says what to install. */
export async function setUp() {
  need("git", ["--version"], "Git is missing: install it (https://git-scm.com)");
  need("cargo", ["--version"], "Rust is missing: install it with rustup (https://rustup.rs)");
  if (process.platform === "linux") need("cc", ["--version"], "a C linker is missing: install build-essential (or gcc)");
  await wasmTarget();
  await packages();
}

function need(program, args, message) {
  if (output(program, args) === undefined) throw new Stop(message);
}

async function wasmTarget() {
  const libraries = output("rustc", ["--print", "target-libdir", "--target", WASM]);
  if (libraries && existsSync(libraries)) return;
  need("rustup", ["--version"], `the Rust target ${WASM} is missing: install rustup (https://rustup.rs)`);
  say(`rustup target add ${WASM}`);
  await run("rustup", ["target", "add", WASM]);
}

async function packages() {
  const stamp = join(ROOT, "node_modules", ".kinglet-stamp");
  const wanted = createHash("sha256").update(await readFile(join(ROOT, "package-lock.json"))).digest("hex");
  if (existsSync(stamp) && (await readFile(stamp, "utf8")) === wanted) return;
  if (output("npm", ["--version"]) === undefined) throw new Stop("npm is missing: install it with Node.js (https://nodejs.org)");
  say("npm ci");
  await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  await writeFile(stamp, wanted);
}
