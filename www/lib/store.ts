// A URL as a Blob that is read in slices: downloaded once into the origin private file system (OPFS), resumed where a broken download ended,
// and never held in memory as a whole. Without OPFS, or with a full disk, the bytes go to a Blob, which the browser keeps outside our heap.

import { KingletError } from "./errors.ts";

/** Hears how many bytes are there, of how many (0: unknown). */
export type OnBytes = (loaded: number, total: number) => void;

/** What is known about a stored file; `size` is 0 while the server has not said. */
interface Entry {
  url: string;
  version: string;
  size: number;
  received: number;
  complete: boolean;
}

const FOLDER = "kinglet-models";
/** How much may have to be downloaded again after a tab was closed. */
const CHECKPOINT_BYTES = 8 << 20;
const ATTEMPTS = 4;

/** Fetches a file, or takes it from the store if the server still has the same version. */
export async function fetchFile(url: string, onBytes: OnBytes): Promise<Blob> {
  const folder = await openFolder();
  if (!folder) return toBlob(await request(url), onBytes);
  const key = await keyOf(url);
  return locked(key, async () => {
    try {
      return await storedFile(folder, key, url, onBytes);
    } catch (error) {
      if (error instanceof KingletError) throw error;
      // Full, or refused by the browser: give the room back and do without.
      await folder.removeEntry(key).catch(() => {});
      await folder.removeEntry(`${key}.json`).catch(() => {});
      return toBlob(await request(url), onBytes);
    }
  });
}

/** Fetches a small file that need not exist. */
export async function fetchOptional(url: string): Promise<Blob | undefined> {
  const response = await fetch(url, FETCH_OPTIONS).catch(() => undefined);
  return response?.ok && !response.headers.get("content-type")?.startsWith("text/html") ? response.blob() : undefined;
}

const FETCH_OPTIONS: RequestInit = { credentials: "same-origin", referrerPolicy: "no-referrer", cache: "no-store" };

async function storedFile(folder: FileSystemDirectoryHandle, key: string, url: string, onBytes: OnBytes): Promise<Blob> {
  const handle = await folder.getFileHandle(key, { create: true });
  let entry = await readEntry(folder, key, url);
  if (entry.complete && (await handle.getFile()).size === entry.received && (await stillCurrent(entry))) {
    onBytes(entry.received, entry.received);
    return handle.getFile();
  }
  if (entry.complete) entry = { ...entry, received: 0, complete: false };
  for (let attempt = 1; ; attempt++) {
    const before = entry.received;
    try {
      entry = await download(folder, handle, key, entry, onBytes);
      return await handle.getFile();
    } catch (error) {
      if (!(error instanceof KingletError) || attempt === ATTEMPTS) throw error;
      entry = await readEntry(folder, key, url);
      if (entry.received === before) throw error; // Nothing came: trying again at once will not help.
    }
  }
}

/** Appends what is missing to the stored file. A checkpoint is written now and then, so that even a killed tab can go on. */
async function download(folder: FileSystemDirectoryHandle, handle: FileSystemFileHandle, key: string, from: Entry, onBytes: OnBytes): Promise<Entry> {
  const { response, start } = await resume(from);
  const entry: Entry = { ...from, version: versionOf(response), size: totalOf(response), received: start, complete: false };
  const file = await openFor(handle, entry.size - start).catch(async (error: unknown) => {
    await response.body?.cancel();
    throw error;
  });
  let saved = start;
  try {
    file.truncate(start);
    onBytes(start, entry.size);
    for await (const chunk of chunksOf(response, entry.url)) {
      if (file.write(chunk, { at: entry.received }) !== chunk.length) throw new DOMException("short write", "QuotaExceededError");
      entry.received += chunk.length;
      onBytes(entry.received, Math.max(entry.size, entry.received));
      if (entry.received - saved >= CHECKPOINT_BYTES) {
        file.flush();
        await writeEntry(folder, key, entry);
        saved = entry.received;
      }
    }
    entry.complete = true;
  } finally {
    file.flush();
    file.close();
    await writeEntry(folder, key, entry);
  }
  if (entry.received < entry.size) throw failed(entry.url, `it ended after ${entry.received} of ${entry.size} bytes`);
  return entry;
}

/** Asks for the rest if the server can give just that, else for everything. */
async function resume(entry: Entry): Promise<{ response: Response; start: number }> {
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

async function request(url: string, headers: Record<string, string> = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { ...FETCH_OPTIONS, headers });
  } catch (cause) {
    throw failed(url, "the server could not be reached", cause);
  }
  if (response.ok || response.status === 416) return response;
  throw failed(url, `the server answered ${response.status}`);
}

async function* chunksOf(response: Response, url: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = response.body?.getReader();
  if (!reader) return;
  let finished = false;
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw failed(url, "the connection broke", cause);
      });
      finished = done;
      if (done) return;
      yield value;
    }
  } finally {
    if (!finished) await reader.cancel().catch(() => {});
  }
}

async function toBlob(response: Response, onBytes: OnBytes): Promise<Blob> {
  const total = totalOf(response);
  const parts: Blob[] = [];
  let loaded = 0;
  onBytes(0, total);
  for await (const chunk of chunksOf(response, response.url)) {
    parts.push(new Blob([chunk])); // Blobs lie with the browser; the chunk is free again.
    loaded += chunk.length;
    onBytes(loaded, Math.max(loaded, total));
  }
  if (loaded < total && !response.headers.has("content-encoding")) throw failed(response.url, `it ended after ${loaded} of ${total} bytes`);
  return new Blob(parts);
}

/** Whether the server has the stored version. Offline, or with a server that does not say, what is stored is good. */
async function stillCurrent(entry: Entry): Promise<boolean> {
  const response = await fetch(entry.url, { ...FETCH_OPTIONS, method: "HEAD" }).catch(() => undefined);
  if (!response?.ok) return true;
  const size = totalOf(response);
  return versionOf(response) === entry.version && (size === 0 || entry.size === 0 || size === entry.size);
}

function versionOf({ headers }: Response): string {
  return headers.get("etag") ?? headers.get("last-modified") ?? "";
}

/** The size of the whole file; 0 if unknown or if the body is compressed on its way. */
function totalOf({ headers }: Response): number {
  if (headers.has("content-encoding")) return 0;
  const range = /\/(\d+)$/.exec(headers.get("content-range") ?? "");
  return Number(range?.[1] ?? headers.get("content-length") ?? 0) || 0;
}

/** Opens a file that is to grow by so many bytes, if there is room for them. */
async function openFor(handle: FileSystemFileHandle, bytes: number): Promise<FileSystemSyncAccessHandle> {
  const { quota, usage } = await navigator.storage.estimate();
  if (quota !== undefined && usage !== undefined && quota - usage < bytes) throw new DOMException("no room", "QuotaExceededError");
  return handle.createSyncAccessHandle();
}

async function openFolder(): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(FOLDER, { create: true });
    return "createSyncAccessHandle" in FileSystemFileHandle.prototype ? folder : undefined;
  } catch {
    return undefined; // Private windows and insecure origins have none.
  }
}

async function keyOf(url: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(url)));
  return Array.from(hash.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One tab downloads a file at a time; the others wait and find it there. */
function locked<T>(key: string, work: () => Promise<T>): Promise<T> {
  return navigator.locks ? (navigator.locks.request(`${FOLDER}/${key}`, work) as Promise<T>) : work();
}

async function readEntry(folder: FileSystemDirectoryHandle, key: string, url: string): Promise<Entry> {
  const nothing = { url, version: "", size: 0, received: 0, complete: false };
  try {
    const file = await (await folder.getFileHandle(`${key}.json`)).getFile();
    const entry = JSON.parse(await file.text()) as Entry;
    return entry.url === url ? entry : nothing;
  } catch {
    return nothing;
  }
}

async function writeEntry(folder: FileSystemDirectoryHandle, key: string, entry: Entry): Promise<void> {
  const handle = await folder.getFileHandle(`${key}.json`, { create: true });
  const file = await handle.createSyncAccessHandle();
  try {
    file.truncate(0);
    file.write(new TextEncoder().encode(JSON.stringify(entry)), { at: 0 });
    file.flush();
  } finally {
    file.close();
  }
}

function failed(url: string, reason: string, cause?: unknown): KingletError {
  return new KingletError("download-failed", `the file at ${url} could not be downloaded: ${reason}; check the connection and try again`, { cause });
}
