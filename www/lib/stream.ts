// Turns pushed events into an async iterator. With a key, an event that nobody has read yet is replaced by a newer one of the same key:
// a slow reader sees fewer intermediate states of a draft and never an old one, and memory stays bounded.

/** A pushed sequence that one reader iterates over. */
export interface Stream<T> extends AsyncIterableIterator<T> {
  /** Hands an event to the reader. */
  push(event: T): void;
  /** Ends the sequence after what was pushed. */
  end(): void;
  /** Ends the sequence with an error after what was pushed. */
  fail(error: unknown): void;
}

interface Reader<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(error: unknown): void;
}

/** Makes a stream; `onReturn` runs when the reader leaves its loop early. */
export function createStream<T>(options: { key?: (event: T) => unknown; onReturn: () => void }): Stream<T> {
  const waiting = new Map<unknown, T>();
  const readers: Reader<T>[] = [];
  let serial = 0;
  let ending: { error?: unknown } | undefined;

  const done = { done: true, value: undefined } as const;
  const settle = (reader: Reader<T>) => {
    if (ending && "error" in ending) {
      const { error } = ending;
      ending = {}; // An error is thrown once; after it the iterator is simply finished.
      reader.reject(error);
    } else {
      reader.resolve(done);
    }
  };
  const finish = (how: { error?: unknown }) => {
    if (ending) return;
    ending = how;
    for (const reader of readers.splice(0)) settle(reader);
  };

  return {
    push(event) {
      if (ending) return;
      const reader = readers.shift();
      if (reader) return reader.resolve({ done: false, value: event });
      waiting.set(options.key ? options.key(event) : serial++, event);
    },
    end: () => finish({}),
    fail: (error) => finish({ error }),
    next() {
      const first = waiting.entries().next();
      if (!first.done) {
        const [key, value] = first.value;
        waiting.delete(key);
        return Promise.resolve({ done: false, value });
      }
      return new Promise((resolve, reject) => {
        const reader = { resolve, reject };
        if (ending) settle(reader);
        else readers.push(reader);
      });
    },
    return() {
      waiting.clear();
      finish({});
      options.onReturn();
      return Promise.resolve(done);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
