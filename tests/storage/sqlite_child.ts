/**
 * A process that works on a SQLite store until it is killed: `PATH SEED ACTION`. Says on its output what was acknowledged.
 */
import process from "node:process";
import { openSqliteStore } from "../../core/storage/mod.ts";
import { lastBatch, makeBatch } from "./workload.ts";

const [path, seed, action] = process.argv.slice(2);
const say = (line: string) =>
  new Promise<void>((resolve) => process.stdout.write(`${line}\n`, () => resolve()));

try {
  const store = await openSqliteStore(path!, { durability: action === "normal" ? "normal" : "full" });
  await say("open");
  if (action === "hold") await new Promise((resolve) => setTimeout(resolve, 60_000));
  for (let n = await lastBatch(store) + 1;; n++) {
    store.write(makeBatch(store, Number(seed), n));
    await store.sync();
    await say(String(n));
    if (action === "until full" && n > 3000) break;
  }
} catch (error) {
  await say(`error ${(error as { code?: string }).code} ${(error as Error).message}`);
}
