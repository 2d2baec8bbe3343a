// What is known about each stored file: a note beside it in the origin private file system.

const FOLDER = "kinglet-models";

/** What is known about a stored file; `size` is 0 while the server has not said. */
export interface Entry {
  url: string;
  version: string;
  size: number;
  received: number;
  complete: boolean;
}

/** Where files and their notes lie, if this browser lets a worker write there. */
export async function openFolder(): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    const folder = await root.getDirectoryHandle(FOLDER, { create: true });
    return "createSyncAccessHandle" in FileSystemFileHandle.prototype ? folder : undefined;
  } catch {
    return undefined; // Private windows and insecure origins have none.
  }
}

/** The name under which the file of an address is stored. */
export async function keyOf(url: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(url)));
  return Array.from(hash.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** One tab downloads a file at a time; the others wait and find it there. */
export function locked<T>(key: string, work: () => Promise<T>): Promise<T> {
  return navigator.locks ? (navigator.locks.request(`${FOLDER}/${key}`, work) as Promise<T>) : work();
}

/** What is known about the file of an address; of one that is not there, nothing. */
export async function readEntry(folder: FileSystemDirectoryHandle, key: string, url: string): Promise<Entry> {
  const entry = await readJson(folder, key);
  return entry?.url === url ? entry : { url, version: "", size: 0, received: 0, complete: false };
}

async function readJson(folder: FileSystemDirectoryHandle, key: string): Promise<Entry | undefined> {
  try {
    const file = await (await folder.getFileHandle(`${key}.json`)).getFile();
    return JSON.parse(await file.text()) as Entry;
  } catch {
    return undefined;
  }
}

export async function writeEntry(folder: FileSystemDirectoryHandle, key: string, entry: Entry): Promise<void> {
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

/** Bundlers put a hash of the content into the bundled model's name. Once the new one is there, nobody asks for the one before it again. */
export async function dropOlder(folder: FileSystemDirectoryHandle, url: string): Promise<void> {
  const name = withoutHash(url);
  if (name === url) return;
  for await (const file of folder.keys()) {
    if (!file.endsWith(".json")) continue;
    const key = file.slice(0, -".json".length);
    const stored = await readJson(folder, key);
    const isOlder = stored && stored.url !== url && stored.url !== name && withoutHash(stored.url) === name;
    if (!isOlder) continue;
    // Another tab may still read it: then it goes with the next version.
    await folder.removeEntry(key).then(() => folder.removeEntry(file)).catch(() => {});
  }
}

function withoutHash(url: string): string {
  return url.replace(/(?<=\/nano)-[\w-]{8}(?=\.gguf$)/, ""); // In the name of any other model eight letters may be part of it.
}
