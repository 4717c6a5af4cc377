/**
 * A process that works on a SQLite store until it is killed: `PATH SEED ACTION`, as arguments or, so that it can be started
 * ahead, as a line of JSON on its input. Says on its output what was acknowledged.
 */
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { openSqliteStore } from "../../core/storage/mod.ts";
import { lastBatch, makeBatch } from "./workload.ts";

const given = process.argv.slice(2);
const [path, seed, action] = given.length > 0
  ? given
  : JSON.parse((await once(createInterface({ input: process.stdin }), "line"))[0]) as string[];
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
