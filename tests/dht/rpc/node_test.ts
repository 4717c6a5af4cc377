/** What one node does, in small simulated networks: ids, sockets, requests, commands, upkeep of the table. */
import assert from "node:assert/strict";
import { ConnectError } from "../../../core/runtime/errors.ts";
import { Command, PING_OLDEST_MS, ReplyError } from "../../../dht/rpc/constants.ts";
import type { IncomingRequest } from "../../../dht/rpc/incoming_request.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { toHex } from "../../../encoding/text.ts";
import { test } from "../../harness.ts";
import { Peer, PORT, World } from "./support.ts";

/** What a promise is rejected with. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "none";
  } catch (error) {
    assert.ok(error instanceof ConnectError, String(error));
    return error.code;
  }
}

const text = (value: Uint8Array | undefined) =>
  value === undefined ? undefined : new TextDecoder().decode(value);
const bytes = (value: string) => new TextEncoder().encode(value);

test("R1: an id goes out only from a persistent node and only from its server socket", async () => {
  const world = new World();
  const [persistent, ephemeral] = [
    await world.bootstrapper(),
    world.make({ ephemeral: true, firewalled: false }),
  ];
  await world.go(ephemeral.open());
  const peer = await Peer.open(world);
  for (const node of [persistent, ephemeral]) void node.ping(peer.address).catch(() => {});
  await world.pass(100);
  const tested = world.make({ bootstrap: [world.addressOf(persistent)], ephemeral: false });
  await world.go(tested.ready());
  assert.notEqual(tested.id, undefined);
  void tested.ping(peer.address, { socket: tested.clientSocket! }).catch(() => {});
  await world.pass(100);
  const ids = peer.heard.map(({ message }) => message.id && toHex(message.id));
  assert.deepEqual(ids, [toHex(world.idOf(world.addressOf(persistent))), undefined, undefined]);
  assert.deepEqual(persistent.id, world.idOf(world.addressOf(persistent)));
  assert.equal(ephemeral.id, undefined);
  await peer.socket.close();
  await world.close();
});

test("R1: a node whose id is not that of its address is taken for ephemeral", async () => {
  const world = new World();
  const node = await world.bootstrapper();
  const peer = await Peer.open(world);
  peer.onRequest = ({ tid }, from) => peer.reply(from, tid, { id: world.target("not mine") });
  const reply = await world.go(node.ping(peer.address));
  assert.equal(reply.id, undefined);
  peer.send(world.addressOf(node), { command: Command.Ping, id: world.target("not mine") });
  await world.pass(1000);
  assert.equal(node.size, 0);
  peer.onRequest = ({ tid }, from) => peer.reply(from, tid, { id: peer.id });
  assert.deepEqual((await world.go(node.ping(peer.address))).id, peer.id);
  assert.equal(node.size, 1);
  await peer.socket.close();
  await world.close();
});

test("R1: nobody comes into the table by what he says alone: a newcomer has to answer first", async () => {
  const world = new World();
  const node = await world.bootstrapper();
  const peer = await Peer.open(world);
  const ping = () => peer.send(world.addressOf(node), { command: Command.Ping, id: peer.id });
  ping();
  await world.pass(10_000);
  assert.equal(node.size, 0, "it did not answer");
  const asked = peer.heard.filter(({ kind }) => kind === "request").length;
  assert.equal(asked, 2, "a ping and one more try");
  peer.onRequest = ({ tid }, from) => peer.reply(from, tid, { id: peer.id });
  ping();
  await world.pass(1000);
  assert.deepEqual(node.toArray().map(String), [peer.address.toString()]);
  await peer.socket.close();
  await world.close();
});

test("R2: the server socket takes the first free of five ports, then any, and the same again after a pause", async () => {
  const world = new World();
  const host = world.host();
  const taken = await Promise.all([0, 1].map((n) => host.bind({ port: PORT + n }, { onDatagram() {} })));
  const nodes = Array.from({ length: 4 }, () => world.make({ at: host }));
  for (const node of nodes) await world.go(node.open());
  assert.deepEqual(nodes.slice(0, 3).map((node) => node.serverSocket!.address.port - PORT), [2, 3, 4]);
  const { port } = nodes[3]!.serverSocket!.address;
  assert.ok(port > PORT + 4);
  const clientPort = nodes[3]!.clientSocket!.address.port;
  await world.go(nodes[3]!.suspend());
  assert.equal(nodes[3]!.serverSocket, undefined);
  await world.go(nodes[3]!.resume());
  assert.equal(nodes[3]!.serverSocket!.address.port, port);
  assert.equal(nodes[3]!.clientSocket!.address.port, clientPort);
  const stubborn = world.make({ at: host, port: [PORT, PORT + 1], anyPort: false });
  assert.equal(await codeOf(world.go(stubborn.open())), "ADDRESS_IN_USE");
  for (const socket of taken) await socket.close();
  await world.close();
});

test("R2: requests go out from the client socket while firewalled, else from the server socket", async () => {
  const world = new World();
  const nodes = [world.make(), world.make({ firewalled: false })];
  await world.go(Promise.all(nodes.map((node) => node.open())));
  const peer = await Peer.open(world);
  for (const node of nodes) void node.ping(peer.address).catch(() => {});
  await world.pass(100);
  const ports = peer.heard.map(({ from }) => from.port).toSorted((a, b) => b - a);
  assert.deepEqual(ports, [nodes[0]!.clientSocket!.address.port, PORT]);
  assert.equal(nodes[1]!.clientSocket, nodes[1]!.serverSocket, "a node that is told has one socket");
  assert.equal(nodes[1]!.address()!.port, PORT);
  await peer.socket.close();
  await world.close();
});

test("R3: a reply counts only if it comes from the address that was asked, to the socket that asked", async () => {
  const world = new World();
  const node = world.make();
  await world.go(node.open());
  const [peer, stranger] = [await Peer.open(world), await Peer.open(world)];
  let tid = -1;
  let from!: SocketAddress;
  peer.onRequest = (message, source) => [tid, from] = [message.tid, source];
  let answered = false;
  const ping = node.ping(peer.address).then(() => answered = true);
  await world.pass(100);
  stranger.reply(from, tid);
  const otherPort = await Peer.open(world, PORT + 1, peer.host);
  otherPort.reply(from, tid);
  peer.reply(SocketAddress.of(from.host, PORT), tid);
  peer.reply(from, tid + 1 & 0xffff);
  await world.pass(100);
  assert.equal(answered, false);
  assert.equal(node.stats.received.strays, 4);
  peer.reply(from, tid);
  await world.go(ping);
  peer.reply(from, tid);
  await world.pass(100);
  assert.equal(node.stats.received.strays, 5, "an answer counts once");
  for (const one of [peer, stranger, otherPort]) await one.socket.close();
  await world.close();
});

test("R3: garbage from the right address does not end a request", async () => {
  const world = new World();
  const node = world.make();
  await world.go(node.open());
  const peer = await Peer.open(world);
  peer.onRequest = ({ tid }, from) => {
    peer.socket.send(Uint8Array.of(0x13, 31, tid & 255, tid >> 8, 1, 2, 3, 4, 5, 6, 7), from);
    peer.reply(from, tid);
  };
  await world.go(node.ping(peer.address));
  assert.equal(node.stats.received.undecodable, 1);
  await peer.socket.close();
  await world.close();
});

test("R4: a request is sent four times, the same bytes a second apart, and then fails", async () => {
  const world = new World();
  const node = world.make({ adaptiveTimeout: false });
  await world.go(node.open());
  const peer = await Peer.open(world);
  const start = world.clock.now();
  assert.equal(await codeOf(world.go(node.ping(peer.address))), "REQUEST_TIMEOUT");
  assert.equal(world.clock.now() - start, 4000);
  assert.equal(peer.heard.length, 4);
  assert.equal(new Set(peer.heard.map(({ message }) => message.tid)).size, 1);
  assert.equal(await codeOf(world.go(node.ping(peer.address, { retries: 0 }))), "REQUEST_TIMEOUT");
  assert.equal(await codeOf(world.go(node.ping(peer.address, { force: true }))), "REQUEST_TIMEOUT");
  assert.equal(peer.heard.length, 6);
  assert.deepEqual(node.stats.requests, { active: 0, total: 3, replies: 0, timeouts: 3, retries: 3 });
  await peer.socket.close();
  await world.close();
});

test("R4: a node that is known to answer soon is asked again sooner, unless that is switched off", async () => {
  for (const adaptiveTimeout of [true, false]) {
    const world = new World();
    const node = world.make({ adaptiveTimeout });
    await world.go(node.open());
    const peer = await Peer.open(world);
    peer.onRequest = ({ tid }, from) => peer.reply(from, tid);
    for (let i = 0; i < 5; i++) await world.go(node.ping(peer.address));
    peer.onRequest = undefined;
    peer.heard.length = 0;
    void node.ping(peer.address).catch(() => {});
    await world.pass(700);
    assert.equal(peer.heard.length, adaptiveTimeout ? 2 : 1);
    await world.pass(10_000);
    assert.equal(peer.heard.length, 4);
    await peer.socket.close();
    await world.close();
  }
});

test("R4: a request given up by its signal leaves nothing behind", async () => {
  const world = new World();
  const node = world.make();
  await world.go(node.open());
  const abort = new AbortController();
  const reason = new Error("no longer");
  const ping = node.ping(SocketAddress.of("20.9.9.9", 1), { signal: abort.signal });
  const outcome = ping.catch((error) => error);
  await world.pass(100);
  abort.abort(reason);
  assert.equal(await world.go(outcome), reason);
  assert.equal(node.stats.requests.active, 0);
  assert.equal(
    await node.ping(SocketAddress.of("20.9.9.9", 1), { signal: abort.signal }).catch((e) => e),
    reason,
  );
  await world.close();
});

test("R5: no more requests than the window are out, no more than 32 to one address, and all get their turn", async () => {
  const world = new World();
  const node = world.make();
  await world.go(node.open());
  const peers: Peer[] = [];
  for (let i = 0; i < 40; i++) peers.push(await Peer.open(world));
  const pings = Array.from(
    { length: 60 },
    () => node.ping(peers[0]!.address, { retries: 0 }).catch(() => {}),
  );
  for (const { address } of peers) {
    for (let i = 0; i < 5; i++) pings.push(node.ping(address, { retries: 0 }).catch(() => {}));
  }
  await world.pass(500);
  const heard = () => peers.reduce((sum, peer) => sum + peer.heard.length, 0);
  assert.equal(peers[0]!.heard.length, 32);
  assert.equal(heard(), 80);
  await world.go(Promise.all(pings));
  assert.equal(heard(), 260);
  assert.equal(node.stats.requests.active, 0);
  for (const { socket } of peers) await socket.close();
  await world.close();
});

test("R5: requests that are given up make room for others", async () => {
  const world = new World();
  const node = world.make();
  await world.go(node.open());
  const abort = new AbortController();
  const hopeless = Array.from(
    { length: 500 },
    (_, i) => node.ping(SocketAddress.v4(0x14630001 + i * 256, 1), { signal: abort.signal }).catch(() => {}),
  );
  const peer = await Peer.open(world);
  peer.onRequest = ({ tid }, from) => peer.reply(from, tid);
  const wanted = node.ping(peer.address);
  await world.pass(100);
  assert.equal(peer.heard.length, 0);
  abort.abort();
  await world.go(wanted, 200);
  await Promise.all(hopeless);
  await peer.socket.close();
  await world.close();
});

test("R5: a program that asks without end is told so", async () => {
  const world = new World();
  const node = world.make();
  await world.go(node.open());
  const work = Array.from(
    { length: 20_000 },
    () => codeOf(node.ping(SocketAddress.of("20.9.9.9", 1), { retries: 0 })),
  );
  assert.equal(await world.go(work.at(-1)!), "LIMIT_EXCEEDED");
  await world.go(node.close());
  const codes = await Promise.all(work);
  assert.ok(codes.filter((code) => code === "REQUEST_DESTROYED").length > 16_000);
  await world.close();
});

test("R6: a request with a false token is answered with error 2 and a token that is good", async () => {
  const world = new World();
  const seen: IncomingRequest[] = [];
  const node = world.make({
    onRequest(request) {
      seen.push(request);
      request.reply(bytes("fine"));
    },
  });
  await world.go(node.open());
  const peer = await Peer.open(world);
  const ask = (token?: Uint8Array) =>
    peer.ask(world.addressOf(node), { command: 5, isInternal: false, target: world.target("t"), token });
  const refused = await ask(new Uint8Array(32));
  assert.equal(refused?.error, ReplyError.InvalidToken);
  assert.equal(seen.length, 0);
  const accepted = await ask(refused.token);
  assert.equal(text(accepted?.value), "fine");
  assert.deepEqual(seen[0]!.token, refused.token);
  await world.pass(15_000);
  assert.equal((await ask(refused.token))?.error, ReplyError.InvalidToken, "tokens grow old");
  await peer.socket.close();
  await world.close();
});

test("R7: commands of the application are told from those of the protocol with the same numbers", async () => {
  const world = new World();
  const seen: string[] = [];
  const node = world.make({
    onRequest(request) {
      seen.push(`${request.command} ${text(request.value)} ${request.target?.[0]} ${request.from}`);
      if (request.command === 3) return false;
      if (request.command === 4) request.error(17, { token: true });
      else request.reply(bytes("yes"), { token: false });
      return true;
    },
  });
  await world.go(node.open());
  const peer = await Peer.open(world);
  const to = world.addressOf(node);
  const target = new Uint8Array(32).fill(8);
  const answer = await peer.ask(to, { command: 0, isInternal: false, target, value: bytes("hi") });
  assert.equal(text(answer?.value), "yes");
  assert.equal(answer?.token, undefined);
  assert.equal(answer?.to.toString(), peer.address.toString());
  assert.equal((await peer.ask(to, { command: 3, isInternal: false }))?.error, ReplyError.UnknownCommand);
  const failed = await peer.ask(to, { command: 4, isInternal: false });
  assert.equal(failed?.error, 17);
  assert.equal(failed?.token?.length, 32);
  assert.equal((await peer.ask(to, { command: 99 }))?.error, ReplyError.UnknownCommand);
  assert.equal((await peer.ask(to, { command: 0 }))?.error, 0);
  assert.deepEqual(seen, [
    `0 hi 8 ${peer.address}`,
    `3 undefined undefined ${peer.address}`,
    `4 undefined undefined ${peer.address}`,
  ]);
  await peer.socket.close();
  await world.close();
});

test("R7: a handler that throws, or whose promise fails, is reported and hurts nobody", async () => {
  const world = new World();
  const problems: unknown[] = [];
  const node = world.make({
    onRequest(request) {
      if (request.command === 1) throw new Error("at once");
      return Promise.reject(new Error("later"));
    },
  });
  node.on("problem", ({ detail }) => problems.push(detail.what, (detail.error as Error).message));
  await world.go(node.open());
  const peer = await Peer.open(world);
  for (const command of [1, 2]) {
    assert.equal(await peer.ask(world.addressOf(node), { command, isInternal: false }), undefined);
  }
  assert.deepEqual(problems, ["request", "at once", "request", "later"]);
  assert.equal((await peer.ask(world.addressOf(node), { command: 0 }))?.error, 0);
  await peer.socket.close();
  await world.close();
});

test("R7: FIND_NODE and unknown commands tell nodes near the target, nearest first; without a target there are none", async () => {
  const world = new World();
  const nodes = await world.swarm(30);
  const peer = await Peer.open(world);
  const target = world.target("near");
  const to = world.addressOf(nodes[0]!);
  const found = await peer.ask(to, { command: Command.FindNode, target });
  assert.equal(found?.closerNodes.length, 20);
  const distances = found.closerNodes.map((address) =>
    toHex(world.idOf(address).map((byte, i) => byte ^ target[i]!))
  );
  assert.deepEqual(distances, distances.toSorted());
  assert.equal(await peer.ask(to, { command: Command.FindNode }), undefined, "silence");
  const unknown = await peer.ask(to, { command: 9, isInternal: false, target });
  assert.equal(unknown?.closerNodes.length, 20);
  assert.equal((await peer.ask(to, { command: 9, isInternal: false }))?.closerNodes.length, 0);
  await peer.socket.close();
  await world.close();
});

test("R7: PING_NAT is answered to another port of the same host", async () => {
  const world = new World();
  const node = await world.bootstrapper();
  const peer = await Peer.open(world);
  const other = await Peer.open(world, 5000, peer.host);
  peer.send(world.addressOf(node), { command: Command.PingNat, value: Uint8Array.of(5000 & 255, 5000 >> 8) });
  for (const value of [undefined, Uint8Array.of(1), Uint8Array.of(0, 0)]) {
    peer.send(world.addressOf(node), { command: Command.PingNat, value });
  }
  await world.pass(100);
  assert.equal(peer.heard.length, 0);
  assert.deepEqual(other.heard.map(({ message }) => message.to.toString()), [other.address.toString()]);
  await peer.socket.close();
  await other.socket.close();
  await world.close();
});

test("R7: a delayed ping is answered after its delay, one of more than ten seconds never", async () => {
  const world = new World();
  const nodes = [await world.bootstrapper(), world.make()];
  await world.go(nodes[1]!.open());
  const start = world.clock.now();
  await world.go(nodes[1]!.delayedPing(world.addressOf(nodes[0]!), 5000));
  assert.equal(world.clock.now() - start, 5040);
  await assert.rejects(
    async () => await nodes[1]!.delayedPing(world.addressOf(nodes[0]!), 10_001),
    RangeError,
  );
  const peer = await Peer.open(world);
  const delay = (ms: number) => Uint8Array.of(ms, ms >> 8, ms >> 16, ms >> 24);
  assert.equal(
    await peer.ask(world.addressOf(nodes[0]!), { command: 4, value: delay(10_001) }, 30_000),
    undefined,
  );
  for (let i = 0; i < 100; i++) peer.send(world.addressOf(nodes[0]!), { command: 4, value: delay(9000) });
  await world.pass(20_000);
  assert.equal(peer.heard.length, 16, "one host has at most 16 of them");
  peer.send(world.addressOf(nodes[0]!), { command: 4, value: delay(9000) });
  await world.pass(100);
  await peer.socket.close();
  await world.close();
});

test("R7: a delayed ping to nobody is given up a second after it was due", async () => {
  const world = new World();
  const node = world.make();
  await world.go(node.open());
  const start = world.clock.now();
  const nobody = SocketAddress.of("20.9.9.9", 1);
  assert.equal(await codeOf(world.go(node.delayedPing(nobody, 3000, { retries: 0 }))), "REQUEST_TIMEOUT");
  assert.equal(world.clock.now() - start, 4000);
  await world.close();
});

/** A node whose table has a full bucket of peers, and one more peer that belongs there. */
async function fullBucket(
  world: World,
): Promise<{ node: Awaited<ReturnType<World["bootstrapper"]>>; peers: Peer[]; extra: Peer }> {
  const node = await world.bootstrapper();
  const own = node.tableId;
  const peers: Peer[] = [];
  while (peers.length < 21) {
    const host = world.host();
    const id = world.idOf(SocketAddress.of(host.address, PORT));
    if (((id[0]! ^ own[0]!) & 0x80) === 0) continue;
    const peer = await Peer.open(world, PORT, host);
    peer.onRequest = ({ tid }, from) => peer.reply(from, tid, { id: peer.id });
    peers.push(peer);
  }
  const extra = peers.pop()!;
  for (const peer of peers) {
    await world.go(node.ping(peer.address));
    await world.pass(10);
  }
  assert.equal(node.size, 20);
  return { node, peers, extra };
}

test("R9: the node of a full bucket that was asked longest ago stays if it answers", async () => {
  const world = new World();
  const { node, peers, extra } = await fullBucket(world);
  const before = peers[0]!.heard.length;
  await world.go(node.ping(extra.address));
  await world.pass(10_000);
  assert.equal(peers[0]!.heard.length, before + 1);
  assert.ok(!node.toArray().some((address) => address.equals(extra.address)));
  for (const { socket } of [...peers, extra]) await socket.close();
  await world.close();
});

test("R9: it is replaced if it does not answer", async () => {
  const world = new World();
  const { node, peers, extra } = await fullBucket(world);
  peers[0]!.onRequest = undefined;
  const news: string[] = [];
  for (const name of ["addNode", "removeNode"] as const) {
    node.on(name, ({ detail }) => news.push(`${name} ${detail.address}`));
  }
  await world.go(node.ping(extra.address));
  await world.pass(10_000);
  assert.deepEqual(news, [`removeNode ${peers[0]!.address}`, `addNode ${extra.address}`]);
  for (const { socket } of [...peers, extra]) await socket.close();
  await world.close();
});

test("R10: nodes that were not heard of for long are pinged, and dropped if they do not answer", async () => {
  const world = new World();
  const nodes = await world.swarm(8);
  const dead = nodes.pop()!;
  const [pings, { size }] = [nodes[0]!.stats.commands.ping.sent, nodes[0]!];
  await world.go(dead.close());
  await world.pass(6 * PING_OLDEST_MS);
  assert.ok(size >= 4 && nodes[0]!.stats.commands.ping.sent > pings);
  for (const node of nodes) {
    assert.ok(!node.toArray().some((address) => address.equals(world.addressOf(dead))));
  }
  assert.ok(nodes[0]!.size >= size - 1, "and others stay");
  await world.close();
});

test("R10: an idle node refreshes its table about every five minutes, and no more often", async () => {
  const world = new World();
  const nodes = await world.swarm(8);
  const before = nodes.map((node) => node.stats.queries.total);
  await world.pass(3_000_000);
  for (const [i, node] of nodes.entries()) {
    const queries = node.stats.queries.total - before[i]!;
    assert.ok(queries >= 9 && queries <= 12, `${queries} queries in 50 minutes`);
  }
  await world.close();
});

test("R10: a node that knows nobody goes on looking for its bootstrap nodes", async () => {
  const world = new World();
  const host = world.host();
  const lost = world.make({ bootstrap: [`${host.address}:${PORT}`] });
  await world.go(lost.open().then(() => lost.ready()));
  assert.equal(lost.size, 0);
  await world.bootstrapper({ at: host });
  await world.pass(2 * PING_OLDEST_MS);
  assert.equal(lost.size, 1);
  await world.close();
});

test("R10: a burst of loss at the start costs seconds, and one that lasts is met with ever longer pauses", async () => {
  const world = new World();
  const first = await world.bootstrapper();
  const [bootstrap, host] = [[world.addressOf(first)], world.host()];
  const node = world.make({ bootstrap, at: host });
  host.setDown(true);
  await world.go(node.open().then(() => node.ready()));
  assert.equal(node.size, 0);
  host.setDown(false);
  await world.pass(3000);
  assert.equal(node.size, 1);
  await world.go(first.close());
  await world.pass(600_000);
  assert.equal(node.size, 0);
  const before = node.stats.queries.total;
  await world.pass(600_000);
  const queries = node.stats.queries.total - before;
  assert.ok(queries >= 14 && queries <= 16, `${queries} queries in ten minutes`);
  await world.close();
});

test("R11: who names a dead node is told, and asks it himself; nobody else can be made to", async () => {
  const world = new World();
  const nodes = await world.swarm(12);
  const dead = nodes.pop()!;
  const gone = world.addressOf(dead);
  await world.go(dead.close());
  const knew = nodes.filter((node) => node.toArray().some((address) => address.equals(gone)));
  assert.ok(knew.length >= 3);
  await world.go(nodes[0]!.findNode(dead.tableId).finished());
  await world.pass(10_000);
  const still = nodes.filter((node) => node.toArray().some((address) => address.equals(gone)));
  assert.ok(still.length <= knew.length - 3, `${still.length} of ${knew.length}`);
  assert.ok(nodes[0]!.stats.commands.downHint.sent > 0);

  const peer = await Peer.open(world);
  const victim = await Peer.open(world);
  const hint = (address: SocketAddress) =>
    Uint8Array.of(...address.bytes, address.port & 255, address.port >> 8);
  for (const address of [victim.address, world.addressOf(nodes[2]!)]) {
    assert.equal(
      (await peer.ask(world.addressOf(nodes[1]!), { command: 3, value: hint(address) }))?.error,
      0,
    );
  }
  assert.equal(victim.heard.length, 0, "only nodes of the table are asked");
  await peer.socket.close();
  await victim.socket.close();
  await world.close();
});

test("R11: down hints can be limited and switched off", async () => {
  for (const options of [{ sendDownHints: false }, { downHintsPerTick: 2 }]) {
    const world = new World();
    const nodes = await world.swarm(12);
    const quiet = world.make({ bootstrap: [world.addressOf(nodes[0]!)], ephemeral: true, ...options });
    await world.go(quiet.open().then(() => quiet.ready()));
    const dead = nodes.splice(6);
    await world.go(Promise.all(dead.map((node) => node.close())));
    await world.go(quiet.findNode(dead[0]!.tableId).finished());
    assert.ok(quiet.stats.commands.downHint.sent <= (options.downHintsPerTick ?? 0));
    await world.close();
  }
});

test("R20: the DHT speaks IPv4 only and says so", async () => {
  const world = new World();
  const node = world.make();
  await world.go(node.open());
  assert.throws(() => node.addNode(SocketAddress.of("2001:db8::1", 1)), /IPv4/);
  await assert.rejects(async () => await node.ping(SocketAddress.of("::1", 1)), /IPv4/);
  await assert.rejects(async () => await node.ping(SocketAddress.of("1.2.3.4", 0)), /port/);
  await world.close();
});

test("R21: a node tells what happens to it, in order", async () => {
  const world = new World();
  const first = await world.bootstrapper();
  let hosts = ["20.0.1.1"];
  const node = world.make({ bootstrap: [world.addressOf(first)], ephemeral: false, localHosts: () => hosts });
  const told: string[] = [];
  const names = [
    "listening",
    "ready",
    "persistent",
    "ephemeral",
    "wakeup",
    "natUpdate",
    "addNode",
    "removeNode",
    "networkChange",
    "networkUpdate",
    "suspend",
    "resume",
    "close",
  ] as const;
  for (const name of names) node.on(name, () => told.push(name));
  await world.go(node.open().then(() => node.ready()));
  assert.deepEqual(told, ["listening", "addNode", "natUpdate", "natUpdate", "persistent", "ready"]);
  hosts = ["20.0.1.2"];
  await world.pass(6000);
  await world.go(node.suspend());
  await world.go(node.resume());
  await world.go(node.close());
  assert.deepEqual(told.slice(6), ["networkChange", "networkUpdate", "suspend", "resume", "wakeup", "close"]);
  assert.equal(await codeOf(node.ping(world.addressOf(first))), "NODE_DESTROYED");
  assert.throws(() => node.findNode(new Uint8Array(32)), { code: "NODE_DESTROYED" });
  await world.close();
});
