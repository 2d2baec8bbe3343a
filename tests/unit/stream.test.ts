// The stream between worker messages and `for await`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createStream } from "../../www/lib/stream.ts";

const collect = async <T>(from: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = [];
  for await (const event of from) all.push(event);
  return all;
};

test("events come in order, whether the reader or the writer is first", async () => {
  const stream = createStream<number>({ onReturn: () => {} });
  const reading = collect(stream);
  for (const event of [3, 1, 2]) stream.push(event);
  stream.end();
  assert.deepEqual(await reading, [3, 1, 2]);
  const filled = createStream<number>({ onReturn: () => {} });
  for (const event of [5, 4]) filled.push(event);
  filled.end();
  assert.deepEqual(await collect(filled), [5, 4]);
});

test("an unread event gives way to a newer one of its key", async () => {
  const stream = createStream<{ index: number; text: string }>({ key: (draft) => draft.index, onReturn: () => {} });
  stream.push({ index: 0, text: "a" });
  stream.push({ index: 1, text: "x" });
  stream.push({ index: 0, text: "ab" });
  stream.end();
  assert.deepEqual((await collect(stream)).map((draft) => draft.text), ["ab", "x"]);
});

test("an error comes once, after the events before it", async () => {
  const stream = createStream<number>({ onReturn: () => {} });
  stream.push(1);
  stream.fail(new Error("broken"));
  assert.deepEqual(await stream.next(), { done: false, value: 1 });
  await assert.rejects(stream.next(), (error) => (error as Error).message === "broken");
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test("leaving the loop early tells the writer and drops what is unread", async () => {
  let left = 0;
  const stream = createStream<number>({ onReturn: () => left++ });
  stream.push(1);
  stream.push(2);
  for await (const _ of stream) break;
  stream.push(3);
  assert.equal(left, 1);
  assert.deepEqual(await stream.next(), { done: true, value: undefined });
});

test("several waiting reads are all answered at the end", async () => {
  const stream = createStream<number>({ onReturn: () => {} });
  const reads = [stream.next(), stream.next(), stream.next()];
  stream.push(7);
  stream.end();
  assert.deepEqual(await Promise.all(reads), [
    { done: false, value: 7 },
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
});
