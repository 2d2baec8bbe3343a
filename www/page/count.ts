// How long the brief would be as a post. An approximation for typing along, by the browser's own idea of a character; drafts bring their exact
// length from the core.

import type { Network } from "../lib/index.ts";

export const LIMITS: Record<Network, number> = { x: 280, bluesky: 300, mastodon: 500, threads: 500, linkedin: 3000 };

const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter(undefined, { granularity: "grapheme" }) : undefined;
/** Beyond this nobody counts along, and segmenting would hold up typing. */
const MAX_COUNTED = 20_000;

/** About how much of the network's limit a text uses. */
export function approximateLength(text: string, network: Network): number {
  if (network === "linkedin" || text.length > MAX_COUNTED || !segmenter) return text.length;
  let length = 0;
  for (const { segment } of segmenter.segment(text)) length += network === "x" ? weight(segment) : 1;
  return length;
}

/** X counts Latin, Greek, Cyrillic, Arabic … and common punctuation as one, everything else as two. */
function weight(grapheme: string): number {
  const code = grapheme.codePointAt(0) ?? 0;
  const single = code <= 0x10ff || (code >= 0x2000 && code <= 0x200d) || (code >= 0x2010 && code <= 0x201f) || (code >= 0x2032 && code <= 0x2037);
  return single && !/\p{Emoji_Presentation}|\ufe0f/u.test(grapheme) ? 1 : 2;
}
