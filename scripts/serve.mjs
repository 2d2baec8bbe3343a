// A static server for the page and the tests: right MIME types (wasm must be application/wasm), range requests and ETags (so that the model's
// download resumes and is not repeated), and the headers a careful site sends. It serves one folder and nothing above it.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { ROOT } from "./shell.mjs";

const TYPES = {
  ".css": "text/css; charset=utf-8",
  ".gguf": "application/octet-stream",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
};

/** The page's Content-Security-Policy; index.html carries the same in a meta element, as far as a meta element can. */
export const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS = {
  "Content-Security-Policy": POLICY,
  "Cross-Origin-Opener-Policy": "same-origin",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

/** What Vite names after its content; a changed file has another name. */
const HASHED = /[/\\]assets[/\\][^/\\]+-[\w-]{8}\.\w+$/;

/** Serves dist-page until it is stopped. */
export async function start() {
  const wanted = process.env.PORT;
  if (wanted !== undefined && !/^\d{1,5}$/.test(wanted)) throw new Error(`PORT: expected a number, found ${wanted}`);
  const { port } = await serve(join(ROOT, "dist-page"), { port: Number(wanted ?? 0) });
  console.log(`\nhttp://localhost:${port}/\n`);
}

/** Serves a folder under a path prefix. `port` 0 takes a free one; `also` adds single files by path; `mbit` is what the line carries a second. */
export function serve(folder, { port = 0, prefix = "/", headers = HEADERS, also = {}, mbit } = {}) {
  const line = { mbit, freeAt: 0 };
  const server = createServer((request, response) => {
    answer({ folder, prefix, headers, also, line }, request, response).catch((error) => {
      if (!response.headersSent) response.writeHead(500).end(String(error));
      else response.destroy();
    });
  });
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, "127.0.0.1", () => resolve({ server, port: server.address().port, close: () => close(server) }));
  });
}

function close(server) {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(resolve));
}

async function answer(site, request, response) {
  for (const [name, value] of Object.entries(site.headers)) response.setHeader(name, value);
  if (request.method !== "GET" && request.method !== "HEAD") return void response.writeHead(405, { Allow: "GET, HEAD" }).end();
  const file = locate(site, request.url ?? "/");
  const found = file && (await stat(file).catch(() => undefined));
  if (!file || !found?.isFile()) return void response.writeHead(404, { "Content-Type": "text/plain" }).end("not found\n");

  const etag = `"${found.size.toString(36)}-${Math.floor(found.mtimeMs).toString(36)}"`;
  const range = request.headers["if-range"] === undefined || request.headers["if-range"] === etag ? parseRange(request.headers.range, found.size) : undefined;
  response.setHeader("Content-Type", TYPES[extname(file)] ?? "application/octet-stream");
  response.setHeader("Accept-Ranges", "bytes");
  response.setHeader("ETag", etag);
  response.setHeader("Cache-Control", HASHED.test(file) ? "public, max-age=31536000, immutable" : "no-cache");
  if (request.headers["if-none-match"] === etag) return void response.writeHead(304).end();
  if (range === "unsatisfiable") return void response.writeHead(416, { "Content-Range": `bytes */${found.size}` }).end();

  const { start, end } = range ?? { start: 0, end: found.size - 1 };
  response.setHeader("Content-Length", end - start + 1);
  if (range) response.setHeader("Content-Range", `bytes ${start}-${end}/${found.size}`);
  response.writeHead(range ? 206 : 200);
  if (request.method === "HEAD" || found.size === 0) return void response.end();
  const content = createReadStream(file, { start, end });
  await pipeline(site.line.mbit ? paced(content, site.line) : content, response).catch(() => {}); // The reader may leave at any time.
}

/** The pieces of a file as they come through a line that everything else comes through, too. */
async function* paced(content, line) {
  for await (const piece of content) {
    const now = performance.now();
    line.freeAt = Math.max(now, line.freeAt) + (piece.length * 8) / (line.mbit * 1000);
    await new Promise((resolve) => setTimeout(resolve, line.freeAt - now));
    yield piece;
  }
}

function locate({ folder, prefix, also }, url) {
  let path;
  try {
    path = decodeURIComponent(new URL(url, "http://localhost").pathname);
  } catch {
    return undefined;
  }
  if (also[path]) return also[path];
  if (!path.startsWith(prefix) || path.includes("\0")) return undefined;
  const inside = path.slice(prefix.length);
  const file = normalize(join(folder, inside === "" || inside.endsWith("/") ? `${inside}index.html` : inside));
  return file.startsWith(normalize(folder) + sep) ? file : undefined;
}

/** One range of bytes; anything else in the header is ignored, as RFC 9110 allows. */
function parseRange(header, size) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const start = match[1] === "" ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = match[1] === "" || match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  return start < size && start <= end ? { start, end } : "unsatisfiable";
}
