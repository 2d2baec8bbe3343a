/** The element with this id, which index.html promises. */
export function element<T extends HTMLElement>(id: string, kind: { new (): T; readonly name: string }): T {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`index.html has no ${kind.name} with id ${id}`);
}

/** Sets text only if it changes: selections stay, and screen readers hear nothing twice. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** A clause as a sentence. A name in front (a file, an adapter) keeps its own spelling. */
export function sentence(clause: string): string {
  const start = /^[a-z]+[ ,]/.test(clause) ? clause.charAt(0).toUpperCase() + clause.slice(1) : clause;
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

/** Fills a count ring: `used` of `limit`. */
export function setRing(ring: Element, used: number, limit: number): void {
  const share = limit > 0 ? Math.min(100, (100 * used) / limit) : 0;
  ring.querySelector(".ring-used")?.setAttribute("stroke-dasharray", `${share.toFixed(1)} 100`);
  const level = used > limit ? "over" : share >= 90 ? "near" : "fine";
  ring.setAttribute("data-level", level);
}
