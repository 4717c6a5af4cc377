/**
 * What becomes of stores whose medium rots: bits that flip and sectors that come from elsewhere, in every file. Whatever happens,
 * nothing is read that was not written, and what is missing is told. `HYPHA_FLIPS` is how many are played, `HYPHA_SEED` which.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { loadCryptoProvider, repairStore, verifyStore } from "../../core/mod.ts";
import { openSqliteStore, type Store } from "../../core/storage/mod.ts";
import { HyphaError, StorageError } from "../../core/runtime/errors.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { inFolder } from "../storage/support.ts";
import { test } from "../harness.ts";
import { storeWith } from "./support.ts";

const crypto = await loadCryptoProvider();

async function isSound(store: Store): Promise<boolean> {
  const logs = await Array.fromAsync(verifyStore(store, { crypto }));
  return logs.every(({ problem }) => problem === undefined);
}

/** Flips bits of all files of a closed store, repairs it, and reads all; tells how often what happened. */
async function rot(folder: string, flips: number, seed: number, blocks: readonly Uint8Array[]) {
  const names = readdirSync(folder);
  const files = names.map((name) => readFileSync(join(folder, name)));
  const total = files.reduce((sum, { length }) => sum + length, 0);
  const random = new SeededRandom(seed);
  const outcomes = { refused: 0, mended: 0, lost: 0, told: 0, unharmed: 0 };
  for (let i = 0; i < flips; i++) {
    let at = random.below(total);
    const which = files.findIndex(({ length }) => (at -= length) < 0);
    at += files[which]!.length;
    const isMoved = i % 10 === 9; // a block of the disk that came from elsewhere
    const rotten = Uint8Array.from(files[which]!);
    if (isMoved) {
      const [from, to] = [random.below(rotten.length), at].map((place) => Math.floor(place / 512) * 512);
      rotten.copyWithin(to!, from!, from! + 512);
    } else rotten[at]! ^= 1 << random.below(8);
    for (const name of readdirSync(folder)) if (!names.includes(name)) rmSync(join(folder, name));
    names.forEach((name, k) => writeFileSync(join(folder, name), k === which ? rotten : files[k]!));
    const what = `seed ${seed}, ${i}: ${isMoved ? "sector" : "bit"} at ${at} of ${names[which]}`;
    outcomes[await repairAndRead(join(folder, "logs.sqlite"), blocks, what)]++;
  }
  return outcomes;
}

async function repairAndRead(path: string, blocks: readonly Uint8Array[], what: string) {
  try {
    await using store = await openSqliteStore(path, { durability: "none" });
    const logs = await Array.fromAsync(repairStore(store, { crypto }));
    const [log] = logs;
    if (log === undefined) assert.fail(`${what}: the log is not there any more`);
    const stored = await store.open(log.discoveryKey);
    let missing = 0;
    for (const [index, block] of blocks.entries()) {
      const read = await stored.block(index);
      if (read === undefined) missing++;
      else assert.deepEqual(Uint8Array.from(read), block, `${what}: block ${index} is read wrongly`);
    }
    const { nodes, lost, found, problems } = log;
    assert.ok(
      missing <= lost || problems.length > 0,
      `${what}: ${missing} blocks are missing, ${lost} were told`,
    );
    if (problems.length === 0) assert.ok(await isSound(store), `${what}: it is not sound`);
    if (lost > 0) return "lost";
    if (problems.length > 0) return "told";
    return nodes + found > 0 ? "mended" : "unharmed";
  } catch (error) {
    if (!(error instanceof HyphaError)) throw error;
    assert.ok(error instanceof StorageError, `${what}: ${error}`);
    return "refused";
  }
}

test("bits that flip and sectors that move in any file of a store are mended, told or refused", async () => {
  await inFolder(async (folder) => {
    const blocks = Array.from(
      { length: 300 },
      (_, i) => new Uint8Array(i % 30 === 0 ? 5000 : 20 + i % 50).fill(i),
    );
    await using store = await openSqliteStore(join(folder, "logs.sqlite"));
    await storeWith(store, blocks.length, (i) => blocks[i]!);
    await store.close();
    const outcomes = await rot(
      folder,
      Number(process.env.HYPHA_FLIPS ?? 300),
      Number(process.env.HYPHA_SEED ?? 11),
      blocks,
    );
    console.log(outcomes);
  });
});
