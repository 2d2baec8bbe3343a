// The page: one state, three panels, and the composer. The model is loaded at once, but nothing waits for it: a brief can be typed and even
// sent while it loads.

import { type Composer, createComposer, KingletError } from "../lib/index.ts";
import { DRAFTS_KEY, draftsIn, keepDrafts, keepSettings, restore } from "./keep.ts";
import { briefPanel } from "./panels/brief.ts";
import { draftsPanel } from "./panels/drafts.ts";
import { element, sentence, setText } from "./panels/element.ts";
import { statusPanel } from "./panels/status.ts";
import { type Action, type Problem, reduce, type Settings, type State } from "./state.ts";

const address = new URL(location.href);
const parameter = (name: string) => address.searchParams.get(name) ?? undefined;

let state: State = restore();
const storedSeed = state.settings.seed;
const addressSeed = /^\d{1,20}$/.exec(parameter("seed") ?? "")?.[0];
if (addressSeed !== undefined) state = reduce(state, { type: "set", settings: { seed: addressSeed } });
/** None once loading has failed; a composition that fails leaves its composer, which goes on. */
let loading: Promise<Composer> | undefined;
let writing: AbortController | undefined;

// First, so that the model is on its way while the page gets ready.
void load().catch(() => {});

const commands = { compose: () => void compose(), cancel, retry, useProcessor };
const panels = [briefPanel(dispatch, commands), draftsPanel(dispatch), statusPanel(commands)];

function dispatch(action: Action): void {
  const before = state;
  state = reduce(state, action);
  for (const show of panels) show(state);
  const kept = [before.settings === state.settings || keepSettings(withStoredSeed(state.settings)), !draftsChanged(before, action) || keepDrafts(state)];
  if (kept.includes(false)) setText(element("keeping", HTMLSpanElement), "This browser refuses to keep anything: when this tab closes, they are gone.");
}

/** What comes from another tab is kept already; half a draft is not. */
function draftsChanged(before: State, action: Action): boolean {
  if (action.type === "elsewhere") return false;
  return action.type === "draft" ? action.draft.done : before.drafts !== state.drafts || before.history !== state.history;
}

/** The address's seed is for this address alone: the one that stood in the form before is kept, unless another was typed. */
function withStoredSeed(settings: Settings): Settings {
  return settings.seed === addressSeed ? { ...settings, seed: storedSeed } : settings;
}

function load(): Promise<Composer> {
  const device = parameter("device") ?? "auto";
  const model = parameter("model");
  const opening = openComposer(device, model);
  loading = opening;
  opening.then(
    (composer) => {
      dispatch({ type: "ready", info: composer.info });
      if (state.composing) showResults();
      keepPage();
    },
    (error: unknown) => {
      loading = undefined;
      dispatch({ type: "failed", problem: problemOf(error, "loading") });
    },
  );
  return opening;
}

async function openComposer(device: string, model: string | undefined): Promise<Composer> {
  if (device !== "auto" && device !== "webgpu" && device !== "cpu") {
    throw new KingletError("invalid-option", `the address says device=${device}; it can be webgpu or cpu`);
  }
  const url = model === undefined ? "nano" : new URL(model, address);
  if (url instanceof URL && url.origin !== address.origin) {
    throw new KingletError("invalid-option", "the address names a model of another site; this page loads models from its own site only");
  }
  return createComposer({ model: url, device, onProgress: (progress) => dispatch({ type: "progress", progress }) });
}

async function compose(): Promise<void> {
  if (state.composing) return;
  const { settings } = state;
  if (settings.brief.trim() === "") {
    dispatch({ type: "failed", problem: { code: "bad-brief", message: "Say in a few words what the post is about.", during: "brief" } });
    return;
  }
  dispatch({ type: "start" });
  if (state.info) showResults(); // Else how loading goes on is what one wants to see.
  const controller = new AbortController();
  writing = controller;
  const { signal } = controller;
  try {
    const composer = await (loading ?? load());
    if (signal.aborted) return;
    const { seed, ...options } = settings;
    const composition = composer.compose({ ...options, ...(seed === "" ? {} : { seed: BigInt(seed) }), signal });
    dispatch({ type: "seed", seed: String(composition.seed) });
    for await (const draft of composition) dispatch({ type: "draft", draft });
    dispatch({ type: "finished", info: composer.info }); // Another device may have written them, if the worker had to be replaced.
  } catch (error) {
    if (!signal.aborted) dispatch({ type: "failed", problem: problemOf(error, state.info ? "composing" : "loading") });
  }
}

/** Lets the page open without a network from now on; not before the model is there, which is what one waits for. */
function keepPage(): void {
  navigator.serviceWorker?.register(new URL("./offline.js", document.baseURI)).catch(() => {}); // Refused in private windows: then it needs the network.
}

/** On a narrow screen the drafts lie below the form. */
function showResults(): void {
  const heading = element("drafts-title", HTMLHeadingElement);
  if (heading.getBoundingClientRect().bottom > innerHeight * 0.8) heading.scrollIntoView({ block: "start" });
}

function cancel(): void {
  if (!state.composing) return;
  writing?.abort();
  dispatch({ type: "cancelled" });
}

function retry(): void {
  dispatch({ type: "retry" });
  element("compose", HTMLButtonElement).focus(); // The button that was pressed is gone.
  void load().catch(() => {});
}

function useProcessor(): void {
  address.searchParams.set("device", "cpu");
  window.history.replaceState(null, "", address);
  retry();
}

function problemOf(error: unknown, during: "loading" | "composing"): Problem {
  const code = error instanceof KingletError ? error.code : "crashed";
  const message = sentence(error instanceof Error ? error.message : String(error));
  return { code, message, during: code === "bad-brief" ? "brief" : during };
}

addEventListener("storage", ({ key, newValue }) => {
  if (key !== DRAFTS_KEY) return;
  const { drafts, history } = draftsIn(newValue);
  dispatch({ type: "elsewhere", drafts: [...drafts, ...history] });
});
for (const show of panels) show(state);
