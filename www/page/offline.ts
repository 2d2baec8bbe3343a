// The service worker: once the page has been opened, it opens without a network, too. It keeps the page's own files, which the build lists, and
// nothing else; the model is kept by the package. A page comes from the network as long as there is one, so a new version is seen at once; its
// files carry their hash in their name, so whatever has the right name is right. A new version is kept beside the old one until no tab shows
// the old one any more.

declare const self: ServiceWorkerGlobalScope;
/** Paths beneath the scope, and a hash over all of them: written in front of this file by the build. */
declare const FILES: readonly string[];
declare const VERSION: string;

const { scope } = self.registration;
const OURS = `kinglet-page ${scope} `;
const CACHE = OURS + VERSION;
const kept = new Set(FILES.map((file) => new URL(file, scope).href));

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(dropOlder()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  url.search = "";
  url.hash = "";
  if (request.method !== "GET" || !kept.has(url.href)) return;
  event.respondWith(request.mode === "navigate" ? fetch(request).catch(() => stored(url)) : stored(url));
});

async function keep(): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.addAll([...kept].map((url) => new Request(url, { cache: "no-cache" })));
}

async function dropOlder(): Promise<void> {
  const older = (await caches.keys()).filter((name) => name.startsWith(OURS) && name !== CACHE);
  await Promise.all(older.map((name) => caches.delete(name)));
}

async function stored(url: URL): Promise<Response> {
  const response = await (await caches.open(CACHE)).match(url);
  return response ?? fetch(url);
}
