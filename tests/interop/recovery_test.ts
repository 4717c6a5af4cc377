/**
 * Logs whose stores are damaged and that a peer of the other kind makes whole.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadCryptoProvider, verifyStore } from "../../core/mod.ts";
import { type LogWriter, MemoryStore, type Store, WriteBatch } from "../../core/storage/mod.ts";
import { test } from "../harness.ts";
import { GENERATIONS } from "./driven_logs.ts";
import { assertSame, blocks } from "./log_cases.ts";
import { type ChildLog, LogRig, skip } from "./log_rig.ts";
import { OurPeer } from "./our_logs.ts";

const crypto = await loadCryptoProvider();
const COUNT = 100;

/** A peer of ours whose logs lie in one store, which stays open. */
class KeptPeer extends OurPeer {
  readonly #store: Store;

  constructor(store: Store) {
    super();
    this.#store = store;
  }

  override newStore(): Promise<Store> {
    return Promise.resolve(this.#store);
  }
}

/** Changes the only log of a store behind the back of whoever has it open. */
async function damage(store: Store, change: (writer: LogWriter) => unknown): Promise<void> {
  const [discoveryKey] = await Array.fromAsync(store.list());
  const batch = new WriteBatch();
  change(batch.log(await store.open(discoveryKey!)));
  await store.write(batch);
}

/** What may be lost, and what is told of it. */
const LOSSES: readonly [what: string, change: (writer: LogWriter) => unknown][] = [
  ["its roots and some blocks", (writer) => writer.clearNodes(0, 2 * COUNT).clear(3, 5).clear(98, 99)],
  ["nodes and blocks", (writer) => writer.clearNodes(20, 70).clear(12, 14).clear(30, 31)],
];

for (const generation of GENERATIONS) {
  for (const [what, change] of LOSSES) {
    test(`recovery: a log that has lost ${what} is made whole by hypercore ${generation}`, async () => {
      await using rig = new LogRig();
      const theirs = rig.theirs(generation);
      const source = await theirs.open({ seed: 1 });
      await source.append(blocks(0, COUNT));
      const port = await theirs.listen([source]);
      const store = new MemoryStore();
      const before = rig.add(new KeptPeer(store));
      const first = await before.open({ key: source.key });
      const disconnect = await before.connect(port, [first]);
      await assertSame(source, first);
      await disconnect();
      await first.core.close();
      await damage(store, change);

      const after = rig.add(new KeptPeer(store));
      const log = await after.open({ key: source.key });
      await after.connect(port, [log]);
      await log.core.recover();
      assert.equal(log.core.recovering, false);
      await assertSame(source, log);
      const [check] = await Array.fromAsync(verifyStore(store, { crypto }));
      assert.equal(check?.problem, undefined);
      await source.append(blocks(COUNT, 5));
      await assertSame(source, log);
    }, { skip });
  }
}

test("recovery: hypercore 11 that has lost its roots gets them from us", async () => {
  await using rig = new LogRig();
  const theirs = rig.theirs(11);
  const ours = rig.add(new OurPeer());
  const source = await ours.open({ seed: 1 });
  await source.append(blocks(0, COUNT));
  const port = await ours.listen([source], false);
  const directory = await mkdtemp(join(tmpdir(), "hypha-lost-"));
  try {
    const first = await theirs.open({ key: source.key, directory }) as ChildLog;
    const disconnect = await theirs.connect(port, [first]);
    await assertSame(source, first);
    await disconnect();
    // The roots of 100 blocks are 63, 159 and 195.
    await first.ask("lose_nodes", { start: 159, end: 160 });
    await first.ask("close");
    const again = await theirs.open({ key: source.key, directory }) as ChildLog;
    await theirs.connect(port, [again]);
    await theirs.next("repaired", ({ log }) => log === again.name);
    // What it has in memory stays as it was until it is opened once more.
    await again.ask("close");
    const last = await theirs.open({ key: source.key, directory }) as ChildLog;
    await theirs.connect(port, [last]);
    await assertSame(source, last);
  } finally {
    await rm(directory, { recursive: true });
  }
}, { skip });
