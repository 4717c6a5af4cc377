/**
 * A workload that an oracle can judge: after any crash, what a store holds must be the work up to some batch, and not before the
 * last that was acknowledged as synced.
 */
import assert from "node:assert/strict";
import { PowerFailure, type Store, WriteBatch } from "../../core/storage/mod.ts";
import { bytes, head, key } from "../../core/storage/testing_basics.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";

/** How many logs a batch may change. */
const LOGS = 3;

/** Batch number `n` of the workload of `seed`: the same for the same numbers. Each batch says its number in a record. */
export function makeBatch(store: Store, seed: number, n: number): WriteBatch {
  const random = new SeededRandom(seed * 1_000_003 + n);
  const batch = new WriteBatch().setRecord("batch", bytesOf(n));
  for (let i = 0; i < LOGS; i++) {
    const log = store.open(key(i));
    if (log instanceof Promise) throw new TypeError("The workload is for stores that answer at once");
    const writer = batch.log(log).setUserData("batch", bytesOf(n));
    const size = random.chance(1, 10) ? random.below(20_000) : random.below(300);
    writer.putBlock(n, bytes(n + i, size)).putNode({ index: 2 * n, size, hash: bytes(n, 32) }).setHead(
      head(n + 1),
    );
    if (random.chance(1, 20)) writer.clear(random.below(n + 1), n);
    if (random.chance(1, 25)) writer.truncate(random.below(n + 1));
    if (random.chance(1, 10)) writer.putBitfieldPage(n >> 5, bytes(n, 100));
    if (random.chance(1, 30)) writer.createOverlay(`overlay ${n}`, random.below(n + 1));
  }
  return batch;
}

const bytesOf = (n: number) => new TextEncoder().encode(String(n));

/** The number of the last batch that `store` holds; -1 if it holds none. */
export async function lastBatch(store: Store): Promise<number> {
  const record = await store.record("batch");
  return record === undefined ? -1 : Number(new TextDecoder().decode(record));
}

/** What the workload was told. */
export interface Acknowledged {
  /** The last batch whose `write` has returned. */
  written: number;
  /** The last batch that was written before a `sync` that has returned. */
  synced: number;
}

/** Writes batches up to `count`, with a sync after some; stops when the power fails. */
export async function work(
  store: Store,
  seed: number,
  count: number,
  acknowledged: Acknowledged,
): Promise<void> {
  const random = new SeededRandom(seed);
  for (let n = acknowledged.written + 1; n < count; n++) {
    await store.write(makeBatch(store, seed, n));
    acknowledged.written = n;
    if (!random.chance(1, 3)) continue;
    await store.sync();
    acknowledged.synced = n;
  }
}

/** All that can be read of a store, as text. */
export async function dump(store: Store): Promise<string> {
  const parts: unknown[] = [await lastBatch(store)];
  for (let i = 0; i < LOGS; i++) {
    const log = await store.open(key(i));
    for (const one of [log, ...(await log.overlays()).toSorted().map((name) => log.overlay(name))]) {
      parts.push(one.overlayName, (await one.head())?.length, (await one.userData("batch"))?.join());
      for (let at = 0;;) {
        const blocks = await one.blocks(at, Infinity, 10_000);
        if (blocks.length === 0) break;
        for (const { index, value } of blocks) {
          parts.push(`${index}:${value.length}:${value.slice(0, 8)}`);
          parts.push((await one.node(2 * index))?.size);
          at = index + 1;
        }
      }
      for (const { page, value } of await one.bitfieldPages(0, Infinity)) {
        parts.push(page, value.length, value[3]);
      }
    }
  }
  return JSON.stringify(parts);
}

/** Checks that `store` holds exactly the first batches of the workload, as `model`, empty before, does after them. */
export async function judge(
  what: string,
  store: Store,
  seed: number,
  { written, synced }: Acknowledged,
  model: (last: number) => Promise<string>,
): Promise<void> {
  const last = await lastBatch(store);
  assert.ok(
    last >= synced,
    `${what}: batch ${synced} was synced, ${last} is the last that is there (seed ${seed})`,
  );
  // The batch that was under way may be there or not.
  assert.ok(last <= written + 1, `${what}: batch ${last} is there, ${written} was the last written`);
  assert.equal(await dump(store), await model(last), `${what}: batch ${last} is not whole (seed ${seed})`);
}

/** Runs `body`; whether the power failed meanwhile. */
export async function untilPowerFails(body: () => Promise<void>): Promise<boolean> {
  try {
    await body();
    return false;
  } catch (error) {
    if (error instanceof PowerFailure || (error as Error).cause instanceof PowerFailure) return true;
    throw error;
  }
}
