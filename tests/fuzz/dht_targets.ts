/**
 * Fuzz targets of `dht/`: every message, a node's store under requests in any order, and both sides of a punch under any answers,
 * punches and times.
 */
import assert from "node:assert/strict";
import { createWasmProvider } from "../../core/crypto/provider_js.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { noisePayload, peerHandshake, peerHolepunch } from "../../dht/handshake_messages.ts";
import {
  announcement,
  lookupReply,
  mutablePut,
  mutableSignable,
  mutableValue,
  peerRecord,
  pluginRequest,
} from "../../dht/messages.ts";
import { PunchBudget } from "../../dht/punch/budget.ts";
import { MAX_HOSTS } from "../../dht/punch/constants.ts";
import { PunchInitiator } from "../../dht/punch/initiator.ts";
import { type PunchPayload, punchPayload, SecurePayload } from "../../dht/punch/payload.ts";
import type { Puncher } from "../../dht/punch/puncher.ts";
import { PunchResponder } from "../../dht/punch/responder.ts";
import { formatDhtAddress, parseDhtAddress } from "../../dht/address.ts";
import { RecordStore } from "../../dht/records.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { type Codec, Cursor, decode, DecodeError, decodeExact, encode } from "../../encoding/codec.ts";
import { announceRequest, bytes32, type DhtVectors, keyPair, moment, revive } from "../dht/support.ts";
import { readVectors } from "../crypto/support.ts";
import type { FuzzTarget } from "./target.ts";

const crypto = await createWasmProvider();
const { messages } = readVectors<DhtVectors>("dht_messages.json");

function codecTarget<T>(name: string, codec: Codec<T, T>): FuzzTarget {
  return {
    name,
    seeds: messages[name]!.map(({ value }) => encode(codec, revive(value) as T)),
    run(input: Uint8Array): void {
      const value = codec.decode(new Cursor(input));
      const bytes = encode(codec, value);
      assert.deepEqual(
        encode(codec, decodeExact(codec, bytes)),
        bytes,
        "what was read can be written and read",
      );
    },
  };
}

/** The noise payload reads versions that it does not write. */
const noiseTarget: FuzzTarget = {
  name: "noisePayload",
  seeds: messages["noisePayload"]!.map(({ value }) => encode(noisePayload, revive(value) as never)),
  run(input: Uint8Array): void {
    const value = noisePayload.decode(new Cursor(input));
    if (value.version !== 1) return;
    const bytes = encode(noisePayload, value);
    assert.deepEqual(encode(noisePayload, decodeExact(noisePayload, bytes)), bytes);
  },
};

/** Steps that are played: more would only make garbage, which looks like a leak. */
const MAX_STEPS = 300;

/** A script is steps of kind, length and body. */
function* steps(script: Uint8Array): Generator<{ kind: number; body: Uint8Array }> {
  for (let at = 0, count = 0; at + 2 <= script.length && count < MAX_STEPS; count++) {
    const [kind, length] = [script[at]!, script[at + 1]!];
    yield { kind, body: script.slice(at + 2, at + 2 + length) };
    at += 2 + length;
  }
}

const MAX_STORED = 40;

/** Requests to a store: the kind of a step is the command, the body the value, whose first byte also chooses sender and target. */
function playStore(script: Uint8Array): string {
  const store = new RecordStore(
    { crypto, random: new SeededRandom("fuzz") },
    { maxRecords: MAX_STORED, maxValues: MAX_STORED, maxValueStoreBytes: 4096 },
  );
  let now = 0;
  let answers = "";
  for (const { kind, body } of steps(script)) {
    const choice = body[0] ?? 0;
    const target = (kind & 0x10) !== 0 ? bytes32(choice & 3) : announceTarget;
    const from = SocketAddress.v4(0x0b000001 + (choice << 8), 1 + choice);
    const request = { command: kind & 15, target, token: bytes32(8), from, value: body };
    const reply = store.handle(moment(now), request);
    answers += reply === undefined ? "-" : reply.value === undefined ? String(reply.error) : "v";
    now += (kind & 0x20) === 0 ? 1 : 700_000;
    for (const count of Object.values(store.counts)) assert.ok(count <= MAX_STORED);
    assert.ok(store.valueBytes <= 2 * 4096);
  }
  return answers;
}

const announced = announceRequest(keyPair(1));
const announceTarget = announced.target!;
const step = (kind: number, body: Uint8Array) => [kind, body.length, ...body];
const storeSeeds = [
  [...step(4, announced.value!), ...step(2, new Uint8Array(0)), ...step(3, new Uint8Array(1))],
  [...step(4 | 0x20, announced.value!), ...step(5, announced.value!), ...step(3 | 0x10, new Uint8Array(1))],
  [...step(8, new Uint8Array(50)), ...step(7, Uint8Array.of(1)), ...step(6, new Uint8Array(200))],
].map((script) => Uint8Array.from(script));

const OWN = SocketAddress.parse("11.1.1.1:4000");
const PEER = SocketAddress.parse("11.2.2.2:5000");
const RELAY = SocketAddress.parse("11.3.3.3:49737");

/** A payload of the body, or undefined as if its seal were broken. */
function payloadOf(body: Uint8Array): PunchPayload | undefined {
  try {
    return decode(punchPayload, body);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** Lets the machine talk for `ms`; it must neither spin nor punch at more hosts than it may. */
class Stage {
  readonly machine: Puncher;
  readonly hosts = new Set<string>();
  readonly open = new Set<number>();
  now = 0;
  rounds: number[] = [];
  #out = { socket: 0, to: OWN, ttl: 0 };

  constructor(machine: Puncher) {
    this.machine = machine;
  }

  advance(ms: number): void {
    const until = this.now + ms;
    for (let turns = 0;; turns++) {
      assert.ok(turns < 10_000, "the machine makes no end");
      this.#drain();
      const next = this.machine.nextTimeout();
      if (next > until) break;
      this.now = Math.max(this.now, next);
      this.machine.handleTimeout(this.now);
    }
    this.now = until;
  }

  #drain(): void {
    const { machine } = this;
    for (let punches = 0; machine.pollPunch(this.now, this.#out); punches++) {
      assert.ok(punches < 1000, "a flood of punches at one moment");
      assert.ok(this.open.has(this.#out.socket), "a punch from a socket that is not open");
      this.hosts.add(this.#out.to.host);
    }
    for (let event = machine.pollEvent(); event !== undefined; event = machine.pollEvent()) {
      if (event.type === "socketWanted") {
        this.open.add(event.socket);
        machine.socketReady(this.now, event.socket, { canSetTtl: event.socket % 2 === 0 });
      } else if (event.type === "socketDone") {
        assert.ok(this.open.delete(event.socket), "a socket ends once");
      } else if (event.type === "round") {
        this.rounds.push(event.id);
      }
    }
  }
}

function playPunch(script: Uint8Array, isInitiator: boolean): string {
  const common = {
    ...{ random: new SeededRandom("fuzz"), budget: new PunchBudget(), isFirewalled: true, remoteFirewall: 0 },
    ...{ allowsPrivate: false, canWait: (script[0] ?? 0) > 127, tokenOf: () => bytes32(1) },
  };
  const serverRelay = { relayAddress: RELAY, peerAddress: PEER };
  const machine = isInitiator
    ? new PunchInitiator({ ...common, clientRelay: RELAY, serverAddress: PEER, serverRelay, fastOpen: true })
    : new PunchResponder({ ...common, now: 0 });
  const stage = new Stage(machine);
  stage.advance(0);
  let id = 0;
  for (const { kind, body } of steps(script)) {
    const choice = body[0] ?? 0;
    const address = SocketAddress.v4(0x0b020202 + (choice >>> 6), 5000 + (choice & 3));
    if ((kind & 7) <= 2) {
      const payload = payloadOf(body);
      if (machine instanceof PunchInitiator) {
        const reply = { payload, from: RELAY, seenAs: OWN, peerAddress: address };
        machine.handleReply(stage.now, stage.rounds.shift() ?? 0, reply);
      } else if (payload !== undefined) {
        const request = { payload, peerAddress: address, from: RELAY, isOwnRelay: (kind & 8) !== 0 };
        machine.handleRequest(stage.now, id++, request);
      }
    } else if ((kind & 7) === 3) {
      machine.addSample(stage.now, kind >>> 4, SocketAddress.of(OWN.host, 4000 + choice % 4), address);
    } else if ((kind & 7) === 4) {
      machine.handlePunch(stage.now, kind >>> 4, address);
    } else if ((kind & 7) === 5) {
      if (machine instanceof PunchInitiator) machine.handleSilence(stage.now, stage.rounds.shift() ?? 0);
      else machine.endSampling(stage.now, kind >>> 4);
    } else {
      stage.advance(8 * choice);
    }
    stage.advance(0);
  }
  // What a punch is answered with does not count as one that the peer asked for.
  assert.ok(stage.hosts.size <= MAX_HOSTS + 4, `${stage.hosts.size} hosts`);
  const outcome = `${machine.isDone} ${machine.isPunching} ${machine.localFirewall}`;
  machine.finish(stage.now);
  stage.advance(0);
  assert.equal(machine.nextTimeout(), Infinity);
  return outcome;
}

const punchBodies = messages["punchPayload"]!.map(({ value }) =>
  encode(punchPayload, revive(value) as PunchPayload)
);
const usable = encode(punchPayload, {
  ...{ error: 0, firewall: 2, round: 1, connected: false, punching: true },
  ...{ addresses: [PEER], remoteAddress: OWN, token: bytes32(2), remoteToken: bytes32(1) },
});
const samples = [0, 64, 128, 192].flatMap((choice) => step(3, Uint8Array.of(choice)));
const punchSeeds = [
  [
    ...samples,
    ...step(8, usable),
    ...step(6, Uint8Array.of(10)),
    ...step(8, usable),
    ...step(6, Uint8Array.of(255)),
  ],
  [...samples, ...step(4, Uint8Array.of(0)), ...step(6, Uint8Array.of(100)), ...step(5, Uint8Array.of(0))],
  ...punchBodies.map((
    body,
  ) => [...samples, ...step(0, body), ...step(6, Uint8Array.of(255)), ...step(8, usable)]),
].map((script) => Uint8Array.from(script));

const secure = new SecurePayload({ crypto, random: new SeededRandom("fuzz") }, bytes32(4));

/** All targets of this folder, but those of `rpc/`. */
export const targets: readonly FuzzTarget[] = [
  { ...codecTarget("peerRecord", peerRecord), covers: ["addressList"] },
  codecTarget("announcement", announcement),
  codecTarget("lookupReply", lookupReply),
  codecTarget("mutableValue", mutableValue),
  codecTarget("mutablePut", mutablePut),
  codecTarget("mutableSignable", mutableSignable),
  codecTarget("pluginRequest", pluginRequest),
  codecTarget("peerHandshake", peerHandshake),
  codecTarget("peerHolepunch", peerHolepunch),
  codecTarget("punchPayload", punchPayload),
  noiseTarget,
  {
    name: "SecurePayload",
    seeds: punchBodies.map((body) => secure.seal(decode(punchPayload, body))),
    run: (input: Uint8Array): void => void secure.open(input),
  },
  { name: "RecordStore", seeds: storeSeeds, run: playStore },
  {
    name: "parseDhtAddress",
    seeds: [
      "07".repeat(32),
      "y".repeat(52),
      formatDhtAddress({ publicKey: bytes32(7), relayAddresses: [RELAY] }),
    ]
      .map((text) => new TextEncoder().encode(text)),
    run(input: Uint8Array): void {
      const address = parseDhtAddress(new TextDecoder().decode(input));
      assert.deepEqual(parseDhtAddress(formatDhtAddress(address)), address);
    },
    expected: (error) => error instanceof TypeError,
  },
  { name: "PunchInitiator", seeds: punchSeeds, run: (input) => playPunch(input, true) },
  { name: "PunchResponder", seeds: punchSeeds, run: (input) => playPunch(input, false) },
];
