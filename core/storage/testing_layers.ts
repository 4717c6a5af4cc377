/**
 * Conformance of stores: overlays, snapshots, and what is there again after closing.
 */
import { expect } from "../runtime/conformance.ts";
import type { LogReader, LogStorage, Store } from "./storage.ts";
import {
  bytes,
  collect,
  expectBlocks,
  expectBytes,
  expectFailure,
  head,
  key,
  node,
  type StoreCase,
  write,
} from "./testing_basics.ts";

/** The nodes of a log of five blocks. */
const NODES = [0, 1, 2, 3, 4, 5, 6, 8];

/** A log of five blocks with the nodes above them. */
async function fill(store: Store): Promise<LogStorage> {
  const log = await store.open(key(1));
  await write(store, (batch) => {
    const writer = batch.log(log).setHead(head(5)).setUserData("u", bytes(1)).putBitfieldPage(0, bytes(1));
    for (let i = 0; i < 5; i++) writer.putBlock(i, bytes(i));
    for (const i of NODES) writer.putNode(node(i));
  });
  return log;
}

async function expectOriginal(what: string, log: LogReader): Promise<void> {
  await expectBlocks(what, log, [0, 1, 2, 3, 4, undefined]);
  for (const i of NODES) expect((await log.node(i))?.size === i, `${what}, node ${i} is wrong`);
  await expectBytes(`${what}, user data`, log.userData("u"), bytes(1));
  await expectBytes(`${what}, more user data`, log.userData("v"), undefined);
  await expectBytes(`${what}, page 0`, log.bitfieldPage(0), bytes(1));
  await expectBytes(`${what}, page 1`, log.bitfieldPage(1), undefined);
  const pages = await log.bitfieldPages(0, Infinity);
  expect(pages.map(({ page }) => page).join() === "0", `${what}, the list of pages is wrong`);
  expect((await log.userDataKeys("")).join() === "u", `${what}, the list of user data is wrong`);
  for (const maxBytes of [0, 12, Infinity]) {
    const indexes = await collect(log, 0, Infinity, maxBytes);
    expect(indexes.join() === "0,1,2,3,4", `${what}, the blocks ${indexes} are listed`);
  }
}

/** Everything that can happen to a log. */
async function upset(store: Store, log: LogStorage): Promise<void> {
  await write(store, (batch) => void batch.log(log).clear(1, 2).clearNodes(1, 3));
  await write(store, (batch) => {
    batch.log(log).setHead(head(4, 1)).truncate(3).putBlock(3, bytes(33)).putNode(node(6, 60)).putNode(
      node(3, 60),
    )
      .setUserData("u", bytes(2)).setUserData("v", bytes(3)).putBitfieldPage(0, bytes(2)).putBitfieldPage(
        1,
        bytes(3),
      );
  });
  await write(
    store,
    (batch) => void batch.log(log).clear(0, 1).putBlock(4, bytes(44)).setUserData("u", undefined),
  );
  await expectBlocks("the log itself", log, [undefined, undefined, 2, 33, 44]);
}

/** What any store must do. */
export const LAYER_CASES: Record<string, StoreCase> = {
  "a snapshot stays as it is, whatever happens to the log": async (open) => {
    const store = await open();
    const log = await fill(store);
    const snapshot = await log.snapshot();
    await upset(store, log);
    await expectOriginal("the snapshot", snapshot);
    expect((await snapshot.head())?.length === 5, "its head has changed");
    expect((await log.head())?.fork === 1, "the log has the old head");
    snapshot[Symbol.dispose]();
    snapshot[Symbol.dispose]();
    await expectFailure("reading what was disposed of", "STORE_CLOSED", () => snapshot.block(0));
    await expectBlocks("the log afterwards", log, [undefined, undefined, 2, 33, 44]);
    await store.close();
  },
  "a snapshot finds blocks that come later below its length, and none that come behind it": async (open) => {
    const store = await open();
    const log = await store.open(key(1));
    await write(store, (batch) => void batch.log(log).setHead(head(4)).putBlock(1, bytes(1)));
    const snapshot = await log.snapshot();
    await write(store, (batch) => {
      batch.log(log).setHead(head(6)).putBlock(2, bytes(2)).putBlock(5, bytes(5)).putNode(node(10)).putNode(
        node(7),
      );
    });
    await expectBlocks("the snapshot", snapshot, [undefined, 1, 2, undefined, undefined, undefined]);
    expect(
      await snapshot.node(10) === undefined && await snapshot.node(7) === undefined,
      "it has later nodes",
    );
    await store.close();
  },
  "an overlay begins as its log, without its head, and both go their own ways": async (open) => {
    const store = await open();
    const log = await fill(store);
    const overlay = log.overlay("x");
    expect(!await overlay.exists(), "it exists before it was created");
    await write(store, (batch) => {
      batch.log(log).createOverlay("x", 5);
      batch.log(overlay).setUserData("own", bytes(9));
    });
    expect(await overlay.head() === undefined && await overlay.hints() === undefined, "it has a head");
    await write(store, (batch) => void batch.log(overlay).setUserData("own", undefined).setHead(head(2, 7)));
    await upset(store, log);
    await expectOriginal("the overlay", overlay);
    expect((await overlay.head())?.fork === 7 && (await log.head())?.fork === 1, "heads are mixed up");
    await write(store, (batch) => {
      batch.log(overlay).truncate(4).putBlock(4, bytes(40)).putBlock(5, bytes(50)).setUserData("u", undefined)
        .putBitfieldPage(0, new Uint8Array(0));
    });
    await expectBlocks("the overlay", overlay, [0, 1, 2, 3, 40, 50]);
    await expectBytes("its user data", overlay.userData("u"), undefined);
    await expectBytes("its page", overlay.bitfieldPage(0), undefined);
    await expectBlocks("the log", log, [undefined, undefined, 2, 33, 44, undefined]);
    expect((await log.overlays()).join() === "x", "the log does not list it");
    await store.close();
  },
  "an overlay is cut where it was told, and reads blocks that its log gets later below that": async (
    open,
  ) => {
    const store = await open();
    const log = await fill(store);
    await write(store, (batch) => void batch.log(log).clear(1, 2).createOverlay("x", 3));
    const overlay = log.overlay("x");
    await expectBlocks("the overlay", overlay, [0, undefined, 2, undefined]);
    expect(await overlay.node(3) === undefined, "it has a node that covers what it has not");
    expect(await overlay.node(1) !== undefined && await overlay.node(4) !== undefined, "it lacks a node");
    await write(store, (batch) => void batch.log(log).putBlock(1, bytes(1)));
    await expectBlocks("the overlay later", overlay, [0, 1, 2, undefined]);
    await write(
      store,
      (batch) => void batch.log(log).truncate(1).putBlock(1, bytes(10)).putBlock(2, bytes(20)),
    );
    await expectBlocks("the overlay after a fork", overlay, [0, 1, 2, undefined]);
    await store.close();
  },
  "a node that covers more than the two share is the overlay's own": async (open) => {
    const store = await open();
    const log = await fill(store);
    await write(store, (batch) => {
      batch.log(log).createOverlay("x", 3).createOverlay("y", 3);
      batch.log(log.overlay("x")).putBlock(3, bytes(30)).putNode(node(5, 9)).putNode(node(3, 9));
    });
    await write(store, (batch) => void batch.log(log).clearNodes(0, Infinity).clear(0, Infinity));
    await write(store, (batch) => void batch.log(log).truncate(0));
    const sizes = async (name: string) =>
      (await log.overlay(name).nodes([0, 1, 2, 3, 4, 5, 6])).map((found) => found?.size).join();
    expect(await sizes("x") === "0,1,2,12,4,14,", `one overlay has nodes of sizes ${await sizes("x")}`);
    expect(await sizes("y") === "0,1,2,,4,,", `the other has nodes of sizes ${await sizes("y")}`);
    await expectBlocks("the overlay", log.overlay("x"), [0, 1, 2, 30]);
    await store.close();
  },
  "overlays of overlays outlive the one between": async (open) => {
    const store = await open();
    const log = await fill(store);
    const [middle, top] = [log.overlay("middle"), log.overlay("top")];
    await write(store, (batch) => {
      batch.log(log).createOverlay("middle", 5);
      batch.log(middle).truncate(4).putBlock(4, bytes(40)).putNode(node(8)).createOverlay("top", 5);
      batch.log(top).putBlock(5, bytes(50));
    });
    const snapshot = await middle.snapshot();
    await expectBlocks("the top", top, [0, 1, 2, 3, 40, 50]);
    await write(store, (batch) => void batch.log(log).truncate(2).putBlock(2, bytes(20)));
    await expectBlocks("the top after a fork below", top, [0, 1, 2, 3, 40, 50]);
    await write(store, (batch) => {
      batch.log(middle).removeOverlay();
      batch.log(log.overlay("never")).removeOverlay();
    });
    expect(!await middle.exists(), "the middle still exists");
    await expectBlocks("the top without the middle", top, [0, 1, 2, 3, 40, 50]);
    await expectBytes("its user data", top.userData("u"), bytes(1));
    await write(store, (batch) => void batch.log(log).truncate(0).setUserData("u", bytes(2)));
    await expectBlocks("the top without the log", top, [0, 1, 2, 3, 40, 50]);
    await expectBytes("its user data at last", top.userData("u"), bytes(1));
    expect(await snapshot.head() === undefined, "a snapshot of what was removed still has a head");
    await write(store, (batch) => void batch.log(log).createOverlay("middle", 0));
    await expectBlocks("a new overlay of the old name", middle, [undefined, undefined]);
    await store.close();
  },
  "user data and pages of an overlay hide and show what is below": async (open) => {
    const store = await open();
    const log = await fill(store);
    await write(store, (batch) => void batch.log(log).createOverlay("x", 5));
    const overlay = log.overlay("x");
    await write(store, (batch) => {
      batch.log(overlay).setUserData("a", bytes(1)).putBitfieldPage(2, bytes(2));
      batch.log(log).setUserData("b", bytes(1)).putBitfieldPage(3, bytes(2));
    });
    expect([...await overlay.userDataKeys("")].toSorted().join() === "a,u", "keys of the overlay are wrong");
    expect([...await log.userDataKeys("")].toSorted().join() === "b,u", "keys of the log are wrong");
    const pages = async (one: LogStorage) => (await one.bitfieldPages(0, 9)).map(({ page }) => page).join();
    expect(await pages(overlay) === "0,2", `pages of the overlay are ${await pages(overlay)}`);
    expect(await pages(log) === "0,3", `pages of the log are ${await pages(log)}`);
    await store.close();
  },
};

/** What a store must do that keeps its data. */
export const LASTING_CASES: Record<string, StoreCase> = {
  "what was written is there again after closing, overlays included": async (open) => {
    let store = await open();
    let log = await fill(store);
    await write(store, (batch) => {
      batch.setRecord("seed", bytes(8));
      batch.log(log).setAuth({ key: key(3), flags: 1, encryptionKey: bytes(2, 32) }).createOverlay("x", 5);
      batch.log(log.overlay("x")).putBlock(5, bytes(50));
    });
    await store.close();
    store = await open();
    log = await store.open(key(1));
    await expectOriginal("the log", log);
    expect((await log.head())?.length === 5, "its head is wrong");
    await expectBytes("its encryption key", (await log.auth())?.encryptionKey, bytes(2, 32));
    await expectBytes("the record", store.record("seed"), bytes(8));
    await upset(store, log);
    await expectBlocks("the overlay", log.overlay("x"), [0, 1, 2, 3, 4, 50]);
    await store.close();
    store = await open();
    log = await store.open(key(1));
    await expectBlocks("the overlay at last", log.overlay("x"), [0, 1, 2, 3, 4, 50]);
    await store.close();
  },
  "a snapshot that nobody disposed of leaves nothing behind": async (open) => {
    let store = await open();
    let log = await fill(store);
    const before = (await store.size()).bytes;
    const snapshot = await log.snapshot();
    await write(store, (batch) => {
      for (let i = 0; i < 5; i++) batch.log(log).putBlock(i, bytes(i, 200_000));
    });
    void await log.snapshot();
    await write(store, (batch) => void batch.log(log).truncate(0));
    await expectBytes("the snapshot", snapshot.block(9), undefined);
    await store.close();
    store = await open();
    log = await store.open(key(1));
    await store.remove(key(1));
    const { bytes: after, freeBytes } = await store.size();
    expect(after - freeBytes <= before + 100_000, `${after - before} bytes are left`);
    await store.close();
  },
  "a store can be opened once at a time": async (open) => {
    const store = await open();
    await fill(store);
    await expectFailure("opening it twice", "STORE_IN_USE", open);
    await expectFailure("opening it three times", "STORE_IN_USE", open);
    await expectBytes("a block", (await store.open(key(1))).block(2), bytes(2));
    await store.close();
    await (await open()).close();
  },
};
