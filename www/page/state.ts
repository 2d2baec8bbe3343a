// Everything the page knows, and how it changes. `reduce` is pure: the panels show a state, main.ts turns what happens into actions.

import type { ComposerInfo, Draft, Network, Progress, Tone } from "../lib/index.ts";

/** What the person has set; what a reload brings back. */
export interface Settings {
  brief: string;
  network: Network;
  tone: Tone;
  length: "short" | "medium" | "long";
  count: number;
  hashtags: "none" | "auto";
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
  /** What the last start put into the history, until a draft of the new ones is there. */
  replaced: Pick<State, "seed"> & { drafts: Draft[] } | undefined;
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
  | { type: "elsewhere"; drafts: Draft[] }
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
  replaced: undefined,
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
      return { ...state, info: action.info, progress: undefined, problem: afterLoading(state.problem), announcement: "The model is ready." };
    case "start": {
      const { count } = state.settings;
      const slots = Array.from({ length: count }, () => undefined);
      const announcement = state.info ? `Writing ${plural(count)}.` : "The model is still loading. Writing starts as soon as it is ready.";
      const replaced = { drafts: finished(state), seed: state.seed };
      const fresh = { drafts: slots, seed: "", history: kept(state), replaced, problem: undefined, cleared: undefined };
      return { ...state, ...fresh, composing: true, announcement };
    }
    case "seed":
      return { ...state, seed: action.seed };
    case "draft": {
      if (!state.composing) return state;
      const drafts = state.drafts.map((slot, i) => (i === action.draft.index ? action.draft : slot));
      const done = action.draft.done && !state.drafts[action.draft.index]?.done;
      if (!done) return { ...state, drafts };
      return { ...state, drafts, replaced: undefined, announcement: `Draft ${action.draft.index + 1}: ${action.draft.text}` };
    }
    case "finished":
      // The last draft is said in one breath with this, or it would not be heard.
      return { ...state, info: action.info ?? state.info, composing: false, announcement: `${state.announcement} ${plural(finished(state).length)} finished.` };
    case "cancelled": {
      const announcement = `Stopped. ${plural(finished(state).length)} finished.`;
      return { ...stopped(state), announcement };
    }
    case "failed":
      // Other problems stand in an alert, which is heard by itself.
      const announcement = action.problem.during === "brief" ? action.problem.message : state.announcement;
      return { ...stopped(state), progress: undefined, problem: action.problem, announcement };
    case "retry":
      return { ...state, problem: undefined, progress: undefined, info: undefined, announcement: "Loading the model." };
    case "elsewhere": {
      const known = new Set([...finished(state), ...state.history].map(({ text }) => text));
      const others = action.drafts.filter(({ text }) => !known.has(text));
      return others.length === 0 ? state : { ...state, history: [...others, ...state.history].slice(0, MAX_HISTORY) };
    }
    case "copied": {
      const said = `${action.what} copied.`;
      return { ...state, announcement: state.announcement === said ? `${said}\u200b` : said }; // The same words again would not be heard.
    }
    case "clear":
      return cleared(state);
    case "undo": {
      if (!state.cleared) return state;
      const { brief, ...kept } = state.cleared;
      const settings = { ...state.settings, brief: state.settings.brief || brief };
      return { ...state, ...kept, cleared: undefined, settings, announcement: "Everything is back." };
    }
    default:
      return action satisfies never;
  }
}

/** The drafts that are done. */
export function finished(state: State): Draft[] {
  return state.drafts.filter((slot): slot is Draft => slot?.done === true);
}

/** The digits of what was typed or stored as a seed, as many as 64 bits hold. */
export function seedDigits(text: string): string {
  let digits = text.replace(/\D/g, "").slice(0, 20);
  if (digits !== "" && BigInt(digits) >= 1n << 64n) digits = digits.slice(0, 19);
  return digits;
}

/** The writing has ended early: with no draft finished, what stood there before comes back. */
function stopped(state: State): State {
  const drafts = finished(state);
  const ended = { ...state, composing: false, drafts, replaced: undefined };
  if (!state.replaced || drafts.length > 0) return ended;
  const { drafts: before, seed } = state.replaced;
  return { ...ended, drafts: before, seed, history: state.history.filter((draft) => !before.includes(draft)) };
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

function afterLoading(problem: Problem | undefined): Problem | undefined {
  return problem?.during === "loading" ? undefined : problem;
}

function afterTyping(problem: Problem | undefined): Problem | undefined {
  return problem?.during === "loading" ? problem : undefined;
}

function plural(count: number): string {
  return count === 1 ? "1 draft" : `${count} drafts`;
}
