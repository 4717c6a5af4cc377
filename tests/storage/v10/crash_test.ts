/**
 * The store of hypercore 10's files and crashes: the power fails at every point of a workload, and every call fails once. Each log
 * is judged for itself, since the files promise nothing about several together.
 */
import assert from "node:assert/strict";
import { StorageError } from "../../../core/runtime/errors.ts";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import {
  type CrashMode,
  type DiskCall,
  type DiskFault,
  type Durability,
  SimulatedDisk,
  V10Store,
  WriteBatch,
} from "../../../core/storage/mod.ts";
import { truncateTree } from "../../../core/log/merkle_tree.ts";
import { parent, sibling } from "../../../core/log/flat_tree.ts";
import { discoveryKey } from "../../../core/crypto/hash.ts";
import { pattern, wasm } from "../../crypto/support.ts";
import { test } from "../../harness.ts";
import { MemoryLog } from "../../log/support.ts";
import { untilPowerFails } from "../workload.ts";
import { SimulatedFolder } from "./simulated_folder.ts";
import { LogWriterForTests } from "./writer.ts";

const MODES: readonly CrashMode[] = ["all", "none", "prefix", "any"];
const BATCHES = 36;
/** The log that is written, and the one that is fetched. */
const LOGS = [{ seed: 1 }, { seed: 2, isManifest: true }] as const;
const FETCHED = MemoryLog.of(40, 0, (index) => pattern(1 + index * 13 % 700, index));

const numberOf = (n: number) => new TextEncoder().encode(String(n));

function openOn(disk: SimulatedDisk, durability: Durability = "full"): V10Store {
  return new V10Store({ folder: new SimulatedFolder(disk), crypto: wasm, durability, layout: "corestore" });
}

function newDisk(seed: number, fault?: (call: DiskCall) => DiskFault | undefined): SimulatedDisk {
  const random = new SeededRandom(seed);
  return new SimulatedDisk(fault === undefined ? { random } : { random, fault });
}

/** Batch `n` of the log that is written: it grows, shrinks, and loses blocks from between. */
async function writeOwn(store: V10Store, seed: number, n: number): Promise<void> {
  const random = new SeededRandom(seed * 1_000_003 + n);
  const writer = await LogWriterForTests.open(store, LOGS[0]);
  const { log } = writer;
  const tree = await writer.tree();
  const next = (batch: WriteBatch) => batch.log(log).setUserData("batch", numberOf(n));
  const dice = random.below(10);
  if (dice === 0 && tree.length > 0) {
    const cut = await truncateTree(wasm, (index) => log.node(index), tree, random.below(tree.length + 1));
    return await writer.write((batch) => void next(batch).truncate(cut!.length).setHead(writer.head(cut!)));
  }
  if (dice === 1 && tree.length > 0) {
    const start = random.below(tree.length);
    return await writer.write((batch) => void next(batch).clear(start, start + 1 + random.below(4)));
  }
  const size = () => random.chance(1, 6) ? random.below(9000) : random.below(200);
  const blocks = Array.from({ length: 1 + random.below(3) }, (_, i) => pattern(size(), n + i));
  await writer.append(blocks, (batch) => void next(batch));
}

/** Batch `n` of the log that is fetched: first its length, then blocks of it in any order. */
async function writeFetched(store: V10Store, seed: number, n: number): Promise<void> {
  const writer = await LogWriterForTests.open(store, LOGS[1]);
  const batch = new WriteBatch();
  const out = batch.log(writer.log).setUserData("batch", numberOf(n));
  const { tree, nodes } = FETCHED;
  if (n === 0) {
    for (const root of tree.roots) out.putNode(root);
    out.setHead({
      ...tree,
      rootHash: new Uint8Array(32),
      signature: new Uint8Array(64),
      flags: 0,
      timestamp: 0,
    });
  } else {
    const index = new SeededRandom(seed * 77 + n).below(tree.length);
    out.putBlock(index, pattern(1 + index * 13 % 700, index)).putNode(nodes.get(2 * index)!);
    for (let at = 2 * index; nodes.has(parent(at)); at = parent(at)) out.putNode(nodes.get(sibling(at))!);
  }
  await store.write(batch);
}

const WORK = [writeOwn, writeFetched];

interface Acknowledged {
  written: number;
  synced: number;
}

async function work(
  store: V10Store,
  seed: number,
  which: number,
  acknowledged: Acknowledged,
  count = BATCHES,
) {
  const random = new SeededRandom(seed);
  for (let n = acknowledged.written + 1; n < count; n++) {
    await WORK[which]!(store, seed, n);
    acknowledged.written = n;
    if (!random.chance(1, seed > 10 ? 25 : 3)) continue;
    await store.sync();
    acknowledged.synced = n;
  }
}

/** All that can be read of a log, but for the hash of a tree that nobody has signed truly. */
async function dump(store: V10Store, which: number): Promise<string> {
  const log = await store.open(discoveryKey(wasm, LogWriterForTests.keyOf(LOGS[which]!).key));
  const head = await log.head();
  const parts: unknown[] = [head?.length, head?.fork, head?.signature.join(), await log.hints()];
  parts.push(await log.userDataKeys(""), (await log.userData("batch"))?.join());
  for (let i = 0; i < (head?.length ?? 0); i++) {
    const block = await log.block(i);
    const nodes = await log.nodes([2 * i, 2 * i + 1]);
    parts.push(block && [block.length, ...block.subarray(0, 8)], ...nodes.map((node) => node?.size));
  }
  for (const { page, value } of await log.bitfieldPages(0, Infinity)) {
    parts.push(page, value.subarray(0, 16).join());
  }
  return JSON.stringify(parts);
}

/** What there is after each batch, with none at the beginning. */
async function models(seed: number, which: number): Promise<string[]> {
  const store = openOn(newDisk(seed), "none");
  const dumps = [await dump(store, which)];
  for (let n = 0; n < BATCHES; n++) {
    await WORK[which]!(store, seed, n);
    dumps.push(await dump(store, which));
  }
  return dumps;
}

/** That `store` holds the work up to some batch that may be the last one. */
async function judge(
  what: string,
  store: V10Store,
  which: number,
  { written, synced }: Acknowledged,
  model: readonly string[],
): Promise<number> {
  const found = await dump(store, which);
  // The log may be there with nothing in it: keys were its first batch.
  const last = Math.max(...model.map((one, n) => isSame(one, found) ? n - 1 : -2));
  assert.notEqual(last, -2, `${what}: half a batch is there, or one from between is missing: ${found}`);
  assert.ok(last >= synced, `${what}: batch ${synced} was synced, ${last} is the last that is there`);
  assert.ok(last <= written + 1, `${what}: batch ${last} is there, ${written} was the last written`);
  return last;
}

/** A log that was created, and nothing more, is as good as none here. */
function isSame(model: string, found: string): boolean {
  const strip = (text: string) =>
    text.replace(/^\[null,null,null,(null|\{[^}]*\}),/, "[null,null,null,null,");
  return strip(model) === strip(found);
}

async function crashAt(seed: number, which: number, at: number, durability: Durability = "full") {
  const disk = newDisk(seed, ({ number }) => number === at ? "power" : undefined);
  const acknowledged: Acknowledged = { written: -1, synced: -1 };
  await untilPowerFails(() => work(openOn(disk, durability), seed, which, acknowledged));
  return { disk, acknowledged };
}

for (const which of [0, 1]) {
  const name = ["that is written", "that is fetched"][which];
  test(`v10: a power cut at any point loses nothing of a log ${name} that was synced, and no part of a batch`, async () => {
    for (const seed of [1 + which, 11 + which]) await cutEverywhere(seed, which);
  });
}

async function cutEverywhere(seed: number, which: number): Promise<void> {
  const model = await models(seed, which);
  const { disk: whole } = await crashAt(seed, which, Infinity);
  let lost = 0;
  for (let at = 0; at <= whole.calls; at++) {
    const { disk, acknowledged } = await crashAt(seed, which, at);
    for (const mode of MODES) {
      const what = `power cut at call ${at}, ${mode} of what was unsynced is left`;
      const found = disk.afterCrash(mode, { random: new SeededRandom(seed * 7919 + at) });
      const store = openOn(found);
      const last = await judge(what, store, which, acknowledged, model);
      if (last < acknowledged.written) lost++;
      if (at % 5 !== 0) continue;
      const further: Acknowledged = { written: last, synced: -1 };
      await work(store, seed, which, further, Math.min(BATCHES, last + 6));
      await store.close();
      further.synced = further.written;
      await judge(`${what}, then more work`, openOn(found), which, further, model);
    }
  }
  assert.ok(lost > 50, "the disk must lose what was not synced, or the test shows nothing");
}

test("v10: with normal durability a power cut may take what was synced, but no part of a batch", async () => {
  const seed = 5;
  const model = await models(seed, 0);
  const { disk: whole } = await crashAt(seed, 0, Infinity, "normal");
  for (let at = 0; at <= whole.calls; at++) {
    const { disk, acknowledged } = await crashAt(seed, 0, at, "normal");
    for (const mode of MODES) {
      const found = disk.afterCrash(mode, { random: new SeededRandom(at) });
      const synced = mode === "all" ? acknowledged.synced : -1; // all: the process died, the system did not
      await judge(`call ${at}, ${mode}`, openOn(found), 0, { ...acknowledged, synced }, model);
    }
  }
});

test("v10: a second power cut while the first is being recovered from does no harm", async () => {
  const seed = 3;
  const model = await models(seed, 0);
  for (let at = 40; at < 240; at += 7) {
    const { disk, acknowledged } = await crashAt(seed, 0, at);
    for (let second = 0; second < 24; second += 2) {
      const fault = ({ number }: DiskCall) => number === second + 8 ? "power" as const : undefined;
      const found = disk.afterCrash("any", { random: new SeededRandom(at), fault });
      const further: Acknowledged = { ...acknowledged };
      await untilPowerFails(async () => {
        const store = openOn(found);
        further.written = await judge("first", store, 0, acknowledged, model);
        await work(store, seed, 0, further);
      });
      const last = found.afterCrash("any", { random: new SeededRandom(second) });
      await judge(`cuts at ${at} and ${second}`, openOn(last), 0, further, model);
    }
  }
});

for (const kind of ["EIO", "ENOSPC"] as const) {
  test(`v10: ${kind} at any call of the disk reaches the caller and damages nothing that was synced`, async () => {
    const seed = 4;
    const model = await models(seed, 0);
    const { disk: whole } = await crashAt(seed, 0, Infinity);
    for (let at = 0; at < whole.calls; at++) {
      const disk = newDisk(seed, ({ number }) => number === at ? kind : undefined);
      const store = openOn(disk);
      const acknowledged: Acknowledged = { written: -1, synced: -1 };
      const error = await work(store, seed, 0, acknowledged).then(() => undefined, (error) => error);
      assert.ok(error instanceof StorageError, `call ${at} failed, and nobody was told: ${error}`);
      if (error.code === "DISK_FULL") {
        // Nothing was written; there is room again.
        await work(store, seed, 0, acknowledged);
        await store.close();
        acknowledged.synced = acknowledged.written;
      }
      const found = disk.afterCrash("any", { random: new SeededRandom(at) });
      await judge(`${kind} at call ${at}`, openOn(found), 0, acknowledged, model);
    }
  });
}
