/**
 * Kills a process that works on a SQLite store, over and over, and checks each time what is left: `[--kills N] [--seed S]`.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import { MemoryStore, openSqliteStore } from "../../core/storage/mod.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { childCommand, SqliteChild } from "./sqlite_process.ts";
import { inFolder } from "./support.ts";
import { dump, lastBatch, makeBatch } from "./workload.ts";

/** Batches after which a store is begun anew, since the model does all of them again. */
const MAX_BATCHES = 2000;

/** Kills `kills` times, half of them in each durability that survives it. @throws {AssertionError} if anything is lost. */
export async function killAndCheck(kills: number, seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  for (let done = 0, round = 0; done < kills; round++) {
    await inFolder(async (folder) => {
      const path = join(folder, "logs.sqlite");
      const model = new MemoryStore();
      for (let last = -1; done < kills && last < MAX_BATCHES; done++) {
        const child = new SqliteChild(childCommand(path, seed + round, done % 2 === 0 ? "full" : "normal"));
        await child.read(1 + random.below(60));
        await new Promise((resolve) => setTimeout(resolve, random.below(5)));
        await child.kill();
        const { acknowledged } = child;
        assert.ok(child.lines.length > 0, "the child did not start");
        const store = await openSqliteStore(path);
        const found = await lastBatch(store);
        const what = `kill ${done} of seed ${seed}`;
        assert.ok(found >= acknowledged, `${what}: ${acknowledged} was acknowledged, ${found} is there`);
        for (let n = await lastBatch(model) + 1; n <= found; n++) {
          model.write(makeBatch(model, seed + round, n));
        }
        assert.equal(await dump(store), await dump(model), `${what}: batch ${found} is not whole`);
        assert.deepEqual(store.verify(), [], what);
        await store.close();
        last = found;
      }
    });
  }
}

if (process.argv[1]?.endsWith("kill.ts") === true) {
  const value = (flag: string) => Number(process.argv[process.argv.indexOf(flag) + 1]);
  const kills = process.argv.includes("--kills") ? value("--kills") : 1000;
  const seed = process.argv.includes("--seed") ? value("--seed") : 1;
  await killAndCheck(kills, seed);
  console.log(`${kills} kills, nothing lost (seed ${seed})`);
}
