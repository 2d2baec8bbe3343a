// What outlives a reload: the brief and the options, which are each tab's own (sessionStorage, and localStorage for the next visit), and the
// finished drafts, which all tabs keep together. Storage may be refused or hold anything, so what is read is checked field by field, and a page
// without storage works the same but forgets.

import { type Draft, NETWORKS, TONES } from "../lib/index.ts";
import { finished, INITIAL, MAX_HISTORY, type Settings, type State, seedDigits } from "./state.ts";

const SETTINGS_KEY = "kinglet.page.1.settings";
/** Where the drafts are; other tabs write there, too. */
export const DRAFTS_KEY = "kinglet.page.1.drafts";

/** A storage, which the browser may refuse to give. */
type Store = () => Storage;
const LOCAL: Store = () => localStorage;
const SESSION: Store = () => sessionStorage;

/** Writes brief and options; says whether it could. */
export function keepSettings(settings: Settings, stores: readonly Store[] = [SESSION, LOCAL]): boolean {
  return stores.map((store) => write(store, SETTINGS_KEY, settings)).every(Boolean);
}

/** Writes the finished drafts; says whether it could. */
export function keepDrafts(state: State, store: Store = LOCAL): boolean {
  return write(store, DRAFTS_KEY, { drafts: finished(state), seed: state.seed, history: state.history });
}

/** The state to start from. */
export function restore(local: Store = LOCAL, session: Store = SESSION): State {
  const { drafts, seed, history } = draftsIn(read(local, DRAFTS_KEY));
  const settings = settingsOf(fieldsOf(read(session, SETTINGS_KEY) ?? read(local, SETTINGS_KEY)));
  return { ...INITIAL, settings, drafts: drafts.map((draft, index) => ({ ...draft, index })), seed: drafts.length > 0 ? seed : "", history };
}

/** What `keepDrafts` wrote, here or in another tab. */
export function draftsIn(text: string | null): { drafts: Draft[]; seed: string; history: Draft[] } {
  const { drafts, seed, history } = fieldsOf(text);
  return {
    drafts: draftsOf(drafts),
    seed: typeof seed === "string" && /^\d*$/.test(seed) ? seed : "",
    history: draftsOf(history).slice(0, MAX_HISTORY),
  };
}

function write(store: Store, key: string, kept: unknown): boolean {
  try {
    store().setItem(key, JSON.stringify(kept));
    return true;
  } catch {
    return false;
  }
}

function read(store: Store, key: string): string | null {
  try {
    return store().getItem(key);
  } catch {
    return null;
  }
}

function fieldsOf(text: string | null): Record<string, unknown> {
  try {
    return Object(JSON.parse(text ?? "{}")) as Record<string, unknown>;
  } catch {
    return {};
  }
}

function settingsOf(kept: Record<string, unknown>): Settings {
  const initial = INITIAL.settings;
  const { brief, count, seed } = kept;
  return {
    brief: typeof brief === "string" ? brief : initial.brief,
    network: oneOf(NETWORKS, kept.network, initial.network),
    tone: oneOf(TONES, kept.tone, initial.tone),
    length: oneOf(["short", "medium", "long"], kept.length, initial.length),
    count: Number.isInteger(count) && Number(count) >= 1 && Number(count) <= 8 ? Number(count) : initial.count,
    hashtags: oneOf(["none", "auto"], kept.hashtags, initial.hashtags),
    emoji: oneOf(["none", "auto"], kept.emoji, initial.emoji),
    seed: typeof seed === "string" ? seedDigits(seed) : initial.seed,
  };
}

function draftsOf(kept: unknown): Draft[] {
  return Array.isArray(kept) ? kept.filter(isDraft) : [];
}

function isDraft(kept: unknown): kept is Draft {
  const draft = Object(kept) as Partial<Draft>;
  const length = Object(draft.length) as Partial<Draft["length"]>;
  return typeof draft.text === "string" && draft.done === true && Number.isFinite(length.used) && Number.isFinite(length.limit);
}

function oneOf<const T>(values: readonly T[], value: unknown, fallback: T): T {
  return values.find((candidate) => candidate === value) ?? fallback;
}
