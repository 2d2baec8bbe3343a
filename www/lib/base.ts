/** What relative URLs are relative to: the page, or the worker that this runs in. */
export function absolute(url: string | URL): URL {
  return new URL(url, typeof document === "undefined" ? location.href : document.baseURI);
}
