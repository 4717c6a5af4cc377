/** Passing handshakes and punch messages on, without a network. */
import assert from "node:assert/strict";
import { Command, RelayMode } from "../../dht/constants.ts";
import {
  type PeerHandshake,
  peerHandshake,
  type PeerHolepunch,
  peerHolepunch,
} from "../../dht/handshake_messages.ts";
import {
  type ArrivedHandshake,
  type ArrivedPunch,
  encodeHandshakeRequest,
  encodePunchRequest,
  readHandshakeReply,
  readPunchReply,
  Router,
} from "../../dht/router.ts";
import { IncomingRequest, type ReplyHost } from "../../dht/rpc/incoming_request.ts";
import type { Reply } from "../../dht/rpc/outgoing_request.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { decode, encode } from "../../encoding/codec.ts";
import { test } from "../harness.ts";

const [CLIENT, RELAY, SECOND, SERVER, NODE] = [1, 2, 3, 4, 5].map((n) =>
  SocketAddress.parse(`20.0.${n}.1:1000`)
) as [
  SocketAddress,
  SocketAddress,
  SocketAddress,
  SocketAddress,
  SocketAddress,
];
const TARGET = new Uint8Array(32).fill(1);
const NOISE = new Uint8Array(150).fill(7);
const SOCKET = { address: NODE };

/** What a router did with a request. */
type Action =
  | {
    readonly type: "reply";
    readonly to: SocketAddress;
    readonly value: Uint8Array | undefined;
    readonly nodes: boolean;
  }
  | { readonly type: "relay"; readonly to: SocketAddress; readonly value: Uint8Array | undefined };

class Bench {
  readonly actions: Action[] = [];
  readonly router: Router;
  isRefusing = false;
  readonly #host: ReplyHost = {
    reply: (_request, _error, value, { to, closerNodes }) => {
      this.actions.push({ type: "reply", to: to!, value, nodes: closerNodes! });
      return !this.isRefusing;
    },
    relay: (_request, value, to) => {
      this.actions.push({ type: "relay", to, value });
      return !this.isRefusing;
    },
  };

  constructor(relay?: SocketAddress) {
    this.router = new Router({ relayOf: () => relay });
  }

  ask(
    command: number,
    value: Uint8Array | undefined,
    from: SocketAddress,
    target: Uint8Array | undefined = TARGET,
  ): boolean {
    const message = { tid: 1, to: NODE, isInternal: false, command, target, value };
    const source = { from, id: undefined, socket: SOCKET, receivedAt: 0, isProven: true };
    return this.router.handle(new IncomingRequest(this.#host, message, source));
  }

  handshake(message: PeerHandshake, from: SocketAddress): void {
    this.ask(Command.PeerHandshake, encode(peerHandshake, message), from);
  }

  punch(message: PeerHolepunch, from: SocketAddress): void {
    this.ask(Command.PeerHolepunch, encode(peerHolepunch, message), from);
  }
}

function carried(action: Action | undefined): PeerHandshake {
  return decode(peerHandshake, action!.value!);
}

test("H9 a relay passes a handshake on to where the peer announced itself from, with the client's address", () => {
  const bench = new Bench(SERVER);
  bench.ask(Command.PeerHandshake, encodeHandshakeRequest(NOISE), CLIENT);
  const [action] = bench.actions;
  assert(action?.type === "relay" && action.to.equals(SERVER));
  const { mode, noise, peerAddress, relayAddress } = carried(action);
  assert.deepEqual([mode, noise, relayAddress], [RelayMode.FromRelay, NOISE, undefined]);
  assert(peerAddress?.equals(CLIENT));
  assert.equal(bench.router.counters.forwarded, 1);
});

test("H9 a second relay adds the address of the first, which gets the answer", () => {
  const second = new Bench(SERVER);
  second.handshake({ mode: RelayMode.FromRelay, noise: NOISE, peerAddress: CLIENT }, RELAY);
  const forwarded = carried(second.actions[0]);
  assert.equal(forwarded.mode, RelayMode.FromSecondRelay);
  assert(forwarded.peerAddress?.equals(CLIENT) && forwarded.relayAddress?.equals(RELAY));

  const server = new Bench();
  const all: ArrivedHandshake[] = [];
  server.router.listen(TARGET, { onHandshake: (handshake) => all.push(handshake), onPunch() {} });
  server.handshake(forwarded, SECOND);
  const arrived = all[0]!;
  assert(arrived.clientAddress.equals(CLIENT));
  assert.equal(arrived.isDirect, false);
  arrived.answer(NOISE);
  const [answer] = server.actions;
  assert(answer?.type === "relay" && answer.to.equals(RELAY));
  assert.equal(carried(answer).mode, RelayMode.FromServer);

  const first = new Bench();
  first.handshake(carried(answer), SERVER);
  const [reply] = first.actions;
  assert(reply?.type === "reply" && reply.to.equals(CLIENT) && !reply.nodes);
  assert.equal(carried(reply).mode, RelayMode.Reply);
  assert(carried(reply).peerAddress?.equals(SERVER));
});

test("H9 a node that knows no way answers with nearer nodes, and a server itself without an address", () => {
  const node = new Bench();
  node.ask(Command.PeerHandshake, encodeHandshakeRequest(NOISE), CLIENT);
  assert.deepEqual(node.actions.map(({ type, value }) => [type, value]), [["reply", undefined]]);
  assert(node.actions[0]?.type === "reply" && node.actions[0].nodes);

  node.router.listen(TARGET, {
    onHandshake: ({ answer, isDirect }) => isDirect && answer(NOISE),
    onPunch() {},
  });
  assert.equal(node.router.isListening(TARGET), true);
  node.ask(Command.PeerHandshake, encodeHandshakeRequest(NOISE), CLIENT);
  assert.deepEqual([carried(node.actions[1]).mode, carried(node.actions[1]).peerAddress], [
    RelayMode.Reply,
    undefined,
  ]);
  node.router.unlisten(TARGET);
  assert.equal(node.router.isListening(TARGET), false);
});

test("H17 punch messages go to the address that the client names, and back through the same relay", () => {
  const relay = new Bench();
  relay.ask(Command.PeerHolepunch, encodePunchRequest(3, NOISE, SERVER), CLIENT);
  const [forwarded] = relay.actions;
  assert(forwarded?.type === "relay" && forwarded.to.equals(SERVER));

  const server = new Bench();
  const all: ArrivedPunch[] = [];
  server.router.listen(TARGET, { onHandshake() {}, onPunch: (punch) => all.push(punch) });
  server.punch(decode(peerHolepunch, forwarded.value!), RELAY);
  const arrived = all[0]!;
  assert.deepEqual([arrived.id, arrived.payload, arrived.clientAddress.host], [3, NOISE, CLIENT.host]);
  arrived.answer(NOISE);
  relay.punch(decode(peerHolepunch, server.actions[0]!.value!), SERVER);
  const reply = relay.actions[1];
  assert(reply?.type === "reply" && reply.to.equals(CLIENT));
  assert.equal(decode(peerHolepunch, reply.value!).mode, RelayMode.Reply);
});

test("F1 what is malformed, in a mode of its own or for nobody is dropped without an answer", () => {
  const bench = new Bench(SERVER);
  bench.ask(Command.PeerHandshake, undefined, CLIENT);
  bench.ask(Command.PeerHandshake, Uint8Array.of(3, 0, 9), CLIENT);
  bench.ask(Command.PeerHandshake, encodeHandshakeRequest(new Uint8Array(0)), CLIENT);
  bench.ask(Command.PeerHolepunch, Uint8Array.of(1), CLIENT);
  for (const mode of [1, 2, 3, 4, 5, 200]) {
    bench.handshake({ mode, noise: NOISE }, CLIENT);
    bench.punch({ mode, id: 0, payload: NOISE }, CLIENT);
  }
  assert.deepEqual(bench.actions, []);
  assert.equal(bench.router.counters.dropped, 16);
  assert.equal(bench.ask(Command.FindPeer, undefined, CLIENT), false, "not the router's");
  bench.isRefusing = true;
  bench.ask(Command.PeerHandshake, encodeHandshakeRequest(NOISE), CLIENT);
  assert.equal(bench.router.counters.forwarded, 0, "D2 the node below says who may cause how much");
});

test("replies are read only if they are replies", () => {
  const reply = (value: Uint8Array | undefined): Reply => ({
    ...{ from: RELAY, to: CLIENT, id: undefined, token: undefined, closerNodes: [], error: 0, rttMs: 1 },
    value,
  });
  const good = encode(peerHandshake, { mode: RelayMode.Reply, noise: NOISE, peerAddress: SERVER });
  const answer = readHandshakeReply(reply(good));
  assert(answer?.isRelayed && answer.serverAddress.equals(SERVER));
  const direct = readHandshakeReply(reply(encode(peerHandshake, { mode: RelayMode.Reply, noise: NOISE })));
  assert(direct?.isRelayed === false && direct.serverAddress.equals(RELAY));
  for (const bad of [undefined, new Uint8Array(0), encodeHandshakeRequest(NOISE), Uint8Array.of(0, 4, 0)]) {
    assert.equal(readHandshakeReply(reply(bad)), undefined);
    assert.equal(readPunchReply(reply(bad)), undefined);
  }
});
