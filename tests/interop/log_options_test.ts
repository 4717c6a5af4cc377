/**
 * What a log asks of its peers when it is told otherwise than by default, seen at the other end:
 *
 *     reader with options, ours or hypercore 11  <-- requests, counted at our side -->  writer, hypercore 11 or ours
 */
import assert from "node:assert/strict";
import type { PeerMachine } from "../../core/replication/peer_machine.ts";
import { test } from "../harness.ts";
import type { Block, DrivenLog, LogSettings } from "./driven_logs.ts";
import { type ChildLog, LogRig, skip } from "./log_rig.ts";
import type { OurLog } from "./our_log.ts";
import { OurPeer } from "./our_logs.ts";

const block = (n: number): Block => [10, n];
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** For as long it is watched that nothing happens. */
const QUIET_MS = 150;

/** A writer of five blocks and its reader, one of them ours and the other of hypercore 11. */
interface Pair {
  readonly writer: DrivenLog;
  readonly reader: DrivenLog;
  /** The one of both that is ours. */
  readonly ours: OurLog;
  /** The one of hypercore 11. */
  readonly theirs: ChildLog;
  /** How many requests of the reader were seen at our side. */
  requests(): number;
  /** Reads a block even if nothing is to be asked for. */
  getForced(index: number): Promise<unknown>;
}

async function pair(rig: LogRig, isReading: boolean, settings: LogSettings): Promise<Pair> {
  const [far, near] = [rig.theirs(11), rig.add(new OurPeer())];
  let [ours, theirs]: [OurLog, ChildLog] = [undefined!, undefined!];
  const { notDownloadingLinger } = settings;
  if (isReading) {
    theirs = await far.open({ seed: 1, notDownloadingLinger });
    ours = await near.open({ key: theirs.key, ...settings });
  } else {
    ours = await near.open({ seed: 1, notDownloadingLinger });
    theirs = await far.open({ key: ours.key, ...settings });
  }
  const [writer, reader] = isReading ? [theirs, ours] : [ours, theirs];
  await writer.append([0, 1, 2, 3, 4].map(block));
  await far.connect(await near.listen([ours]), [theirs]);
  const peer = () => ours.core.peers[0] as unknown as PeerMachine | undefined;
  while (peer()?.isKnown !== true) await pause(5);
  return {
    ...{ writer, reader, ours, theirs },
    requests() {
      const { request } = peer()!.stats.messages;
      return isReading ? request.sent : request.received;
    },
    getForced: (index) =>
      isReading ? ours.core.get(index, { force: true }) : theirs.ask("get", { index, force: true }),
  };
}

const lengthOf = async (log: DrivenLog) => (await log.info()).length;

async function waitsForUpdate(settings: LogSettings, rig: LogRig, isReading: boolean): Promise<void> {
  const { reader, writer, requests } = await pair(rig, isReading, settings);
  await pause(QUIET_MS);
  assert.deepEqual([await lengthOf(reader), requests()], [0, 0]);
  assert.equal(await reader.update(true), true);
  assert.deepEqual([await lengthOf(reader), requests()], [5, 1]);
  await writer.append([block(5)]);
  await pause(QUIET_MS);
  assert.equal(await lengthOf(reader), 5);
  assert.equal(await reader.get(5), await writer.get(5), "who asks for a block gets it");
  assert.equal(await lengthOf(reader), 6);
}

async function takesLatestBlock(settings: LogSettings, rig: LogRig, isReading: boolean): Promise<void> {
  const { reader, writer, requests, ours, theirs } = await pair(rig, isReading, settings);
  const held = async (length: number) => {
    await reader.until({ length });
    await pause(QUIET_MS);
    return await Promise.all(Array.from({ length }, (_, index) => reader.has(index)));
  };
  // At first hypercore 11 asks before it has heard which blocks there are.
  assert.deepEqual(await held(5), [false, false, false, false, isReading]);
  assert.equal(requests(), 1, "the block comes along, with no request of its own");
  const set = async (isAlways: boolean) => {
    if (isReading) ours.core.setAlwaysLatestBlock(isAlways);
    else await theirs.ask("set_always_latest_block", { isAlways });
  };
  await set(false);
  await writer.append([block(5)]);
  assert.deepEqual(await held(6), [false, false, false, false, isReading, false]);
  await set(true);
  const before = requests();
  await writer.append([block(6)]);
  assert.deepEqual(await held(7), [false, false, false, false, isReading, false, true]);
  assert.equal(requests(), before + 1);
}

async function asksForNothing(settings: LogSettings, rig: LogRig, isReading: boolean): Promise<void> {
  const { reader, writer, requests, getForced } = await pair(rig, isReading, settings);
  const range = reader.download({ start: 0, end: 4 }).then(() => true, () => false);
  await pause(QUIET_MS);
  assert.deepEqual([await lengthOf(reader), requests()], [0, 0]);
  await writer.push(2);
  while (!await reader.has(2)) await pause(5);
  assert.deepEqual([await lengthOf(reader), await reader.has(1), requests()], [5, false, 0]);
  await getForced(1);
  assert.deepEqual([await reader.has(1), await reader.has(0), requests()], [true, false, 1]);
  for (const index of [0, 3]) await writer.push(index);
  assert.equal(await range, true, "what is waited for may be pushed");
  assert.equal(requests(), 1);
}

async function staysInItsFork(settings: LogSettings, rig: LogRig, isReading: boolean): Promise<void> {
  const { reader, writer, requests } = await pair(rig, isReading, settings);
  await reader.until({ length: 5 });
  const old = await writer.get(4);
  assert.equal(await reader.get(4), old);
  const before = requests();
  await writer.truncate(3);
  await writer.append([7, 8, 9].map(block));
  await pause(QUIET_MS);
  const { length, fork } = await reader.info();
  assert.deepEqual([length, fork, requests()], [5, 0, before]);
  assert.equal(await reader.get(4), old);
}

async function isForgottenAtOnce(settings: LogSettings, rig: LogRig, isReading: boolean): Promise<void> {
  const { reader, ours, theirs } = await pair(rig, isReading, settings);
  await reader.until({ length: 5 });
  ours.core.setActive(false);
  await theirs.ask("set_active", { active: false });
  if (isReading) {
    while (ours.core.peers.length > 0) await pause(5);
    ours.core.setActive(true);
  } else {
    while ((await theirs.info()).peers > 0) await pause(5);
    await theirs.ask("set_active", { active: true });
  }
  while ((await reader.info()).peers === 0) await pause(5);
}

type Case = readonly [
  title: string,
  settings: LogSettings,
  play: (settings: LogSettings, rig: LogRig, isReading: boolean) => Promise<void>,
];

const CASES: readonly Case[] = [
  ["without eagerUpgrade nothing is asked before update", { eagerUpgrade: false }, waitsForUpdate],
  ["with allowLatestBlock the latest block comes with the length", {
    allowLatestBlock: true,
  }, takesLatestBlock],
  ["with pushOnly only what is forced is asked for", { pushOnly: true, allowPush: true }, asksForNothing],
  ["without allowFork a log that is cut is not followed", { allowFork: false }, staysInItsFork],
  ["a channel that nobody needs is closed when the linger is over", {
    notDownloadingLinger: 20,
  }, isForgottenAtOnce],
];

for (const [title, settings, play] of CASES) {
  for (const isReading of [true, false]) {
    const who = isReading ? "ours beside hypercore 11" : "hypercore 11 beside ours";
    test(`options: ${title}: ${who}`, async () => {
      await using rig = new LogRig();
      await play(settings, rig, isReading);
    }, { skip });
  }
}

test("options: no more requests are on their way to hypercore 11 than inflightRange says", async () => {
  await using rig = new LogRig();
  const { reader, writer, ours } = await pair(rig, true, { inflightRange: [2, 3] });
  await writer.append(Array.from({ length: 100 }, (_, n) => block(n)));
  await reader.until({ length: 105 });
  let most = 0;
  const peer = ours.core.peers[0] as unknown as PeerMachine;
  ours.core.on("download", () => most = Math.max(most, peer.inFlight.size));
  await reader.download({ start: 0, end: 105 });
  assert.ok(most > 0 && most <= 3, `${most} were on their way`);
});
