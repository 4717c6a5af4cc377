/** The small machines that replication is made of, each by itself. */
import assert from "node:assert/strict";
import { MAX_TURN_BYTES, NEWS_WAIT_MS } from "../../core/replication/constants.ts";
import { BlockJobs } from "../../core/replication/block_jobs.ts";
import { InFlight, type Inquiry } from "../../core/replication/in_flight.ts";
import { ExpectedNodes, missingLevels } from "../../core/replication/missing_levels.ts";
import { News } from "../../core/replication/news.ts";
import { PeerSync } from "../../core/replication/peer_sync.ts";
import { randomBelow } from "../../core/replication/random_below.ts";
import { RangeJobs } from "../../core/replication/range_jobs.ts";
import { RateLimit } from "../../core/replication/rate_limit.ts";
import { TurnBudget } from "../../core/replication/turn_budget.ts";
import { Waiters } from "../../core/replication/waiters.ts";
import type { Sync } from "../../core/replication/messages.ts";
import { missingNodes } from "../../core/log/merkle_tree.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { keyPair, testRuntime } from "../stream/rig.ts";
import { test } from "../harness.ts";
import { MemoryReplica } from "./memory_log.ts";
import { blocksOf } from "./rig.ts";

function logOf(length: number, isSlow = false): MemoryReplica {
  const log = new MemoryReplica(testRuntime(), { keyPair: keyPair(1), isSlow });
  if (length > 0) log.append(blocksOf(length));
  return log;
}

test("missing levels are those of the log, whether it answers at once or later", async () => {
  const log = logOf(100);
  const slow = logOf(100, true);
  for (const index of [0, 2, 50, 126, 198]) {
    for (const one of [log, slow]) for (const node of [index, index + 1, 31, 63, 95]) one.stored.delete(node);
    const expected = await missingNodes(log.nodes, log.tree, index);
    const found = missingLevels(log.nodes, 100, index, undefined);
    assert.deepEqual(found, { levels: expected, isTrusting: false });
    assert.deepEqual(await missingLevels(slow.nodes, 100, index, undefined), found);
  }
});

test("missing levels end where a node is on its way, until its request is over", () => {
  const none = () => undefined;
  const expected = new ExpectedNodes();
  assert.deepEqual(missingLevels(none, 64, 0, expected), { levels: 7, isTrusting: false });
  expected.add(0, 6);
  assert.deepEqual(missingLevels(none, 64, 2, expected), { levels: 0, isTrusting: true });
  assert.deepEqual(missingLevels(none, 64, 4, expected), { levels: 1, isTrusting: true });
  assert.deepEqual(missingLevels(none, 64, 126, expected), { levels: 5, isTrusting: true });
  expected.delete(0, 6);
  assert.deepEqual(missingLevels(none, 64, 4, expected), { levels: 7, isTrusting: false });
});

function inquiryOf(id: number): Inquiry {
  return { id, isOver: false, isTrusting: false, sentAt: 0 } as unknown as Inquiry;
}

test("the window follows the round trip, the size of blocks, and the rate", () => {
  let rttMs: number | undefined = 20;
  const known = new InFlight({ inflightRange: [16, 512], roundTripMs: () => rttMs! });
  assert.equal(known.limit(1, Infinity), 16);
  rttMs = 200;
  assert.equal(known.limit(1, Infinity), 64);
  assert.equal(known.limit(4, Infinity), 32);
  rttMs = 10_000;
  assert.equal(known.limit(1, Infinity), 512);
  const unknown = new InFlight({ inflightRange: [16, 512], roundTripMs: undefined });
  assert.equal(unknown.limit(3, Infinity), 48);
  unknown.measure(100);
  assert.equal(unknown.limit(3, Infinity), 512);
  assert.equal(unknown.limit(3, 1000), 10);
  for (let i = 0; i < 200; i++) unknown.measure(65536);
  assert.equal(unknown.limit(3, Infinity), 48);
  assert.equal(unknown.limit(3, 1000), 1);
});

test("ids of requests are never used twice", () => {
  const inFlight = new InFlight({ inflightRange: [16, 512], roundTripMs: undefined });
  const ids = Array.from({ length: 5 }, () => {
    const inquiry = inquiryOf(inFlight.takeId());
    inFlight.add(inquiry);
    inFlight.delete(inquiry);
    return inquiry.id;
  });
  assert.deepEqual(ids, [1, 2, 3, 4, 5]);
  assert.equal(inFlight.size, 0);
});

test("queued blocks are looked at once by each peer, until it begins anew", () => {
  const jobs = new BlockJobs();
  const all = [5, 6, 7].map((index) => jobs.obtain(index));
  for (const job of all) jobs.enqueue(job);
  const cursor = { renumbering: 0, at: 0 };
  const rest = () => {
    const found: number[] = [];
    for (let job = jobs.next(cursor); job !== undefined; job = jobs.next(cursor)) found.push(job.index);
    return found;
  };
  assert.deepEqual(rest(), [5, 6, 7]);
  assert.deepEqual(rest(), []);
  jobs.dequeue(all[1]!);
  jobs.enqueue(jobs.obtain(8));
  assert.deepEqual(rest(), [8]);
  cursor.at = 0;
  assert.deepEqual(rest(), [5, 7, 8]);
  for (let index = 100; index < 200; index++) {
    jobs.enqueue(jobs.obtain(index));
    jobs.delete(jobs.get(index)!);
  }
  assert.equal(jobs.queued, 3);
  assert.deepEqual(rest(), [5, 7, 8]);
});

test("ranges are over when what they miss has come, in whatever order", async () => {
  const log = logOf(0);
  const ranges = new RangeJobs(log);
  const [first, second, listed] = [{ start: 2, end: 5 }, { start: 4, end: 6 }, { blocks: [5, 2] }].map((
    one,
  ) => ranges.add(one));
  const live = ranges.add({ start: 0 });
  const hold = (index: number) => {
    log.held.set(index, true);
    ranges.onHeld(index, index + 1);
  };
  hold(4);
  hold(3);
  hold(5);
  assert.deepEqual([first, second, listed].map((one) => one!.isOver), [false, true, false]);
  hold(2);
  assert.deepEqual([first, listed].map((one) => one!.isOver), [true, true]);
  assert.equal(live.isOver, false);
  assert.deepEqual(ranges.all, [live]);
  assert.equal(await ranges.add({ start: 2, end: 5 }).done(), true);
  assert.equal(await ranges.add({ start: 9, end: 3 }).done(), true);
  ranges.close();
  assert.equal(await live.done(), false);
});

test("a rate fills up with time, and may be overdrawn once", () => {
  const clock = new VirtualClock();
  let told = 0;
  const rate = new RateLimit(clock, () => told++);
  rate.take(10 ** 9);
  assert.equal(rate.hasRoom, true);
  rate.bytesPerSecond = 1000;
  rate.take(3000);
  assert.equal(rate.hasRoom, false);
  rate.wait();
  clock.run({ until: 1900 });
  assert.equal(told, 0);
  clock.run({ until: 2100 });
  assert.deepEqual([told, rate.hasRoom], [1, true]);
  clock.run({ until: 100_000 });
  rate.take(1000);
  assert.equal(rate.hasRoom, false);
  rate.close();
});

test("a turn has a budget, and then comes the next", () => {
  const clock = new VirtualClock();
  const pipe = { isDrained: true };
  let turns = 0;
  const budget = new TurnBudget(clock, pipe, () => turns++);
  budget.spend(MAX_TURN_BYTES);
  assert.equal(budget.hasRoom, false);
  clock.run();
  assert.deepEqual([turns, budget.hasRoom], [1, true]);
  pipe.isDrained = false;
  assert.equal(budget.hasRoom, false);
});

test("news of one turn are as few ranges as can be", () => {
  const news = new News();
  for (const index of [1, 2, 3, 7, 8]) news.add(index, index + 1, true);
  news.add(9, 12, false);
  assert.deepEqual(news.take(), [
    { start: 1, end: 4, isHeld: true },
    { start: 7, end: 9, isHeld: true },
    { start: 9, end: 12, isHeld: false },
  ]);
  assert.deepEqual(news.take(), []);
});

test("those who wait are told together, or give up alone", async () => {
  let isEmpty = 0;
  const waiters = new Waiters<number>(() => isEmpty++);
  const abort = new AbortController();
  const [one, two] = [waiters.add(abort.signal), waiters.add()];
  abort.abort(new Error("enough"));
  await assert.rejects(one, /enough/);
  assert.deepEqual([waiters.size, isEmpty], [1, 0]);
  waiters.resolve(5);
  assert.equal(await two, 5);
  await assert.rejects(waiters.add(abort.signal), /enough/);
  const last = new AbortController();
  const three = waiters.add(last.signal);
  last.abort(new Error("me too"));
  await assert.rejects(three, /me too/);
  assert.equal(isEmpty, 1);
});

test("a block is chosen among more than 2^32 as among few", () => {
  const random = new SeededRandom(1);
  for (const bound of [1, 7, 2 ** 32, 2 ** 40 + 3, 2 ** 52 - 1]) {
    let largest = 0;
    for (let i = 0; i < 200; i++) {
      const chosen = randomBelow(random, bound);
      assert.ok(Number.isInteger(chosen) && chosen >= 0 && chosen < bound);
      largest = Math.max(largest, chosen);
    }
    assert.ok(largest >= bound / 2 - 1);
  }
});

/** One side of a channel, what it says, and what the other side last said. */
function syncOf(log: MemoryReplica) {
  const said: Sync[] = [];
  const sync = new PeerSync(log, {
    activity: () => ({ isUploading: true, isDownloading: true, allowPush: false }),
    send: (one) => void said.push(one),
    onChange() {},
  });
  return { sync, said };
}

test("lengths are acknowledged to those who are behind, and to nobody else", () => {
  const [long, short] = [logOf(9), logOf(0)];
  const [a, b] = [syncOf(long), syncOf(short)];
  for (const { sync } of [a, b]) sync.refresh();
  a.sync.receive(b.said[0]!);
  b.sync.receive(a.said[0]!);
  assert.deepEqual([a.said.length, b.said.length], [1, 1]);
  assert.equal(b.sync.canUpgradeUs, true);
  assert.equal(a.sync.newsUntil, 0);
  assert.deepEqual([a.sync.usableLength, b.sync.usableLength], [0, 0]);
  const { tree } = logOf(5);
  short.tree = tree;
  b.sync.refresh();
  assert.deepEqual(b.said.length, 2);
  assert.equal(b.sync.canUpgradeUs, false);
  assert.equal(b.sync.newsUntil, NEWS_WAIT_MS); // unless it acknowledges
  a.sync.receive(b.said[1]!);
  assert.deepEqual([a.said.length, a.said[1]!.remoteLength, a.said[1]!.canUpgrade], [2, 5, true]);
  assert.equal(a.sync.usableLength, 5);
  b.sync.receive(a.said[1]!);
  assert.deepEqual([b.sync.canUpgradeUs, b.sync.newsUntil], [true, Infinity]);
  assert.equal(b.said.length, 2);
  b.sync.refuseUpgrade();
  assert.deepEqual([b.sync.canUpgradeUs, b.sync.newsUntil], [false, 0]);
});

test("who lacks the roots of the peer's length does not say that it can prove the way from there", async () => {
  const [long, gone] = [logOf(9), logOf(9)];
  for (const index of [7, 3]) gone.stored.delete(index);
  for (const [log, can] of [[long, true], [gone, false]] as const) {
    for (const isSlow of [false, true]) {
      const one = isSlow ? Object.assign(logOf(9, true), { stored: log.stored }) : log;
      const { sync, said } = syncOf(one);
      sync.refresh();
      sync.receive({ ...said[0]!, length: 8 });
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(said.at(-1)!.canUpgrade, can, `${isSlow}`);
      assert.equal(sync.usableLength, can ? 8 : 0);
    }
  }
});
