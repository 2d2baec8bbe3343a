// Codes are one list in two languages.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { CORE_CODES, KingletError, toFailure } from "../../www/lib/errors.ts";

test("the core's codes are the package's codes", () => {
  const found = new Set<string>();
  for (const file of readdirSync("src", { recursive: true })) {
    if (!file.endsWith(".rs")) continue;
    const text = readFileSync(`src/${file}`, "utf8");
    for (const [, body = ""] of text.matchAll(/fn code\(&self\) -> &'static str \{([\s\S]*?)\n    \}/g)) {
      for (const [, code = ""] of body.matchAll(/"([a-z-]+)"/g)) found.add(code);
    }
  }
  assert(found.size >= 9, `found only ${found.size} codes in src/`);
  assert.deepEqual([...found].sort(), [...CORE_CODES].sort());
});

test("whatever is thrown becomes a code and a message", () => {
  assert.deepEqual(toFailure(new KingletError("aborted", "stopped")), { code: "aborted", message: "stopped" });
  assert.deepEqual(toFailure({ code: "no-device", message: "none" }), { code: "no-device", message: "none" });
  assert.deepEqual(toFailure(new RangeError("unreachable")), { code: "crashed", message: "unreachable" });
  assert.deepEqual(toFailure({ code: "made-up", message: "m" }), { code: "crashed", message: "m" });
  assert.deepEqual(toFailure("text"), { code: "crashed", message: "text" });
  assert.deepEqual(toFailure(undefined), { code: "crashed", message: "undefined" });
});
