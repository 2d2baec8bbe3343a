// A URL as a file that can be read while it arrives: downloaded once into the origin private file system (OPFS), resumed where a broken
// download ended, and never held in memory as a whole. Without OPFS, or with a full disk, the bytes go to a Blob, which the browser keeps
// outside our heap. What has come is read at once, what has not is waited for, so a model is unpacked while the rest is on its way.

import { dropOlder, type Entry, keyOf, locked, openFolder, readEntry, writeEntry } from "./entries.ts";
import { KingletError } from "./errors.ts";
import { chunksOf, failed, FETCH_OPTIONS, request, resume, totalOf, versionOf } from "./http.ts";

/** Hears how many bytes are there, of how many (0: unknown). */
export type OnBytes = (loaded: number, total: number) => void;

/** A file that can be read anywhere. */
export interface ByteSource {
  readonly size: number;
  /** Bytes from `start` up to `end`, as soon as they are there. They may lie where the next read puts its own. */
  read(start: number, end: number): Promise<Uint8Array>;
  /** Says that nothing more will be read; resolves once the file is stored and free for others. */
  close(): Promise<void>;
}

type Read = (start: number, end: number) => Uint8Array | Promise<Uint8Array>;

/** How much may have to be downloaded again after a tab was closed. Each checkpoint waits for the disk, and whoever reads waits with it. */
const CHECKPOINT_BYTES = 32 << 20;
const ATTEMPTS = 4;

/** Opens a file: takes it from the store if the server still has the same version, else fetches it. Resolves once the size is known. */
export async function openUrl(url: string, onBytes: OnBytes): Promise<ByteSource> {
  const arrival = new Arrival(onBytes);
  arrival.settled = arrive(url, arrival).catch((error: unknown) => arrival.fail(error));
  await arrival.opened;
  return arrival;
}

/** A Blob as a file. */
export function openBlob(blob: Blob): ByteSource {
  return { size: blob.size, read: async (start, end) => readBlob(blob, start, end), close: async () => {} };
}

/** A file on its way, as its reader and its download see it. */
class Arrival implements ByteSource {
  size = 0;
  /** Until the size is known. */
  readonly opened: Promise<void>;
  /** Until it is stored. */
  settled = Promise.resolve();
  /** Until nothing more will be read. */
  readonly closed: Promise<void>;
  readonly #onBytes: OnBytes;
  #open = () => {};
  #refuse = (_: unknown) => {};
  #close = () => {};
  #read: Read = () => new Uint8Array();
  #version: string | undefined;
  #there = 0;
  #failure: unknown;
  #wake = () => {};
  #change = new Promise<void>((resolve) => (this.#wake = resolve));

  constructor(onBytes: OnBytes) {
    this.#onBytes = onBytes;
    this.opened = new Promise((resolve, reject) => ([this.#open, this.#refuse] = [resolve, reject]));
    this.closed = new Promise((resolve) => (this.#close = resolve));
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    while (this.#there < end && this.#failure === undefined) await this.#change;
    if (this.#failure !== undefined) throw this.#failure;
    return this.#read(start, end);
  }

  close(): Promise<void> {
    this.#close();
    return this.settled;
  }

  /** Bytes begin to come, or come anew after the connection broke: `there` are there, and `read` reads them. A `size` of 0 is not known yet. */
  begin({ url, version, size }: Pick<Entry, "url" | "version" | "size">, there: number, read: Read): void {
    if (this.size > 0 && this.#version !== version) throw failed(url, "it was replaced on the server meanwhile");
    [this.#read, this.#version] = [read, version];
    this.#openWith(size);
    this.reached(there);
  }

  /** So many bytes can be read now. */
  reached(there: number): void {
    this.#there = there;
    this.#onBytes(there, Math.max(there, this.size));
    this.#wake();
    this.#change = new Promise((resolve) => (this.#wake = resolve));
  }

  /** Nothing can be read for now: what is asked for waits for the next `begin`. */
  pause(): void {
    this.#there = 0;
  }

  /** Everything is there. */
  finish(): void {
    this.#openWith(this.#there);
    this.#open();
    this.#onBytes(this.#there, this.#there);
  }

  fail(error: unknown): void {
    this.#failure ??= error;
    this.#refuse(error);
    this.#wake();
  }

  #openWith(size: number): void {
    if (this.size > 0 || size === 0) return;
    this.size = size;
    this.#open();
  }
}

/** Downloads a file, or finds it in the store; holds it until it is closed. */
async function arrive(url: string, arrival: Arrival): Promise<void> {
  const folder = await openFolder();
  if (!folder) return toBlob(await request(url), arrival);
  const key = await keyOf(url);
  await locked(key, async () => {
    try {
      await storedFile(folder, key, url, arrival);
    } catch (error) {
      if (error instanceof KingletError) throw error;
      // Full, or refused by the browser: give the room back and do without.
      await folder.removeEntry(key).catch(() => {});
      await folder.removeEntry(`${key}.json`).catch(() => {});
      await toBlob(await request(url), arrival);
    }
  });
}

async function storedFile(folder: FileSystemDirectoryHandle, key: string, url: string, arrival: Arrival): Promise<void> {
  const handle = await folder.getFileHandle(key, { create: true });
  let entry = await readEntry(folder, key, url);
  if (entry.complete && (await handle.getFile()).size === entry.received && (await stillCurrent(entry))) {
    const { read, close } = await openStored(handle);
    arrival.begin(entry, entry.received, read);
    arrival.finish();
    void arrival.closed.then(close);
    return; // Others may read it, too: the lock is for those who write.
  }
  if (entry.complete) entry = { ...entry, received: 0, complete: false };
  for (let attempt = 1; ; attempt++) {
    const before = entry.received;
    try {
      await download(folder, handle, key, entry, arrival);
      return await dropOlder(folder, url);
    } catch (error) {
      if (!(error instanceof KingletError) || attempt === ATTEMPTS) throw error;
      entry = await readEntry(folder, key, url);
      if (entry.received === before) throw error; // Nothing came: trying again at once will not help.
    }
  }
}

/** Appends what is missing to the stored file. A checkpoint is written now and then, so that even a killed tab can go on. */
async function download(folder: FileSystemDirectoryHandle, handle: FileSystemFileHandle, key: string, from: Entry, arrival: Arrival): Promise<void> {
  const { response, start } = await resume(from);
  const entry: Entry = { ...from, version: versionOf(response), size: totalOf(response, start), received: start, complete: false };
  const file = await openFor(handle, entry.size - start).catch(async (error: unknown) => {
    await response.body?.cancel();
    throw error;
  });
  let saved = start;
  try {
    file.truncate(start);
    arrival.begin(entry, start, readerOf(file));
    for await (const chunk of chunksOf(response, entry.url)) {
      if (file.write(chunk, { at: entry.received }) !== chunk.length) throw new DOMException("short write", "QuotaExceededError");
      entry.received += chunk.length;
      arrival.reached(entry.received);
      if (entry.received - saved >= CHECKPOINT_BYTES) {
        file.flush();
        await writeEntry(folder, key, entry);
        saved = entry.received;
      }
    }
    if (entry.received < entry.size) throw failed(entry.url, `it ended after ${entry.received} of ${entry.size} bytes`);
    entry.complete = true;
    arrival.finish();
    await arrival.closed; // Waiting for the disk can wait until the model is loaded.
  } finally {
    arrival.pause();
    file.flush();
    file.close();
    await writeEntry(folder, key, entry);
  }
}

/** All reads into one buffer: what is read is copied at once, and garbage of many megabytes would stay for a while. */
function readerOf(file: FileSystemSyncAccessHandle): Read {
  let room = new Uint8Array();
  return (start, end) => {
    if (room.length < end - start) room = new Uint8Array(end - start);
    const bytes = room.subarray(0, end - start);
    return bytes.subarray(0, file.read(bytes, { at: start }));
  };
}

/** Opens a stored file beside others who read it; browsers that only know exclusive access read it as a Blob, which takes a few times longer. */
async function openStored(handle: FileSystemFileHandle): Promise<{ read: Read; close: () => void }> {
  if ("mode" in FileSystemSyncAccessHandle.prototype) {
    const openShared: (options: { mode: "read-only" }) => Promise<FileSystemSyncAccessHandle> = handle.createSyncAccessHandle.bind(handle);
    const file = await openShared({ mode: "read-only" });
    return { read: readerOf(file), close: () => file.close() };
  }
  const blob = await handle.getFile();
  return { read: (start, end) => readBlob(blob, start, end), close() {} };
}

async function readBlob(blob: Blob, start: number, end: number): Promise<Uint8Array> {
  return new Uint8Array(await blob.slice(start, end).arrayBuffer());
}

async function toBlob(response: Response, arrival: Arrival): Promise<void> {
  const total = totalOf(response);
  const parts: Blob[] = [];
  let loaded = 0;
  arrival.begin({ url: response.url, version: versionOf(response), size: total }, 0, (start, end) => readBlob(new Blob(parts), start, end));
  for await (const chunk of chunksOf(response, response.url)) {
    parts.push(new Blob([chunk])); // Blobs lie with the browser; the chunk is free again.
    loaded += chunk.length;
    arrival.reached(loaded);
  }
  if (loaded < total && !response.headers.has("content-encoding")) throw failed(response.url, `it ended after ${loaded} of ${total} bytes`);
  arrival.finish();
}

/** Whether the server has the stored version. Offline, or with a server that does not say, what is stored is good. */
async function stillCurrent(entry: Entry): Promise<boolean> {
  const response = await fetch(entry.url, { ...FETCH_OPTIONS, method: "HEAD" }).catch(() => undefined);
  if (!response?.ok) return true;
  const size = totalOf(response);
  return versionOf(response) === entry.version && (size === 0 || entry.size === 0 || size === entry.size);
}

/** Opens a file that is to grow by so many bytes, if there is room for them. */
async function openFor(handle: FileSystemFileHandle, bytes: number): Promise<FileSystemSyncAccessHandle> {
  const { quota, usage } = await navigator.storage.estimate();
  if (quota !== undefined && usage !== undefined && quota - usage < bytes) throw new DOMException("no room", "QuotaExceededError");
  return handle.createSyncAccessHandle();
}

