// The page and its bench are built from the package in dist/, not from its sources: `../lib/index.ts` is what the page imports and what the types
// come from, and the built index.js is what runs. So each build of the page is also a test of the package in a bundler.

import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

export default defineConfig({
  root: path("./www"),
  base: "./",
  publicDir: false,
  resolve: { alias: [{ find: /^(\.\.\/)+lib\/(index|engine)\.ts$/, replacement: path("./dist/$2.js") }] },
  worker: { format: "es" },
  build: {
    outDir: path("./dist-page"),
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // `page` moves to the top afterwards, see scripts/build.mjs.
    rolldownOptions: { input: [path("./www/page/index.html"), path("./www/bench/index.html")] },
  },
});
