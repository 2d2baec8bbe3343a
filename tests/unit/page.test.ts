// The page's state, what it keeps, and what it may import.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { ComposerInfo, Draft } from "../../www/lib/index.ts";
import { approximateLength } from "../../www/page/count.ts";
import { draftsIn, keepDrafts, keepSettings, restore } from "../../www/page/keep.ts";
import { type Action, INITIAL, MAX_HISTORY, phaseOf, reduce, seedDigits, type State } from "../../www/page/state.ts";

const draft = (index: number, text: string, done: boolean): Draft => ({
  index,
  text,
  length: { used: text.length, limit: 280, unit: "x-weight" },
  valid: true,
  done,
});
const info: ComposerInfo = {
  model: "nano",
  parameters: 1,
  bytes: 1,
  contextLength: 512,
  variants: "v",
  seed: 7,
  device: { kind: "cpu", adapter: "", software: true, reason: "" },
};
const after = (...actions: Action[]): State => actions.reduce(reduce, INITIAL);

test("a composition goes from loading over composing to ready", () => {
  const actions: Action[] = [{ type: "ready", info }, { type: "start" }, { type: "finished" }];
  assert.deepEqual(actions.map((_, i) => phaseOf(after(...actions.slice(0, i)))), ["loading", "ready", "composing"]);
  assert.equal(phaseOf(after(...actions)), "ready");
  assert.equal(after({ type: "start" }).drafts.length, 4);
});

test("a cancel keeps the finished drafts, and nothing that comes late changes them", () => {
  const state = after(
    { type: "ready", info },
    { type: "start" },
    { type: "draft", draft: draft(1, "One whole post.", true) },
    { type: "draft", draft: draft(0, "Half a po", false) },
    { type: "cancelled" },
    { type: "draft", draft: draft(0, "Half a post", false) },
  );
  assert.deepEqual(state.drafts.map((slot) => slot?.text), ["One whole post."]);
  assert.equal(phaseOf(state), "ready");
});

test("what is stopped or refused before a draft is finished leaves the drafts before it where they were", () => {
  const written = after(
    { type: "ready", info },
    { type: "start" },
    { type: "seed", seed: "7" },
    { type: "draft", draft: draft(0, "One.", true) },
    { type: "finished" },
  );
  const ends: Action[] = [{ type: "cancelled" }, { type: "failed", problem: { code: "bad-brief", message: "m", during: "brief" } }];
  for (const end of ends) {
    const state = [{ type: "start" } as const, { type: "draft", draft: draft(0, "Ano", false) } as const, end].reduce(reduce, written);
    assert.deepEqual([state.drafts, state.seed, state.history], [[draft(0, "One.", true)], "7", []]);
  }
  const [later] = [[{ type: "start" } as const, { type: "draft", draft: draft(1, "Two.", true) } as const, ends[0] as Action].reduce(reduce, written)];
  assert.deepEqual(later.drafts.map((slot) => slot?.text), ["Two."]);
  assert.deepEqual(later.history.map(({ text }) => text), ["One."]);
});

test("drafts of another tab join the earlier ones, once", () => {
  const own = after({ type: "start" }, { type: "draft", draft: draft(0, "Mine.", true) });
  const theirs: Action = { type: "elsewhere", drafts: [draft(0, "Theirs.", true), draft(1, "Mine.", true)] };
  const state = [theirs, theirs].reduce(reduce, own);
  assert.deepEqual(state.history.map(({ text }) => text), ["Theirs."]);
  assert.equal(reduce(state, theirs), state);
});

test("an undo leaves what was typed since, a model that is ready leaves what is wrong with the brief", () => {
  const cleared = after({ type: "set", settings: { brief: "old" } }, { type: "clear" });
  assert.equal(reduce(cleared, { type: "undo" }).settings.brief, "old");
  assert.equal([{ type: "set", settings: { brief: "new" } } as const, { type: "undo" } as const].reduce<State>(reduce, cleared).settings.brief, "new");
  const wrong = after({ type: "failed", problem: { code: "bad-brief", message: "m", during: "brief" } }, { type: "ready", info });
  assert.equal(phaseOf(wrong), "error");
  assert.equal(wrong.problem?.during, "brief");
});

test("a seed is as many digits as 64 bits hold", () => {
  assert.deepEqual(["", "a1b2", "18446744073709551615", "18446744073709551616", "9".repeat(30)].map(seedDigits), ["", "12", "18446744073709551615", "1844674407370955161", "9".repeat(19)]);
});

test("finished drafts move to the history when the next composition starts", () => {
  let state = after({ type: "ready", info });
  for (let i = 0; i < MAX_HISTORY + 5; i++) {
    state = [
      { type: "start" } as const,
      { type: "draft", draft: draft(0, `Post ${i}.`, true) } as const,
      { type: "finished" } as const,
    ].reduce<State>(reduce, state);
  }
  assert.equal(state.drafts[0]?.text, `Post ${MAX_HISTORY + 4}.`);
  assert.equal(state.history[0]?.text, `Post ${MAX_HISTORY + 3}.`);
  assert.equal(state.history.length, MAX_HISTORY);
});

test("an error about the brief goes away with typing, an error of loading stays", () => {
  const brief = after({ type: "ready", info }, { type: "failed", problem: { code: "bad-brief", message: "m", during: "brief" } });
  assert.equal(phaseOf(brief), "error");
  assert.equal(phaseOf(reduce(brief, { type: "set", settings: { brief: "a" } })), "ready");
  const loading = after({ type: "failed", problem: { code: "no-device", message: "m", during: "loading" } });
  assert.equal(phaseOf(reduce(loading, { type: "set", settings: { brief: "a" } })), "error");
  assert.equal(phaseOf(reduce(loading, { type: "retry" })), "loading");
});

/** A storage; with `initial` under every key until something is written. */
function memory(initial?: string): Storage {
  const held = new Map<string, string>();
  return { getItem: (key: string) => held.get(key) ?? initial ?? null, setItem: (key: string, value: string) => void held.set(key, value) } as unknown as Storage;
}

test("brief, options and finished drafts come back after a reload", () => {
  const [local, session] = [memory(), memory()];
  const state = after(
    { type: "set", settings: { brief: "the garden", tone: "witty", count: 2 } },
    { type: "start" },
    { type: "draft", draft: draft(0, "Come along.", true) },
    { type: "draft", draft: draft(1, "Come al", false) },
  );
  assert(keepSettings(state.settings, [() => session, () => local]) && keepDrafts(state, () => local));
  const back = restore(() => local, () => session);
  assert.deepEqual(back.settings, state.settings);
  assert.deepEqual(back.drafts.map((slot) => slot?.text), ["Come along."]);
  assert.equal(phaseOf(back), "loading");
  assert.deepEqual(draftsIn(local.getItem("kinglet.page.1.drafts")).drafts, [draft(0, "Come along.", true)]);
  // Another tab's settings are for the next visit, not for this one.
  assert(keepSettings({ ...state.settings, brief: "another" }, [() => local]));
  assert.equal(restore(() => local, () => session).settings.brief, "the garden");
  assert.equal(restore(() => local, () => memory()).settings.brief, "another");
});

test("storage that is refused, or holds anything at all, leaves a working page", () => {
  const refuse = () => {
    throw new Error("denied");
  };
  assert.equal(keepSettings(INITIAL.settings, [refuse]), false);
  assert.equal(keepDrafts(INITIAL, refuse), false);
  assert.deepEqual(restore(refuse, refuse), INITIAL);
  const hostile = ["nonsense", "null", "[]", '{"settings":null,"drafts":7}', '{"settings":{"count":99,"tone":"x","brief":{}},"drafts":[null,{"text":1}]}'];
  for (const text of hostile) assert.deepEqual(restore(() => memory(text), () => memory(text)), INITIAL, text);
});

test("the typing count weighs as the networks do", () => {
  const family = "👨‍👩‍👧‍👦";
  assert.equal(approximateLength("abc", "x"), 3);
  assert.equal(approximateLength("日本", "x"), 4);
  assert.equal(approximateLength(family, "x"), 2);
  assert.equal(approximateLength(family, "bluesky"), 1);
  assert.equal(approximateLength(family, "linkedin"), family.length);
});

test("page and bench import nothing of the package but its doors, and write no HTML", () => {
  const files = ["page", "bench"].flatMap((folder) => readdirSync(`www/${folder}`, { recursive: true }).map((file) => `${folder}/${file}`));
  for (const file of files) {
    if (!file.endsWith(".ts")) continue;
    const text = readFileSync(`www/${file}`, "utf8");
    const doors = file.startsWith("bench/") ? /^(\.\.\/)+lib\/engine\.ts$/ : /^(\.\.\/)+lib\/index\.ts$/;
    for (const [, from = ""] of text.matchAll(/from "([^"]+)"/g)) {
      assert(!from.includes("lib/") || doors.test(from), `${file} imports ${from}`);
      assert(from.startsWith("."), `${file} imports ${from}`);
    }
    assert(!/innerHTML|insertAdjacentHTML|document\.write|\.style\b/.test(text), `${file} writes HTML or inline styles`);
  }
});

test("counting by stretches is counting all characters, and a long brief hardly needs a segmenter", () => {
  const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });
  const pieces = ["a", "é", "e\u0301", "\n", "ß", "\u1ea1", "日本", "🇩🇪", "👩‍👩‍👧", "©\ufe0f", "1\ufe0f\u20e3", " ", "क्षि", "…", "ž"];
  for (let seed = 1; seed < 200; seed++) {
    const text = Array.from({ length: 12 }, (_, i) => pieces[(seed * (i + 3) * 7 + i * i) % pieces.length]).join("");
    assert.equal(approximateLength(text, "mastodon"), [...segmenter.segment(text)].length, JSON.stringify(text));
  }
  const asked: number[] = [];
  const { segment } = Intl.Segmenter.prototype;
  Intl.Segmenter.prototype.segment = function (text) {
    asked.push(text.length);
    return segment.call(this, text);
  };
  try {
    assert.equal(approximateLength("word ".repeat(80_000), "x"), 400_000);
    assert.equal(approximateLength("语".repeat(5000), "x"), 10_000);
    assert.equal(approximateLength("naïve cafés, žluťoučký ".repeat(500), "bluesky"), 23 * 500);
  } finally {
    Intl.Segmenter.prototype.segment = segment;
  }
  assert.deepEqual(asked, []);
});
