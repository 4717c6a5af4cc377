/**
 * Kills a process that works on a SQLite store, over and over, and checks each time what is left: `[--kills N] [--seed S]`.
 */
import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import process from "node:process";
import { MemoryStore, openSqliteStore } from "../../core/storage/mod.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { childCommand, SqliteChild } from "./sqlite_process.ts";
import { inFolder } from "./support.ts";
import { dump, lastBatch, makeBatch } from "./workload.ts";

/** Batches after which a store is begun anew, since the model does all of them again. */
const MAX_BATCHES = 2000;

/** What was done, and what it took. */
export interface Killings {
  /** Batches that were written. */
  batches: number;
  /** How often what a process had not put in its place was left behind in other files, */
  recoveries: number;
  /** its bytes altogether, */
  recoveredBytes: number;
  /** how long opening took with it, in milliseconds, */
  recoveryMs: number;
  /** and at most. */
  slowestRecoveryMs: number;
  /** How often the batch that was under way was there, whole. */
  aheads: number;
}

/** Kills `kills` times, half of them in each durability that survives it. @throws {AssertionError} if anything is lost. */
export async function killAndCheck(kills: number, seed: number): Promise<Killings> {
  const sum = {
    ...{ batches: 0, recoveries: 0, recoveredBytes: 0, recoveryMs: 0, slowestRecoveryMs: 0, aheads: 0 },
  };
  const random = new SeededRandom(seed);
  // Starting takes as long as all the rest: the next process starts meanwhile.
  let next = new SqliteChild(childCommand());
  try {
    for (let done = 0, round = 0; done < kills; round++) {
      await inFolder(async (folder) => {
        const path = join(folder, "logs.sqlite");
        const model = new MemoryStore();
        for (let last = -1; done < kills && last < MAX_BATCHES; done++) {
          const child = next;
          next = new SqliteChild(childCommand());
          child.begin(path, seed + round, done % 2 === 0 ? "full" : "normal");
          await child.read(1 + random.below(60));
          await new Promise((resolve) => setTimeout(resolve, random.below(5)));
          await child.kill();
          assert.ok(child.lines.length > 0, "the child did not start");
          last = await check(path, model, seed + round, child, `kill ${done} of seed ${seed}`, sum);
        }
        sum.batches += await lastBatch(model) + 1;
      });
    }
  } finally {
    await next.kill();
  }
  return sum;
}

/** Opens what is left of a store and looks whether it is what `model` is after as many batches. Returns the last batch. */
async function check(
  path: string,
  model: MemoryStore,
  seed: number,
  { acknowledged }: SqliteChild,
  what: string,
  sum: Killings,
): Promise<number> {
  const folder = dirname(path);
  const beside = readdirSync(folder).filter((name) => name !== basename(path));
  const left = beside.reduce((bytes, name) => bytes + statSync(join(folder, name)).size, 0);
  const begin = performance.now();
  const store = await openSqliteStore(path);
  const found = await lastBatch(store);
  const took = performance.now() - begin;
  if (left > 0) {
    sum.recoveries++;
    sum.recoveredBytes += left;
    sum.recoveryMs += took;
    sum.slowestRecoveryMs = Math.max(sum.slowestRecoveryMs, took);
  }
  assert.ok(found >= acknowledged, `${what}: ${acknowledged} was acknowledged, ${found} is there`);
  if (found > acknowledged) sum.aheads++;
  for (let n = await lastBatch(model) + 1; n <= found; n++) model.write(makeBatch(model, seed, n));
  assert.equal(await dump(store), await dump(model), `${what}: batch ${found} is not whole`);
  const problems = store.verify().filter((problem) => !/were not whole/.test(problem)); // a kill may tear a write
  assert.deepEqual(problems, [], what);
  await store.close();
  return found;
}

if (process.argv[1]?.endsWith("kill.ts") === true) {
  const value = (flag: string) => Number(process.argv[process.argv.indexOf(flag) + 1]);
  const kills = process.argv.includes("--kills") ? value("--kills") : 1000;
  const seed = process.argv.includes("--seed") ? value("--seed") : 1;
  const begin = performance.now();
  const sum = await killAndCheck(kills, seed);
  const seconds = (performance.now() - begin) / 1000;
  console.log(
    `${kills} kills in ${seconds.toFixed(0)} s, ${sum.batches} batches, nothing lost (seed ${seed})\n` +
      `${sum.recoveries} times ${
        Math.round(sum.recoveredBytes / sum.recoveries / 1024)
      } KiB had to be worked in, in ` +
      `${(sum.recoveryMs / sum.recoveries).toFixed(1)} ms, at most ${sum.slowestRecoveryMs.toFixed(0)}; ` +
      `${sum.aheads} times the batch that was under way was there`,
  );
}
