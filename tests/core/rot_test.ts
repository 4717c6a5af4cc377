/**
 * What becomes of stores whose medium rots: bits that flip and sectors that come from elsewhere, in every file. Whatever happens,
 * nothing is read that was not written, and what is missing is told. `HYPHA_FLIPS` is how many are played, `HYPHA_SEED` which.
 */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { loadCryptoProvider, repairStore, verifyStore } from "../../core/mod.ts";
import { openSqliteStore, openV10Store, SqliteStore, type Store, V10Store } from "../../core/storage/mod.ts";
import { StorageError } from "../../core/runtime/errors.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { inFolder } from "../storage/support.ts";
import { test } from "../harness.ts";
import { storeWith } from "./support.ts";

const PRIMARY_KEY = new Uint8Array(32).fill(3);
const crypto = await loadCryptoProvider();
const FLIPS = Number(process.env.HYPHA_FLIPS ?? 300);
const SEED = Number(process.env.HYPHA_SEED ?? 1);
/** How many are played in one test. */
const PART = 500;
/** Bytes of a sector. */
const SECTOR = 512;

/** Small blocks, which share rows, and large ones, which have files of their own. */
const BLOCKS = Array.from(
  { length: 300 },
  (_, i) => Uint8Array.from({ length: i % 30 === 0 ? 5000 : 20 + i % 50 }, (_, k) => i + 7 * k),
);

/** A folder that holds a store, as its files are. */
interface Image {
  readonly what: string;
  /** A file in which a bit that flips takes a block that nobody can tell was there. */
  readonly unchecked?: string;
  /** Writes a store, puts its files into `target`, and tells of which log. */
  make(folder: string, target: string): Promise<Uint8Array>;
  open(folder: string): Promise<Store>;
}

const sqlite = (folder: string) => openSqliteStore(join(folder, "logs.sqlite"), { durability: "none" });

const IMAGES: readonly Image[] = [
  {
    what: "a store that was closed",
    async make(folder, target) {
      const store = await openSqliteStore(join(folder, "logs.sqlite"));
      const { discoveryKey } = await storeWith(store, BLOCKS, PRIMARY_KEY);
      await store.close();
      cpSync(folder, target, { recursive: true });
      return discoveryKey;
    },
    open: sqlite,
  },
  {
    what: "a store whose program died",
    async make(folder, target) {
      const store = await openSqliteStore(join(folder, "logs.sqlite"));
      const { discoveryKey } = await storeWith(store, BLOCKS, PRIMARY_KEY);
      cpSync(folder, target, { recursive: true });
      await store.close();
      return discoveryKey;
    },
    open: sqlite,
  },
  {
    what: "a store whose program died with changes in SQLite's log",
    async make(folder, target) {
      const store = await openSqliteStore(join(folder, "logs.sqlite"));
      const { discoveryKey } = await storeWith(store, BLOCKS, PRIMARY_KEY);
      // So many small values go to SQLite at once, and all that waits goes with them.
      await storeWith(store, Array.from({ length: 100 }, () => new Uint8Array(300)), PRIMARY_KEY);
      cpSync(folder, target, { recursive: true });
      await store.close();
      return discoveryKey;
    },
    open: sqlite,
  },
  {
    what: "a folder of hypercore 10",
    unchecked: "/bitfield",
    async make(folder, target) {
      const store = await openV10Store(folder);
      const { discoveryKey } = await storeWith(store, BLOCKS, PRIMARY_KEY);
      await store.close();
      cpSync(folder, target, { recursive: true });
      return discoveryKey;
    },
    open: (folder) => openV10Store(folder),
  },
];

/** All files of a folder, by their paths in it. */
function filesOf(folder: string): Map<string, Uint8Array> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile()
  );
  const paths = entries.map(({ parentPath, name }) => join(parentPath, name));
  return new Map(paths.map((path) => [path.slice(folder.length + 1), new Uint8Array(readFileSync(path))]));
}

/** Flips a bit, or takes a sector for another, as `random` has it. */
function rotten(bytes: Uint8Array, at: number, isMoved: boolean, random: SeededRandom): Uint8Array {
  const copy = bytes.slice();
  const sector = (place: number) => Math.floor(place / SECTOR) * SECTOR;
  const from = sector(random.below(bytes.length));
  if (isMoved) copy.copyWithin(sector(at), from, from + SECTOR);
  else copy[at]! ^= 1 << random.below(8);
  return copy;
}

type Outcome = "unharmed" | "mended" | "told" | "refused" | "forgotten";

/** Reads what a rotten store has, repairs it, and reads it again. @throws if anything is read that was not written. */
async function judge(
  store: Store,
  discoveryKey: Uint8Array,
  mayForget: boolean,
): Promise<Outcome> {
  const log = await store.open(discoveryKey);
  const readAll = async () => {
    const missing: number[] = [];
    for (const [index, block] of BLOCKS.entries()) {
      const read = await Promise.resolve().then(() => log.block(index)).catch((error: unknown) => {
        if (error instanceof StorageError) return undefined;
        throw error;
      });
      if (read === undefined) missing.push(index);
      else assert.deepEqual(Uint8Array.from(read), block, `block ${index} is read wrongly`);
    }
    return missing;
  };
  await readAll();
  const isFileTold = (store instanceof V10Store || store instanceof SqliteStore) && store.verify().length > 0;
  const repairs = await Array.fromAsync(repairStore(store, { crypto }));
  const repair = repairs.find(({ discoveryKey: one }) => Uint8Array.from(one).join() === discoveryKey.join());
  if (repair === undefined || repair.length < BLOCKS.length && repair.problems.length === 0) {
    assert.ok(isFileTold, `only ${repair?.length} blocks are left, and nobody is told`);
    assert.ok(repair === undefined || await isSound(store), "what is left is not sound");
    return "told";
  }
  const missing = await readAll();
  const { nodes, lost, found, problems } = repair;
  const isTold = missing.length <= lost || problems.length > 0;
  assert.ok(isTold || mayForget, `${missing} are missing, ${lost} were told`);
  if (!isTold) return "forgotten";
  if (problems.length > 0) return "told";
  assert.ok(await isSound(store), "it is not sound");
  return nodes + found > 0 ? "mended" : "unharmed";
}

async function isSound(store: Store): Promise<boolean> {
  const logs = await Array.fromAsync(verifyStore(store, { crypto }));
  return logs.every(({ problem }) => problem === undefined);
}

/** Puts the files into an empty folder, opens the store, and judges it. */
async function playOne(
  image: Image,
  discoveryKey: Uint8Array,
  folder: string,
  files: ReadonlyMap<string, Uint8Array>,
  changed: string,
): Promise<Outcome> {
  for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
  for (const [name, bytes] of files) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
  let store: Store | undefined;
  try {
    store = await image.open(folder);
    const mayForget = image.unchecked !== undefined && changed.endsWith(image.unchecked);
    return await judge(store, discoveryKey, mayForget);
  } catch (error) {
    if (error instanceof StorageError) return "refused";
    throw error;
  } finally {
    await store?.close().catch(() => {});
  }
}

async function play(image: Image, flips: number, seed: number): Promise<Record<Outcome, number>> {
  const outcomes = { unharmed: 0, mended: 0, told: 0, refused: 0, forgotten: 0 };
  await inFolder(async (folder) => {
    for (const name of ["made", "whole", "rotten"]) mkdirSync(join(folder, name));
    const discoveryKey = await image.make(join(folder, "made"), join(folder, "whole"));
    const files = filesOf(join(folder, "whole"));
    const total = [...files.values()].reduce((sum, { length }) => sum + length, 0);
    const random = new SeededRandom(seed);
    for (let i = 0; i < flips; i++) {
      let at = random.below(total);
      const [name, bytes] = [...files].find(([, { length }]) => {
        if (at < length) return true;
        at -= length;
        return false;
      })!;
      const isMoved = i % 10 === 9;
      const changed = new Map(files).set(name, rotten(bytes, at, isMoved, random));
      try {
        outcomes[await playOne(image, discoveryKey, join(folder, "rotten"), changed, name)]++;
      } catch (error) {
        const what = `${isMoved ? "sector" : "bit"} at ${at} of ${name}`;
        throw new Error(`seed ${seed}, ${i}: ${what}: ${(error as Error).message}`, { cause: error });
      }
    }
  });
  return outcomes;
}

for (const image of IMAGES) {
  for (let part = 0, left = Math.ceil(FLIPS / IMAGES.length); left > 0; part++, left -= PART) {
    test(`nothing is read wrongly of ${image.what} and rots, and what is gone is told: ${SEED + part}`, async () => {
      const flips = Math.min(left, PART);
      const outcomes = await play(image, flips, SEED + part);
      const noticed = flips - outcomes.unharmed;
      assert.ok(noticed >= flips / 20, `only ${noticed} of ${flips} were noticed`);
      if (process.env.HYPHA_FLIPS !== undefined) console.log(image.what, outcomes);
    });
  }
}
