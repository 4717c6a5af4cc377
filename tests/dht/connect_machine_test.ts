/** Dialing, without a network: the order of things, and inputs in any order. */
import assert from "node:assert/strict";
import { TraceLog } from "../../core/runtime/trace.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { CONFIRM_MS, MAX_CANDIDATES, NO_ANSWER_MS, OPEN_TIMEOUT_MS } from "../../dht/connect_constants.ts";
import { ConnectMachine } from "../../dht/connect_machine.ts";
import type { ConnectAnswer, ConnectEvent, ConnectOptions } from "../../dht/connect_types.ts";
import { PeerHandshaking } from "../../dht/handshake.ts";
import type { NoisePayload } from "../../dht/handshake_messages.ts";
import { Firewall } from "../../dht/punch/constants.ts";
import { dhtNamespaces } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { test } from "../harness.ts";
import { crypto } from "./rpc/support.ts";

const namespaces = dhtNamespaces(crypto);
const server = crypto.keyPair(new Uint8Array(32).fill(1));
const client = crypto.keyPair(new Uint8Array(32).fill(2));
const SERVER = SocketAddress.parse("20.0.8.1:49737");
const RELAYS = [1, 2, 3, 4, 5].map((n) => SocketAddress.parse(`20.0.${n}.1:49737`));
const [SERVER_SOCKET, CURRENT, PUNCHED] = [{ name: "server" }, { name: "current" }, { name: "punched" }];
const PAYLOAD: NoisePayload = {
  error: 0,
  firewall: Firewall.Unknown,
  addresses4: [],
  addresses6: [],
  udx: { reusableSocket: false, id: 99, seq: 0 },
  secretStream: true,
};
const PUNCHABLE: Partial<NoisePayload> = {
  holepunch: { id: 5, relays: [{ relayAddress: RELAYS[0]!, peerAddress: SERVER }] },
};

const MEETING = {
  publicKey: crypto.keyPair(new Uint8Array(32).fill(3)).publicKey,
  token: new Uint8Array(32),
};
const PATH = { socket: CURRENT, address: SERVER };

class Bench {
  readonly context = { runtime: { crypto, random: new SeededRandom("connect") }, namespaces };
  readonly machine: ConnectMachine;
  readonly log = new TraceLog(new VirtualClock());
  first: Uint8Array | undefined;

  constructor(options: Partial<ConnectOptions> = {}) {
    this.machine = new ConnectMachine({
      now: 0,
      handshaking: new PeerHandshaking(this.context, client, server.publicKey),
      payload: PAYLOAD,
      relays: [],
      route: undefined,
      localAddresses: [],
      sockets: { server: SERVER_SOCKET, current: CURRENT },
      fastOpen: true,
      mayRelay: true,
      trace: this.log,
      ...options,
    });
  }

  events(): ConnectEvent[] {
    const events: ConnectEvent[] = [];
    let event: ConnectEvent | undefined;
    while ((event = this.machine.pollEvent()) !== undefined) {
      events.push(event);
      if (event.type === "handshake") this.first = event.noise;
    }
    return events;
  }

  /** The server's answer to the first message. */
  answer(payload: Partial<NoisePayload> = {}, how: Partial<ConnectAnswer> = {}): ConnectAnswer {
    const answering = new PeerHandshaking(this.context, server);
    answering.tryReceive(this.first!);
    const noise = answering.send({ ...PAYLOAD, ...payload });
    const clientAddress = SocketAddress.parse("20.0.7.1:2000");
    return { noise, serverAddress: SERVER, clientAddress, isRelayed: true, socket: CURRENT, ...how };
  }

  /** A dial that has asked one relay. */
  static asked(options: Partial<ConnectOptions> = {}): Bench {
    const bench = new Bench(options);
    bench.machine.handleRelay(RELAYS[0]!);
    bench.events();
    return bench;
  }
}

function types(events: readonly ConnectEvent[]): string[] {
  return events.map(({ type }) => type);
}

test("H12 two relays are asked at once, three if they were known, and at most 32 in all", () => {
  const unknown = new Bench();
  for (const relay of RELAYS) unknown.machine.handleRelay(relay);
  assert.deepEqual(types(unknown.events()), ["search", "handshake", "handshake"]);
  const known = new Bench({ relays: RELAYS });
  assert.deepEqual(types(known.events()), ["handshake", "handshake", "handshake"]);

  const many = new Bench();
  for (let i = 0; i < 1000; i++) {
    many.machine.handleRelay(SocketAddress.parse(`21.0.${i >> 8}.${i & 255}:1000`));
  }
  let asked = 0;
  for (let id = 0; id < 100; id++) {
    asked += many.events().filter(({ type }) => type === "handshake").length;
    many.machine.handleNoAnswer(10, id, "timeout");
  }
  assert.equal(asked, MAX_CANDIDATES);
});

test("relays that are known are asked first; a search begins when one has no answer, or after 250 ms", () => {
  const answered = new Bench({ relays: RELAYS.slice(0, 2) });
  assert.deepEqual(types(answered.events()), ["handshake", "handshake"]);
  answered.machine.handleAnswer(40, 0, answered.answer({ firewall: Firewall.Open }));
  assert.deepEqual(types(answered.events()), ["stopSearch", "keys", "path"]);

  const refused = new Bench({ relays: RELAYS.slice(0, 2) });
  refused.events();
  refused.machine.handleNoAnswer(40, 0, "it knows no way to the peer");
  assert.deepEqual(refused.events(), [{ type: "search", nodes: RELAYS.slice(0, 2) }]);

  const silent = new Bench({ relays: RELAYS.slice(0, 2) });
  silent.events();
  assert.equal(silent.machine.nextTimeout(), 250);
  silent.machine.handleTimeout(250);
  assert.deepEqual(types(silent.events()), ["search"]);
});

test("a relay that answers nonsense is passed over, and the next may be right", () => {
  const bench = Bench.asked();
  bench.machine.handleRelay(RELAYS[1]!);
  bench.events();
  bench.machine.handleAnswer(5, 0, bench.answer({}, { noise: new Uint8Array(80) }));
  assert.equal(bench.machine.state, "finding");
  bench.machine.handleAnswer(6, 1, bench.answer({ firewall: Firewall.Open }));
  assert.deepEqual(types(bench.events()), ["stopSearch", "keys", "path"]);
  assert.equal(bench.machine.state, "opening");
  bench.machine.handleProven();
  assert.equal(bench.machine.state, "open");
  assert.equal(bench.machine.nextTimeout(), Infinity);
});

test("the peer's refusal is an error of its own, with what to do", () => {
  const cases: readonly [Partial<NoisePayload>, string, RegExp][] = [
    [{ error: 1 }, "SERVER_ERROR", /refuses with error 1: ask whoever runs it/],
    [{ error: 2 }, "SERVER_INCOMPATIBLE", /another version of the protocol: update/],
    [{ error: 3 }, "TRY_LATER", /too many connections under way: try later/],
    [{ udx: undefined }, "SERVER_ERROR", /offers no stream/],
  ];
  for (const [payload, code, message] of cases) {
    const bench = Bench.asked();
    bench.machine.handleAnswer(5, 0, bench.answer(payload));
    const failed = bench.events().find(({ type }) => type === "failed");
    assert(failed?.type === "failed");
    assert.equal(failed.code, code);
    assert.match(failed.message, message);
  }
});

test("Q1 a silent path is given up for the spare hole, or for a second punch without a shortcut", () => {
  const local = { localAddresses: [SocketAddress.parse("192.168.1.2:49737")] };
  const lan = { ...PUNCHABLE, addresses4: [SocketAddress.parse("192.168.1.9:49737")] };
  const sameHost = { clientAddress: SocketAddress.of(SERVER.host, 7) };

  const spare = Bench.asked(local);
  spare.machine.handleAnswer(0, 0, spare.answer(lan, sameHost));
  assert.deepEqual(types(spare.events()), ["stopSearch", "keys", "ping", "punch"]);
  spare.machine.handlePong(10, lan.addresses4[0]!);
  spare.machine.handlePunched(50, PUNCHED, SERVER);
  assert.deepEqual(types(spare.events()), ["path"], "the first way gets its chance");
  spare.machine.handleTimeout(10 + CONFIRM_MS);
  const [path] = spare.events();
  assert(path?.type === "path" && path.path.socket === PUNCHED);

  const again = Bench.asked();
  again.machine.handleAnswer(0, 0, again.answer(PUNCHABLE));
  again.machine.handlePunched(10, PUNCHED, SERVER);
  again.events();
  again.machine.handleTimeout(10 + CONFIRM_MS);
  const [punch] = again.events();
  assert(punch?.type === "punch" && punch.plan.fastOpen === false);
  again.machine.handleTimeout(10 + OPEN_TIMEOUT_MS);
  assert.equal(again.machine.state, "failed", "and if nothing helps, there is no connection");
});

test("Q1 the first packet of the peer may be faster than its answer", () => {
  const bench = Bench.asked();
  assert.equal(bench.machine.handleStreamPacket(1, CURRENT, SERVER, false), true);
  assert.deepEqual(bench.events(), []);
  bench.machine.handleAnswer(2, 0, bench.answer(PUNCHABLE));
  assert.deepEqual(types(bench.events()), ["stopSearch", "keys", "path"]);
});

test("Q1 a relay may be faster than the peer itself, whose answer then proves the path", () => {
  const stale = new Uint8Array(96);
  const cases: readonly (readonly [Partial<ConnectAnswer>, boolean])[] = [
    [{ isRelayed: false }, true],
    [{ isRelayed: true }, false],
    [{ isRelayed: false, noise: stale }, false],
    [{ isRelayed: false, socket: PUNCHED }, false],
    [{ isRelayed: false, serverAddress: RELAYS[3]! }, false],
  ];
  for (const [how, isProven] of cases) {
    const bench = Bench.asked();
    bench.machine.handleRelay(SERVER);
    bench.events();
    const answer = bench.answer({ firewall: Firewall.Open });
    bench.machine.handleAnswer(5, 0, answer);
    assert.deepEqual(types(bench.events()), ["stopSearch", "keys", "path"]);
    bench.machine.handleAnswer(6, 1, { ...answer, ...how });
    assert.deepEqual(types(bench.events()), isProven ? ["pathProven"] : []);
    assert.equal(bench.machine.state, "opening");
  }
});

test("who hears nobody gives up soon, who hears somebody does not", () => {
  const deaf = new Bench();
  deaf.events();
  assert.equal(deaf.machine.nextTimeout(), NO_ANSWER_MS);
  deaf.machine.handleTimeout(NO_ANSWER_MS);
  assert.equal(deaf.machine.state, "failed");
  const hearing = new Bench();
  hearing.machine.handleSignOfLife();
  hearing.machine.handleTimeout(NO_ANSWER_MS);
  assert.equal(hearing.machine.state, "finding");
});

test("H22 a way that worked before is tried first, and others soon after", () => {
  const route = { socket: PUNCHED, address: SERVER };
  const bench = new Bench({ route });
  const [first] = bench.events();
  assert(first?.type === "handshake" && first.socket === PUNCHED);
  bench.machine.handleNoAnswer(100, first.id, "timeout");
  assert.deepEqual(types(bench.events()), ["search"]);
  const slow = new Bench({ route });
  slow.events();
  slow.machine.handleTimeout(slow.machine.nextTimeout());
  assert.deepEqual(types(slow.events()), ["search"]);
});

test("H21 the relay that the peer names comes before ours, and none is used where it may not be", () => {
  const ours = { publicKey: client.publicKey, token: new Uint8Array(32) };
  const payload = { ...PAYLOAD, relayThrough: ours };
  const cases = [[{ payload }, MEETING, false], [{ payload }, undefined, true], [
    {},
    MEETING,
    false,
  ]] as const;
  for (const [options, theirs, isInitiator] of cases) {
    const bench = Bench.asked(options);
    bench.machine.handleAnswer(5, 0, bench.answer({ ...PUNCHABLE, relayThrough: theirs }));
    const events = bench.events();
    assert.deepEqual(types(events), ["stopSearch", "keys", "relay", "punch"]);
    const relay = events[2]!;
    assert(relay.type === "relay");
    assert.deepEqual([relay.relay, relay.isInitiator], [theirs ?? ours, isInitiator]);
  }
  const bench = Bench.asked({ payload, mayRelay: false });
  bench.machine.handleAnswer(5, 0, bench.answer({ ...PUNCHABLE, relayThrough: MEETING }));
  assert.deepEqual(types(bench.events()), ["stopSearch", "keys", "punch"]);
});

test("H21 through a relay the dial goes on until there is a hole, and tries once more if that is silent", () => {
  const bench = Bench.asked();
  const { machine } = bench;
  machine.handleAnswer(5, 0, bench.answer({ ...PUNCHABLE, relayThrough: MEETING }));
  bench.events();
  machine.handleRelayReady(50, CURRENT, RELAYS[4]!);
  machine.handleProven();
  assert.deepEqual([machine.state, machine.path?.kind], ["open", "relayed"]);
  bench.events();
  machine.handlePunched(900, PUNCHED, SERVER);
  assert.deepEqual([types(bench.events()), machine.path?.kind], [["path"], "punched"]);
  machine.handleMoved({ kind: "relayed", ...PATH });
  assert.deepEqual(types(bench.events()), ["punch"]);
  machine.handlePunchFailure("HOLEPUNCH_ABORTED", "No");
  assert.deepEqual([types(bench.events()), machine.state], [[], "open"]);
});

test("H21 who can be reached and is not goes to the relay", () => {
  const bench = Bench.asked({ payload: { ...PAYLOAD, firewall: Firewall.Open } });
  const { machine } = bench;
  machine.handleAnswer(5, 0, bench.answer({ ...PUNCHABLE, relayThrough: MEETING }));
  assert.deepEqual(types(bench.events()), ["stopSearch", "keys"]);
  machine.handleTimeout(machine.nextTimeout());
  assert.deepEqual(types(bench.events()), ["relay"]);
  machine.handleRelayFailure(new Error("It is not there"));
  const failed = bench.events().at(-1)!;
  assert(failed.type === "failed" && /the relay is of no use: it is not there/.test(failed.message));
});

test("H21 a path that leads nowhere is given up for the relay", () => {
  const bench = Bench.asked();
  const { machine } = bench;
  machine.handleAnswer(5, 0, bench.answer({ firewall: Firewall.Open, relayThrough: MEETING }));
  assert.deepEqual(types(bench.events()), ["stopSearch", "keys", "path"]);
  machine.handleTimeout(5 + CONFIRM_MS);
  assert.deepEqual(types(bench.events()), ["relay"]);
  machine.handleRelayReady(2000, CURRENT, RELAYS[4]!);
  assert.deepEqual([types(bench.events()), machine.path?.kind], [["path"], "relayed"]);
});

test("F3 inputs in any order break nothing, and every dial ends", () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new SeededRandom(`orders/${seed}`);
    const bench = new Bench({
      relays: RELAYS.slice(0, random.below(3)),
      route: random.chance(1, 3) ? { socket: PUNCHED, address: SERVER } : undefined,
      localAddresses: [SocketAddress.parse("192.168.1.2:49737")],
      payload: { ...PAYLOAD, firewall: random.below(2) },
    });
    const { machine } = bench;
    bench.events();
    let now = 0;
    const payloads = [{}, PUNCHABLE, { firewall: Firewall.Open }, { error: 1 }, {
      ...PUNCHABLE,
      relayThrough: MEETING,
    }];
    for (let step = 0; step < 60; step++) {
      now += random.below(300);
      const inputs = [
        () => machine.handleRelay(RELAYS[random.below(5)]!),
        () => machine.handleSearchEnd(now),
        () =>
          bench.first && machine.handleAnswer(now, random.below(4), bench.answer(payloads[random.below(5)]!)),
        () => machine.handleNoAnswer(now, random.below(4), "timeout"),
        () => machine.handlePong(now, SERVER),
        () => machine.handleNoPong(),
        () => machine.handlePunched(now, PUNCHED, SERVER),
        () => machine.handlePunchFailure("HOLEPUNCH_ABORTED", "No"),
        () => machine.handleRelayReady(now, CURRENT, RELAYS[4]!),
        () => machine.handleRelayFailure(new Error("No")),
        () => machine.handleMoved({ kind: random.chance(1, 2) ? "relayed" : "direct", ...PATH }),
        () => machine.handleStreamPacket(now, PUNCHED, SERVER, random.chance(1, 2)),
        () => machine.handleProven(),
        () => machine.handleStreamEnd(undefined),
        () => machine.handleTimeout(now),
      ];
      inputs[random.below(inputs.length)]!();
      bench.events();
    }
    if (machine.state === "racing" && machine.nextTimeout() === Infinity) {
      machine.handlePunchFailure("HOLEPUNCH_ABORTED", "A punch ends by itself");
      machine.handleNoPong();
      machine.handleRelayFailure(new Error("A meeting ends by itself"));
    }
    for (let i = 0; i < 100 && machine.nextTimeout() !== Infinity; i++) {
      machine.handleTimeout(machine.nextTimeout());
      if (bench.events().some(({ type }) => type === "search")) machine.handleSearchEnd(now);
      for (let id = 0; id < 8; id++) machine.handleNoAnswer(now, id, "timeout");
      machine.handlePunchFailure("HOLEPUNCH_ABORTED", "A punch ends by itself");
      machine.handleRelayFailure(new Error("A meeting ends by itself"));
    }
    assert(["open", "failed"].includes(machine.state), machine.state);
  }
});
