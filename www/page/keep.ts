// What outlives a reload: the brief, the options and the finished drafts, in localStorage. Storage may be refused or hold anything, so what is
// read is checked field by field, and a page without storage works the same but forgets.

import { type Draft, NETWORKS, TONES } from "../lib/index.ts";
import { finished, INITIAL, MAX_HISTORY, type Settings, type State } from "./state.ts";

const KEY = "kinglet.page.1";

/** Writes what is to be kept; says whether it could. */
export function keep(state: State, storage: () => Storage = () => localStorage): boolean {
  const kept = { settings: state.settings, drafts: finished(state), seed: state.seed, history: state.history };
  try {
    storage().setItem(KEY, JSON.stringify(kept));
    return true;
  } catch {
    return false;
  }
}

/** The state to start from. */
export function restore(storage: () => Storage = () => localStorage): State {
  try {
    const kept: unknown = JSON.parse(storage().getItem(KEY) ?? "{}");
    const fields = Object(kept) as Record<string, unknown>;
    const drafts = draftsOf(fields.drafts).map((draft, index) => ({ ...draft, index }));
    return {
      ...INITIAL,
      settings: settingsOf(Object(fields.settings) as Record<string, unknown>),
      drafts,
      seed: typeof fields.seed === "string" && /^\d*$/.test(fields.seed) && drafts.length > 0 ? fields.seed : "",
      history: draftsOf(fields.history).slice(0, MAX_HISTORY),
    };
  } catch {
    return INITIAL;
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
    hashtags: oneOf(["none", "auto", 1, 2, 3], kept.hashtags, initial.hashtags),
    emoji: oneOf(["none", "auto"], kept.emoji, initial.emoji),
    seed: typeof seed === "string" && /^\d{0,20}$/.test(seed) ? seed : initial.seed,
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
