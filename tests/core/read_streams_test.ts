import assert from "node:assert/strict";
import type { LogView } from "../../core/log_views.ts";
import { type BlockSource, readBlocks } from "../../core/read_streams.ts";
import { test } from "../harness.ts";

/** A log at a peer, of blocks of `size` bytes, from which blocks come when they are asked for. */
class Remote {
  readonly asked: [start: number, end: number][] = [];
  /** How often the store was read. */
  reads = 0;
  /** How many requests are not stopped. */
  open = 0;
  readonly #held = new Set<number>();
  readonly #length: number;
  readonly #size: number;

  constructor(length: number, size: number) {
    this.#length = length;
    this.#size = size;
  }

  get source(): BlockSource<number> {
    const tree = { length: this.#length, byteLength: this.#length * this.#size };
    const view = {
      tree,
      contiguousLength: 0,
      has: (start: number, end: number) => this.#has(start, end),
      readBlocks: (start: number, end: number, maxBytes: number) => {
        this.reads++;
        const blocks: { index: number; value: Uint8Array }[] = [];
        for (let index = start; index < end && blocks.length * this.#size < maxBytes; index++) {
          if (this.#held.has(index)) blocks.push({ index, value: new Uint8Array(0) });
        }
        return blocks;
      },
    } as unknown as LogView;
    return {
      view,
      decodeStored: (index) => index,
      get: (index) => Promise.resolve(index),
      update: () => Promise.resolve(false),
      changed: () => Promise.reject(new Error("it does not change")),
      prefetch: (start, end) => {
        this.asked.push([start, end]);
        this.open++;
        for (let index = start; index < end; index++) this.#held.add(index);
        return () => void this.open--;
      },
    };
  }

  #has(start: number, end: number): boolean {
    for (let index = start; index < end; index++) if (!this.#held.has(index)) return false;
    return true;
  }
}

test("who reads on has more and more asked for ahead, and who stops early little", async () => {
  const all = new Remote(20_000, 10);
  let next = 0;
  for await (const value of readBlocks(all.source, {})) assert.equal(value, next++);
  assert.equal(next, 20_000);
  assert.ok(all.asked.length < 20, `asked ${all.asked.length} times`);
  assert.ok(all.asked.every(([, end], i) => end > (all.asked[i - 1]?.[1] ?? 0) && end <= 20_000));
  assert.equal(all.open, 0, "nothing is asked for any more");

  const few = new Remote(20_000, 10);
  for await (const value of readBlocks(few.source, {})) if (value === 9) break;
  assert.deepEqual(few.asked, [[0, 64]]);
  assert.equal(few.open, 0);
});

test("of large blocks no more are asked for ahead than have some megabytes, and none behind the end", async () => {
  const large = new Remote(2000, 65_536);
  for await (const _ of readBlocks(large.source, { start: 100, end: 1900 }));
  assert.ok(large.asked.every(([start, end]) => end - start <= 128 && start >= 100 && end <= 1900));
  assert.ok(large.asked.length < 60, `asked ${large.asked.length} times`);
});

test("blocks that are at hand are read many at a time, and nobody is asked for them", async () => {
  const remote = new Remote(1000, 10);
  remote.source.prefetch(0, 1000, {})();
  remote.asked.length = 0;
  let count = 0;
  for await (const value of readBlocks(remote.source, { end: 990 })) assert.equal(value, count++);
  assert.equal(count, 990);
  assert.deepEqual(remote.asked, []);
  assert.ok(remote.reads <= 990 / 16 + 1);
});
