/**
 * Stores and crashes on a simulated disk: the power fails at every point of a workload, and every call fails once.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { StorageError } from "../../core/runtime/errors.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import {
  type CrashMode,
  type DiskCall,
  type DiskFault,
  FaultyStore,
  MemoryStore,
  SimulatedDisk,
  type Store,
} from "../../core/storage/mod.ts";
import { test } from "../harness.ts";
import { openDeferredOn } from "./deferred_support.ts";
import { type Acknowledged, dump, judge, lastBatch, makeBatch, untilPowerFails, work } from "./workload.ts";

const BATCHES = 60;
/** Workloads whose power is cut at every call. */
const SEEDS = process.env.HYPHA_LONG === undefined ? [1] : [1, 2, 3, 4, 5, 6];
const MODES: readonly CrashMode[] = ["all", "none", "prefix", "any"];

/** A store on a disk that fails as `fault` says. */
function newDisk(seed: number, fault?: (call: DiskCall) => DiskFault | undefined): SimulatedDisk {
  const random = new SeededRandom(seed);
  return new SimulatedDisk(fault === undefined ? { random } : { random, fault });
}

/** A store on a simulated disk. */
type OpenOn = (disk: SimulatedDisk) => Promise<Store>;

const openJournal = (disk: SimulatedDisk) => new MemoryStore({ journal: disk.file("journal") });

const STORES: Readonly<Record<string, OpenOn>> = {
  "with a journal": (disk) => Promise.resolve(openJournal(disk)),
  deferred: (disk) => openDeferredOn(disk),
};

/** What a store holds after the first batches, computed once for each number. */
function models(seed: number): (last: number) => Promise<string> {
  const store = new MemoryStore();
  const dumps: string[] = [];
  return async (last) => {
    while (dumps.length <= last + 1) {
      dumps.push(await dump(store));
      store.write(makeBatch(store, seed, dumps.length - 1));
    }
    return dumps[last + 1]!;
  };
}

/** The workload on a disk whose power fails before call `at`, and what then was acknowledged. */
async function crashAt(
  openOn: OpenOn,
  seed: number,
  at: number,
): Promise<{ disk: SimulatedDisk; acknowledged: Acknowledged }> {
  const disk = newDisk(seed, ({ number }) => number === at ? "power" : undefined);
  const acknowledged = { written: -1, synced: -1 };
  await untilPowerFails(async () => await work(await openOn(disk), seed, BATCHES, acknowledged));
  return { disk, acknowledged };
}

for (const [name, openOn] of Object.entries(STORES)) {
  test(`${name}: a power cut at any point loses nothing that was synced, and no part of a batch`, async () => {
    for (const seed of SEEDS) {
      const model = models(seed);
      const { disk: whole } = await crashAt(openOn, seed, Infinity);
      let lost = 0;
      for (let at = 1; at <= whole.calls; at++) {
        const { disk, acknowledged } = await crashAt(openOn, seed, at);
        for (const mode of MODES) {
          const what = `power cut at call ${at}, ${mode} of what was unsynced is left`;
          const found = disk.afterCrash(mode, { random: new SeededRandom(seed * 7919 + at) });
          await judge(what, await openOn(found), seed, acknowledged, model);
          const before = await dump(await openOn(found));
          const again = await openOn(found);
          assert.equal(await dump(again), before, `${what}: opening once more changes it`);
          if (await lastBatch(again) < acknowledged.written) lost++;
          const further = { written: await lastBatch(again), synced: -1 };
          await work(again, seed, Math.min(BATCHES, further.written + 5), further);
          await judge(`${what}, then more work`, await openOn(found), seed, further, model);
        }
      }
      assert.ok(lost > 50, "the disk must lose what was not synced, or the test shows nothing");
    }
  });

  test(`${name}: a second power cut while the first is being recovered from does no harm`, async () => {
    const seed = 3;
    const model = models(seed);
    for (let at = 20; at < 100; at += 7) {
      const { disk, acknowledged } = await crashAt(openOn, seed, at);
      for (let second = 0; second < 4; second++) {
        const fault = ({ number }: DiskCall) => number === second ? "power" as const : undefined;
        const found = disk.afterCrash("any", { random: new SeededRandom(at), fault });
        await untilPowerFails(async () => void await openOn(found));
        const last = found.afterCrash("any", { random: new SeededRandom(second) });
        await judge(`cuts at ${at} and ${second}`, await openOn(last), seed, acknowledged, model);
      }
    }
  });

  for (const kind of ["EIO", "ENOSPC"] as const) {
    test(`${name}: ${kind} at any call of the disk reaches the caller and damages nothing`, async () => {
      const seed = 4;
      const model = models(seed);
      const { disk: whole } = await crashAt(openOn, seed, Infinity);
      for (let at = 1; at < whole.calls; at++) {
        const disk = newDisk(seed, ({ number }) => number === at ? kind : undefined);
        const store = await openOn(disk);
        const acknowledged = { written: -1, synced: -1 };
        const error = await work(store, seed, BATCHES, acknowledged).then(() => undefined, (error) => error);
        // What is done in the background may be done again when there is room.
        const isHealed = kind === "ENOSPC" && error === undefined && acknowledged.written === BATCHES - 1;
        assert.ok(
          isHealed || error instanceof StorageError,
          `call ${at} failed, and nobody was told: ${error}`,
        );
        assert.equal(
          await dump(store),
          await model(acknowledged.written),
          `call ${at}: half a batch can be read`,
        );
        const goesOn = await work(store, seed, BATCHES, acknowledged).then(() => true, () => false);
        // No room is no damage; anything else, and any failed sync, must stop the writer.
        if (kind === "EIO") {
          assert.equal(goesOn, false, `call ${at}: the store goes on after ${error.message}`);
        }
        const found = disk.afterCrash("any", { random: new SeededRandom(at) });
        await judge(`${kind} at call ${at}`, await openOn(found), seed, acknowledged, model);
        if (goesOn) assert.equal(acknowledged.written, BATCHES - 1);
      }
    });
  }

  test(`${name}: a store that runs full heals when there is room again`, async () => {
    let isFull = false;
    const disk = newDisk(5, ({ type }) => isFull && type === "write" ? "ENOSPC" : undefined);
    const store = await openOn(disk);
    store.write(makeBatch(store, 5, 0));
    isFull = true;
    for (let i = 0; i < 3; i++) {
      assert.throws(() => store.write(makeBatch(store, 5, 1)), { name: "StorageError", code: "DISK_FULL" });
    }
    isFull = false;
    store.write(makeBatch(store, 5, 1));
    await store.sync();
    assert.equal(await dump(await openOn(disk)), await models(5)(1));
  });

  test(`${name}: after a sync that failed the store takes no more batches, though it can be read`, async () => {
    const disk = newDisk(6, ({ type }) => type === "sync" ? "EIO" : undefined);
    const store: Store = await openOn(disk);
    await store.write(makeBatch(store, 6, 0));
    await assert.rejects(store.sync(), { name: "StorageError", code: "WRITE_FAILED" });
    await assert.rejects(async () => await store.write(makeBatch(store, 6, 1)), /Open it again/);
    await assert.rejects(store.sync(), /Open it again/);
    assert.equal(await lastBatch(store), 0);
  });
}

test("a frame of the journal that has rotted is not repeated", async () => {
  const disk = newDisk(1);
  const store = openJournal(disk);
  store.write(makeBatch(store, 1, 0));
  store.write(makeBatch(store, 1, 1));
  const file = disk.file("journal");
  const bytes = file.read();
  file.write(bytes.length - 3, Uint8Array.of(bytes.at(-3)! ^ 1));
  assert.equal(await lastBatch(openJournal(disk)), 0);
});

test("a faulty store fails the chosen call of any store, and after a failed write all further ones", async () => {
  for (let at = 0; at < 12; at++) {
    const store = new FaultyStore(new MemoryStore(), {
      fault: ({ number }) => number === at ? "EIO" : undefined,
    });
    let failures = 0;
    const tryIt = async (body: () => unknown) => {
      try {
        await body();
      } catch (error) {
        assert.ok(error instanceof StorageError);
        failures++;
      }
    };
    for (let n = 0; n < 2; n++) await tryIt(() => store.write(makeBatch(store, 1, n)));
    await tryIt(() => store.sync());
    await tryIt(() => lastBatch(store));
    assert.ok(failures > 0 || at >= store.calls, `call ${at} of ${store.calls} did not fail`);
  }
});
