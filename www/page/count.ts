// How long the brief would be as a post. An approximation for typing along, by the browser's own idea of a character; drafts bring their exact
// length from the core. A segmenter takes some 20 microseconds a character, so it only sees the stretches that need one.

import type { Network } from "../lib/index.ts";

export const LIMITS: Record<Network, number> = { x: 280, bluesky: 300, mastodon: 500, threads: 500, linkedin: 3000 };

/** Latin text as far as nothing combines with it: below U+0300 each unit is a character, unless what follows is from above. */
const PLAIN = /[\0-\u02ff]+(?![^\0-\u02ff])/g;
/** Beyond so many units that need a segmenter, code points have to do: nobody counts along there, and typing must not wait. */
const MAX_SEGMENTED = 1000;

let segmenter: Intl.Segmenter | undefined;

/** About how much of the network's limit a text uses. */
export function approximateLength(text: string, network: Network): number {
  if (network === "linkedin") return text.length;
  let [length, at, segmented] = [0, 0, 0];
  const count = (stretch: string) => {
    segmented += stretch.length;
    for (const character of segmented <= MAX_SEGMENTED ? graphemes(stretch) : stretch) length += network === "x" ? weight(character) : 1;
  };
  for (const { 0: plain, index } of text.matchAll(PLAIN)) {
    count(text.slice(at, index));
    length += plain.length;
    at = index + plain.length;
  }
  count(text.slice(at));
  return length;
}

function graphemes(text: string): Iterable<string> {
  if (text === "" || typeof Intl.Segmenter !== "function") return text;
  segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" }); // Not before: it loads tables.
  return Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** X counts Latin, Greek, Cyrillic, Arabic … and common punctuation as one, everything else as two. */
function weight(grapheme: string): number {
  const code = grapheme.codePointAt(0) ?? 0;
  const single = code <= 0x10ff || (code >= 0x2000 && code <= 0x200d) || (code >= 0x2010 && code <= 0x201f) || (code >= 0x2032 && code <= 0x2037);
  return single && !/\p{Emoji_Presentation}|\ufe0f/u.test(grapheme) ? 1 : 2;
}
