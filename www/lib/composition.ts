// Drafts on their way: the same events as a stream and as one promise, ended by the worker, by the caller's signal, or by a reader who
// leaves the loop.

import type { Connection } from "./client.ts";
import { abortedBy, KingletError } from "./errors.ts";
import { fromSeed } from "./options.ts";
import type { Brief, Draft } from "./protocol.ts";
import { createStream } from "./stream.ts";

/** Drafts on their way. Iterate over it for every change, or await `drafts` for the finished ones. */
export interface Composition extends AsyncIterable<Draft> {
  /** All drafts, finished, in order. Rejects with a {@link KingletError}. */
  readonly drafts: Promise<Draft[]>;
  /** The seed that is used, given or drawn. */
  readonly seed: number | bigint;
}

/** Starts a composition, or fails it at once if the connection is closed or the signal aborted. */
export function runComposition(connection: Connection, brief: Brief, signal: AbortSignal | undefined): Composition {
  const finished = new Map<number, Draft>();
  let cancel = () => {};
  const { composition, push, end, fail } = pending(fromSeed(brief.seed), () => cancel());
  const abort = () => {
    cancel();
    if (signal) fail(abortedBy(signal));
  };
  const settled = () => signal?.removeEventListener("abort", abort);
  const refused = connection.closed ?? (signal?.aborted ? abortedBy(signal) : undefined);
  if (refused) {
    fail(refused);
    return composition;
  }
  signal?.addEventListener("abort", abort, { once: true });
  cancel = connection.run(
    { kind: "compose", brief },
    {
      event(event) {
        const draft = event as Draft; // A composition's events are drafts.
        if (draft.done) finished.set(draft.index, draft);
        push(draft);
      },
      end() {
        settled();
        end([...finished.values()].sort((a, b) => a.index - b.index));
      },
      fail(error) {
        settled();
        fail(error);
      },
    },
  );
  return composition;
}

/** A composition that failed before it began. */
export function failedComposition(error: unknown, seed: number | bigint): Composition {
  const { composition, fail } = pending(seed, () => {});
  fail(error);
  return composition;
}

function pending(seed: number | bigint, cancel: () => void) {
  let resolve: (drafts: Draft[]) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const drafts = new Promise<Draft[]>((onDrafts, onError) => {
    resolve = onDrafts;
    reject = onError;
  });
  drafts.catch(() => {}); // Who only iterates hears of a failure there.
  const stream = createStream<Draft>({
    key: (draft) => draft.index,
    onReturn: () => {
      cancel();
      reject(new KingletError("aborted", "the reader left before every draft was finished; compose again for all of them"));
    },
  });
  const composition: Composition = { drafts, seed, [Symbol.asyncIterator]: () => stream };
  return {
    composition,
    push: (draft: Draft) => stream.push(draft),
    end: (all: Draft[]) => {
      stream.end();
      resolve(all);
    },
    fail: (error: unknown) => {
      stream.fail(error);
      reject(error);
    },
  };
}
