// Everything the page knows, and how it changes. `reduce` is pure: the panels show a state, main.ts turns what happens into actions.

import type { ComposerInfo, Draft, Network, Progress, Tone } from "../lib/index.ts";

/** What the person has set; what a reload brings back. */
export interface Settings {
  brief: string;
  network: Network;
  tone: Tone;
  length: "short" | "medium" | "long";
  count: number;
  hashtags: "none" | "auto" | number;
  emoji: "none" | "auto";
  /** Digits, or empty for a random one. */
  seed: string;
}

/** A draft as the page holds it: `undefined` until its first words are there. */
export type Slot = Draft | undefined;

/** An error as it is shown. */
export interface Problem {
  code: string;
  message: string;
  /** What failed: it decides where the error stands and what the way out is. */
  during: "loading" | "composing" | "brief";
}

/** Everything the page knows. */
export interface State {
  settings: Settings;
  info: ComposerInfo | undefined;
  progress: Progress | undefined;
  /** Asked for, and not yet all done. */
  composing: boolean;
  drafts: Slot[];
  /** The seed of the drafts shown. */
  seed: string;
  /** Finished drafts of before, the latest first. */
  history: Draft[];
  problem: Problem | undefined;
  /** What a clear took away, until it is too late to undo. */
  cleared: Pick<State, "drafts" | "seed" | "history"> & { brief: string } | undefined;
  /** For the status line that screen readers hear. */
  announcement: string;
}

/** What can happen. */
export type Action =
  | { type: "set"; settings: Partial<Settings> }
  | { type: "progress"; progress: Progress }
  | { type: "ready"; info: ComposerInfo }
  | { type: "start" }
  | { type: "seed"; seed: string }
  | { type: "draft"; draft: Draft }
  | { type: "finished"; info?: ComposerInfo }
  | { type: "cancelled" }
  | { type: "failed"; problem: Problem }
  | { type: "retry" }
  | { type: "copied"; what: string }
  | { type: "clear" }
  | { type: "undo" };

/** What `document.documentElement.dataset.state` says. */
export type Phase = "loading" | "ready" | "composing" | "error";

/** Most drafts that are kept from before. */
export const MAX_HISTORY = 40;

export const INITIAL: State = {
  settings: { brief: "", network: "x", tone: "neutral", length: "medium", count: 4, hashtags: "none", emoji: "auto", seed: "" },
  info: undefined,
  progress: undefined,
  composing: false,
  drafts: [],
  seed: "",
  history: [],
  problem: undefined,
  cleared: undefined,
  announcement: "",
};

/** The phase a state is in. */
export function phaseOf(state: State): Phase {
  if (state.composing) return "composing";
  if (state.problem) return "error";
  return state.info ? "ready" : "loading";
}

/** The state after an action. */
export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case "set":
      return { ...state, settings: { ...state.settings, ...action.settings }, problem: afterTyping(state.problem) };
    case "progress":
      return isStillDownloading(state.progress) && action.progress.stage !== "download" ? state : { ...state, progress: action.progress };
    case "ready":
      return { ...state, info: action.info, progress: undefined, problem: undefined, announcement: "The model is ready." };
    case "start": {
      const { count } = state.settings;
      const slots = Array.from({ length: count }, () => undefined);
      const announcement = state.info ? `Writing ${plural(count)}.` : "The model is still loading. Writing starts as soon as it is ready.";
      return { ...state, composing: true, problem: undefined, cleared: undefined, history: kept(state), drafts: slots, seed: "", announcement };
    }
    case "seed":
      return { ...state, seed: action.seed };
    case "draft": {
      if (!state.composing) return state;
      const drafts = state.drafts.map((slot, i) => (i === action.draft.index ? action.draft : slot));
      const done = action.draft.done && !state.drafts[action.draft.index]?.done;
      return { ...state, drafts, announcement: done ? `Draft ${action.draft.index + 1}: ${action.draft.text}` : state.announcement };
    }
    case "finished":
      return { ...state, info: action.info ?? state.info, composing: false, announcement: `${plural(finished(state).length)} finished.` };
    case "cancelled": {
      const drafts = finished(state);
      return { ...state, composing: false, drafts, announcement: `Stopped. ${plural(drafts.length)} finished.` };
    }
    case "failed":
      return { ...state, composing: false, drafts: finished(state), progress: undefined, problem: action.problem };
    case "retry":
      return { ...state, problem: undefined, progress: undefined, info: undefined, announcement: "Loading the model." };
    case "copied":
      return { ...state, announcement: `${action.what} copied.` };
    case "clear":
      return cleared(state);
    case "undo": {
      if (!state.cleared) return state;
      const { brief, ...kept } = state.cleared;
      return { ...state, ...kept, cleared: undefined, settings: { ...state.settings, brief }, announcement: "Everything is back." };
    }
    default:
      return action satisfies never;
  }
}

/** The drafts that are done. */
export function finished(state: State): Draft[] {
  return state.drafts.filter((slot): slot is Draft => slot?.done === true);
}

function kept(state: State): Draft[] {
  return [...finished(state), ...state.history].slice(0, MAX_HISTORY);
}

function cleared(state: State): State {
  const { drafts, seed, history, settings } = state;
  return {
    ...state,
    drafts: [],
    seed: "",
    history: [],
    settings: { ...settings, brief: "" },
    cleared: { drafts, seed, history, brief: settings.brief },
    announcement: "Everything cleared.",
  };
}

/** Reading and uploading go on beside the download, which is what one waits for. */
function isStillDownloading(progress: Progress | undefined): boolean {
  return progress?.stage === "download" && progress.loaded < progress.total;
}

function afterTyping(problem: Problem | undefined): Problem | undefined {
  return problem?.during === "loading" ? problem : undefined;
}

function plural(count: number): string {
  return count === 1 ? "1 draft" : `${count} drafts`;
}
