/**
 * What two logs of whatever kind must be able to do with each other. A case is given a writer's side and a reader's side; who
 * listens and who is the initiator is settled before.
 */
import assert from "node:assert/strict";
import { logData, manifest as manifestCodec, Verifier, verifyFromStart } from "../../core/log/mod.ts";
import { decode } from "../../encoding/codec.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import type {
  Block,
  Digest,
  DrivenLog,
  DrivenPeer,
  Generation,
  LogSettings,
  SeenConflict,
} from "./driven_logs.ts";
import { runtime } from "./stream_peer.ts";

/** Both sides of a case. */
export interface Sides {
  readonly writer: DrivenPeer;
  readonly reader: DrivenPeer;
  /** Lets logs of the two talk; returns what ends the connection. */
  meet(ofWriter: readonly DrivenLog[], ofReader: readonly DrivenLog[]): Promise<() => Promise<void>>;
}

/** What both do, and must come to. */
export type Case = (sides: Sides) => Promise<void>;

/** The writer listens, the reader dials; who speaks first is another matter. */
export function overTcp(writer: DrivenPeer, reader: DrivenPeer, isWriterInitiator = false): Sides {
  return {
    ...{ writer, reader },
    async meet(ofWriter, ofReader) {
      const port = await writer.listen(ofWriter, isWriterInitiator);
      return await reader.connect(port, ofReader, !isWriterInitiator);
    },
  };
}

/** One serves and the other looks for it, in a swarm whose bootstrap node has a port; whoever looks is the initiator. */
export function inSwarm(
  writer: DrivenPeer,
  reader: DrivenPeer,
  port: number,
  isWriterInitiator = false,
): Sides {
  return {
    ...{ writer, reader },
    async meet(ofWriter, ofReader) {
      const [server, client] = [[writer, ofWriter] as const, [reader, ofReader] as const];
      const [first, then] = isWriterInitiator ? [client, server] : [server, client];
      const leaveFirst = await first[0].join(port, first[1], "server");
      const leaveThen = await then[0].join(port, then[1], "client");
      return async () => void await Promise.all([leaveFirst(), leaveThen()]);
    },
  };
}

/** Blocks whose sizes differ, some of them empty. */
export function blocks(from: number, count: number): Block[] {
  return Array.from({ length: count }, (_, i) => [(from + i) * 37 % 211, from + i] as const);
}

/** Opens a log at the writer's and the same at the reader's. */
async function both(sides: Sides, settings: LogSettings): Promise<[DrivenLog, DrivenLog]> {
  const writer = await sides.writer.open({ seed: 1, ...settings });
  const { compat, legacy, encryptionKey, isBlockKey } = settings;
  const reader = await sides.reader.open({
    key: writer.key,
    ...(compat === undefined ? {} : { compat }),
    ...(legacy === undefined ? {} : { legacy }),
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
      parts.push({ signer: place, ...await writer.sign({ seed: place + 1, blocks: added }) });
    }
    await writer.append(added, await writer.assemble(parts));
  }
  await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  const parts = [];
  for (const place of [1, 2]) {
    const signed = { seed: place + 1, truncate: { length: 7, fork: 4 } };
    parts.push({ signer: place, ...await writer.sign(signed) });
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

/** A log of several signers, one of whom has signed more than the others: a patch leads from their length to his. */
async function patched(sides: Sides, version: number): Promise<void> {
  const manifest = { version, allowPatch: true, quorum: 2, signers: [1, 2, 3] };
  const writer = await sides.writer.open({ manifest });
  const reader = await sides.reader.open({ key: writer.key });
  await sides.meet([writer], [reader]);
  let length = 0;
  for (const [[ahead, other], count, more] of [[[0, 1], 5, 3], [[2, 0], 8, 1], [[1, 2], 1, 30]] as const) {
    const added = blocks(length, count);
    length += count;
    const parts = [
      { signer: ahead, ...await writer.sign({ seed: ahead + 1, blocks: added, more: blocks(length, more) }) },
      { signer: other, ...await writer.sign({ seed: other + 1, blocks: added }) },
    ];
    assert.equal(parts[0]!.patch, more);
    await writer.append(added, await writer.assemble(parts));
    await assertSame(writer, reader);
  }
}

/** Checks that a conflict shows a log that its writer has signed; `log` is that log. */
async function assertProven({ length, fork, proof }: SeenConflict, log: DrivenLog): Promise<void> {
  const { manifest, ...info } = await log.info();
  const [key, known] = [fromHex(info.key), manifest === null ? undefined : fromHex(manifest)];
  const verifier = new Verifier(runtime.crypto, key, known && decode(manifestCodec, known));
  const { upgrade, ...data } = decode(logData, fromHex(proof));
  const { tree } = verifyFromStart(runtime.crypto, verifier, { ...data, upgrade: upgrade! });
  assert.deepEqual([tree.length, tree.fork, toHex(tree.hash())], [info.length, info.fork, info.treeHash]);
  assert.deepEqual([upgrade!.start, upgrade!.length, fork], [0, length, info.fork]);
}

/**
 * A writer signs two logs with the same length: the reader of one, who hears of the other, has the proof, and shows the second
 * writer what it has, so that this one has the proof too.
 */
async function conflict(sides: Sides, settings: LogSettings): Promise<void> {
  const [writer, reader] = await both(sides, settings);
  const other = await sides.writer.open({ seed: 1, ...settings });
  assert.equal(other.key, writer.key);
  await writer.append(blocks(0, 10));
  await other.append(blocks(100, 14));
  const part = await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  await part();
  await sides.meet([other], [reader]);
  const [seen, told] = await Promise.all([reader.conflict(), other.conflict()]);
  assert.equal(seen.length, 10);
  const first = await sides.writer.open({ seed: 1, ...settings });
  const second = await sides.writer.open({ seed: 1, ...settings });
  await first.append(blocks(0, 10));
  await second.append(blocks(100, 14));
  await assertProven(told, first);
  await assertProven(seen, second);
}

/** Blocks come unasked, and no others, alone and along with the news that the log is longer. */
async function pushed(sides: Sides, settings: LogSettings): Promise<void> {
  const writer = await sides.writer.open({ seed: 1, ...settings });
  const reader = await sides.reader.open({ key: writer.key, ...settings, allowPush: true });
  await writer.append(blocks(0, 50));
  await sides.meet([writer], [reader]);
  await reader.until({ length: 50 });
  const wanted = [7, 8, 49, 0];
  for (const index of wanted) await writer.push(index);
  for (let length = 51; length <= 60; length++) {
    await writer.append(blocks(length - 1, 1));
    await writer.push(length - 1);
    wanted.push(length - 1);
  }
  await pushUntilThere(writer, reader, wanted);
  await reader.until({ length: 60 });
  const { held, treeHash } = await reader.digest();
  assert.deepEqual([held, treeHash], [wanted.length, (await writer.info()).treeHash]);
  for (const index of wanted) {
    assert.equal(await reader.get(index, { wait: false }), await writer.get(index), `block ${index}`);
  }
  await assertSame(writer, reader);
}

/**
 * Pushes again what has not come. A push to whom an upgrade is on its way as well may be lost: hypercore 11 thinks that both
 * were of use to its reader, and goes on from there. With itself it loses nine of ten, if they are made in a hurry.
 */
async function pushUntilThere(writer: DrivenLog, reader: DrivenLog, wanted: number[]): Promise<void> {
  const missing = async () => {
    const held = await Promise.all(wanted.map((index) => reader.has(index)));
    return wanted.filter((_, i) => !held[i]);
  };
  for (const end = performance.now() + 20_000; performance.now() < end;) {
    for (let i = 0; i < 20 && (await missing()).length > 0; i++) await pause(20);
    for (const index of await missing()) await writer.push(index);
    if ((await missing()).length === 0) return;
  }
  assert.deepEqual(await missing(), [], "blocks were pushed and have not come");
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Waits until something holds. */
async function eventually(holds: () => Promise<boolean>, limitMs = 20_000): Promise<void> {
  for (const end = performance.now() + limitMs; !await holds();) {
    assert.ok(performance.now() < end, `this did not come to be in ${limitMs} ms`);
    await pause(20);
  }
}

/** Applications talk along with a log, on several extensions in turn; one of them only one side knows. */
async function talk(sides: Sides): Promise<void> {
  const [writer, reader] = await both(sides, {});
  await writer.append(blocks(0, 3));
  for (const log of [writer, reader]) {
    for (const extension of ["greeting", "weather"]) await log.extend(extension);
  }
  await writer.extend("secret");
  await sides.meet([writer], [reader]);
  await assertSame(writer, reader);
  await eventually(async () => (await writer.info()).peers === 1 && (await reader.info()).peers === 1);
  for (const [from, to] of [[writer, reader], [reader, writer]] as const) {
    for (let n = 0; n < 4; n++) {
      await from.say("greeting", `hello ${n}`);
      await from.say("greeting", "", true);
      if (from === writer) await from.say("secret", "nobody hears this");
      await from.say("weather", `rain ${n}`, n % 2 === 0);
    }
    for (let n = 0; n < 4; n++) {
      assert.equal(await to.heard("weather"), `rain ${n}`);
      assert.equal(await to.heard("greeting"), `hello ${n}`);
      assert.equal(await to.heard("greeting"), "");
    }
  }
}

const encryptionKey = "17".repeat(32);

/** Every case by its title. */
export const CASES: Readonly<Record<string, Case>> = {
  compat: (sides) => copy(sides, { compat: true }),
  "manifest v1": (sides) => copy(sides, {}),
  encrypted: (sides) => copy(sides, { encryptionKey }),
  "with a block key": (sides) => copy(sides, { encryptionKey, isBlockKey: true }),
  legacy: (sides) => copy(sides, { compat: true, legacy: true }),
  "multi-signer": multiSigner,
  patched: (sides) => patched(sides, 1),
  "patched, version 0": (sides) => patched(sides, 0),
  prologue,
  sparse,
  "forked and reorged": forks,
  "forked at once": forksAtOnce,
  clear,
  truncate,
  "live tail": liveTail,
  conflict: (sides) => conflict(sides, {}),
  "conflict, compat": (sides) => conflict(sides, { compat: true }),
  extensions: talk,
};

/** What only those can do who push blocks, which hypercore 10 does not. */
const PUSHING: Readonly<Record<string, Case>> = {
  pushed: (sides) => pushed(sides, {}),
  "pushed, compat": (sides) => pushed(sides, { compat: true }),
};

/** All that ours and `other` must be able to do with each other. */
export function casesWith(other: Generation | "ours"): (readonly [title: string, play: Case])[] {
  return Object.entries(other === 10 ? CASES : { ...CASES, ...PUSHING });
}
