/**
 * Conformance of stores: logs as they really are, with keys, trees that fit their blocks, and signed heads. All stores must hold
 * these, also those that hold nothing else.
 */
import { leafHash, parentHash, treeHash } from "../crypto/hash.ts";
import { loadCryptoProvider } from "../crypto/provider.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { expect } from "../runtime/conformance.ts";
import { SeededRandom } from "../runtime/virtual.ts";
import type { LogHead, LogReader, LogSnapshot, LogStorage, Store, TreeNode } from "./storage.ts";
import {
  bytes,
  collect,
  expectBytes,
  expectFailure,
  key,
  same,
  type StoreCase,
  write,
} from "./testing_basics.ts";
import type { LogWriter, WriteBatch } from "./write_batch.ts";

/** What should be in a log: its blocks, those that are held, and the nodes above all of them. */
class TrueLog {
  readonly blocks: Uint8Array[] = [];
  readonly held = new Set<number>();
  readonly nodes = new Map<number, TreeNode>();
  fork = 0;
  readonly #crypto: CryptoProvider;
  #next = 0;

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto;
  }

  /** Appends blocks that differ from all before; returns the nodes that come with them. */
  grow(count: number, size: (n: number) => number = (n) => n * 37 % 300): TreeNode[] {
    const added: TreeNode[] = [];
    for (let i = 0; i < count; i++) {
      const index = this.blocks.length;
      const block = bytes(this.#next, size(this.#next++));
      this.blocks.push(block);
      let last: TreeNode = { index: 2 * index, size: block.length, hash: leafHash(this.#crypto, block) };
      added.push(last);
      for (let leaves = 1; (index + 1) % (2 * leaves) === 0; leaves *= 2) {
        const left = this.nodes.get(last.index - 2 * leaves)!;
        last = {
          index: last.index - leaves,
          size: left.size + last.size,
          hash: parentHash(this.#crypto, left, last),
        };
        this.nodes.set(added.at(-1)!.index, added.at(-1)!);
        added.push(last);
      }
      this.nodes.set(last.index, last);
    }
    return added;
  }

  /** Cuts it. */
  cut(length: number): void {
    this.blocks.length = length;
    this.fork++;
    for (const index of this.held) if (index >= length) this.held.delete(index);
    for (const index of this.nodes.keys()) if (lastBlock(index) >= length) this.nodes.delete(index);
  }

  /** Its roots. */
  roots(): TreeNode[] {
    const roots: TreeNode[] = [];
    const { length } = this.blocks;
    for (let first = 0, leaves = 2 ** 20; first < length; leaves /= 2) {
      if (first + leaves > length) continue;
      roots.push(this.nodes.get(2 * first + leaves - 1)!);
      first += leaves;
    }
    return roots;
  }

  /** Its head, as if it were signed. */
  head(): LogHead {
    const { fork, blocks: { length } } = this;
    const rootHash = treeHash(this.#crypto, this.roots());
    const signature = length === 0 ? new Uint8Array(0) : bytes(31 * fork + length, 64);
    return { fork, length, rootHash, signature, flags: 0, timestamp: 0 };
  }

  /** The nodes that place and prove a block. */
  path(index: number): TreeNode[] {
    const path = [this.nodes.get(2 * index)!];
    for (let at = 2 * index, leaves = 1;; leaves *= 2) {
      const isLeft = (at - leaves + 1) / (2 * leaves) % 2 === 0;
      const sibling = this.nodes.get(isLeft ? at + 2 * leaves : at - 2 * leaves);
      at = isLeft ? at + leaves : at - leaves;
      if (sibling === undefined || !this.nodes.has(at)) return path;
      path.push(sibling, this.nodes.get(at)!);
    }
  }
}

/** The last block below a node. */
function lastBlock(index: number): number {
  let leaves = 1;
  for (let i = index; i % 2 === 1; i = (i - 1) / 2) leaves *= 2;
  return (index + leaves - 1) / 2;
}

/** A log with keys and nothing else, and its model. */
async function begin(store: Store, n = 1): Promise<{ log: LogStorage; model: TrueLog }> {
  const log = await store.open(key(n));
  const keyPair = { publicKey: bytes(1, 32), secretKey: bytes(2, 64) };
  await write(store, (batch) => void batch.log(log).setAuth({ key: bytes(n, 32), flags: 0, keyPair }));
  return { log, model: new TrueLog(await loadCryptoProvider()) };
}

/** Puts the next blocks into a batch, with all that belongs to them. */
function append(writer: LogWriter, model: TrueLog, count: number, size?: (n: number) => number): void {
  const first = model.blocks.length;
  for (const node of model.grow(count, size)) writer.putNode(node);
  for (let i = first; i < model.blocks.length; i++) {
    writer.putBlock(i, model.blocks[i]!);
    model.held.add(i);
  }
  writer.setHead(model.head());
}

function cut(writer: LogWriter, model: TrueLog, length: number): void {
  model.cut(length);
  writer.truncate(length).setHead(model.head());
}

function clear(writer: LogWriter, model: TrueLog, start: number, end: number): void {
  for (let i = start; i < end; i++) model.held.delete(i);
  writer.clear(start, end);
}

/** @throws {ConformanceError} unless `log` holds exactly what `model` says. */
async function check(what: string, log: LogReader, model: TrueLog): Promise<void> {
  const { blocks, held, nodes } = model;
  const head = await log.head();
  expect(
    (head?.length ?? 0) === blocks.length,
    `${what}: there are ${head?.length} blocks, not ${blocks.length}`,
  );
  if (head !== undefined && model.fork + blocks.length > 0) {
    const wanted = model.head();
    expect(head.fork === wanted.fork, `${what}: the fork is ${head.fork}, not ${wanted.fork}`);
    expect(same(head.signature, wanted.signature), `${what}: the signature is another`);
    expect(same(head.rootHash, wanted.rootHash), `${what}: the hash of the tree is another`);
  }
  for (const [index, block] of blocks.entries()) {
    await expectBytes(`${what}: block ${index}`, log.block(index), held.has(index) ? block : undefined);
  }
  await expectBytes(`${what}: the block behind`, log.block(blocks.length), undefined);
  for (const index of await collect(log, 0, Infinity, 500)) {
    expect(held.has(index), `${what}: block ${index} is listed`);
  }
  expect((await collect(log, 0, Infinity, 0)).length === held.size, `${what}: not all blocks are listed`);
  for (const [index, { size, hash }] of nodes) {
    const found = await log.node(index);
    if (found === undefined && !held.has(index / 2)) continue;
    expect(found?.size === size && same(found.hash, hash), `${what}: node ${index} is another`);
  }
}

/** A copy that stays as it is. */
async function frozen(model: TrueLog): Promise<TrueLog> {
  const copy = new TrueLog(await loadCryptoProvider());
  copy.fork = model.fork;
  copy.blocks.push(...model.blocks);
  for (const index of model.held) copy.held.add(index);
  for (const [index, node] of model.nodes) copy.nodes.set(index, node);
  return copy;
}

async function randomSteps(store: Store, seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const { log, model } = await begin(store, seed);
  const snapshots: { snapshot: LogSnapshot; model: TrueLog }[] = [];
  for (let step = 0; step < 120; step++) {
    const dice = random.below(12);
    const { length } = model.blocks;
    const start = random.below(length + 1);
    const put = (fill: (writer: LogWriter) => void) => write(store, (batch) => fill(batch.log(log)));
    if (dice < 6) await put((writer) => append(writer, model, 1 + random.below(5)));
    else if (dice === 6) await put((writer) => cut(writer, model, start));
    else if (dice < 9) await put((writer) => clear(writer, model, start, Math.min(length, start + 3)));
    else if (dice === 9) await store.sync();
    else if (dice === 10 && snapshots.length < 3) {
      snapshots.push({ snapshot: await log.snapshot(), model: await frozen(model) });
    } else snapshots.shift()?.snapshot[Symbol.dispose]();
    if (step % 10 !== 0) continue;
    await check(`seed ${seed}, step ${step}`, log, model);
    for (const one of snapshots) {
      await check(`seed ${seed}, step ${step}, a snapshot`, one.snapshot, one.model);
    }
  }
  for (const { snapshot } of snapshots) snapshot[Symbol.dispose]();
}

/** What any store must do. */
export const LOG_CASES: Record<string, StoreCase> = {
  "a signed log grows by single blocks and by many, and says what it is": async (open) => {
    const store = await open();
    const { log, model } = await begin(store);
    for (const count of [1, 1, 5, 1, 40, 2]) {
      await write(store, (batch) => append(batch.log(log), model, count));
      await check(`after ${model.blocks.length}`, log, model);
    }
    const auth = await log.auth();
    expect(same(auth?.key, bytes(1, 32)) && same(auth?.keyPair?.secretKey, bytes(2, 64)), "its keys changed");
    await store.close();
  },
  "blocks of a signed log that come in any order are found where they belong": async (open) => {
    const store = await open();
    const { log, model } = await begin(store);
    model.grow(40);
    await write(store, (batch) => {
      const writer = batch.log(log).setHead(model.head());
      for (const root of model.roots()) writer.putNode(root);
    });
    for (let i = 0, index = 7; i < 40; i++, index = (index + 11) % 40) {
      await write(store, (batch) => {
        const writer = batch.log(log).putBlock(index, model.blocks[index]!);
        for (const node of model.path(index)) writer.putNode(node);
      });
      model.held.add(index);
      if (i % 7 === 0) await check(`with ${i + 1} blocks`, log, model);
    }
    await check("with all", log, model);
    await store.close();
  },
  "a signed log that is cut holds nothing of what it was, and grows anew": async (open) => {
    const store = await open();
    const { log, model } = await begin(store);
    await write(store, (batch) => append(batch.log(log), model, 23));
    for (const length of [22, 16, 16, 9, 7, 0]) {
      await write(store, (batch) => cut(batch.log(log), model, length));
      await check(`cut to ${length}`, log, model);
      await write(store, (batch) => append(batch.log(log), model, 3));
      await check(`cut to ${length} and three more`, log, model);
    }
    await write(store, (batch) => {
      cut(batch.log(log), model, 2);
      append(batch.log(log), model, 9);
    });
    await check("cut and grown at once", log, model);
    await store.close();
  },
  "cleared blocks of a signed log are gone, and may come again": async (open) => {
    const store = await open();
    const { log, model } = await begin(store);
    await write(store, (batch) => append(batch.log(log), model, 20));
    await write(store, (batch) => {
      clear(batch.log(log), model, 3, 9);
      clear(batch.log(log), model, 18, 20);
    });
    await check("with holes", log, model);
    await write(store, (batch) => {
      for (const i of [4, 5, 19]) {
        batch.log(log).putBlock(i, model.blocks[i]!);
        model.held.add(i);
      }
    });
    await check("with some of it again", log, model);
    await write(store, (batch) => clear(batch.log(log), model, 0, 20));
    await check("with nothing", log, model);
    await store.close();
  },
  "a batch that fails changes no signed log": async (open) => {
    const store = await open();
    const [a, b] = [await begin(store, 1), await begin(store, 2)];
    await write(store, (batch) => append(batch.log(a.log), a.model, 3));
    const before = await frozen(a.model);
    let hasFailed = false;
    await write(store, (batch) => {
      append(batch.log(a.log), a.model, 3);
      batch.log(a.log).setUserData("u", bytes(1));
      batch.log(b.log.overlay("none")).setUserData("u", bytes(1));
    }).catch(() => hasFailed = true);
    expect(hasFailed, "writing to an overlay that is not there did not fail");
    await check("after the failure", a.log, before);
    await expectBytes("its user data", a.log.userData("u"), undefined);
    await write(store, (batch) => append(batch.log(a.log), before, 1));
    await check("after the next batch", a.log, before);
    await store.close();
  },
  "user data of a signed log is replaced, removed and listed": async (open) => {
    const store = await open();
    const { log, model } = await begin(store);
    await write(store, (batch) => {
      append(batch.log(log), model, 2);
      for (const name of ["a", "a:1", "b", "é\u{1F600}"]) batch.log(log).setUserData(name, bytes(1));
    });
    await write(store, (batch) => void batch.log(log).setUserData("a", bytes(2)).setUserData("b", undefined));
    await expectBytes("replaced", log.userData("a"), bytes(2));
    await expectBytes("removed", log.userData("b"), undefined);
    await expectBytes("as it was", log.userData("é\u{1F600}"), bytes(1));
    expect([...await log.userDataKeys("a")].toSorted().join() === "a,a:1", "the list is wrong");
    await check("the log itself", log, model);
    await store.close();
  },
  "signed logs do not see each other, and removing one leaves the other": async (open) => {
    const store = await open();
    const logs = [await begin(store, 1), await begin(store, 2)];
    await write(store, (batch: WriteBatch) => {
      for (const [i, { log, model }] of logs.entries()) append(batch.log(log), model, 5 + i, (n) => 500 + n);
    });
    for (const { log, model } of logs) await check("one of two", log, model);
    await store.sync();
    const found: number[] = [];
    for await (const discoveryKey of store.list()) found.push(discoveryKey[0]!);
    expect(found.toSorted().join() === "1,2", `${found} are listed`);
    await store.remove(key(1));
    expect(!await logs[0]!.log.exists() && await logs[0]!.log.head() === undefined, "it still exists");
    await check("the other", logs[1]!.log, logs[1]!.model);
    const again = await begin(store, 1);
    await write(store, (batch) => append(batch.log(again.log), again.model, 2));
    await check("the one that came again", again.log, again.model);
    await store.close();
  },
  "the caller's memory of a signed log is its own again when write has returned": async (open) => {
    const store = await open();
    const { log, model } = await begin(store);
    const value = bytes(7);
    await write(store, (batch) => {
      append(batch.log(log), model, 3);
      batch.log(log).setUserData("u", value);
    });
    const wanted = await frozen(model);
    wanted.blocks.splice(0, 3, ...model.blocks.map((block) => block.slice()));
    for (const [index, node] of model.nodes) wanted.nodes.set(index, { ...node, hash: node.hash.slice() });
    for (const block of [value, ...model.blocks, ...[...model.nodes.values()].map(({ hash }) => hash)]) {
      block.fill(0);
    }
    await check("afterwards", log, wanted);
    await expectBytes("user data", log.userData("u"), bytes(7));
    await store.close();
  },
  "syncs overlap with each other and with the growth of a signed log": async (open) => {
    const store = await open();
    const { log, model } = await begin(store);
    const syncs: Promise<void>[] = [store.sync()];
    for (let i = 0; i < 30; i++) {
      await write(store, (batch) => append(batch.log(log), model, 1 + i % 3));
      syncs.push(store.sync(), store.sync());
      if (i % 9 === 4) await write(store, (batch) => cut(batch.log(log), model, model.blocks.length - 3));
      await check(`step ${i}`, log, model);
    }
    await Promise.all(syncs);
    await check("at last", log, model);
    await store.close();
    await expectFailure("a read", "STORE_CLOSED", () => log.block(0));
    await expectFailure("a sync", "STORE_CLOSED", () => store.sync());
  },
  "random steps of a signed log give what a model gives, and its snapshots stay": async (open) => {
    const store = await open();
    for (let seed = 1; seed <= 3; seed++) await randomSteps(store, seed);
    await store.close();
  },
};

/** What a store must do that keeps its data. */
export const LASTING_LOG_CASES: Record<string, StoreCase> = {
  "a signed log is there again after closing, after each of its steps": async (open) => {
    let store = await open();
    let { log, model } = await begin(store);
    const value = new Uint8Array(9);
    const steps: ((writer: LogWriter) => void)[] = [
      (writer) => append(writer, model, 1),
      (writer) => append(writer, model, 30),
      (writer) => cut(writer, model, 11),
      (writer) => append(writer, model, 2),
      (writer) => clear(writer, model, 2, 5),
      (writer) => void writer.setUserData("u", bytes(1)),
      (writer) => void writer.setUserData("v", value.fill(7)),
      (writer) => append(writer, model, 1),
      (writer) => cut(writer, model, 0),
      (writer) => append(writer, model, 4),
    ];
    for (const [i, step] of steps.entries()) {
      await write(store, (batch) => step(batch.log(log)));
      value.fill(0); // it is the caller's again
      await store.close();
      store = await open();
      log = await store.open(key(1));
      await check(`after step ${i}`, log, model);
    }
    await expectBytes("its user data", log.userData("u"), bytes(1));
    await expectBytes("more user data", log.userData("v"), new Uint8Array(9).fill(7));
    expect(same((await log.auth())?.keyPair?.publicKey, bytes(1, 32)), "its key pair is lost");
    await store.close();
  },
  "a store with a signed log can be opened once at a time": async (open) => {
    const store = await open();
    const { log, model } = await begin(store);
    await write(store, (batch) => append(batch.log(log), model, 2));
    await expectFailure("opening it twice", "STORE_IN_USE", open);
    await check("the log", log, model);
    await store.close();
    await (await open()).close();
  },
};
