/** The machines of a punch, one at a time, with the other side and the network played by the test. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { PunchBudget } from "../../dht/punch/budget.ts";
import {
  Firewall,
  FIRST_RANDOM_PORT,
  MAX_HOSTS,
  MAX_REQUESTS,
  MAX_TARGETS,
  PayloadError,
  RANDOM_PROBES,
} from "../../dht/punch/constants.ts";
import { PunchInitiator, type PunchInitiatorOptions } from "../../dht/punch/initiator.ts";
import type { PunchPayload } from "../../dht/punch/payload.ts";
import type { Puncher, PunchEvent, PunchOptions } from "../../dht/punch/puncher.ts";
import { PunchResponder, type PunchResponderOptions } from "../../dht/punch/responder.ts";
import { Targets } from "../../dht/punch/targets.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { test } from "../harness.ts";

const at = (text: string) => SocketAddress.parse(text);
const OWN = at("11.1.1.1:4000");
const PEER = at("11.2.2.2:5000");
const RELAY = at("11.3.3.3:49737");
const OTHER_RELAY = at("11.4.4.4:49737");
const token = (n: number) => new Uint8Array(32).fill(n);

function options(changes: Partial<PunchOptions> = {}): PunchOptions {
  return {
    ...{ random: new SeededRandom("punch"), budget: new PunchBudget(), isFirewalled: true },
    ...{ remoteFirewall: Firewall.Unknown, allowsPrivate: false, canWait: false },
    tokenOf: (address) => token(address.host.length),
    ...changes,
  };
}

function initiator(changes: Partial<PunchInitiatorOptions> = {}): PunchInitiator {
  const serverRelay = { relayAddress: RELAY, peerAddress: PEER };
  return new PunchInitiator({
    ...options(),
    ...{ clientRelay: OTHER_RELAY, serverAddress: PEER, serverRelay, fastOpen: true },
    ...changes,
  });
}

const responder = (changes: Partial<PunchResponderOptions> = {}) =>
  new PunchResponder({ ...options(), now: 0, ...changes });

/** What the other side says when it has a consistent NAT. */
const CONSISTENT: PunchPayload = {
  ...{ error: 0, firewall: Firewall.Consistent, round: 0, connected: false, punching: false },
  ...{ addresses: [PEER], token: token(1) },
};
const RANDOM: PunchPayload = { ...CONSISTENT, firewall: Firewall.Random, addresses: [at("11.2.2.2:0")] };

type EventOf<Type extends PunchEvent["type"]> = Extract<PunchEvent, { type: Type }>;

/** All events of one type that are waiting; others are dropped. */
function take<Type extends PunchEvent["type"]>(machine: Puncher, type: Type): EventOf<Type>[] {
  const events: EventOf<Type>[] = [];
  for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
    if (event.type === type) events.push(event as EventOf<Type>);
  }
  return events;
}

/** Lets time pass and returns the punches as "time socket to ttl". */
function run(machine: Puncher, from: number, to: number): string[] {
  const punches: string[] = [];
  const out = { socket: 0, to: OWN, ttl: 0 };
  let now = from;
  for (let steps = 0; now <= to; steps++) {
    assert.ok(steps < 20_000, "the machine makes no end");
    while (machine.pollPunch(now, out)) punches.push(`${now} ${out.socket} ${out.to} ${out.ttl}`);
    const next = machine.nextTimeout();
    if (next > to) break;
    now = Math.max(now, next);
    machine.handleTimeout(now);
  }
  return punches;
}

/** Binds the socket and lets nodes say what they see: always the same, or each another port. */
function bind(machine: Puncher, now: number, isRandom = false, socket = 0, canSetTtl = true): void {
  machine.socketReady(now, socket, { canSetTtl });
  sample(machine, now, isRandom, socket);
}

function sample(machine: Puncher, now: number, isRandom = false, socket = 0): void {
  for (let i = 0; i < 4; i++) {
    const seenAs = isRandom
      ? SocketAddress.of(OWN.host, 7000 + i)
      : SocketAddress.of(OWN.host, OWN.port + socket);
    machine.addSample(now, socket, seenAs, SocketAddress.of("11.5.5.5", 1 + i));
  }
}

function reply(machine: PunchInitiator, now: number, payload: PunchPayload): void {
  const [round] = take(machine, "round").slice(-1);
  assert.ok(round !== undefined, "a round is under way");
  machine.handleReply(now, round.id, {
    payload,
    from: round.relay,
    seenAs: OWN,
    peerAddress: round.peerAddress,
  });
}

/** Brings an initiator to where it asks the other side to punch. */
function asked(machine: PunchInitiator, payload: PunchPayload, isRandom = false): EventOf<"round"> {
  bind(machine, 0, isRandom);
  run(machine, 0, 0);
  reply(machine, 100, payload);
  const [round] = take(machine, "round");
  assert.ok(round?.payload.punching, "it asks to punch");
  return round;
}

function answer(machine: PunchInitiator, now: number, round: EventOf<"round">, payload: PunchPayload): void {
  const { token: remoteToken } = round.payload;
  machine.handleReply(now, round.id, {
    payload: { ...payload, punching: true, remoteToken },
    ...{ from: round.relay, seenAs: OWN, peerAddress: round.peerAddress },
  });
}

test("H17: the initiator opens its own NAT with few hops to live and asks through the server's relay", () => {
  const machine = initiator();
  assert.deepEqual(take(machine, "socketWanted"), [{ type: "socketWanted", socket: 0, isExtra: false }]);
  machine.socketReady(5, 0, { canSetTtl: true });
  const [round] = take(machine, "round");
  assert.deepEqual(run(machine, 5, 5), [`5 0 ${PEER} 5`]);
  assert.equal(String(round?.relay), String(RELAY));
  const { firewall, addresses, remoteAddress, punching } = round!.payload;
  assert.deepEqual([firewall, addresses, String(remoteAddress), punching], [
    0,
    undefined,
    String(PEER),
    false,
  ]);
});

test("H17: where hops cannot be set, the NAT is not opened ahead of time", () => {
  const machine = initiator();
  machine.socketReady(0, 0, { canSetTtl: false });
  assert.equal(take(machine, "round")[0]?.payload.remoteAddress, undefined);
  assert.deepEqual(run(machine, 0, 0), []);
});

test("H17: a peer that does not know its NAT gets a second, is asked once more, and then it is over", () => {
  const machine = initiator();
  bind(machine, 0);
  const unknown = { ...CONSISTENT, firewall: Firewall.Unknown, addresses: undefined };
  reply(machine, 100, unknown);
  run(machine, 100, 1099);
  assert.deepEqual(take(machine, "round"), []);
  machine.handleTimeout(1100);
  reply(machine, 1200, unknown);
  machine.handleTimeout(2200);
  const events: PunchEvent[] = [];
  for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) events.push(event);
  const told = events.find((event) => event.type === "round");
  assert.equal(told?.payload.error, PayloadError.Aborted, "the other side need not wait");
  const failed = events.find((event) => event.type === "failed");
  assert.equal(failed?.code, "HOLEPUNCH_PROBE_TIMEOUT");
});

test("H17: a relay that stays silent is asked again by way of the other, and then it is over", () => {
  const machine = initiator();
  machine.socketReady(0, 0, { canSetTtl: true });
  const [first] = take(machine, "round");
  machine.handleSilence(4000, first!.id);
  const [second] = take(machine, "round");
  assert.equal(String(second?.relay), String(OTHER_RELAY));
  machine.handleSilence(8000, second!.id);
  assert.equal(take(machine, "failed")[0]?.code, "HOLEPUNCH_PROBE_TIMEOUT");
});

test("H17: a NAT that shows nothing clear is tried from three fresh sockets, then it is over", () => {
  const machine = initiator();
  machine.socketReady(0, 0, { canSetTtl: true });
  const [round] = take(machine, "round");
  const relayed = { from: at("11.5.5.5:1"), seenAs: at("11.1.1.1:1"), peerAddress: PEER };
  machine.handleReply(100, round!.id, { ...relayed, payload: CONSISTENT });
  for (let socket = 0; socket <= 3; socket++) {
    if (socket > 0) machine.socketReady(100, socket, { canSetTtl: true });
    const views = ["11.1.1.1:1", "11.1.1.1:1", "11.1.1.2:1", "11.1.1.2:2"];
    for (const [i, view] of views.entries()) {
      machine.addSample(100, socket, at(view), SocketAddress.of("11.5.5.5", 1 + i));
    }
    if (socket === 3) continue;
    assert.deepEqual(take(machine, "socketWanted").map((event) => event.socket), [socket + 1]);
  }
  assert.equal(take(machine, "failed")[0]?.code, "HOLEPUNCH_PROBE_TIMEOUT");
});

test("H17: a socket that is given up takes along what was to be sent from it", () => {
  const machine = responder();
  machine.socketReady(0, 0, { canSetTtl: true });
  machine.handleRequest(0, 1, { payload: RANDOM, peerAddress: PEER, from: RELAY, isOwnRelay: true });
  machine.handlePunch(10, 0, PEER);
  for (const [i, view] of ["11.1.1.1:1", "11.1.1.1:1", "11.1.1.2:1", "11.1.1.2:2"].entries()) {
    machine.addSample(10, 0, at(view), SocketAddress.of("11.5.5.5", 1 + i));
  }
  assert.deepEqual(take(machine, "socketDone"), [{ type: "socketDone", socket: 0 }]);
  assert.deepEqual(run(machine, 10, 500), []);
});

test("H17: a side that punches does not move to another socket, whatever the peer says next", () => {
  const machine = responder();
  bind(machine, 0, true);
  const payload = { ...CONSISTENT, punching: true, remoteToken: token(PEER.host.length) };
  machine.handleRequest(0, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay: true });
  assert.ok(machine.isPunching);
  const torn = { ...RANDOM, round: 1 };
  machine.handleRequest(10, 2, { payload: torn, peerAddress: PEER, from: RELAY, isOwnRelay: true });
  assert.ok(machine.isPunching);
  assert.deepEqual(take(machine, "socketDone"), []);
});

test("H17: when hardly any node answers, they are asked once more, and then it is over", () => {
  const machine = initiator();
  machine.socketReady(0, 0, { canSetTtl: true });
  reply(machine, 100, CONSISTENT);
  machine.endSampling(200, 0);
  assert.equal(take(machine, "samplesWanted").length, 1);
  machine.endSampling(300, 0);
  assert.equal(take(machine, "failed")[0]?.code, "HOLEPUNCH_PROBE_TIMEOUT");
});

test("H18: the peer's host is verified by the token that comes back, and only then ports are guessed", () => {
  for (const isEchoed of [true, false]) {
    const machine = initiator();
    const round = asked(machine, RANDOM);
    assert.equal(String(round.relay), String(OTHER_RELAY), "through the client's own relay");
    assert.deepEqual(round.payload.remoteToken, token(1));
    assert.ok(round.payload.token !== undefined);
    const payload = isEchoed ? round.payload : { ...round.payload, token: token(99) };
    answer(machine, 200, { ...round, payload }, RANDOM);
    if (isEchoed) assert.ok(machine.isPunching);
    else assert.equal(take(machine, "failed")[0]?.code, "REMOTE_NOT_HOLEPUNCHABLE");
  }
});

test("H18: a token verifies only a host that the peer names itself", () => {
  const machine = initiator();
  const round = asked(machine, { ...RANDOM, addresses: [at("11.9.9.9:0")] });
  answer(machine, 200, round, { ...RANDOM, addresses: [at("11.9.9.9:0")] });
  assert.equal(take(machine, "failed")[0]?.code, "REMOTE_NOT_HOLEPUNCHABLE");
});

test("H19: consistent NATs are punched at after 0, 20, 70, 170 and 370 ms, for 10 s", () => {
  const machine = initiator();
  const round = asked(machine, CONSISTENT);
  answer(machine, 200, round, CONSISTENT);
  assert.deepEqual(
    run(machine, 200, 700).map((line) => Number(line.split(" ")[0]) - 200),
    [0, 20, 70, 170, 370],
  );
  const later = run(machine, 701, 60_000);
  assert.ok(later.length < 12, `${later.length} punches`);
  const [failed] = take(machine, "failed");
  assert.equal(failed?.code, "HOLEPUNCH_ABORTED");
  assert.match(failed.message, /relay/);
});

test("H19: an address that is not verified gets every fourth punch", () => {
  const machine = responder();
  bind(machine, 0);
  const addresses = [PEER, at("11.9.9.9:1")];
  const payload = { ...CONSISTENT, addresses, punching: true };
  machine.handleRequest(0, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay: true });
  assert.deepEqual(run(machine, 0, 400), [`170 0 ${PEER} 0`, "170 0 11.9.9.9:1 0"]);
});

test("H19: when nothing came through, a fresh socket is tried and crosses over with the other side's punch", () => {
  const machine = initiator();
  const round = asked(machine, CONSISTENT);
  answer(machine, 200, round, CONSISTENT);
  run(machine, 200, 799);
  assert.deepEqual(take(machine, "socketWanted"), []);
  run(machine, 799, 800);
  assert.deepEqual(take(machine, "socketWanted"), [{ type: "socketWanted", socket: 1, isExtra: false }]);
  machine.socketReady(810, 1, { canSetTtl: true });
  sample(machine, 860, false, 1);
  const [retry] = take(machine, "round");
  assert.equal(retry?.socket, 1);
  assert.ok(retry.payload.punching);
  assert.equal(String(retry.payload.remoteAddress), String(PEER));
  assert.equal(String(retry.payload.addresses![0]), "11.1.1.1:4001");
  const first = run(machine, 860, 2000)[0];
  assert.equal(first, `910 1 ${PEER} 0`, "half a round later");
  machine.handlePunch(950, 0, PEER);
  assert.equal(take(machine, "connected")[0]?.socket, 0, "the old socket still listens");
});

test("H19: the side that is told of a fresh socket joins with one of its own, which opens its NAT and waits", () => {
  const machine = responder();
  bind(machine, 0);
  const payload = { ...CONSISTENT, punching: true, remoteToken: token(PEER.host.length) };
  const request = { peerAddress: PEER, from: RELAY, isOwnRelay: true };
  machine.handleRequest(0, 1, { ...request, payload });
  run(machine, 0, 500);
  take(machine, "reply");
  const moved = (round: number) => {
    const fresh = SocketAddress.of(PEER.host, PEER.port + round);
    machine.handleRequest(500 + round, 1 + round, {
      ...request,
      payload: { ...payload, round, addresses: [fresh] },
    });
    return fresh;
  };
  const fresh = moved(1);
  assert.deepEqual(take(machine, "socketWanted"), [{ type: "socketWanted", socket: 1, isExtra: false }]);
  assert.deepEqual(run(machine, 501, 550), [`501 0 ${fresh} 0`, `521 0 ${fresh} 0`], "the old one goes on");
  bind(machine, 550, false, 1);
  const [{ payload: told }] = take(machine, "reply") as [EventOf<"reply">];
  assert.equal(String(told.addresses![0]), "11.1.1.1:4001");
  assert.deepEqual(run(machine, 550, 900).slice(0, 2), [`550 1 ${fresh} 2`, `850 1 ${fresh} 0`]);
  // The same round again, by another relay, changes nothing; and there is an end to fresh sockets.
  machine.handleRequest(900, 2, { ...request, payload: { ...payload, round: 1, addresses: [fresh] } });
  assert.deepEqual(take(machine, "socketWanted"), []);
  for (let round = 2; round < 6; round++) moved(round);
  assert.equal(take(machine, "socketWanted").length, 1);
});

test("H19: when the other side answers with a fresh socket as well, it is punched at from the start", () => {
  const machine = initiator();
  const round = asked(machine, CONSISTENT);
  answer(machine, 200, round, CONSISTENT);
  run(machine, 200, 800);
  machine.socketReady(810, 1, { canSetTtl: true });
  take(machine, "socketWanted");
  sample(machine, 860, false, 1);
  const [retry] = take(machine, "round") as [EventOf<"round">];
  run(machine, 860, 1000);
  const fresh = SocketAddress.of(PEER.host, PEER.port + 1);
  answer(machine, 1000, retry, { ...CONSISTENT, addresses: [fresh] });
  assert.deepEqual(run(machine, 1000, 1070).slice(-3), [0, 20, 70].map((ms) => `${1000 + ms} 1 ${fresh} 0`));
});

test("H19: a random NAT opens 256 sockets towards the peer, with few hops first", () => {
  const machine = initiator();
  const round = asked(machine, CONSISTENT, true);
  answer(machine, 200, round, CONSISTENT);
  const wanted = take(machine, "socketWanted");
  assert.equal(wanted.length, 256 - 1);
  assert.ok(wanted.every(({ isExtra }) => isExtra));
  for (const { socket } of wanted) machine.socketReady(200, socket, { canSetTtl: true });
  const opening = run(machine, 200, 500);
  assert.equal(new Set(opening.map((line) => line.split(" ")[1])).size, 256);
  assert.ok(opening.every((line) => line.endsWith(`${PEER} 5`)));
  machine.handlePunch(600, 17, PEER);
  const [connected] = take(machine, "connected");
  assert.equal(connected?.socket, 17);
});

test("H19: fresh sockets replace those that nothing came to", () => {
  const machine = responder();
  bind(machine, 0, true);
  const payload = { ...CONSISTENT, punching: true, remoteToken: token(PEER.host.length) };
  machine.handleRequest(0, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay: true });
  for (const { socket } of take(machine, "socketWanted")) machine.socketReady(0, socket, { canSetTtl: true });
  run(machine, 0, 1000);
  machine.handlePunch(1000, 17, PEER);
  run(machine, 1000, 3400);
  const done = take(machine, "socketDone").map(({ socket }) => socket);
  assert.equal(done.length, 256 - 2);
  assert.ok(!done.includes(17) && !done.includes(0));
});

test("H19: guesses are of different ports, fast at first, of one verified host", () => {
  const machine = initiator();
  const round = asked(machine, RANDOM);
  answer(machine, 0, round, RANDOM);
  const punches = run(machine, 0, 34_000);
  assert.equal(punches.length, RANDOM_PROBES);
  const ports = punches.map((line) => Number(/^\d+ 0 11\.2\.2\.2:(\d+) 0$/.exec(line)![1]));
  assert.equal(new Set(ports).size, RANDOM_PROBES);
  assert.ok(Math.min(...ports) >= FIRST_RANDOM_PORT && Math.max(...ports) <= 65_535);
  assert.ok(punches.filter((line) => Number(line.split(" ")[0]) < 1000).length >= 499);
  run(machine, 34_000, 36_000);
  assert.equal(take(machine, "failed")[0]?.code, "HOLEPUNCH_ABORTED");
});

test("H19: two random NATs fail at once, with a word to the other side", () => {
  const machine = initiator();
  bind(machine, 0, true);
  reply(machine, 100, RANDOM);
  assert.ok(machine.isDone);
  const [failed] = take(machine, "failed");
  assert.equal(failed?.code, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS");
  assert.match(failed.message, /relay/);
});

test("H19: one node guesses ports once at a time, and not again for 20 s, or 4 s if it has found a way", () => {
  const budget = new PunchBudget();
  assert.ok(budget.tryStart(0));
  assert.ok(!budget.tryStart(1));
  budget.end(1000, true);
  assert.ok(!budget.tryStart(20_999));
  assert.ok(budget.tryStart(21_000));
  budget.end(21_500, false);
  assert.ok(budget.tryStart(21_500), "a start that came to nothing does not count");
  budget.end(22_000, true, true);
  assert.ok(!budget.tryStart(25_999));
  assert.ok(budget.tryStart(26_000));
});

test("H19: while another punch guesses ports, the peer is put off or told to come back", () => {
  const budget = new PunchBudget();
  budget.tryStart(0);
  for (const canWait of [false, true]) {
    const machine = responder({ budget, canWait });
    bind(machine, 0);
    const payload = { ...RANDOM, punching: true, remoteToken: token(PEER.host.length) };
    machine.handleRequest(0, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay: true });
    assert.equal(machine.isDone, !canWait);
    assert.equal(take(machine, "reply")[0]?.payload.error, PayloadError.TryLater);
  }
  const alone = initiator({ budget });
  bind(alone, 0);
  run(alone, 0, 0);
  reply(alone, 100, RANDOM);
  assert.equal(take(alone, "failed")[0]?.code, "TRY_LATER");
});

test("H21: with a relay in between, the initiator waits for its turn to guess ports", () => {
  const budget = new PunchBudget();
  budget.tryStart(0);
  const machine = initiator({ budget, canWait: true });
  bind(machine, 0);
  run(machine, 0, 0);
  reply(machine, 100, RANDOM);
  const [round] = take(machine, "round");
  assert.equal(round?.payload.punching, false, "both verify each other meanwhile");
  machine.handleReply(200, round.id, {
    payload: { ...RANDOM, remoteToken: round.payload.token },
    ...{ from: OTHER_RELAY, seenAs: OWN, peerAddress: PEER },
  });
  budget.end(200, true);
  run(machine, 200, 60_000);
  const later = take(machine, "round");
  assert.equal(later.length, 1);
  assert.ok(later[0]!.payload.punching);
  assert.equal(String(later[0]!.relay), String(RELAY));
});

test("H20: the first punch from a host that the peer named connects, and ends all else", () => {
  const machine = initiator();
  const round = asked(machine, CONSISTENT);
  machine.handlePunch(150, 0, SocketAddress.of(PEER.host, 999));
  const [connected] = take(machine, "connected");
  assert.equal(String(connected?.address), `${PEER.host}:999`, "the port may be another");
  answer(machine, 200, round, CONSISTENT);
  assert.deepEqual(run(machine, 200, 20_000), []);
  assert.equal(machine.nextTimeout(), Infinity);
});

test("H20: a punch from a host that nobody named has to wait a second for a better one", () => {
  for (const isBetter of [true, false]) {
    const machine = initiator();
    asked(machine, CONSISTENT);
    machine.handlePunch(150, 0, at("11.66.6.6:6"));
    assert.deepEqual(take(machine, "connected"), []);
    if (isBetter) machine.handlePunch(500, 0, PEER);
    run(machine, 500, 1200);
    const [connected] = take(machine, "connected");
    assert.equal(connected?.address.host, isBetter ? PEER.host : "11.66.6.6");
  }
});

test("H20: the responder echoes punches on the socket that they came to, and connects to none", () => {
  const machine = responder();
  bind(machine, 0);
  machine.handleRequest(0, 1, { payload: CONSISTENT, peerAddress: PEER, from: RELAY, isOwnRelay: true });
  machine.handlePunch(10, 0, SocketAddress.of(PEER.host, 77));
  assert.deepEqual(run(machine, 10, 500), ["10", "50", "130"].map((ms) => `${ms} 0 ${PEER.host}:77 0`));
  machine.handlePunch(600, 0, at("11.66.6.6:6"));
  assert.deepEqual(run(machine, 600, 900), ["600 0 11.66.6.6:6 0"], "one byte for one byte to strangers");
  assert.deepEqual(take(machine, "connected"), []);
});

test("H17: the responder punches back at once, three times, if the initiator opened its NAT to the right address", () => {
  for (const isRight of [true, false]) {
    const machine = responder();
    machine.socketReady(0, 0, { canSetTtl: true });
    const payload = { ...CONSISTENT, addresses: undefined, remoteAddress: isRight ? OWN : at("11.1.1.1:1") };
    machine.handleRequest(10, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay: true });
    assert.deepEqual(take(machine, "reply"), [], "not before it knows its NAT");
    sample(machine, 50);
    assert.deepEqual(run(machine, 50, 300), isRight ? [50, 90, 170].map((ms) => `${ms} 0 ${PEER} 0`) : []);
    const [answered] = take(machine, "reply");
    assert.equal(answered?.socket, 0);
    assert.equal(answered.payload.firewall, Firewall.Consistent);
    assert.deepEqual(answered.payload.remoteToken, token(1));
    assert.ok(answered.payload.token !== undefined);
  }
});

test("D2: of what one payload names 4 addresses are looked at, and reserved and private ones not at all", () => {
  const machine = responder();
  bind(machine, 0);
  const addresses = [
    ...["127.0.0.1:22", "192.168.1.1:80", "224.0.0.1:1", "11.2.2.2:1", "11.2.2.2:2", "11.2.2.2:3"].map(at),
  ];
  const payload = { ...CONSISTENT, addresses, punching: true };
  machine.handleRequest(0, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay: true });
  assert.deepEqual(run(machine, 0, 400), ["170 0 11.2.2.2:1 0"]);
});

test("D2: whatever a peer asks for, punches go to 4 hosts and 12 addresses, and 32 rounds are answered", () => {
  const machine = responder();
  bind(machine, 0);
  const seen = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const addresses = [
      PEER,
      ...[1, 2, 3].map((n) => SocketAddress.of(`11.2.2.${1 + (i + n) % 9}`, 1 + 4 * i + n)),
    ];
    const payload = { ...CONSISTENT, addresses, round: i, punching: true, remoteAddress: OWN };
    const peerAddress = SocketAddress.of(`11.7.${i}.1`, 1 + i);
    machine.handleRequest(i, i, { payload, peerAddress, from: RELAY, isOwnRelay: true });
    for (const line of run(machine, i, i)) seen.add(line.split(" ")[2]!);
  }
  assert.ok(!machine.isDone);
  assert.equal(take(machine, "reply").length, MAX_REQUESTS);
  for (const line of run(machine, 200, 9000)) seen.add(line.split(" ")[2]!);
  assert.ok(seen.size > 0 && seen.size <= MAX_TARGETS, String(seen.size));
  assert.ok(new Set([...seen].map((one) => one.split(":")[0])).size <= MAX_HOSTS);
});

test("D2: an attempt names 4 hosts and 12 addresses, however often it names others", () => {
  const targets = new Targets({ allowsPrivate: false });
  let permitted = 0;
  for (let port = 1; port <= 100; port++) if (targets.permit(SocketAddress.of("11.2.2.2", port))) permitted++;
  assert.equal(permitted, MAX_TARGETS);
  assert.ok(targets.permit(SocketAddress.of("11.2.2.2", 1)), "one that counts already");
  const hosts = new Targets({ allowsPrivate: false });
  for (let i = 0; i < 100; i++) hosts.update([SocketAddress.of(`11.2.2.${i}`, 0)], undefined);
  const named = Array.from({ length: 100 }, (_, i) => hosts.hasNamed(SocketAddress.of(`11.2.2.${i}`, 1)));
  assert.equal(named.filter(Boolean).length, MAX_HOSTS);
});

test("H18: what a relay says about the peer's host verifies nothing, now or later", () => {
  const targets = new Targets({ allowsPrivate: false });
  targets.update([PEER], "11.9.9.9");
  targets.update([PEER, at("11.9.9.9:1")], undefined);
  assert.ok(!targets.list.some(({ isVerified }) => isVerified));
  targets.update([PEER], PEER.host);
  targets.update([SocketAddress.of(PEER.host, 6000)], undefined);
  assert.equal(String(targets.verified?.address), `${PEER.host}:6000`, "a host stays verified");
});

test("H18: a token counts at the responder only if it came back through a relay of its own", () => {
  for (const isOwnRelay of [true, false]) {
    const machine = responder();
    bind(machine, 0);
    const payload = { ...CONSISTENT, punching: true, remoteToken: token(PEER.host.length) };
    machine.handleRequest(0, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay });
    assert.equal(run(machine, 0, 100).length, isOwnRelay ? 3 : 0);
    assert.equal(take(machine, "reply")[0]?.payload.token === undefined, !isOwnRelay);
  }
});

test("H19: where hops cannot be set, the first punch crosses over with the other side's", () => {
  const machine = initiator();
  bind(machine, 0, false, 0, false);
  reply(machine, 100, CONSISTENT);
  assert.ok(take(machine, "round")[0]?.payload.punching);
  assert.deepEqual(run(machine, 100, 200), [`150 0 ${PEER} 0`], "half a round later");
});

test("D2: a flood of punches is answered ten times a second", () => {
  const machine = responder();
  bind(machine, 0);
  for (let i = 0; i < 5000; i++) machine.handlePunch(i / 5, 0, SocketAddress.of("11.66.6.6", 1 + i));
  assert.equal(run(machine, 0, 2000).length, 10);
});

test("H17: the policy of either side has the last word, once both NATs are known", () => {
  for (const isWanted of [true, false]) {
    const seen: unknown[] = [];
    const mayPunch: PunchOptions["mayPunch"] = (...facts) => {
      seen.push(facts.map(String));
      return isWanted;
    };
    const client = initiator({ mayPunch });
    bind(client, 0);
    run(client, 0, 0);
    reply(client, 100, CONSISTENT);
    assert.equal(client.isDone, !isWanted);
    const server = responder({ mayPunch });
    bind(server, 0);
    const payload = { ...CONSISTENT, punching: true };
    server.handleRequest(0, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay: true });
    assert.equal(server.isDone, !isWanted);
    const [answered] = take(server, "reply");
    assert.equal(answered?.payload.error, isWanted ? PayloadError.None : PayloadError.Aborted);
    assert.deepEqual(seen, [["2", "2", String(PEER), String(OWN)], ["2", "2", String(PEER), String(OWN)]]);
  }
});

test("H20: sockets that are bound after the end are handed back", () => {
  const machine = initiator();
  machine.finish(10);
  take(machine, "socketWanted");
  machine.socketReady(20, 0, { canSetTtl: true });
  assert.deepEqual(take(machine, "socketDone"), [{ type: "socketDone", socket: 0 }]);
});

test("H20: the end keeps the socket that the connection is on", () => {
  const machine = responder();
  bind(machine, 0, true);
  const payload = { ...CONSISTENT, punching: true, remoteToken: token(PEER.host.length) };
  machine.handleRequest(0, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay: true });
  for (const { socket } of take(machine, "socketWanted")) machine.socketReady(0, socket, { canSetTtl: true });
  machine.finish(100, 99);
  const done = take(machine, "socketDone").map(({ socket }) => socket);
  assert.equal(done.length, 256 - 1);
  assert.ok(!done.includes(99));
});

test("H17: a responder that hears nothing ends after 10 s, one that is told so at once", () => {
  const silent = responder();
  bind(silent, 0);
  run(silent, 0, 9999);
  assert.ok(!silent.isDone);
  run(silent, 9999, 10_000);
  assert.equal(take(silent, "failed")[0]?.code, "HOLEPUNCH_ABORTED");
  const told = responder();
  const payload = { ...CONSISTENT, error: PayloadError.Aborted };
  told.handleRequest(5, 1, { payload, peerAddress: PEER, from: RELAY, isOwnRelay: true });
  assert.equal(take(told, "failed")[0]?.code, "REMOTE_ABORTED");
});
