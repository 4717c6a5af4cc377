/** Being dialed, without a network: what strangers may cost, and inputs in any order. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { AcceptMachine } from "../../dht/accept_machine.ts";
import type { AcceptEvent } from "../../dht/accept_types.ts";
import { AttemptLimits, type AttemptLimitsOptions } from "../../dht/attempt_limits.ts";
import {
  ACCEPT_TIMEOUT_MS,
  CLEAR_WAIT_MS,
  CONFIRM_MS,
  KNOCK_SCHEDULE_MS,
} from "../../dht/connect_constants.ts";
import { PeerHandshaking } from "../../dht/handshake.ts";
import type { NoisePayload } from "../../dht/handshake_messages.ts";
import { Firewall } from "../../dht/punch/constants.ts";
import { dhtNamespaces } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { test } from "../harness.ts";
import { crypto } from "./rpc/support.ts";

const namespaces = dhtNamespaces(crypto);
const server = crypto.keyPair(new Uint8Array(32).fill(1));
const OWN = SocketAddress.parse("20.0.0.1:49737");
const RELAY = SocketAddress.parse("20.0.9.1:49737");
const MEETING = {
  publicKey: crypto.keyPair(new Uint8Array(32).fill(9)).publicKey,
  token: new Uint8Array(32),
};
const FACTS = {
  streamId: 7,
  ownAddress: undefined,
  localAddresses: [],
  relays: [{ relayAddress: RELAY, peerAddress: OWN }],
  relayAddresses: [RELAY],
  relayThrough: undefined,
  isGone: false,
  isBusy: false,
};
const PAYLOAD: NoisePayload = {
  error: 0,
  firewall: Firewall.Unknown,
  addresses4: [],
  addresses6: [],
  udx: { reusableSocket: false, id: 99, seq: 0 },
  secretStream: true,
};

const UNLIMITED = { maxPerSecond: Infinity, maxPerSecondAndHost: Infinity, maxPerSecondAndRelay: Infinity };

class Bench {
  readonly random = new SeededRandom("accept");
  readonly context = { runtime: { crypto, random: this.random }, namespaces };
  readonly limits: AttemptLimits;
  readonly machine: AcceptMachine;
  #copy = 0;

  constructor(options: AttemptLimitsOptions = {}) {
    this.limits = new AttemptLimits(options);
    this.machine = new AcceptMachine({
      ...this.context,
      keyPair: server,
      limits: this.limits,
      mayPunch: true,
      reusableSocket: false,
    });
  }

  message(payload: Partial<NoisePayload> = {}): Uint8Array {
    const seed = this.random.fill(new Uint8Array(32));
    const dialing = new PeerHandshaking(this.context, crypto.keyPair(seed), server.publicKey);
    return dialing.send({ ...PAYLOAD, ...payload });
  }

  send(now: number, noise: Uint8Array, client: string, isDirect = false): number {
    const clientAddress = SocketAddress.parse(client);
    const from = isDirect ? clientAddress : RELAY;
    this.machine.handleHandshake(now, this.#copy, { noise, clientAddress, isDirect, from, to: OWN });
    return this.#copy++;
  }

  events(): AcceptEvent[] {
    const events: AcceptEvent[] = [];
    let event: AcceptEvent | undefined;
    while ((event = this.machine.pollEvent()) !== undefined) events.push(event);
    return events;
  }

  /** Lets time pass until nothing more will happen. */
  drain(): void {
    let next: number;
    while ((next = this.machine.nextTimeout()) !== Infinity) this.machine.handleTimeout(next);
  }
}

function types(events: readonly AcceptEvent[]): string[] {
  return events.map(({ type }) => type);
}

test("H10 an attempt is decided, prepared, answered once for all copies, opened, proven and forgotten", () => {
  const bench = new Bench();
  const { machine } = bench;
  const noise = bench.message();
  const copies = [bench.send(0, noise, "20.0.1.1:1000"), bench.send(1, noise, "20.0.1.1:1000")];
  assert.deepEqual(types(bench.events()), ["policy"]);
  machine.allow(2, 0, FACTS);
  const events = bench.events();
  assert.deepEqual(types(events), ["keys", "punch"]);
  assert.equal(machine.stateOf(0), "preparing");
  machine.handlePrepared(3, 0, true);
  const [answer] = bench.events();
  assert(answer?.type === "answer" && answer.isFromPunchSocket);
  assert.deepEqual(answer.copies, copies);
  const late = bench.send(4, noise, "20.0.1.1:1000");
  const [again] = bench.events();
  assert(again?.type === "answer");
  assert.deepEqual([again.copies, again.noise], [[late], answer.noise]);
  assert.equal(machine.handlePacket(5, 0), true);
  assert.equal(machine.handlePacket(6, 0), false);
  machine.handleProven(7, 0);
  assert.equal(machine.stateOf(0), "open");
  bench.drain();
  assert.deepEqual(types(bench.events()), ["forgotten"]);
  assert.deepEqual([machine.size, bench.limits.size], [0, 0]);
});

test("H14 a reachable peer is knocked at, at growing distances, until it speaks", () => {
  const bench = new Bench();
  const { machine } = bench;
  bench.send(0, bench.message({ firewall: Firewall.Open }), "20.0.1.1:1000");
  machine.allow(0, 0, FACTS);
  bench.events();
  const knocks: number[] = [];
  while (machine.nextTimeout() < ACCEPT_TIMEOUT_MS) {
    const now = machine.nextTimeout();
    machine.handleTimeout(now);
    for (const event of bench.events()) if (event.type === "knock") knocks.push(now);
  }
  assert.deepEqual(knocks, KNOCK_SCHEDULE_MS);
  bench.drain();
  assert.deepEqual(types(bench.events()), ["ended", "forgotten"]);
  assert.equal(machine.counters.unproven, 1);
});

test("H14 a reachable server knocks at who can be reached, and punches to nobody", () => {
  const bench = new Bench();
  bench.send(0, bench.message({ firewall: Firewall.Open }), "20.0.1.1:1000");
  bench.send(0, bench.message(), "20.0.1.2:1000");
  bench.send(0, bench.message(), "20.0.1.3:1000", true);
  for (let id = 0; id < 3; id++) bench.machine.allow(0, id, { ...FACTS, ownAddress: OWN });
  bench.drain();
  const events = bench.events();
  const seen = new Set(types(events));
  assert.deepEqual([seen.has("punch"), seen.has("answer")], [false, true]);
  const knockedAt = new Set(events.flatMap((event) => event.type === "knock" ? [`${event.to}`] : []));
  assert.deepEqual([...knockedAt], ["20.0.1.1:1000"]);
});

test("a handshake of another version, or without a stream, is answered with the error and ends", () => {
  const bench = new Bench();
  bench.send(0, bench.message({ udx: undefined }), "20.0.1.1:1000");
  bench.machine.allow(0, 0, FACTS);
  assert.deepEqual(types(bench.events()), ["policy", "answer", "ended"]);
});

test("D4 a peer that needs a punch while there is no socket for it is told to try later, others are not", () => {
  const bench = new Bench();
  bench.send(0, bench.message(), "20.0.1.1:1000");
  bench.send(0, bench.message({ firewall: Firewall.Open }), "20.0.1.2:1000");
  for (const id of [0, 1]) bench.machine.allow(0, id, { ...FACTS, isBusy: true });
  const seen = bench.events().map(({ type, id }) => `${type} ${id}`);
  assert.deepEqual(seen, ["policy 0", "policy 1", "answer 0", "ended 0", "keys 1", "answer 1"]);
});

test("D4 what is too short or too long costs nothing, and what is forged leaves nothing", () => {
  const bench = new Bench();
  for (const length of [0, 1, 32, 99, 1025, 2000]) bench.send(0, new Uint8Array(length), "20.0.1.1:1000");
  assert.equal(bench.machine.counters.malformed, 6);
  const forged = bench.message();
  forged[60]! ^= 1;
  bench.send(0, forged, "20.0.1.1:1000");
  bench.send(0, bench.random.fill(new Uint8Array(150)), "20.0.1.1:1000");
  assert.equal(bench.machine.counters.forged, 2);
  assert.deepEqual([bench.events(), bench.machine.size, bench.limits.size], [[], 0, 0]);
});

test("D4 of a flood only so many messages a second are looked into: in all, from one address, over one relay", () => {
  const bench = new Bench();
  const garbage = () => bench.random.fill(new Uint8Array(150));
  const spread = (i: number) => `20.1.${i >> 8}.${i & 255}:1000`;
  for (let i = 0; i < 2000; i++) bench.send(0, garbage(), spread(i));
  assert.deepEqual(
    [bench.machine.counters.forged, bench.machine.counters.flooded],
    [128, 2000 - 128],
    "over one relay",
  );
  for (let i = 0; i < 2000; i++) bench.send(0, garbage(), "20.1.1.1:1000", true);
  assert.equal(bench.machine.counters.forged, 128 + 64, "from one address");
  for (let i = 0; i < 2000; i++) bench.send(0, garbage(), spread(i), true);
  assert.equal(bench.machine.counters.forged, 512, "in all");
  bench.send(1000, bench.message(), "20.1.1.1:1000", true);
  assert.equal(bench.machine.size, 1, "an honest one in the next second");
});

test("D4 attempts are bounded in all, of one address and over one relay, and end by themselves", () => {
  const bench = new Bench({ ...UNLIMITED, maxAttempts: 40, maxPerHost: 8, maxPerRelay: 24 });
  const flood = (count: number, address: (i: number) => string, isDirect: boolean) => {
    for (let i = 0; i < count; i++) bench.send(0, bench.message(), address(i), isDirect);
  };
  flood(12, () => "20.0.1.1:1000", true);
  assert.equal(bench.machine.size, 8, "of one address");
  flood(30, (i) => `20.0.2.${i}:1000`, false);
  assert.equal(bench.machine.size, 8 + 24, "over one relay");
  flood(30, (i) => `20.0.3.${i}:1000`, true);
  assert.equal(bench.machine.size, 40, "in all");
  bench.drain();
  assert.deepEqual([bench.machine.size, bench.limits.size], [0, 0]);
  flood(1, () => "20.0.1.1:1000", true);
  assert.equal(bench.machine.size, 1, "room again");
});

test("D4 a new attempt takes the place of the oldest one whose peer is silent, of its relay or of all", () => {
  const bench = new Bench({ ...UNLIMITED, maxAttempts: 6, maxPerRelay: 3 });
  const send = (i: number, isDirect: boolean) => bench.send(0, bench.message(), `20.0.1.${i}:1000`, isDirect);
  const left = () => Array.from({ length: 8 }, (_, id) => bench.machine.stateOf(id) ?? "-").join(" ");
  for (let i = 0; i < 4; i++) send(i, true);
  for (let id = 0; id < 4; id++) bench.machine.allow(0, id, { ...FACTS, ownAddress: OWN });
  bench.machine.handlePacket(0, 0);
  bench.machine.handlePunch(0, 1, false);
  send(4, false);
  send(5, false);
  assert.equal(left(), "opening answered answered answered deciding deciding - -");
  bench.events();
  send(6, false);
  assert.deepEqual(types(bench.events()), ["ended", "forgotten", "policy"]);
  assert.equal(
    left(),
    "opening answered deciding answered deciding deciding - -",
    "the number is free again",
  );
  send(7, false);
  assert.equal(left(), "opening answered deciding answered deciding deciding - -", "one of its relay");
  assert.deepEqual(bench.events().map(({ type, id }) => `${type} ${id}`), [
    "ended 4",
    "forgotten 4",
    "policy 4",
  ]);
  bench.machine.handlePunch(0, 1, true);
  bench.drain();
  assert.deepEqual([bench.machine.size, bench.limits.size], [0, 0]);
});

test("a connection that is open no longer counts for its address", () => {
  const bench = new Bench({ maxPerHost: 1 });
  bench.send(0, bench.message(), "20.0.1.1:1000", true);
  bench.machine.allow(0, 0, { ...FACTS, ownAddress: OWN });
  bench.send(0, bench.message(), "20.0.1.1:1000", true);
  assert.equal(bench.machine.size, 1);
  bench.machine.handlePacket(0, 0);
  bench.machine.handleProven(0, 0);
  bench.send(0, bench.message(), "20.0.1.1:1000", true);
  assert.equal(bench.machine.size, 2);
});

test("H21 the server goes to its own relay rather than to the peer's, at once if it cannot be reached, and waits there", () => {
  const theirs = {
    publicKey: crypto.keyPair(new Uint8Array(32).fill(8)).publicKey,
    token: new Uint8Array(32),
  };
  for (const relayThrough of [undefined, MEETING]) {
    for (const ownAddress of [undefined, OWN]) {
      const bench = new Bench();
      bench.send(0, bench.message({ relayThrough: theirs }), "20.0.1.1:1000");
      bench.machine.allow(0, 0, { ...FACTS, relayThrough, ownAddress });
      bench.machine.handlePrepared(0, 0, true);
      if (ownAddress !== undefined) {
        assert(bench.events().every(({ type }) => type !== "relay"));
        bench.machine.handleTimeout(CONFIRM_MS);
      }
      const relay = bench.events().find((event) => event.type === "relay");
      assert.deepEqual(relay?.relay, relayThrough ?? theirs);
      assert.equal(relay.isInitiator, relayThrough !== undefined);
      bench.machine.handleTimeout(60_000);
      assert.equal(bench.machine.stateOf(0), "answered", "meeting ends by itself");
      bench.machine.handlePunch(60_000, 0, true);
      bench.machine.handleRelayEnd(60_000, 0);
      bench.machine.handleTimeout(60_000 + ACCEPT_TIMEOUT_MS);
      assert.equal(bench.machine.stateOf(0), "ended");
    }
  }
});

test("H21 a connection through a relay is remembered as long as there is punching", () => {
  const bench = new Bench();
  bench.send(0, bench.message(), "20.0.1.1:1000");
  bench.machine.allow(0, 0, { ...FACTS, relayThrough: MEETING });
  bench.machine.handlePrepared(0, 0, true);
  assert.equal(bench.machine.handlePacket(10, 0), true);
  bench.machine.handleProven(20, 0);
  bench.machine.handleTimeout(100_000);
  assert.equal(bench.machine.stateOf(0), "open");
  bench.machine.handlePunch(100_000, 0, true);
  bench.machine.handleTimeout(100_000 + CLEAR_WAIT_MS);
  assert.equal(bench.machine.size, 0);
});

test("F3 inputs in any order, for any attempt, break nothing and leave nothing", () => {
  for (let seed = 0; seed < 30; seed++) {
    const bench = new Bench();
    const { machine } = bench;
    const random = new SeededRandom(`orders/${seed}`);
    const messages = [0, 1, 2].map((firewall) => bench.message({ firewall }));
    let now = 0;
    for (let step = 0; step < 120; step++) {
      const id = random.below(4);
      now += random.below(400);
      const inputs = [
        () =>
          bench.send(now, messages[random.below(3)]!, `20.0.1.${random.below(3)}:1000`, random.chance(1, 2)),
        () => machine.allow(now, id, random.chance(1, 2) ? FACTS : { ...FACTS, ownAddress: OWN }),
        () => machine.allow(now, id, { ...FACTS, relayThrough: MEETING }),
        () => machine.deny(now, id),
        () => machine.handlePrepared(now, id, random.chance(1, 2)),
        () => machine.handlePunch(now, id, random.chance(1, 2)),
        () => machine.handlePacket(now, id),
        () => machine.handleRelayEnd(now, id),
        () => machine.handleProven(now, id),
        () => machine.handleStreamEnd(now, id),
        () => machine.handleTimeout(now),
      ];
      inputs[random.below(inputs.length)]!();
      if (random.chance(1, 2)) bench.events();
    }
    machine.clear(now);
    assert.deepEqual([machine.size, bench.limits.size], [0, 0]);
    assert.equal(machine.nextTimeout(), Infinity);
  }
});

test("an ended attempt is remembered for a while, so that its first message is not taken for a new one", () => {
  const bench = new Bench();
  const noise = bench.message();
  bench.send(0, noise, "20.0.1.1:1000");
  bench.machine.deny(0, 0);
  bench.events();
  bench.send(CLEAR_WAIT_MS - 1, noise, "20.0.1.1:1000");
  assert.deepEqual(bench.events(), []);
  bench.drain();
  bench.send(CLEAR_WAIT_MS + 1, noise, "20.0.1.1:1000");
  assert.deepEqual(types(bench.events()), ["forgotten", "policy"]);
});
