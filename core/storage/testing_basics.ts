/**
 * Conformance of stores: logs, batches, ranges, records, and how a store ends.
 */
import { equals } from "../../encoding/bytes.ts";
import { expect } from "../runtime/conformance.ts";
import { StorageError } from "../runtime/errors.ts";
import { type LogAuth, type LogReader, MAX_BLOCK_INDEX, type MaybePromise, type Store } from "./storage.ts";
import { WriteBatch } from "./write_batch.ts";

/** A case, given how to open the store. */
export type StoreCase = (open: () => Promise<Store>) => Promise<void>;

/** A discovery key. */
export const key = (n: number): Uint8Array => new Uint8Array(32).fill(n);
/** Bytes that differ from those of other arguments. */
export const bytes = (n: number, size = 5): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => Math.imul(n + 1, 0x9e3779b1 + 2 * i) >>> 24);
/** A tree node. */
export const node = (index: number, n = 0): { index: number; size: number; hash: Uint8Array } => ({
  index,
  size: index + n,
  hash: bytes(index + 31 * n, 32),
});
/** A head of a certain length. */
export const head = (
  length: number,
  fork = 0,
): {
  fork: number;
  length: number;
  rootHash: Uint8Array;
  signature: Uint8Array;
  flags: number;
  timestamp: number;
} => ({ fork, length, rootHash: bytes(length, 32), signature: bytes(fork, 64), flags: 0, timestamp: 7 });

/** Writes what `fill` puts into a batch. */
export async function write(store: Store, fill: (batch: WriteBatch) => void): Promise<void> {
  const batch = new WriteBatch();
  fill(batch);
  await store.write(batch);
}

/** Whether `a` and `b` are the same bytes, or both nothing. */
export function same(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equals(a, b);
}

/** @throws {ConformanceError} unless the answer is `wanted`. */
export async function expectBytes(
  what: string,
  answer: MaybePromise<Uint8Array | undefined>,
  wanted: Uint8Array | undefined,
): Promise<void> {
  const actual = await answer;
  expect(same(actual, wanted), `${what} is ${actual}, should be ${wanted}`);
}

/** @throws {ConformanceError} unless blocks 0 to `wanted.length` are those of `wanted`. */
export async function expectBlocks(
  what: string,
  log: Pick<LogReader, "block">,
  wanted: readonly (number | undefined)[],
): Promise<void> {
  for (const [index, n] of wanted.entries()) {
    await expectBytes(`${what}, block ${index}`, log.block(index), n === undefined ? undefined : bytes(n));
  }
}

/** @throws {ConformanceError} unless `work` fails with `code`, or with an error of the class of that name. */
export async function expectFailure(what: string, code: string, work: () => unknown): Promise<void> {
  let error: unknown;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  }
  expect(error !== undefined, `${what} should fail with ${code}, but did not fail`);
  const actual = error instanceof StorageError ? error.code : (error as Error).name;
  expect(actual === code, `${what} should fail with ${code}, but failed with ${actual}: ${error}`);
}

async function listAll(store: Store): Promise<number[]> {
  const found: number[] = [];
  for await (const discoveryKey of store.list()) found.push(discoveryKey[0]!);
  return found.toSorted((a, b) => a - b);
}

/** The indexes of all blocks in [start, end), asked for in parts. @throws {ConformanceError} if a part breaks a rule. */
export async function collect(
  log: Pick<LogReader, "block" | "blocks">,
  start: number,
  end: number,
  maxBytes: number,
): Promise<number[]> {
  const indexes: number[] = [];
  for (let at = start;;) {
    const blocks = await log.blocks(at, end, maxBytes);
    if (blocks.length === 0) return indexes;
    const size = blocks.reduce((sum, { value }) => sum + value.length, 0);
    expect(blocks.length === 1 || size <= maxBytes, `${size} bytes came, ${maxBytes} were allowed`);
    for (const { index, value } of blocks) {
      expect(index >= at && index < end, `block ${index} came, [${at}, ${end}) was asked`);
      expect(same(value, await log.block(index)), `block ${index} of a range is not the block`);
      indexes.push(index);
      at = index + 1;
    }
  }
}

const range = (start: number, end: number) => Array.from({ length: end - start }, (_, i) => start + i);

/** What any store must do. */
export const BASIC_CASES: Record<string, StoreCase> = {
  "a log that was never written to reads as empty, and opening it creates nothing": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    expect(!await log.exists(), "it exists");
    expect(await log.auth() === undefined && await log.head() === undefined, "it has keys or a head");
    expect(await log.hints() === undefined, "it has hints");
    await expectBytes("a block", log.block(0), undefined);
    expect(await log.node(0) === undefined, "it has a node");
    await expectBytes("a page", log.bitfieldPage(0), undefined);
    await expectBytes("user data", log.userData("a"), undefined);
    expect((await log.blocks(0, Infinity, 1000)).length === 0, "it has blocks");
    expect((await log.overlays()).length === 0, "it has overlays");
    const snapshot = await log.snapshot();
    await expectBytes("a block of its snapshot", snapshot.block(0), undefined);
    snapshot[Symbol.dispose]();
    expect((await listAll(store)).length === 0, "the store lists it");
    await store.close();
  },
  "what is written comes back as it was": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    const keyPair = { publicKey: bytes(1, 32), secretKey: bytes(2, 64) };
    const auth: LogAuth = { key: bytes(3, 32), flags: 5, manifest: bytes(4, 90), keyPair };
    const hints = { contiguousLength: 2 ** 40, remoteContiguousLength: 3, recovering: true };
    await write(store, (batch) => {
      batch.log(log).setAuth(auth).setHead({ ...head(2 ** 40, 9), timestamp: 1.7e12 }).setHints(hints)
        .putBlock(0, bytes(1)).putBlock(1, new Uint8Array(0)).putNode(node(1)).putNode(node(6))
        .putBitfieldPage(3, bytes(5, 4096)).setUserData("", bytes(6)).setUserData(
          "é/\u{10FFFF}",
          bytes(7, 0),
        );
    });
    const { manifest, keyPair: pair, encryptionKey, ...rest } = (await log.auth())!;
    expect(same(rest.key, auth.key) && rest.flags === 5 && same(manifest, auth.manifest), "keys changed");
    expect(
      same(pair?.publicKey, keyPair.publicKey) && same(pair?.secretKey, keyPair.secretKey),
      "a key pair changed",
    );
    expect(encryptionKey === undefined, "an encryption key came from nowhere");
    const stored = (await log.head())!;
    expect(stored.length === 2 ** 40 && stored.fork === 9 && stored.timestamp === 1.7e12, "the head changed");
    expect(
      same(stored.signature, bytes(9, 64)) && same(stored.rootHash, head(2 ** 40).rootHash),
      "its bytes changed",
    );
    expect(JSON.stringify(await log.hints()) === JSON.stringify(hints), "the hints changed");
    await expectBytes("block 0", log.block(0), bytes(1));
    await expectBytes("an empty block", log.block(1), new Uint8Array(0));
    const nodes = await log.nodes([6, 0, 1]);
    expect(
      nodes[0]?.size === 6 && nodes[1] === undefined && same(nodes[2]?.hash, node(1).hash),
      "nodes changed",
    );
    expect(nodes[0]?.index === 6, "a node does not say where it is");
    await expectBytes("a page", log.bitfieldPage(3), bytes(5, 4096));
    const pages = await log.bitfieldPages(0, 10);
    expect(pages.length === 1 && pages[0]!.page === 3 && pages[0]!.value.length === 4096, "pages changed");
    await expectBytes("user data without a name", log.userData(""), bytes(6));
    await expectBytes("empty user data", log.userData("é/\u{10FFFF}"), new Uint8Array(0));
    await store.close();
  },
  "a batch changes several logs at once, or, if it fails, nothing": async (open) => {
    const store = await open();
    const [a, b] = [await store.open(key(1)), await store.open(key(2))];
    await write(store, (batch) => {
      batch.log(a).putBlock(0, bytes(1)).createOverlay("x", 1);
      batch.log(b).putBlock(7, bytes(2));
      batch.setRecord("seed", bytes(3));
    });
    await expectBytes("the first log", a.block(0), bytes(1));
    await expectBytes("the second log", b.block(7), bytes(2));
    await expectBytes("the record", store.record("seed"), bytes(3));
    await expectFailure("a second overlay of that name", "TARGET_EXISTS", () =>
      write(store, (batch) => {
        batch.setRecord("seed", undefined);
        batch.log(b).putBlock(8, bytes(4)).truncate(1).setUserData("a", bytes(1));
        batch.log(a).truncate(0).createOverlay("y", 0).createOverlay("x", 0);
      }));
    const c = await store.open(key(3));
    await expectFailure(
      "writing to an overlay that is not there",
      "TypeError",
      () =>
        write(store, (batch) => {
          batch.log(c).putBlock(0, bytes(1));
          batch.log(c.overlay("none")).putBlock(0, bytes(1));
        }),
    );
    await expectBytes("a block after the failure", a.block(0), bytes(1));
    await expectBlocks("the overlay after the failure", a.overlay("x"), [1, undefined]);
    await expectBytes("a block that the failed batch truncated", b.block(7), bytes(2));
    await expectBytes("a block of the failed batch", b.block(8), undefined);
    await expectBytes("user data of the failed batch", b.userData("a"), undefined);
    await expectBytes("the record after the failure", store.record("seed"), bytes(3));
    expect(
      !await c.exists() && (await a.overlays()).join() === "x",
      "something of the failed batch was created",
    );
    await write(store, (batch) => void batch.log(c).putBlock(1, bytes(9)));
    await expectBytes("a block of the next batch", c.block(1), bytes(9));
    expect((await listAll(store)).join() === "1,2,3", "the list is wrong");
    await store.close();
  },
  "the caller's memory is its own again when write has returned": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    const [value, page, data, record] = [bytes(1), bytes(2), bytes(3), bytes(4)];
    const batch = new WriteBatch().setRecord("r", record);
    batch.log(log).putBlock(0, value).putBitfieldPage(0, page).setUserData("u", data);
    await store.write(batch);
    for (const one of [value, page, data, record]) one.fill(0);
    await expectBytes("the block", log.block(0), bytes(1));
    await expectBytes("the page", log.bitfieldPage(0), bytes(2));
    await expectBytes("the user data", log.userData("u"), bytes(3));
    await expectBytes("the record", store.record("r"), bytes(4));
    await store.close();
  },
  "indexes beyond 2^32 and up to the largest are right, and no two are mixed up": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    const indexes = [
      0,
      1,
      2 ** 20 - 1,
      2 ** 20,
      2 ** 31,
      2 ** 32 - 1,
      2 ** 32,
      2 ** 32 + 1,
      2 ** 45,
      MAX_BLOCK_INDEX,
    ];
    await write(store, (batch) => {
      for (const [n, index] of indexes.entries()) {
        batch.log(log).putBlock(index, bytes(n)).putNode(node(2 * index, 1)).putBitfieldPage(
          index,
          bytes(n, 3),
        );
      }
    });
    for (const [n, index] of indexes.entries()) {
      await expectBytes(`block ${index}`, log.block(index), bytes(n));
      await expectBytes(`page ${index}`, log.bitfieldPage(index), bytes(n, 3));
      const found = await log.node(2 * index);
      expect(found?.size === 2 * index + 1 && found.index === 2 * index, `node ${2 * index} is wrong`);
    }
    expect((await collect(log, 0, Infinity, 12)).join() === indexes.join(), "ranges leave something out");
    await write(store, (batch) => void batch.log(log).clear(2 ** 20, 2 ** 32 + 1));
    const left = [0, 1, 2 ** 20 - 1, 2 ** 32 + 1, 2 ** 45, MAX_BLOCK_INDEX];
    expect((await collect(log, 0, Infinity, 1000)).join() === left.join(), "clear took the wrong ones");
    await write(store, (batch) => void batch.log(log).truncate(2 ** 45));
    expect(
      (await collect(log, 1, 2 ** 50, 0)).join() === left.slice(1, 4).join(),
      "truncate took the wrong ones",
    );
    expect(
      await log.node(2 ** 46) === undefined && await log.node(2 ** 33) !== undefined,
      "its nodes are wrong",
    );
    await store.close();
  },
  "a range of blocks comes in order and whole, in parts of the size that was asked": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    await write(store, (batch) => {
      for (let i = 199; i >= 0; i--) batch.log(log).putBlock(i, bytes(i, i % 7 === 0 ? 0 : 50 + i));
      batch.log(log).clear(20, 40).clear(60, 61);
    });
    const held = [...range(0, 20), ...range(40, 60), ...range(61, 200)];
    for (const maxBytes of [0, 1, 300, Infinity]) {
      const indexes = await collect(log, 3, 190, maxBytes);
      expect(indexes.join() === held.filter((i) => i >= 3 && i < 190).join(), `of ${maxBytes}: ${indexes}`);
    }
    expect((await log.blocks(20, 40, 100)).length === 0, "an empty range has blocks");
    expect((await log.blocks(40, 40, 100)).length === 0, "no range has blocks");
    await store.close();
  },
  "truncate drops the blocks, and the nodes that cover one of them, and nothing else": async (open) => {
    for (const length of [0, 1, 2, 3, 5, 8, 11, 12]) {
      const store = await open();
      const log = await store.open(key(length));
      await write(store, (batch) => {
        for (let i = 0; i < 12; i++) batch.log(log).putBlock(i, bytes(i));
        for (let i = 0; i < 31; i++) batch.log(log).putNode(node(i));
      });
      await write(store, (batch) => void batch.log(log).truncate(length));
      for (let i = 0; i < 12; i++) {
        await expectBytes(`block ${i} of ${length}`, log.block(i), i < length ? bytes(i) : undefined);
      }
      for (let i = 0; i < 31; i++) {
        // The depth of a node is the number of ones at its end, and what it covers is as many leaves to both sides.
        const depth = 31 - Math.clz32((i ^ (i + 1)) >>> 0);
        const isKept = (i + 2 ** depth - 1) / 2 < length;
        const isThere = await log.node(i) !== undefined;
        expect(isThere === isKept, `cut to ${length}, node ${i} is ${isThere ? "" : "not "}there`);
      }
      await store.close();
    }
  },
  "clearNodes drops the nodes of its range only": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    await write(store, (batch) => {
      for (let i = 0; i < 9; i++) batch.log(log).putNode(node(i)).putBlock(i, bytes(i));
      batch.log(log).clearNodes(2, 4).clearNodes(7, Infinity);
    });
    const left = (await log.nodes(range(0, 9))).map((found) => found === undefined ? "-" : "x").join("");
    expect(left === "xx--xxx--", `${left} is left`);
    await expectBytes("a block", log.block(3), bytes(3));
    await store.close();
  },
  "user data, records and pages are replaced, removed and listed by their prefix": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    const names = ["a", "a:1", "a:2", "a:\u{10FFFF}", "b", "é", "\u{1F600}"];
    await write(store, (batch) => {
      for (const name of names) {
        batch.setRecord(name, bytes(1)).log(log).setUserData(name, bytes(2));
      }
      batch.setRecord("a:2", bytes(3)).setRecord("b", undefined).setRecord("none", undefined);
      batch.log(log).setUserData("a:2", bytes(4)).setUserData("b", undefined).setUserData("none", undefined)
        .putBitfieldPage(0, bytes(1)).putBitfieldPage(1, bytes(2)).putBitfieldPage(0, new Uint8Array(0));
    });
    const sorted = async (list: MaybePromise<readonly string[]>) => [...await list].toSorted().join(" ");
    expect(await sorted(store.recordNames("a:")) === "a:1 a:2 a:\u{10FFFF}", "records by prefix are wrong");
    expect(await sorted(log.userDataKeys("a:")) === "a:1 a:2 a:\u{10FFFF}", "user data by prefix is wrong");
    expect((await store.recordNames("")).length === names.length - 1, "not all records are listed");
    await expectBytes("a replaced record", store.record("a:2"), bytes(3));
    await expectBytes("replaced user data", log.userData("a:2"), bytes(4));
    await expectBytes("a removed record", store.record("b"), undefined);
    await expectBytes("removed user data", log.userData("b"), undefined);
    await expectBytes("an emptied page", log.bitfieldPage(0), undefined);
    expect((await log.bitfieldPages(0, Infinity)).map(({ page }) => page).join() === "1", "pages are wrong");
    await store.close();
  },
  "room is given back without harm to what is there": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    await write(store, (batch) => {
      for (let i = 0; i < 50; i++) batch.log(log).putBlock(i, bytes(i, 5000));
    });
    await write(store, (batch) => void batch.log(log).clear(0, 49));
    expect(await store.shrink() >= 0, "a store has grown by being shrunk");
    await expectBytes("a block that was cleared", log.block(0), undefined);
    await expectBytes("a block that was not", log.block(49), bytes(49, 5000));
    await store.close();
  },
  "a removed log is gone with all that it had, and others are not": async (open) => {
    const store = await open();
    const [a, b] = [await store.open(key(1)), await store.open(key(2))];
    await write(store, (batch) => {
      for (const log of [a, b]) {
        batch.log(log).setAuth({ key: key(9), flags: 0 }).setHead(head(3)).setUserData("u", bytes(1));
        for (let i = 0; i < 3; i++) batch.log(log).putBlock(i, bytes(i, 3000)).putNode(node(2 * i));
      }
      batch.log(a).createOverlay("x", 3);
    });
    const snapshot = await a.snapshot();
    expect(await store.remove(key(7)) === 0, "removing what is not there freed something");
    await store.remove(key(1));
    for (const log of [a, await store.open(key(1))]) {
      expect(!await log.exists() && await log.auth() === undefined, "it still exists");
      expect(await log.head() === undefined && await log.node(0) === undefined, "it has a head or a node");
      await expectBytes("its block", log.block(0), undefined);
      expect(!await log.overlay("x").exists(), "its overlay still exists");
    }
    await expectBytes("a block of its snapshot", snapshot.block(0), undefined);
    await expectBytes("a block of the other log", b.block(2), bytes(2, 3000));
    expect((await listAll(store)).join() === "2", "the list is wrong");
    await write(store, (batch) => void batch.log(a).putBlock(5, bytes(5)));
    expect((await collect(a, 0, Infinity, 1000)).join() === "5", "it has come back");
    await store.close();
  },
  "syncs may overlap, each other and writes": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    const syncs: Promise<void>[] = [store.sync()];
    for (let i = 0; i < 20; i++) {
      await write(store, (batch) => void batch.log(log).putBlock(i, bytes(i)));
      syncs.push(store.sync(), store.sync());
    }
    await Promise.all(syncs);
    await expectBytes("the last block", log.block(19), bytes(19));
    await store.close();
  },
  "what is no index, no name and no key is refused by whoever is told": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    for (const index of [-1, 0.5, NaN, 2 ** 53, MAX_BLOCK_INDEX + 1]) {
      await expectFailure(`block ${index}`, "RangeError", () => log.block(index));
      await expectFailure(
        `putBlock ${index}`,
        "RangeError",
        () => new WriteBatch().log(log).putBlock(index, key(0)),
      );
    }
    await expectFailure("a long name", "RangeError", () => log.userData("x".repeat(2000)));
    await expectFailure("half a character", "RangeError", () => new WriteBatch().setRecord("\ud800", key(1)));
    await expectFailure("a short key", "TypeError", () => store.open(new Uint8Array(31)));
    await write(store, (batch) => void batch.log(log).putBlock(0, bytes(0)));
    await store.close();
  },
  "a closed store says so, and may be closed again": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    await write(store, (batch) => void batch.log(log).putBlock(0, bytes(0)));
    const snapshot = await log.snapshot();
    await store.close();
    await store.close();
    await store[Symbol.asyncDispose]();
    await expectFailure("a read", "STORE_CLOSED", () => log.block(0));
    await expectFailure("a read of a snapshot", "STORE_CLOSED", () => snapshot.block(0));
    await expectFailure(
      "a write",
      "STORE_CLOSED",
      () => write(store, (batch) => void batch.log(log).truncate(0)),
    );
    await expectFailure("a sync", "STORE_CLOSED", () => store.sync());
    await expectFailure("an open", "STORE_CLOSED", () => store.open(key(1)));
    await expectFailure("a list", "STORE_CLOSED", () => listAll(store));
    snapshot[Symbol.dispose]();
  },
  "the size grows with what is written": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    const before = await store.size();
    await write(store, (batch) => void batch.log(log).putBlock(0, bytes(0, 1_000_000)));
    const after = await store.size();
    expect(after.bytes - before.bytes > 900_000, `it grew by ${after.bytes - before.bytes}`);
    await store.close();
  },
};
