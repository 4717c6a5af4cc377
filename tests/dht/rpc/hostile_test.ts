/** What strangers can do to a node, and through it to others: `docs/spec/dht-rpc.md` section 8. */
import assert from "node:assert/strict";
import { Command, CREDIT_BURST_BYTES, MAX_CANDIDATES } from "../../../dht/rpc/constants.ts";
import type { IncomingRequest } from "../../../dht/rpc/incoming_request.ts";
import { RpcMachine } from "../../../dht/rpc/rpc_machine.ts";
import { resolveOptions } from "../../../dht/rpc/rpc_options.ts";
import { encodeRequest } from "../../../dht/rpc/messages.ts";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { encode } from "../../../encoding/codec.ts";
import { uint32 } from "../../../encoding/fixed.ts";
import { test } from "../../harness.ts";
import { runLyingNetwork } from "../../sim/scenarios/lying_nodes.ts";
import { crypto, Peer, PORT, World } from "./support.ts";

const target = new Uint8Array(32).fill(3);
const port = Uint8Array.of(PORT & 255, PORT >> 8);
const commands = [
  { name: "PING", command: Command.Ping, most: 3.9 },
  { name: "PING_NAT", command: Command.PingNat, value: port, most: 3.1 },
  { name: "FIND_NODE", command: Command.FindNode, target, most: 3.9 },
  { name: "DOWN_HINT", command: Command.DownHint, value: new Uint8Array(6), most: 2.4 },
  { name: "an unknown command", command: 77, target, most: 3.9 },
  {
    name: "a lookup of the application that finds nothing",
    command: 3,
    target,
    isInternal: false,
    most: 4.6,
  },
  { name: "a lookup that finds 1000 bytes", command: 4, target, isInternal: false, most: Infinity },
];

for (const { name, most, ...fields } of commands) {
  test(`D1: ${name} is answered with at most ${most} times its bytes, and three times in the long run`, async () => {
    const world = new World(name);
    const nodes = await world.swarm(30);
    const node = await world.bootstrapper({
      onRequest: (request) => void request.reply(request.command === 4 ? new Uint8Array(1000) : undefined),
    });
    for (const other of nodes) node.addNode(world.addressOf(other));
    const peer = await Peer.open(world);
    const to = world.addressOf(node);
    const one = peer.send(to, fields);
    await world.pass(100);
    assert.ok(
      peer.repliedBytes > 0 && peer.repliedBytes <= most * one,
      `${peer.repliedBytes} for ${one} bytes`,
    );
    // Within one period of ten seconds.
    await world.pass(10_000 - world.clock.now() % 10_000 + 1);
    peer.heard.length = 0;
    let asked = 0;
    for (let i = 0; i < 4000; i++) {
      asked += peer.send(to, fields);
      if (i % 20 === 0) await world.pass(10);
    }
    await world.pass(1000);
    assert.ok(peer.repliedBytes <= 3 * asked + CREDIT_BURST_BYTES, `${peer.repliedBytes} for ${asked} bytes`);
    await peer.socket.close();
    await world.close();
  });
}

test("D1: who has used up his share still gets signs of life and some nodes, and all again after ten seconds", async () => {
  const world = new World("share");
  const nodes = await world.swarm(30);
  const [peer, to] = [await Peer.open(world), world.addressOf(nodes[0]!)];
  await world.pass(10_000 - world.clock.now() % 10_000 + 1);
  const full = await peer.ask(to, { command: Command.FindNode, target });
  for (let i = 0; i < 1500; i++) peer.send(to, { command: Command.FindNode, target });
  await world.pass(1000);
  const short = await peer.ask(to, { command: Command.FindNode, target });
  assert.ok(short!.closerNodes.length >= 10 && short!.closerNodes.length < full!.closerNodes.length);
  assert.deepEqual(short!.closerNodes, full!.closerNodes.slice(0, short!.closerNodes.length));
  assert.equal((await peer.ask(to, { command: Command.Ping }))?.error, 0);
  assert.ok(nodes[0]!.stats.received.shortened > 0);
  await world.pass(10_000);
  assert.equal((await peer.ask(to, { command: Command.FindNode, target }))!.closerNodes.length, 20);
  await peer.socket.close();
  await world.close();
});

test("D1: who shows by a token that it receives is not limited; to be in the table is not enough", async () => {
  const world = new World("proven");
  const nodes = await world.swarm(30);
  const answer = (request: IncomingRequest) => void request.reply(new Uint8Array(1000));
  const node = await world.bootstrapper({ onRequest: answer });
  for (const other of nodes) node.addNode(world.addressOf(other));
  const [peer, to] = [await Peer.open(world), world.addressOf(node)];
  const { token } = (await peer.ask(to, { command: 1, isInternal: false, target }))!;
  peer.heard.length = 0;
  for (let i = 0; i < 200; i++) peer.send(to, { command: 1, isInternal: false, target, token });
  await world.pass(1000);
  assert.equal(peer.heard.length, 200);
  // A node of the table is as easily forged as any other.
  node.addNode(peer.address);
  peer.heard.length = 0;
  for (let i = 0; i < 200; i++) peer.send(to, { command: 1, isInternal: false, target });
  await world.pass(1000);
  assert.ok(peer.heard.length < 100, `${peer.heard.length}`);
  await peer.socket.close();
  await world.close();
});

test("D2: a reply goes to a third party only if that one asked, within ten seconds, through this node", async () => {
  const world = new World("reflection");
  const results: boolean[] = [];
  let asker: SocketAddress;
  // As in the handshake: command 0 is passed on to the server, command 1 is its answer.
  const node = await world.bootstrapper({
    onRequest(request) {
      results.push(
        request.command === 0
          ? request.relay(request.value, b.address)
          : request.reply(request.value, { to: asker }),
      );
    },
  });
  const [a, b, victim] = [await Peer.open(world), await Peer.open(world), await Peer.open(world)];
  asker = a.address;
  const to = world.addressOf(node);
  const value = Uint8Array.of(7);
  b.send(to, { tid: 5, command: 1, isInternal: false, value });
  await world.pass(100);
  assert.deepEqual([results.pop(), a.heard.length], [false, 0], "nobody asked");
  a.send(to, { tid: 5, command: 0, isInternal: false, target, value });
  await world.pass(100);
  const passedOn = b.heard.at(-1)!;
  assert.equal(passedOn.kind, "request");
  assert.deepEqual([passedOn.message.tid, passedOn.message.value], [5, value]);
  for (const tid of [6, 5]) b.send(to, { tid, command: 1, isInternal: false, value });
  await world.pass(100);
  assert.deepEqual(results.splice(0), [true, false, true]);
  assert.deepEqual(a.heard.map(({ kind, message }) => [kind, message.tid]), [["reply", 5]]);
  asker = victim.address;
  b.send(to, { tid: 5, command: 1, isInternal: false, value });
  await world.pass(100);
  assert.deepEqual([results.pop(), victim.heard.length], [false, 0], "somebody else asked");
  asker = a.address;
  await world.pass(10_000);
  b.send(to, { tid: 5, command: 1, isInternal: false, value });
  await world.pass(100);
  assert.equal(results.pop(), false, "too late");
  for (const { socket } of [a, b, victim]) await socket.close();
  await world.close();
});

test("D2: one source makes a node send ten messages a second to third parties, and an old request none", async () => {
  const world = new World("forwards");
  const requests: IncomingRequest[] = [];
  const victims: Peer[] = [];
  const node = await world.bootstrapper({
    onRequest(request) {
      requests.push(request);
      request.relay(undefined, victims[0]!.address);
    },
  });
  const victim = await Peer.open(world);
  victims.push(victim);
  const attacker = await Peer.open(world);
  for (let second = 0; second < 5; second++) {
    for (let i = 0; i < 200; i++) {
      attacker.send(world.addressOf(node), { command: 0, isInternal: false, target });
    }
    await world.pass(1000);
  }
  assert.ok(victim.heard.length >= 45 && victim.heard.length <= 60, `${victim.heard.length}`);
  assert.ok(node.stats.received.refusedForwards > 900);
  await world.pass(20_000);
  assert.equal(requests[0]!.relay(undefined, victim.address), false);
  assert.throws(() => requests[0]!.reply(new Uint8Array(3000)), RangeError);
  await attacker.socket.close();
  await victim.socket.close();
  await world.close();
});

/** A machine on its own, with what it sends counted and thrown away. */
function lonelyMachine(): { machine: RpcMachine; drain: (now: number) => number } {
  const server = { address: SocketAddress.of("0.0.0.0", PORT) };
  const client = { address: SocketAddress.of("0.0.0.0", 5000) };
  const machine = new RpcMachine({
    config: resolveOptions({
      ephemeral: false,
      firewalled: false,
      ownAddress: SocketAddress.of("20.0.0.1", PORT),
    }),
    crypto,
    random: new SeededRandom("lonely"),
    replyHost: { reply: () => false, relay: () => false },
  });
  machine.start(0, server, client);
  const out = { buffer: new Uint8Array(0), length: 0, to: server.address, ttl: 0, socket: server };
  const drain = (now: number) => {
    let count = 0;
    while (machine.pollTransmit(now, out)) count++;
    while (machine.pollEvent() !== undefined);
    return count;
  };
  drain(0);
  return { machine, drain };
}

test("D3: a flood from one source is cut off, one from 100,000 forged ones leaves nothing behind", () => {
  const { machine, drain } = lonelyMachine();
  const socket = machine.serverSocket!;
  const request = encodeRequest({ tid: 1, to: socket.address, isInternal: true, command: 2, target });
  let answered = 0;
  for (let i = 0; i < 50_000; i++) {
    machine.handleDatagram(1, request, SocketAddress.of("30.0.0.1", 9), socket);
    if (i % 100 === 0) answered += drain(1);
  }
  answered += drain(1);
  assert.equal(answered, 5000);
  assert.equal(machine.stats.received.floods, 45_000);
  for (let i = 0; i < 100_000; i++) {
    const from = SocketAddress.v4(0x1e000000 + i * 7, 9);
    const withId = encodeRequest({ tid: 1, to: from, id: machine.idOf(from), isInternal: true, command: 0 });
    machine.handleDatagram(2, withId, from, socket);
    if (i % 100 === 0) drain(2);
  }
  drain(2);
  assert.ok(machine.inFlight <= 10, "at most ten newcomers are asked at a time");
  assert.equal(machine.keeper.size, 0);
  machine.handleTimeout(60_000);
  drain(60_000);
  const known = SocketAddress.of("40.0.0.1", 9);
  machine.handleDatagram(60_000, request, known, socket);
  assert.equal(drain(60_000), 1, "and others are served again");
  machine.close(60_001);
  assert.equal(machine.nextTimeout(), Infinity);
});

test("D3: newcomers of one subnet that never answer do not keep others out", async () => {
  const world = new World("newcomers");
  const node = await world.bootstrapper();
  const host = world.network.host({ addresses: ["30.0.0.1"] });
  const ghosts: Peer[] = [];
  for (let port = 1000; port < 1050; port++) ghosts.push(await Peer.open(world, port, host));
  for (const ghost of ghosts) ghost.send(world.addressOf(node), { command: Command.Ping, id: ghost.id });
  await world.pass(100);
  const newcomer = await Peer.open(world);
  newcomer.onRequest = ({ tid }, from) => newcomer.reply(from, tid, { id: newcomer.id });
  newcomer.send(world.addressOf(node), { command: Command.Ping, id: newcomer.id });
  await world.pass(200);
  assert.deepEqual(node.toArray().map(String), [newcomer.address.toString()]);
  for (const { socket } of [...ghosts, newcomer]) await socket.close();
  await world.close();
});

test("D3: of delayed pings 1,024 wait, 16 for one source", () => {
  const { machine, drain } = lonelyMachine();
  const socket = machine.serverSocket!;
  const request = { to: socket.address, isInternal: true, command: Command.DelayedPing };
  const bytes = encodeRequest({ tid: 1, ...request, value: encode(uint32, 5000) });
  for (let i = 0; i < 1000; i++) machine.handleDatagram(1, bytes, SocketAddress.of("30.0.0.1", 9), socket);
  machine.handleTimeout(5001);
  assert.equal(drain(5001), 16);
  for (let i = 0; i < 20_000; i++) {
    machine.handleDatagram(5001, bytes, SocketAddress.v4(0x1e000000 + (i % 5000) * 7, 9), socket);
  }
  machine.handleTimeout(10_001);
  assert.equal(drain(10_001), 1024);
  machine.close(10_002);
  assert.equal(machine.nextTimeout(), Infinity);
});

test("D3: a query to which liars name nodes without end looks at 2,000 of them, and ends", async () => {
  const world = new World("endless");
  const liars = await Promise.all(Array.from({ length: 100 }, () => Peer.open(world)));
  let named = 0;
  for (const liar of liars) {
    liar.onRequest = ({ tid }, from) => {
      // Each reply names others of the hundred, and ghosts.
      const closerNodes = Array.from(
        { length: 20 },
        (_, i) =>
          i < 10 ? liars[(named + i) % 100]!.address : SocketAddress.v4(0x32000000 + 256 * (named + i), PORT),
      );
      named += 20;
      liar.reply(from, tid, { id: liar.id, closerNodes });
    };
  }
  const client = world.make({ nodes: liars.slice(0, 5).map(({ address }) => address), ephemeral: true });
  await world.go(client.open().then(() => client.ready()));
  const before = client.stats.requests.total;
  await world.go(client.findNode(target).finished());
  assert.ok(client.stats.requests.total - before <= MAX_CANDIDATES, "requests of one query");
  for (const { socket } of liars) await socket.close();
  await world.close();
});

test("D3: datagrams that wait for a socket that takes none are dropped, not heaped up", () => {
  const { machine, drain } = lonelyMachine();
  const socket = machine.serverSocket!;
  const request = encodeRequest({ tid: 1, to: socket.address, isInternal: true, command: 0 });
  for (let i = 0; i < 50_000; i++) {
    machine.handleDatagram(1, request, SocketAddress.of("127.0.0.1", 1 + (i & 0x7fff)), socket);
  }
  assert.equal(drain(1), 8192);
  machine.close(2);
});

test("E1: one address with all its ports does not hide the honest nodes near a key", async () => {
  const { lookups, right, complaints } = await runLyingNetwork({
    seed: "one address",
    honest: 200,
    liars: 0,
    eclipseHosts: 1,
    lookups: 40,
  });
  assert.deepEqual(complaints, []);
  assert.ok(right >= 0.99 * lookups, `${right} of ${lookups}`);
});

test("E1: nor do sixteen addresses in different networks, who own all nodes that are nearest to a key", async () => {
  const { lookups, right, complaints } = await runLyingNetwork({
    seed: "sixteen addresses",
    honest: 150,
    liars: 0,
    eclipseHosts: 16,
    lookups: 8,
  });
  assert.deepEqual(complaints, []);
  assert.equal(right, lookups);
});

test("E2: with 20 % of the nodes lying, lookups find the nearest honest node at no more than three times the cost", async () => {
  const options = { seed: "liars", honest: 200, liars: 0, eclipseHosts: 0, lookups: 40 };
  const honest = await runLyingNetwork(options);
  const lying = await runLyingNetwork({ ...options, honest: 160, liars: 40 });
  assert.deepEqual([...honest.complaints, ...lying.complaints], []);
  assert.equal(honest.right, honest.lookups);
  assert.ok(lying.right >= 0.99 * lying.lookups, `${lying.right} of ${lying.lookups}`);
  assert.ok(
    lying.requests <= 3 * honest.requests,
    `${lying.requests} requests instead of ${honest.requests}`,
  );
});
