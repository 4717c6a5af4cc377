/**
 * What two logs of whatever kind must be able to do with each other. A case is given a writer's side and a reader's side; who
 * listens and who is the initiator is settled before.
 */
import assert from "node:assert/strict";
import type { Block, Digest, DrivenLog, DrivenPeer, LogSettings } from "./log_rig.ts";

/** Both sides of a case. */
export interface Sides {
  readonly writer: DrivenPeer;
  readonly reader: DrivenPeer;
  /** Lets logs of the two talk; returns what ends the connection. */
  meet(ofWriter: readonly DrivenLog[], ofReader: readonly DrivenLog[]): Promise<() => Promise<void>>;
}

/** Blocks whose sizes differ, some of them empty. */
export function blocks(from: number, count: number): Block[] {
  return Array.from({ length: count }, (_, i) => [(from + i) * 37 % 211, from + i] as const);
}

/** Opens a log at the writer's and the same at the reader's. */
async function both(sides: Sides, settings: LogSettings): Promise<[DrivenLog, DrivenLog]> {
  const writer = await sides.writer.open({ seed: 1, ...settings });
  const { compat, encryptionKey, isBlockKey } = settings;
  const reader = await sides.reader.open({
    key: writer.key,
    ...(compat === undefined ? {} : { compat }),
    ...(encryptionKey === undefined ? {} : { encryptionKey }),
    ...(isBlockKey === undefined ? {} : { isBlockKey }),
  });
  return [writer, reader];
}

/** Fetches all and compares. */
export async function assertSame(writer: DrivenLog, reader: DrivenLog): Promise<Digest> {
  const { length, fork } = await writer.info();
  await reader.until({ length, fork });
  await reader.download({ start: 0, end: length });
  const [expected, found] = [await writer.digest(), await reader.digest()];
  assert.deepEqual(found, expected);
  assert.equal(found.held, length);
  return found;
}

/** All of a log, then more of it. */
async function copy(sides: Sides, settings: LogSettings): Promise<void> {
  const [writer, reader] = await both(sides, settings);
  await writer.append(blocks(0, 43));
  await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  await writer.append(blocks(43, 1));
  await writer.append(blocks(44, 20));
  await assertSame(writer, reader);
}

/** A log of several signers, who put their parts together. */
async function multiSigner(sides: Sides): Promise<void> {
  const manifest = { version: 1, quorum: 2, signers: [1, 2, 3] };
  const writer = await sides.writer.open({ manifest });
  const reader = await sides.reader.open({ key: writer.key });
  for (const [places, added] of [[[0, 1], blocks(0, 5)], [[2, 0], blocks(5, 8)]] as const) {
    const parts = [];
    for (const place of places) {
      parts.push({ signer: place, signature: await writer.sign({ seed: place + 1, blocks: added }) });
    }
    await writer.append(added, await writer.assemble(parts));
  }
  await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  const parts = [];
  for (const place of [1, 2]) {
    const signed = { seed: place + 1, truncate: { length: 7, fork: 4 } };
    parts.push({ signer: place, signature: await writer.sign(signed) });
  }
  await writer.truncate(7, { fork: 4, signature: await writer.assemble(parts) });
  await assertSame(writer, reader);
}

/** A log that starts with another, which nobody has to sign. */
async function prologue(sides: Sides): Promise<void> {
  const source = await sides.writer.open({ seed: 8 });
  const { treeHash: hash, length } = await source.append(blocks(0, 11));
  const manifest = { version: 1, signers: [1], prologue: { hash, length } };
  const writer = await sides.writer.open({ seed: 1, manifest });
  const reader = await sides.reader.open({ key: writer.key });
  await writer.append(blocks(0, 11));
  await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  await writer.append(blocks(11, 6));
  await assertSame(writer, reader);
}

/** Blocks one by one, a few at a time, byte by byte; the rest is not fetched. */
async function sparse(sides: Sides): Promise<void> {
  const [writer, reader] = await both(sides, {});
  await writer.append(blocks(0, 200));
  await sides.meet([writer], [reader]);
  await reader.until({ length: 200 });
  for (const index of [199, 0, 64, 63, 130]) assert.equal(await reader.get(index), await writer.get(index));
  for (const bytes of [0, 1, 5000, 12_345, (await writer.info()).byteLength - 1]) {
    assert.deepEqual(await reader.seek(bytes), await writer.seek(bytes), `byte ${bytes}`);
  }
  await reader.download({ blocks: [7, 9, 150] });
  await reader.download({ start: 20, end: 30, linear: true });
  assert.equal(await reader.has(20, 30), true);
  assert.equal(await reader.has(9), true);
  assert.equal(await reader.has(100), false);
  assert.equal(await reader.get(100, { wait: false }), null);
  const { held, length, treeHash } = await reader.digest();
  assert.equal(length, 200);
  assert.equal(treeHash, (await writer.info()).treeHash);
  assert.ok(held >= 18 && held <= 24, `${held} blocks were fetched`);
}

/** A writer takes back what it had said, more than once, before and while the reader is there. */
async function forks(sides: Sides): Promise<void> {
  const [writer, reader] = await both(sides, {});
  await writer.append(blocks(0, 50));
  const part = await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  await part();
  await writer.truncate(33);
  await writer.append(blocks(500, 30));
  await writer.truncate(40);
  await writer.append(blocks(600, 11));
  await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  await writer.truncate(20, { fork: 9 });
  await reader.until({ length: 20, fork: 9 });
  await writer.append(blocks(700, 100));
  const { fork } = await assertSame(writer, reader);
  assert.equal(fork, 9);
}

/** A writer takes back and goes on at once, so that a reader hears of the new blocks before it has dropped the old ones. */
async function forksAtOnce(sides: Sides): Promise<void> {
  const [writer, reader] = await both(sides, {});
  await writer.append(blocks(0, 50));
  await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  await writer.truncate(20);
  await writer.append(blocks(700, 100));
  await assertSame(writer, reader);
}

/** A writer throws blocks away that its reader wants, or has already. */
async function clear(sides: Sides): Promise<void> {
  const [writer, reader] = await both(sides, {});
  await writer.append(blocks(0, 60));
  await writer.clear(10, 20);
  await sides.meet([writer], [reader]);
  await reader.until({ length: 60 });
  await reader.download({ start: 0, end: 10 });
  await reader.download({ start: 20, end: 40 });
  await writer.clear(0, 5);
  await writer.clear(45, 50);
  await reader.download({ start: 50, end: 60 });
  await reader.clear(30, 33);
  await reader.get(31);
  assert.equal(await writer.has(0), false);
  assert.equal(await reader.has(0, 10), true);
  assert.equal(await reader.has(10), false);
  assert.equal(await reader.has(30), false);
  assert.equal(await reader.has(31), true);
}

/** A writer only cuts, down to nothing at last. */
async function truncate(sides: Sides): Promise<void> {
  const [writer, reader] = await both(sides, {});
  await writer.append(blocks(0, 30));
  await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  for (const length of [29, 16, 3]) {
    await writer.truncate(length);
    await assertSame(writer, reader);
  }
}

/** A reader follows a writer that goes on. */
async function liveTail(sides: Sides): Promise<void> {
  const [writer, reader] = await both(sides, {});
  await sides.meet([writer], [reader]);
  await reader.follow();
  for (let length = 0; length < 40; length += 4) {
    await writer.append(blocks(length, 1));
    await writer.append(blocks(length + 1, 3));
    await reader.until({ length: length + 4 });
  }
  for (let i = 0; i < 40; i++) await reader.get(i);
  assert.deepEqual(await reader.digest(), await writer.digest());
}

const encryptionKey = "17".repeat(32);

/** Every case by its title. */
export const CASES: Readonly<Record<string, (sides: Sides) => Promise<void>>> = {
  compat: (sides) => copy(sides, { compat: true }),
  "manifest v1": (sides) => copy(sides, {}),
  encrypted: (sides) => copy(sides, { encryptionKey }),
  "with a block key": (sides) => copy(sides, { encryptionKey, isBlockKey: true }),
  "multi-signer": multiSigner,
  prologue,
  sparse,
  "forked and reorged": forks,
  "forked at once": forksAtOnce,
  clear,
  truncate,
  "live tail": liveTail,
};
