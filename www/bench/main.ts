// The benchmark page: a form, a table, and the report as JSON.

import { KingletError } from "../lib/engine.ts";
import { element, setText } from "../page/panels/element.ts";
import { type Figure, LABELS, type Spread } from "./figures.ts";
import { measure, type Report, type Settings } from "./measure.ts";

const form = element("form", HTMLFormElement);
const button = element("measure", HTMLButtonElement);
const cancel = element("cancel", HTMLButtonElement);
const status = element("status", HTMLElement);
const progress = element("progress", HTMLProgressElement);
const error = element("error", HTMLElement);
const model = element("model", HTMLSelectElement);

let running: AbortController | undefined;
let report: Report | undefined;

model.addEventListener("change", showFields);
cancel.addEventListener("click", () => running?.abort());
element("download", HTMLButtonElement).addEventListener("click", download);
element("copy", HTMLButtonElement).addEventListener("click", () => void copy());
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!running) void run();
});
showFields();

function showFields(): void {
  element("file-field", HTMLElement).hidden = model.value !== "file";
  element("url-field", HTMLElement).hidden = model.value !== "url";
}

async function run(): Promise<void> {
  const controller = new AbortController();
  running = controller;
  showRunning(true);
  error.hidden = true;
  try {
    const asked = settings();
    setText(status, "Loading the model.");
    report = await measure(asked, showProgress, controller.signal);
    showReport(report);
    setText(status, report.void_runs > 0 ? `Done. Runs taken again because the page was hidden: ${report.void_runs}.` : "Done.");
    document.documentElement.dataset.state = "done";
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    setText(status, controller.signal.aborted ? "Stopped." : "That did not work.");
    setText(error, message);
    error.hidden = controller.signal.aborted;
    document.documentElement.dataset.state = controller.signal.aborted ? "ready" : "error";
  } finally {
    running = undefined;
    showRunning(false);
  }
}

function settings(): Settings {
  const number = (id: string) => element(id, HTMLInputElement).valueAsNumber;
  const device = element("device", HTMLSelectElement).value;
  if (device !== "auto" && device !== "webgpu" && device !== "cpu") throw new Error(`no device is called ${device}`);
  return { model: chosenModel(), device, promptTokens: number("prompt"), maxTokens: number("tokens"), count: number("count"), runs: number("runs") };
}

function chosenModel(): Settings["model"] {
  if (model.value === "nano") return "nano";
  if (model.value === "file") {
    const file = element("file", HTMLInputElement).files?.[0];
    if (file) return file;
    throw new KingletError("invalid-option", "choose a GGUF file first");
  }
  const url = new URL(element("url", HTMLInputElement).value, location.href);
  if (url.origin === location.origin && url.href !== location.href) return url;
  throw new KingletError("invalid-option", "name a model on this site; no request goes to another");
}

function showRunning(on: boolean): void {
  button.disabled = on;
  cancel.hidden = !on;
  progress.hidden = !on;
  if (on) {
    progress.removeAttribute("value");
    document.documentElement.dataset.state = "measuring";
  }
}

function showProgress(done: number, total: number): void {
  progress.value = done / total;
  const words = done === 0 ? "Warming up" : `Run ${Math.min(done, total - 1)} of ${total - 1}`;
  setText(status, document.visibilityState === "visible" ? `${words}.` : `${words}, as soon as this page is in view again.`);
}

function showReport({ model, load_ms, prompt_tokens, max_tokens, count, spread }: Report): void {
  const { device } = model;
  const kind = device.kind === "webgpu" && device.software ? "WebGPU in software" : device.kind;
  setText(
    element("caption", HTMLElement),
    `${model.model} on ${device.adapter} (${kind}, ${model.variants}), loaded in ${Math.round(load_ms)} ms. ` +
      `Prompt of ${prompt_tokens} tokens, ${max_tokens} written in each of ${count} drafts. ` +
      "A step writes one token of each draft.",
  );
  const rows = (Object.keys(LABELS) as Figure[]).flatMap((name) => {
    const figure = spread[name];
    return figure ? [row(name, figure)] : [];
  });
  element("figures", HTMLTableSectionElement).replaceChildren(...rows);
  for (const id of ["scroll", "download", "copy"]) element(id, HTMLElement).hidden = false;
}

function row(name: Figure, figure: Spread): HTMLTableRowElement {
  const tr = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = LABELS[name];
  const cells = figure.map((value) => {
    const cell = document.createElement("td");
    cell.textContent = (name === "weight_bytes" ? value / 1e6 : value).toLocaleString("en", { maximumSignificantDigits: 4 });
    return cell;
  });
  tr.append(head, ...cells);
  return tr;
}

function exported(): string {
  return `${JSON.stringify(report, null, 2)}\n`;
}

function download(): void {
  const url = URL.createObjectURL(new Blob([exported()], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = `kinglet-bench-${report?.date.replace(/[:.]/g, "-")}.json`;
  link.click();
  URL.revokeObjectURL(url);
}

async function copy(): Promise<void> {
  try {
    await navigator.clipboard.writeText(exported());
    setText(status, "Copied.");
  } catch {
    setText(status, "The browser did not allow copying; download it instead.");
  }
}
