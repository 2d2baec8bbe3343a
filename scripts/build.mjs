// Builds the wasm (cargo, wasm-bindgen, wasm-opt), then the package (dist/), then the page (dist-page/) out of the package, as any user of
// it would. Cargo and the hash of the wasm decide what is done again; the TypeScript side takes a second and is always built.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, relative, sep } from "node:path";
import { ROOT, output, run, say, Stop } from "./shell.mjs";

const WASM_OUT = join(ROOT, "target", "web");
const DIST = join(ROOT, "dist");
const DIST_PAGE = join(ROOT, "dist-page");

/** Everything. */
export async function build() {
  await buildWasm();
  await buildPackage();
  await buildPage();
}

/** target/web: kinglet.js, kinglet.d.ts and the optimised kinglet_bg.wasm. */
export async function buildWasm() {
  say("wasm");
  const { RUSTFLAGS: _, CARGO_ENCODED_RUSTFLAGS: __, ...env } = process.env; // They would replace .cargo/config.toml's SIMD128.
  // Panics name their files: without the folders of whoever built it. Added to the flags of .cargo/config.toml.
  const registry = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "registry", "src");
  const flags = [registry, ROOT].map((folder) => `--remap-path-prefix=${folder}=`);
  const config = `target.wasm32-unknown-unknown.rustflags=${JSON.stringify(flags)}`;
  await run("cargo", ["build", "--lib", "--target", "wasm32-unknown-unknown", "--profile", "wasm", "--config", config], { env });
  const built = join(targetDirectory(), "wasm32-unknown-unknown", "wasm", "kinglet.wasm");
  const xtask = await readFile(join(ROOT, "xtask", "src", "main.rs"));
  const hash = createHash("sha256").update(await readFile(built)).update(xtask).digest("hex");
  const stamp = join(WASM_OUT, "stamp");
  if (existsSync(stamp) && (await readFile(stamp, "utf8")) === hash) return;
  await rm(WASM_OUT, { recursive: true, force: true });
  await mkdir(WASM_OUT, { recursive: true });
  await run("cargo", ["run", "--quiet", "-p", "xtask", "--", built, WASM_OUT]);
  say("wasm-opt");
  const wasm = join(WASM_OUT, "kinglet_bg.wasm");
  const optimise = join(ROOT, "node_modules", "binaryen", "bin", "wasm-opt");
  // LLVM has inlined already; doing it again makes the download larger.
  const inlineNothing = ["-aimfs", "0", "-fimfs", "0", "-ocimfs", "0"];
  await run(process.execPath, [optimise, "-O2", "-s", "2", ...inlineNothing, "--strip-debug", "--strip-producers", wasm, "-o", wasm]);
  await writeFile(stamp, hash);
}

/** dist/: what is published. */
export async function buildPackage() {
  say("package");
  const { rolldown } = await import("rolldown");
  await rm(DIST, { recursive: true, force: true });
  const lib = join(ROOT, "www", "lib");
  const bundle = async (input, options) => {
    const built = await rolldown({ cwd: ROOT, input, resolve: { alias: { "#wasm": join(WASM_OUT, "kinglet.js") } }, platform: "browser" });
    await built.write({ dir: DIST, format: "esm", entryFileNames: "[name].js", chunkFileNames: "[name].js", ...options });
    await built.close();
  };
  await bundle({ index: join(lib, "index.ts"), engine: join(lib, "engine.ts") }, {});
  await bundle({ worker: join(lib, "worker.ts") }, { minify: true });
  await declarations();
  const { devDependencies: _, scripts: __, private: ___, ...manifest } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8"));
  await writeFile(join(DIST, "package.json"), `${JSON.stringify({ ...manifest, ...PUBLISHED }, null, 2)}\n`);
  await copyFile(join(WASM_OUT, "kinglet_bg.wasm"), join(DIST, "kinglet_bg.wasm"));
  for (const file of ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"]) await copyFile(join(ROOT, file), join(DIST, file));
  for (const file of await modelFiles()) await copyFile(join(ROOT, "model", file), join(DIST, file));
}

const PUBLISHED = {
  keywords: ["webgpu", "wasm", "language-model", "transformer", "on-device", "posts"],
  sideEffects: false,
  exports: {
    ".": { types: "./index.d.ts", default: "./index.js" },
    "./engine": { types: "./engine.d.ts", default: "./engine.js" },
    "./worker": "./worker.js",
    "./wasm": "./kinglet_bg.wasm",
    "./nano.gguf": "./nano.gguf",
    "./package.json": "./package.json",
  },
};

async function declarations() {
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const config = join(ROOT, "tsconfig.dist.json");
  await run(process.execPath, [compiler, "-p", config]);
  for (const file of await readdir(DIST)) {
    if (!file.endsWith(".d.ts")) continue;
    const text = await readFile(join(DIST, file), "utf8");
    await writeFile(join(DIST, file), text.replace(/(from "\.\/[\w-]+)\.ts"/g, '$1.js"'));
  }
}

/** The bundled model with its card and attributions. */
async function modelFiles() {
  const files = ["nano.gguf", "ATTRIBUTION.md", "CARD.md"];
  for (const file of files) {
    if (!existsSync(join(ROOT, "model", file))) throw new Stop(`model/${file} is missing: check out the whole repository`);
  }
  return files;
}

/** dist-page/: the page. */
export async function buildPage() {
  say("page");
  const { build } = await import("vite");
  await build({ configFile: join(ROOT, "vite.config.mjs"), logLevel: "warn" });
  // Vite keeps the folders of the sources; what people open stands at the top.
  const index = await readFile(join(DIST_PAGE, "page", "index.html"), "utf8");
  await writeFile(join(DIST_PAGE, "index.html"), index.replaceAll('"../', '"./'));
  await rm(join(DIST_PAGE, "page"), { recursive: true });
  for (const file of ["ATTRIBUTION.md", "CARD.md", "LICENSE-MIT", "LICENSE-APACHE"]) {
    await copyFile(join(DIST, file), join(DIST_PAGE, file.includes(".") ? file.replace(".md", ".txt") : `${file}.txt`));
  }
  await buildServiceWorker();
}

/** dist-page/offline.js: knows every file of the page but the model, which the package keeps. */
async function buildServiceWorker() {
  const entries = await readdir(DIST_PAGE, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => relative(DIST_PAGE, join(entry.parentPath, entry.name)).replaceAll(sep, "/"));
  const kept = paths.filter((path) => !path.endsWith(".gguf")).sort();
  const hash = createHash("sha256");
  for (const path of kept) hash.update(path).update(await readFile(join(DIST_PAGE, path)));
  const folders = kept.filter((path) => /(^|\/)index\.html$/.test(path)).map((path) => `./${path.slice(0, -"index.html".length)}`);
  const banner = `const FILES = ${JSON.stringify([...kept, ...folders])}, VERSION = "${hash.digest("hex").slice(0, 16)}";`;
  const { rolldown } = await import("rolldown");
  const built = await rolldown({ cwd: ROOT, input: join(ROOT, "www", "page", "offline.ts"), platform: "browser" });
  await built.write({ dir: DIST_PAGE, format: "esm", entryFileNames: "offline.js", banner });
  await built.close();
}

function targetDirectory() {
  const metadata = output("cargo", ["metadata", "--no-deps", "--format-version", "1"], { maxBuffer: 1 << 26 });
  if (metadata === undefined) throw new Stop("cargo metadata failed: check Cargo.toml");
  return JSON.parse(metadata).target_directory;
}
