/**
 * Corestores as the reference makes them, and what is in a store in the words of the reference.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { treeHash } from "../../core/crypto/hash.ts";
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import type { LogReader, Store } from "../../core/storage/mod.ts";
import { fullRoots } from "../../core/log/flat_tree.ts";
import { fromHex, toHex } from "../../encoding/text.ts";

const peer = new URL("./reference/make_corestore.mjs", import.meta.url);

/** Why there is nothing to test with, if so. */
export const skip: string | undefined = existsSync(new URL("./node_modules/corestore/package.json", peer))
  ? undefined
  : "the reference is not installed: deno task interop";

/** What is in a log, as the reference tells it. */
export interface LogFacts {
  readonly key: string;
  readonly discoveryKey: string;
  readonly length: number;
  readonly fork: number;
  /** Empty if there are no blocks. */
  readonly treeHash: string;
  /** How many blocks are held. */
  readonly held: number;
  /** A hash of these, with their indexes. */
  readonly blocks: string;
}

/** What is in a store. */
export interface StoreFacts {
  readonly primaryKey: string;
  readonly logs: readonly LogFacts[];
}

/** Has the reference make the store of a scenario in `folder`, or read there the logs of `keys`. */
export function makeCorestore(scenario: string, folder: string, keys: readonly string[] = []): StoreFacts {
  const { stdout, status } = spawnSync("node", [fileURLToPath(peer), scenario, folder, ...keys], {
    encoding: "utf8",
    maxBuffer: 2 ** 24,
    stdio: ["ignore", "pipe", "inherit"],
  });
  assert.equal(status, 0, "the reference failed to make a store");
  return JSON.parse(stdout);
}

/** What is in one log of a store. */
export async function factsOf(crypto: CryptoProvider, store: Store, discoveryKey: string): Promise<LogFacts> {
  const log = await store.open(fromHex(discoveryKey));
  const { fork = 0, length = 0 } = await log.head() ?? {};
  const roots = await log.nodes(fullRoots(length));
  const hash = createHash("sha256");
  let held = 0;
  for (let at = 0; at < length;) {
    const blocks = await log.blocks(at, length, 2 ** 20);
    for (const { index, value } of blocks) {
      hash.update(`${index}:${value.length}:`).update(value);
      held++;
      assert.ok(await isHeld(log, index), `the bitfield does not have block ${index}`);
    }
    at = blocks.length === 0 ? length : blocks.at(-1)!.index + 1;
  }
  return {
    key: toHex((await log.auth())!.key),
    discoveryKey,
    length,
    fork,
    treeHash: length === 0 ? "" : toHex(treeHash(crypto, roots.map((root) => root!))),
    held,
    blocks: hash.digest("hex"),
  };
}

async function isHeld(log: LogReader, index: number): Promise<boolean> {
  const page = await log.bitfieldPage(Math.floor(index / 32768));
  const bit = index % 32768;
  return page !== undefined && (page[bit >>> 3]! & (1 << (bit & 7))) !== 0;
}

/** Checks that `store` holds all that the reference says. */
export async function checkFacts(crypto: CryptoProvider, store: Store, facts: StoreFacts): Promise<void> {
  assert.equal(toHex((await store.record("primaryKey"))!), facts.primaryKey);
  const keys: string[] = [];
  for await (const key of store.list()) keys.push(toHex(key));
  assert.deepEqual(keys.sort(), facts.logs.map(({ discoveryKey }) => discoveryKey).sort());
  for (const log of facts.logs) assert.deepEqual(await factsOf(crypto, store, log.discoveryKey), log);
}
