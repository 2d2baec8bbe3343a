// A file by HTTP: the whole of it or the rest, piece by piece, and what the server says about it.

import { KingletError } from "./errors.ts";
import type { Entry } from "./entries.ts";

/** The store is the only cache: the browser's would hold a model twice. */
export const FETCH_OPTIONS: RequestInit = { credentials: "same-origin", referrerPolicy: "no-referrer", cache: "no-store" };
const PIECE_BYTES = 256 << 10;

/** Fetches a small file that need not exist. */
export async function fetchOptional(url: string): Promise<Blob | undefined> {
  const response = await fetch(url, FETCH_OPTIONS).catch(() => undefined);
  return response?.ok && !response.headers.get("content-type")?.startsWith("text/html") ? response.blob() : undefined;
}

/** Asks for the rest if the server can give just that, else for everything. */
export async function resume(entry: Entry): Promise<{ response: Response; start: number }> {
  if (entry.received > 0 && entry.version !== "") {
    const response = await request(entry.url, { Range: `bytes=${entry.received}-` });
    const range = response.headers.get("content-range");
    const fits = response.status === 206 && (range === null || range.startsWith(`bytes ${entry.received}-`));
    if (fits && versionOf(response) === entry.version) return { response, start: entry.received };
    if (response.status === 200) return { response, start: 0 };
    await response.body?.cancel();
  }
  return { response: await request(entry.url), start: 0 };
}

/** A response with a body that is no web page, or to a range that has nothing more. */
export async function request(url: string, headers: Record<string, string> = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { ...FETCH_OPTIONS, headers });
  } catch (cause) {
    throw failed(url, "the server could not be reached", cause);
  }
  if (!response.ok && response.status !== 416) throw failed(url, `the server answered ${response.status}`);
  if (response.headers.get("content-type")?.startsWith("text/html")) throw failed(url, "the server sent a web page in its place");
  return response;
}

/** A body piece by piece; a piece is only there until the next is asked for. */
export async function* chunksOf(response: Response, url: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  if (!response.body) return;
  const { reader, read } = pieces(response.body);
  let finished = false;
  try {
    for (;;) {
      const { done, value } = await read().catch((cause: unknown) => {
        throw failed(url, "the connection broke", cause);
      });
      finished = done;
      if (done || !value) return;
      yield value;
    }
  } finally {
    if (!finished) await reader.cancel().catch(() => {});
  }
}

/** Reads into one buffer again and again where the browser can. */
function pieces(body: ReadableStream<Uint8Array<ArrayBuffer>>) {
  try {
    const reader = body.getReader({ mode: "byob" });
    let room = new ArrayBuffer(PIECE_BYTES);
    const read = async () => {
      const result = await reader.read(new Uint8Array(room));
      if (result.value) room = result.value.buffer;
      return result;
    };
    return { reader, read };
  } catch {
    const reader = body.getReader();
    return { reader, read: () => reader.read() };
  }
}

/** What tells one version of a file from another; nothing if the server does not say. */
export function versionOf({ headers }: Response): string {
  return headers.get("etag") ?? headers.get("last-modified") ?? "";
}

/** The size of the whole file, whose bytes come from `start` on; 0 if unknown or if the body is compressed on its way. */
export function totalOf({ headers }: Response, start = 0): number {
  if (headers.has("content-encoding")) return 0;
  const range = /\/(\d+)$/.exec(headers.get("content-range") ?? "");
  if (range) return Number(range[1]);
  const length = Number(headers.get("content-length") ?? 0) || 0;
  return length > 0 ? start + length : 0; // Other sites seldom let a page read Content-Range.
}

/** The error of a download. */
export function failed(url: string, reason: string, cause?: unknown): KingletError {
  return new KingletError("download-failed", `the file at ${url} could not be downloaded: ${reason}; check the connection and try again`, { cause });
}
