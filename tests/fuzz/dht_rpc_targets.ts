/** Fuzz targets of `dht/rpc/`: messages, and whole nodes that are sent them in any order and at any time. */
import assert from "node:assert/strict";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { K, MAX_CHECKS } from "../../dht/rpc/constants.ts";
import {
  encodeReply,
  encodeRequest,
  type ReplyMessage,
  replyMessage,
  type RequestMessage,
  requestMessage,
} from "../../dht/rpc/messages.ts";
import { nodeId } from "../../dht/rpc/node_id.ts";
import { RpcMachine, type RpcTransmit } from "../../dht/rpc/rpc_machine.ts";
import { resolveOptions } from "../../dht/rpc/rpc_options.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { decode } from "../../encoding/codec.ts";
import { equals } from "../../encoding/bytes.ts";
import type { FuzzTarget } from "./target.ts";

const crypto = await loadCryptoProvider({ prefer: "wasm" });
const OWN = SocketAddress.of("20.0.0.1", 49737);
const server = { address: SocketAddress.of("0.0.0.0", 49737) };
const client = { address: SocketAddress.of("0.0.0.0", 50000) };
/** Who writes: three strangers and a bootstrap node. */
const OTHERS = [2, 3, 4, 5].map((n) => SocketAddress.of(`20.0.${n}.1`, 49737));
const target = new Uint8Array(32).fill(7);

/** One step of a script: a datagram to one of the sockets, a pause, or a command of this side. */
function* steps(script: Uint8Array): Generator<{ kind: number; body: Uint8Array }> {
  for (let at = 0; at + 2 <= script.length;) {
    const [kind, length] = [script[at]!, script[at + 1]!];
    yield { kind, body: script.slice(at + 2, at + 2 + length) };
    at += 2 + length;
  }
}

/** A node that has just been started, what it sends, and the end of its days. */
class Play {
  now = 0;
  readonly #out: RpcTransmit = { buffer: new Uint8Array(0), length: 0, to: OWN, ttl: 0, socket: server };
  readonly machine: RpcMachine;
  /** Transaction ids of requests that wait for an answer, the latest last. */
  readonly #asked: { readonly tid: number; readonly to: SocketAddress }[] = [];
  #sent = 0;

  constructor() {
    this.machine = new RpcMachine({
      config: resolveOptions({
        bootstrap: [OTHERS[3]!],
        ephemeral: false,
        firewalled: false,
        ownAddress: OWN,
      }),
      crypto,
      random: new SeededRandom("fuzz"),
      replyHost: {
        reply: (...args) => this.machine.respond(this.now, ...args),
        relay: (...args) => this.machine.relay(this.now, ...args),
      },
    });
    this.machine.start(0, server, client);
    this.settle();
  }

  /** Takes what the node has to send and to say. */
  settle(): void {
    const { machine } = this;
    for (let isQuiet = false; !isQuiet;) {
      while (machine.pollTransmit(this.now, this.#out)) {
        const { buffer, to } = this.#out;
        this.#sent++;
        if (buffer[0] === 0x03) this.#asked.push({ tid: buffer[2]! | buffer[3]! << 8, to });
      }
      const event = machine.pollEvent();
      isQuiet = event === undefined;
      if (event?.type === "lookup") machine.handleLookup(this.now, event.index, OTHERS[3]);
      if (event?.type !== "request") continue;
      const { request } = event;
      if (request.command % 3 === 0) request.reply(request.value?.subarray(0, 100), { to: OTHERS[0] });
      else if (request.command % 3 === 1) request.relay(request.value?.subarray(0, 100), OTHERS[1]!);
      else request.error(16);
    }
  }

  step(kind: number, body: Uint8Array): void {
    const { machine } = this;
    const socket = (kind & 16) === 0 ? server : client;
    const from = OTHERS[(kind >> 2) & 3]!;
    switch (kind & 3) {
      case 0:
        machine.handleDatagram(this.now, body, from, socket);
        break;
      case 1: { // an answer that is wanted: its head is put right, the rest is the fuzzer's
        const request = this.#asked.pop();
        if (request === undefined || body.length < 4) break;
        body[0] = 0x13;
        body[2] = request.tid;
        body[3] = request.tid >> 8;
        machine.handleDatagram(this.now, body, request.to, server);
        break;
      }
      case 2: {
        this.now += 50 * (body[0] ?? 1);
        machine.handleTimeout(this.now);
        break;
      }
      default:
        machine.request(this.now, { to: from, isInternal: true, command: 0 });
    }
    this.settle();
  }

  /** Checks what must hold however it was treated, and returns what is told apart. */
  end(): string {
    const { machine } = this;
    assert.ok(machine.keeper.size <= OTHERS.length, "only who has answered is in the table");
    assert.ok(machine.inFlight <= 1000 + MAX_CHECKS);
    const { received, requests, queries } = machine.stats;
    const counts = [
      ...Object.values(received),
      ...Object.values(requests),
      queries.total,
      machine.keeper.size,
    ];
    for (let i = 0; i < 200 && machine.nextTimeout() < Infinity; i++) {
      this.now = Math.max(this.now, machine.nextTimeout());
      machine.handleTimeout(this.now);
      this.settle();
    }
    machine.close(this.now);
    this.settle();
    assert.equal(machine.inFlight, 0);
    assert.equal(machine.nextTimeout(), Infinity, "nothing is left to do after the end");
    assert.deepEqual([requests.active, queries.active], [0, 0]);
    return counts.map((count) => Math.clz32(count)).join();
  }
}

function play(script: Uint8Array): string {
  const game = new Play();
  for (const { kind, body } of steps(script)) game.step(kind, body);
  return game.end();
}

const request = (fields: Partial<RequestMessage> = {}) =>
  encodeRequest({ tid: 1, to: OWN, isInternal: true, command: 0, ...fields });
const reply = (fields: Partial<ReplyMessage> = {}) =>
  encodeReply({ tid: 1, to: OWN, closerNodes: [], error: 0, ...fields });
const step = (kind: number, body: Uint8Array) => [kind, body.length, ...body];
const pause = [2, 1, 30];

const requests = [
  request(),
  request({ command: 1, value: Uint8Array.of(1, 2) }),
  request({ command: 2, target }),
  request({ command: 3, value: new Uint8Array(6) }),
  request({ command: 4, value: Uint8Array.of(1, 0, 0, 0) }),
  request({ id: nodeId(crypto, OTHERS[0]!) }),
  request({ isInternal: false, command: 3, target, token: target, value: new Uint8Array(9) }),
  request({ isInternal: false, command: 300, target, value: new Uint8Array(9) }),
];
const replies = [
  reply(),
  reply({ id: nodeId(crypto, OTHERS[3]!), closerNodes: OTHERS }),
  reply({ id: nodeId(crypto, OTHERS[3]!), token: target, value: new Uint8Array(5) }),
  reply({ error: 2, token: target }),
];

/** What is read can be written and read again. */
function roundTrip<T>(codec: typeof requestMessage | typeof replyMessage, input: Uint8Array): void {
  const message = decode(codec as never, input) as T;
  const again = codec === replyMessage ? encodeReply(message as never) : encodeRequest(message as never);
  const third = decode(codec as never, again) as T;
  const bytes = codec === replyMessage ? encodeReply(third as never) : encodeRequest(third as never);
  assert.ok(equals(again, bytes));
  assert.ok(((message as Partial<ReplyMessage>).closerNodes?.length ?? 0) <= K);
}

/** Everything of `dht/rpc/` that reads what a stranger sent. */
export const targets: readonly FuzzTarget[] = [
  { name: "requestMessage", seeds: requests, run: (input) => roundTrip(requestMessage, input) },
  { name: "replyMessage", seeds: replies, run: (input) => roundTrip(replyMessage, input) },
  {
    name: "RpcMachine",
    covers: ["Rpc"],
    seeds: [
      Uint8Array.from(requests.flatMap((body, i) => [...step((i & 3) << 2, body), ...pause])),
      Uint8Array.from([
        ...replies.flatMap((body) => step(1, body)),
        ...pause,
        ...step(3, new Uint8Array(0)),
        ...pause,
      ]),
      Uint8Array.from([
        ...step(1, replies[1]!),
        ...requests.flatMap((body) => step(12, body)),
        ...pause,
        ...pause,
      ]),
    ],
    run: play,
  },
];
