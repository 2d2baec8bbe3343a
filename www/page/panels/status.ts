// What runs the model and why, how loading goes on, and what went wrong with the way out of it.

import type { ComposerInfo, Progress, Stage } from "../../lib/index.ts";
import { type Problem, phaseOf, type State } from "../state.ts";
import { element, sentence, setText } from "./element.ts";

const STAGES: Record<Stage, string> = {
  download: "Fetching the model",
  read: "Reading the model",
  upload: "Handing the model to the device",
  compile: "Preparing the device",
  warmup: "Checking that the device computes correctly",
};

/** Binds the lines; the returned function shows a state. */
export function statusPanel(commands: { retry(): void; useProcessor(): void }): (state: State) => void {
  const device = element("device", HTMLParagraphElement);
  const bar = element("progress", HTMLProgressElement);
  const error = element("error", HTMLDivElement);
  const status = element("status", HTMLParagraphElement);
  let shown: Problem | undefined;

  return (state) => {
    document.documentElement.dataset.state = phaseOf(state);
    const loading = state.info === undefined && state.problem?.during !== "loading";
    setText(device, state.info ? deviceSentence(state.info) : loading ? stageSentence(state.progress) : "No model is loaded.");
    bar.hidden = !loading;
    const total = state.progress?.total ?? 0;
    if (total > 0) bar.value = Math.min(1, (state.progress?.loaded ?? 0) / total);
    else bar.removeAttribute("value");
    setText(status, state.announcement);

    const problem = state.problem?.during === "brief" ? undefined : state.problem;
    if (problem === shown) return;
    shown = problem;
    error.hidden = problem === undefined;
    error.replaceChildren(...(problem ? describe(problem, commands) : []));
  };
}

function describe(problem: Problem, commands: { retry(): void; useProcessor(): void }): Node[] {
  const title = document.createElement("p");
  title.className = "alert-title";
  title.textContent = problem.during === "loading" ? "The model could not be loaded." : "The drafts could not be written.";
  const detail = document.createElement("p");
  detail.textContent = problem.message;
  const ways: Node[] = [];
  if (problem.during === "loading") ways.push(button("Try again", commands.retry));
  if (GPU_CODES.has(problem.code)) ways.push(button("Use the processor instead", commands.useProcessor));
  return [title, detail, ...ways];
}

const GPU_CODES = new Set(["no-device", "out-of-memory", "device-lost", "kernel-refused", "self-test-failed"]);

function button(label: string, onClick: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "text";
  made.textContent = label;
  made.addEventListener("click", onClick);
  return made;
}

function stageSentence(progress: Progress | undefined): string {
  if (!progress) return "Getting ready…";
  const { stage, loaded, total } = progress;
  if (stage !== "download" || total === 0) return `${STAGES[stage]}…`;
  return `${STAGES[stage]}: ${megabytes(loaded)} of ${megabytes(total)} MB`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);
}

function deviceSentence({ device }: ComposerInfo): string {
  const reason = device.reason === "" ? "" : ` ${sentence(device.reason)}`;
  if (device.kind === "cpu") return `Writing on your processor.${reason}`;
  const where = device.software ? "a software adapter" : "your graphics card";
  return `Writing on ${where} through WebGPU${device.adapter === "" ? "" : ` (${device.adapter})`}.${reason}`;
}
