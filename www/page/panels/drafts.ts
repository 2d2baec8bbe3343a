// The drafts as they are written, and those of before. An item's text is the draft and nothing else: number, length and mark are drawn by CSS
// from attributes and named by labels, so that selecting an item selects exactly what will be posted.

import type { Draft } from "../../lib/index.ts";
import type { Action, Slot, State } from "../state.ts";
import { element, setRing, setText } from "./element.ts";

const SVG = "http://www.w3.org/2000/svg";
const COPY_PATH = "M9 9V5.5A1.5 1.5 0 0 1 10.5 4h8A1.5 1.5 0 0 1 20 5.5v8a1.5 1.5 0 0 1-1.5 1.5H15M5.5 9h8A1.5 1.5 0 0 1 15 10.5v8a1.5 1.5 0 0 1-1.5 1.5h-8A1.5 1.5 0 0 1 4 18.5v-8A1.5 1.5 0 0 1 5.5 9Z";
const DONE_PATH = "m5 12.5 4.5 4.5L19 7.5";

/** Binds the lists; the returned function shows a state. */
export function draftsPanel(dispatch: (action: Action) => void): (state: State) => void {
  const list = element("drafts", HTMLOListElement);
  const history = element("history", HTMLOListElement);
  const earlier = element("earlier", HTMLDetailsElement);
  const empty = element("empty", HTMLDivElement);
  const clear = element("clear", HTMLButtonElement);
  const seedLine = element("seed-line", HTMLParagraphElement);
  const undo = element("undo", HTMLButtonElement);
  clear.addEventListener("click", () => dispatch({ type: "clear" }));
  undo.addEventListener("click", () => dispatch({ type: "undo" }));
  const copied = (what: string) => dispatch({ type: "copied", what });

  return (state) => {
    show(list, state.drafts, (i) => `draft ${i + 1}`, copied);
    show(history, state.history, (i) => `earlier text ${i + 1}`, copied);
    list.setAttribute("aria-busy", String(state.composing));
    list.hidden = state.drafts.length === 0;
    earlier.hidden = state.history.length === 0;
    empty.hidden = state.drafts.length > 0 || state.composing;
    const hadFocus = [clear, undo].includes(document.activeElement as HTMLButtonElement);
    clear.hidden = state.composing || (state.drafts.length === 0 && state.history.length === 0);
    undo.hidden = state.cleared === undefined;
    if (hadFocus) (undo.hidden ? clear : undo).focus();
    seedLine.hidden = state.seed === "" || state.drafts.length === 0;
    setText(seedLine, state.seed === "" ? "" : `Seed ${state.seed}`);
  };
}

function show(list: HTMLOListElement, slots: Slot[], name: (index: number) => string, copied: (what: string) => void): void {
  while (list.children.length > slots.length) list.lastElementChild?.remove();
  while (list.children.length < slots.length) list.append(createItem(name(list.children.length), copied));
  slots.forEach((slot, i) => {
    const item = list.children[i];
    if (item) update(item, slot);
  });
}

function createItem(name: string, copied: (what: string) => void): HTMLLIElement {
  const item = document.createElement("li");
  item.className = "draft";
  const text = document.createElement("p");
  text.className = "draft-text";
  text.dir = "auto";
  const foot = document.createElement("div");
  foot.className = "draft-foot";
  const ring = icon("ring", []);
  ring.append(circle("ring-track"), circle("ring-used"));
  ring.setAttribute("role", "img");
  const used = document.createElement("span");
  used.className = "draft-used";
  used.setAttribute("aria-hidden", "true");
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "copy";
  copy.dataset.label = "Copy"; // Drawn by CSS, as the marks are: the item's text is the draft alone.
  copy.setAttribute("aria-label", `Copy ${name}`);
  copy.append(icon("icon-copy", [COPY_PATH]), icon("icon-done", [DONE_PATH]));
  copy.addEventListener("click", async () => {
    if (!(await copyText(text))) return;
    copied(name[0]?.toUpperCase() + name.slice(1));
    copy.dataset.copied = "true";
    setTimeout(() => delete copy.dataset.copied, 1600);
  });
  foot.append(ring, used, copy);
  item.append(text, foot);
  return item;
}

function update(item: Element, slot: Slot): void {
  const [text, foot] = item.children;
  const [ring, used, copy] = foot?.children ?? [];
  item.setAttribute("data-state", slot === undefined ? "waiting" : slot.done ? "done" : "writing");
  if (!text || !ring || !used || !(copy instanceof HTMLButtonElement)) return;
  setText(text, slot?.text ?? "");
  copy.disabled = !slot?.done;
  const { used: units, limit } = slot?.length ?? { used: 0, limit: 0 };
  setRing(ring, units, limit);
  ring.setAttribute("aria-label", slot ? `${units} of ${limit}${lengthNote(slot)}` : "not begun");
  used.setAttribute("data-used", slot ? `${units} of ${limit}` : "");
  used.setAttribute("data-note", slot?.stop === "repaired" ? "ending tidied up" : "");
}

function lengthNote(draft: Draft): string {
  return ` characters${draft.stop === "repaired" ? ", ending tidied up" : ""}`;
}

/** Copies a draft, exactly as it is. Where the clipboard is refused, the text is selected for the person to copy. */
async function copyText(text: Element): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text.textContent ?? "");
    return true;
  } catch {
    getSelection()?.selectAllChildren(text);
    return document.execCommand("copy");
  }
}

function icon(className: string, paths: string[]): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", className);
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("focusable", "false");
  if (paths.length > 0) svg.setAttribute("aria-hidden", "true");
  for (const d of paths) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

function circle(className: string): SVGCircleElement {
  const ring = document.createElementNS(SVG, "circle");
  for (const [name, value] of Object.entries({ class: className, cx: "12", cy: "12", r: "9", pathLength: "100" })) ring.setAttribute(name, value);
  if (className === "ring-used") ring.setAttribute("stroke-dasharray", "0 100");
  return ring;
}
