/** The parts of the swarm that know no time of their own. */
import assert from "node:assert/strict";
import type { Random } from "../../core/runtime/runtime.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { BACKOFFS_MS } from "../../swarm/constants.ts";
import { judgeDuplicate } from "../../swarm/duplicates.ts";
import { Peer } from "../../swarm/peer.ts";
import { PeerBook } from "../../swarm/peer_book.ts";
import { PeerQueue } from "../../swarm/peer_queue.ts";
import { type PeerPriority, priorityOf, retryDelayMs } from "../../swarm/retry.ts";
import { TopicMachine } from "../../swarm/topic_machine.ts";
import { test } from "../harness.ts";

const random: Random = new SeededRandom("swarm machines");
const BOTH = { isServer: true, isClient: true };

function key(n: number): Uint8Array {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
}

test("W3: who failed once comes first, then twice, then new peers, then three times, then the rest", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 99].map(priorityOf), [2, 4, 3, 1, 0, 0]);
  const queue = new PeerQueue<{ priority: PeerPriority; queueIndex: number }>(random);
  const entries = ([0, 3, 1, 4, 2, 2] as const).map((priority) => ({ priority, queueIndex: -1 }));
  for (const entry of entries) queue.add(entry);
  queue.add(entries[0]!);
  queue.delete(entries[4]!);
  queue.delete(entries[4]!);
  assert.equal(queue.size, 5);
  assert.deepEqual(Array.from({ length: 6 }, () => queue.shift()?.priority), [4, 3, 2, 1, 0, undefined]);
  assert.equal(queue.size, 0);
});

test("W3: peers of one priority are drawn evenly", () => {
  const first = new Map<number, number>();
  for (let round = 0; round < 1_000; round++) {
    const queue = new PeerQueue<{ priority: PeerPriority; queueIndex: number; id: number }>(random);
    for (let id = 0; id < 4; id++) queue.add({ priority: 2, queueIndex: -1, id });
    const { id } = queue.shift()!;
    first.set(id, (first.get(id) ?? 0) + 1);
  }
  for (const count of first.values()) assert.ok(count > 180 && count < 320, `${count} of 1000`);
});

test("W4: pauses grow with failures, by what is known of the peer", () => {
  const delay = (attempts: number, isProven = false, isExplicit = false) =>
    retryDelayMs({ attempts, isProven, isExplicit }, random, BACKOFFS_MS);
  const check = (value: number | undefined, low: number, high: number) =>
    assert.ok(value !== undefined && value >= low && value <= high, `${value}`);
  for (let i = 0; i < 50; i++) {
    check(delay(1, true), 1_000, 1_500);
    check(delay(2, true), 5_000, 6_000);
    check(delay(3, true), 15_000, 17_000);
    check(delay(4, true), 20_000, 25_000);
    check(delay(16, true), 20_000, 25_000);
    check(delay(1), 5_000, 6_000);
    check(delay(2), 15_000, 17_000);
    check(delay(3), 15_000, 17_000);
    check(delay(0), 1_000, 1_500);
    for (let n = 0; n < 5; n++) check(delay(n, n % 2 === 0, true), n * 1_000, n * 1_000 + 500);
    check(delay(5, false, true), 600_000, 720_000);
    check(delay(500, true, true), 600_000, 720_000);
  }
  assert.equal(delay(4), undefined);
  assert.equal(delay(17, true), undefined);
});

test("W5: of two connections both sides keep the same", () => {
  const incumbent = (isInitiator: boolean, ageMs = 100, hasMovedBytes = false, isDialing = false) => ({
    isInitiator,
    ageMs,
    hasMovedBytes,
    isDialing,
  });
  // Crossing: each side has its own and receives the other's. Exactly one of the two gives way.
  for (const hasMovedBytes of [false, true]) {
    assert.equal(judgeDuplicate(incumbent(true, 100, hasMovedBytes), true), "refuse");
    assert.equal(judgeDuplicate(incumbent(true, 100, hasMovedBytes), false), "replace");
  }
  assert.equal(judgeDuplicate(incumbent(true, 0, false, true), true), "wait");
  assert.equal(judgeDuplicate(incumbent(true, 0, false, true), false), "replace");
  // The peer dials though there is one that worked: it must have lost it.
  for (const isLarger of [true, false]) {
    assert.equal(judgeDuplicate(incumbent(true, 60_000, true), isLarger), "replace");
    assert.equal(judgeDuplicate(incumbent(false, 60_000, true), isLarger), "replace");
    assert.equal(judgeDuplicate(incumbent(false), isLarger), "wait");
  }
  assert.equal(judgeDuplicate(incumbent(true, 60_000, false), true), "refuse");
});

/** Runs a machine until `until`, answering all its wishes after `answerMs`; returns what it wanted, and when. */
function play(machine: TopicMachine, from: number, until: number, answerMs: number, isDone = true) {
  const log: string[] = [];
  const answers: { at: number; answer: () => void }[] = [];
  let now = from;
  while (true) {
    for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
      log.push(`${event.type}@${Math.round(now - from)}`);
      if (event.type === "withdraw" || event.type === "cancelLookup") continue;
      const { type, id } = event;
      const at = now + answerMs;
      answers.push({
        at,
        answer: () =>
          type === "announce"
            ? machine.handleAnnounced(at, id, isDone)
            : machine.handleLookedUp(at, id, isDone),
      });
    }
    const next = Math.min(machine.nextTimeout(), answers[0]?.at ?? Infinity);
    if (next > until) return log;
    now = Math.max(now, next);
    if (answers[0]?.at === now) answers.shift()!.answer();
    else machine.handleTimeout(now);
  }
}

const kinds = (log: readonly string[]) => log.map((entry) => entry.split("@")[0]);

test("W2: a topic is announced once, and looked for again soon after, a bounded number of times", () => {
  const machine = new TopicMachine(random);
  assert.equal(machine.isFlushed, true);
  machine.setRoles(0, BOTH);
  assert.equal(machine.isFlushed, false);
  const log = play(machine, 0, 60_000, 50);
  assert.deepEqual(kinds(log), ["announce", "lookup", "lookup", "lookup", "lookup"].slice(0, log.length));
  assert.ok(log.length >= 4 && log.length <= 6, log.join());
  assert.ok(machine.isFlushed && machine.isAnnounced);
  machine.setRoles(60_000, { isServer: false, isClient: true });
  assert.deepEqual(kinds(play(machine, 60_000, 60_010, 50)).slice(0, 2), ["withdraw", "lookup"]);
  machine.setRoles(61_000, { isServer: false, isClient: false });
  machine.pollEvent();
  assert.equal(machine.nextTimeout(), Infinity);
});

test("W2: failures are repeated after growing pauses, and what takes too long has failed", () => {
  const failing = new TopicMachine(random);
  failing.setRoles(0, { isServer: true, isClient: false });
  const tries = play(failing, 0, 200_000, 10, false).length;
  assert.ok(tries >= 6 && tries <= 10, `${tries} tries`);
  assert.ok(failing.isFlushed && !failing.isAnnounced);
  const silent = new TopicMachine(random);
  silent.setRoles(0, BOTH);
  const log = play(silent, 0, 29_999, Infinity);
  assert.deepEqual(log, ["announce@0", "lookup@0"]);
  assert.equal(silent.isFlushed, false);
  assert.deepEqual(kinds(play(silent, 29_999, 30_000, Infinity)), ["withdraw", "cancelLookup"]);
  assert.equal(silent.isFlushed, true);
});

test("W2: answers that come late, twice or for something else change nothing", () => {
  const machine = new TopicMachine(random);
  machine.setRoles(0, BOTH);
  machine.handleTimeout(0);
  const announce = machine.pollEvent();
  assert.equal(announce?.type, "announce");
  machine.suspend();
  machine.handleAnnounced(5, 1, true);
  machine.handleLookedUp(5, 2, true);
  machine.handleLookedUp(5, 77, false);
  assert.equal(machine.isAnnounced, false);
  assert.equal(machine.nextTimeout(), Infinity);
});

test("F3: whatever comes in whatever order, twice or too late, a topic that is left wants nothing", () => {
  const chance = new SeededRandom("orders");
  for (let round = 0; round < 2000; round++) {
    const machine = new TopicMachine(chance.fork(`${round}`));
    const ids: number[] = [77];
    const wishes: string[] = [];
    let [now, lastId] = [0, 0];
    const poll = () => {
      for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
        wishes.push(event.type);
        if (!("id" in event)) continue;
        assert.ok(event.id > lastId, "each wish has an id of its own");
        ids.push(lastId = event.id);
      }
    };
    const anyId = () => ids[chance.below(ids.length)]!;
    const inputs: (() => void)[] = [
      () => machine.setRoles(now, { isServer: chance.chance(1, 2), isClient: chance.chance(1, 2) }),
      () => machine.refresh(now),
      () => machine.renew(now, chance.below(100)),
      () => machine.suspend(),
      () => machine.resume(now),
      () => machine.handleAnnounced(now, anyId(), chance.chance(2, 3)),
      () => machine.handleLookedUp(now, anyId(), chance.chance(2, 3)),
      () => machine.handleTimeout(now += chance.below(40_000)),
    ];
    for (let step = 0; step < 30; step++) {
      inputs[chance.below(inputs.length)]!();
      poll();
    }
    machine.resume(now);
    const wasAnnounced = machine.isAnnounced;
    wishes.length = 0;
    machine.setRoles(now, { isServer: false, isClient: false });
    poll();
    assert.ok(!wasAnnounced || wishes.includes("withdraw"), `round ${round}: what stands is withdrawn`);
    assert.deepEqual([machine.isAnnounced, machine.nextTimeout()], [false, Infinity], `round ${round}`);
  }
});

test("S4: a computer that slept for hours announces and looks again within seconds of waking", () => {
  for (const roles of [BOTH, { isServer: true, isClient: false }, { isServer: false, isClient: true }]) {
    const machine = new TopicMachine(random);
    machine.setRoles(0, roles);
    play(machine, 0, 60_000, 20);
    const woken = 60_000 + 8 * 3_600_000;
    machine.handleTimeout(woken);
    const log = play(machine, woken, woken + 10_000, 20);
    assert.equal(log.some((entry) => entry.startsWith("announce")), roles.isServer);
    assert.equal(log.some((entry) => entry.startsWith("lookup")), roles.isClient);
  }
});

test("W11: asleep, a topic wants nothing; awake, it begins anew with the roles of now", () => {
  const machine = new TopicMachine(random);
  machine.setRoles(0, BOTH);
  play(machine, 0, 1_000, 20);
  machine.suspend();
  assert.deepEqual(kinds(play(machine, 1_000, 1e9, 20)), ["withdraw"]);
  machine.setRoles(2_000, { isServer: true, isClient: false });
  machine.refresh(2_000);
  machine.renew(2_000);
  assert.equal(machine.nextTimeout(), Infinity);
  machine.resume(3_000);
  assert.deepEqual(kinds(play(machine, 3_000, 10_000, 20)), ["announce"]);
});

test("any number of announced peers and bans fills the book only so far", () => {
  const book = new PeerBook(key(0), () => {});
  assert.equal(book.obtain(key(0), true), undefined, "the own key");
  for (let n = 1; n <= 5_000; n++) book.obtain(key(n), false);
  assert.equal(book.size, 4_096);
  assert.notEqual(book.obtain(key(9_999), true), undefined, "who dials or is asked for has room");
  for (let n = 1; n <= 20_000; n++) book.ban(new Peer(key(n)));
  assert.equal(book.banCount, 16_384);
  assert.deepEqual([book.isBanned(key(1)), book.isBanned(key(20_000))], [false, true]);
});

test("a peer keeps a bounded number of addresses and topics, the latest addresses first", () => {
  const peer = new Peer(key(1));
  assert.deepEqual(peer.learn(["a", "b", "a"]), ["a", "b"]);
  assert.deepEqual(peer.learn(["c", "a"]), ["c"]);
  assert.deepEqual(peer.addresses, ["c", "a", "b"]);
  for (let i = 0; i < 100; i++) peer.learn([`x${i}`]);
  peer.learn(Array.from({ length: 1_000 }, (_, i) => `y${i}`));
  assert.equal(peer.addresses.length, 16);
  for (let n = 0; n < 3_000; n++) peer.addTopic(key(n));
  assert.equal(peer.topics.length, 1_024);
});
