/** Connecting by key in simulated networks: every pair of NATs, and what goes wrong on the way. */
import assert from "node:assert/strict";
import { Command, RelayMode } from "../../dht/constants.ts";
import { DialError } from "../../dht/dial_error.ts";
import { PeerHandshaking } from "../../dht/handshake.ts";
import { peerHandshake } from "../../dht/handshake_messages.ts";
import { Firewall, MAX_HALF_OPEN_SOCKETS } from "../../dht/punch/constants.ts";
import { encodeRequest } from "../../dht/rpc/messages.ts";
import { dhtNamespaces, targetOf } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { compare } from "../../encoding/bytes.ts";
import { encode } from "../../encoding/codec.ts";
import type { RouterType } from "../../transports/memory/mod.ts";
import { test } from "../harness.ts";
import { ConnectWorld, echo, hostOf, pingPong } from "./connect_rig.ts";
import { crypto } from "./rpc/support.ts";

const NODES = 10;

async function withWorld(seed: string, body: (world: ConnectWorld) => Promise<void>): Promise<void> {
  const world = new ConnectWorld(seed);
  await world.dhtSwarm(NODES);
  await body(world);
  await world.close();
}

// client, server, kind of path, most milliseconds at 40 ms of round trip between any two hosts
const PAIRS: readonly (readonly [RouterType | "reachable", RouterType | "reachable", string, number])[] = [
  ["reachable", "reachable", "direct", 100],
  ["reachable", "port-restricted-cone", "direct", 140],
  ["port-restricted-cone", "reachable", "direct", 100],
  ["symmetric", "reachable", "direct", 100],
  ["reachable", "symmetric", "direct", 140],
  ["full-cone", "restricted-cone", "punched", 200],
  ["port-restricted-cone", "port-restricted-cone", "punched", 200],
  ["public-firewall", "public-firewall", "punched", 200],
  ["carrier-grade", "port-shifting", "punched", 200],
  ["symmetric", "port-restricted-cone", "punched", 2000],
  ["port-restricted-cone", "symmetric", "punched", 2000],
];

for (const [clientType, serverType, kind, maxMs] of PAIRS) {
  test(`H19 a ${clientType} peer connects to a ${serverType} peer: ${kind}, within ${maxMs} ms`, async () => {
    await withWorld(`${clientType}/${serverType}`, async (world) => {
      const make = (type: typeof clientType) => type === "reachable" ? world.openPeer() : world.peer(type);
      const [client, server] = [await make(clientType), await make(serverType)];
      await world.listen(server);
      const { connection, ms } = await world.connect(client, server);
      assert.equal(connection.path.kind, kind);
      assert.equal(world.accepted.length, 1);
      assert.equal(world.accepted[0]!.path.kind, kind);
      assert.deepEqual(world.accepted[0]!.remotePublicKey, client.keyPair.publicKey);
      assert(Math.abs(connection.path.rttMs - 40) < 5, `${connection.path.rttMs}`);
      assert(ms <= maxMs, `${ms} ms`);
      await world.go(connection.close());
    });
  });
}

test("H19 two symmetric NATs fail within a second, with the cause and the next step", async () => {
  await withWorld("symmetric", async (world) => {
    const [client, server] = [await world.peer("symmetric"), await world.peer("symmetric")];
    await world.listen(server);
    const { error, ms } = await world.failure(client, server.keyPair.publicKey);
    assert(error instanceof DialError);
    assert.equal(error.code, "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS");
    assert.match(error.message, /while looking for a way to the peer: both NATs .* connect through a relay/);
    assert.equal(error.phase, "racing");
    const steps = error.trace.map(({ part, what }) => `${part} ${what}`);
    for (const step of ["connect search", "connect handshake", "connect answered", "punch round answered"]) {
      assert(steps.includes(step), `${step} in ${steps}`);
    }
    assert(error.trace.some(({ what, data }) => what === "no hole" && data.localFirewall === 3));
    assert(ms < 1000, `${ms} ms`);
    assert.equal(world.accepted.length, 0);
  });
});

test("a peer whose UDP is blocked learns so in less than two seconds", async () => {
  await withWorld("blocked", async (world) => {
    const client = world.makeDht({ hostOptions: { behind: world.network.router({ type: "udp-blocked" }) } });
    await world.go(client.open());
    const { error, ms } = await world.failure(client, world.dhts[1]!.keyPair.publicKey);
    assert.equal(error.code, "PEER_NOT_FOUND");
    assert.match(error.message, /while looking for the peer: no node of the DHT answers: check that UDP/);
    assert(ms < 2000, `${ms} ms`);
  });
});

test("H12 nobody knows a peer that does not listen, and one that has just gone does not answer", async () => {
  await withWorld("unknown", async (world) => {
    const [client, server] = [await world.openPeer(), await world.peer("port-restricted-cone")];
    const absent = await world.failure(client, server.keyPair.publicKey);
    assert.equal(absent.error.code, "PEER_NOT_FOUND");
    assert.match(absent.error.message, /no node knows the peer: check the key/);
    await world.listen(server);
    hostOf(world, server).setDown(true);
    const gone = await world.failure(client, server.keyPair.publicKey);
    assert.equal(gone.error.code, "PEER_CONNECTION_FAILED");
    assert.match(gone.error.message, /the peer does not answer \(3 relays tried\)/);
  });
});

test("a key that no peer can have is a TypeError, and leaves nothing behind", async () => {
  await withWorld("bad key", async (world) => {
    const client = await world.openPeer();
    await assert.rejects(
      client.connect(new Uint8Array(32).fill(0x58)),
      /TypeError: No peer can have the key 5858/,
    );
    await assert.rejects(client.connect("nonsense"), TypeError);
  });
});

test("H14 a server whose address is known is dialed without any DHT", async () => {
  const world = new ConnectWorld("no dht");
  const [server, client] = [
    await world.openDht({ bootstrap: false, firewalled: false }),
    await world.openDht({ bootstrap: false, hostOptions: { behind: world.network.router({}) } }),
  ];
  await world.listen(server);
  const { connection, ms } = await world.connect(client, server, {
    relayAddresses: [world.dhtAddress(server)],
  });
  assert.equal(connection.path.kind, "direct");
  assert(ms < 150, `${ms} ms`);
  await world.go(connection.close());
  await world.close();
});

test("H16 peers in one local network find the short way", async () => {
  await withWorld("lan", async (world) => {
    const router = world.network.router({ type: "port-restricted-cone" });
    const [client, server] = [await world.peer(router), await world.peer(router)];
    await world.listen(server);
    const { connection, ms } = await world.connect(client, server);
    assert.equal(connection.path.kind, "lan");
    assert(connection.path.rttMs < 2, `${connection.path.rttMs}`);
    assert(ms < 300, `${ms} ms`);
    assert.equal(world.accepted[0]!.path.kind, "lan");
    await world.go(connection.close());
  });
});

test("Q1 another node at the peer's local address does not become a false connection", async () => {
  await withWorld("false lan", async (world) => {
    // The server has its own network within the client's, and both networks use the same addresses.
    const outer = world.network.router({
      type: "port-restricted-cone",
      lanPrefix: "192.168.7",
      behaviour: { hairpin: true },
    });
    const inner = world.network.router({ type: "full-cone", behind: outer, lanPrefix: "192.168.7" });
    const address = "192.168.7.77";
    const decoy = await world.openDht({ hostOptions: { behind: outer, addresses: [address] } });
    const client = await world.peer(outer);
    const server = await world.openDht({ hostOptions: { behind: inner, addresses: [address] } });
    await world.listen(server);
    const { connection, ms } = await world.connect(client, server);
    assert.equal(connection.path.kind, "punched");
    assert.equal(world.accepted.length, 1);
    assert(connection.trace.some(({ what, data }) => what === "path" && data.kind === "lan"), "it was tried");
    assert(ms < 4000, `${ms} ms`);
    assert.equal(decoy.state, "open");
    await world.go(connection.close());
  });
});

test("Q1 a peer that says that it can be reached and cannot is a failed dial, and no connection anywhere", async () => {
  await withWorld("false open", async (world) => {
    const client = await world.peer("port-restricted-cone");
    const server = await world.peer("port-restricted-cone", { firewalled: false, quickFirewall: false });
    const listening = await world.listen(server);
    const { error, ms } = await world.failure(client, server.keyPair.publicKey);
    assert.equal(error.code, "PEER_CONNECTION_FAILED");
    assert.match(
      error.message,
      /while waiting for the peer's proof: the peer did not show its key on the direct path/,
    );
    assert(ms < 12_000, `${ms} ms`);
    await world.pass(25_000);
    assert.equal(world.accepted.length, 0);
    assert.equal(listening.counters?.unproven, 1);
  });
});

test("a line that loses three packets in ten costs seconds, and no connection", async () => {
  const world = new ConnectWorld("very bad line");
  await world.dhtSwarm(NODES);
  const bad = { latencyMs: 20, loss: [3, 10] } as const;
  const [client, server] = [
    await world.peer("port-restricted-cone", {}, bad),
    await world.peer("port-restricted-cone", {}, bad),
  ];
  await world.listen(server);
  const times: number[] = [];
  for (let i = 0; i < 12; i++) {
    await world.pass(3000);
    const start = world.clock.now();
    const connection = await world.go(client.connect(server.keyPair.publicKey));
    times.push(world.clock.now() - start);
    connection.abort();
  }
  times.sort((a, b) => a - b);
  assert(times[6]! < 2500 && times[11]! < 6000, times.join());
  await world.close();
});

test("Q1 on a bad line a connection is delivered once, on both sides, and carries data", async () => {
  const world = new ConnectWorld("bad line");
  await world.dhtSwarm(NODES);
  const bad = { latencyMs: 30, jitterMs: 20, loss: [1, 10], duplicate: [1, 20] } as const;
  const server = await world.peer("port-restricted-cone", {}, bad);
  const client = await world.peer("restricted-cone", {}, bad);
  await world.listen(server);
  for (let i = 1; i <= 5; i++) {
    const { connection } = await world.connect(client, server);
    assert.equal(world.accepted.length, i);
    await world.go(connection.close());
  }
  await world.close();
});

for (const isReachable of [true, false]) {
  const who = isReachable ? "a reachable server" : "a server that must speak first";
  test(`H10 D4 D5 a first message sent again and again to ${who} makes no connection and no flood`, async () => {
    await withWorld(`replay/${isReachable}`, async (world) => {
      const server = isReachable ? await world.openPeer() : await world.openDht({ quickFirewall: false });
      const listening = await world.listen(server, { clearWaitMs: 1000 });
      const to = world.dhtAddress(server);
      const handshakes: Uint8Array[] = [];
      let [bytesIn, bytesOut] = [0, 0];
      const tap = world.host();
      const socket = await tap.bind({ port: 5000 }, {
        onDatagram: (datagram, from) => {
          if (from.equals(to)) bytesOut += datagram.length;
          else if (datagram.length > 150) handshakes.push(datagram.slice());
        },
      });
      const client = await world.openPeer();
      const relayAddresses = [SocketAddress.of(tap.address, 5000)];
      const { connection } = await world.connect(client, server, { relayAddresses });
      await world.go(connection.close());
      assert(handshakes.length > 0, "the tap has a handshake");
      const before = world.accepted.length;
      for (let i = 0; i < 20; i++) {
        socket.send(handshakes[0]!, to);
        bytesIn += handshakes[0]!.length;
        await world.pass(1500);
      }
      assert.equal(world.accepted.length, before);
      assert(bytesOut > 0 && bytesOut <= 3 * bytesIn, `${bytesIn} bytes in, ${bytesOut} out`);
      assert(listening.counters!.copies > 0 && listening.counters!.unproven > 0);
      await socket.close();
    });
  });
}

test("H11 a firewalled peer gets no answer, and a hook that throws denies", async () => {
  await withWorld("firewall", async (world) => {
    const server = await world.openPeer();
    const welcome = await world.openPeer();
    const seen: string[] = [];
    const listening = await world.listen(server, {
      firewall: async (publicKey, payload, address) => {
        await Promise.resolve();
        seen.push(address.host);
        assert.equal(payload.version, 1);
        if (publicKey[0] === welcome.keyPair.publicKey[0]) return false;
        throw new Error("who is that?");
      },
    });
    const stranger = await world.openPeer();
    const { error } = await world.failure(stranger, server.keyPair.publicKey);
    assert.equal(error.code, "PEER_CONNECTION_FAILED");
    assert.equal(listening.counters?.denied, 1);
    assert.equal(world.accepted.length, 0);
    const { connection } = await world.connect(welcome, server);
    assert.deepEqual(
      new Set(seen),
      new Set([hostOf(world, stranger).address, hostOf(world, welcome).address]),
    );
    await world.go(connection.close());
  });
});

test("H11 a hook that takes too long decides about nothing", async () => {
  await withWorld("slow hook", async (world) => {
    const server = await world.openPeer();
    const verdict = Promise.withResolvers<boolean>();
    const listening = await world.listen(server, { firewall: () => verdict.promise });
    const { error } = await world.failure(await world.openPeer(), server.keyPair.publicKey);
    assert.equal(error.code, "PEER_CONNECTION_FAILED");
    await world.pass(15_000);
    verdict.resolve(false);
    await world.pass(30_000);
    assert.equal(world.accepted.length, 0);
    assert.equal(listening.counters?.denied, 0);
  });
});

test("H18 a server that does not want to punch says so", async () => {
  await withWorld("no punch", async (world) => {
    const [client, server] = [await world.peer("restricted-cone"), await world.peer("restricted-cone")];
    const asked: number[][] = [];
    await world.listen(server, { holepunch: (...firewalls) => asked.push(firewalls) < 0 });
    // The fast way needs no agreement.
    const { error } = await world.failure(client, server.keyPair.publicKey, { fastOpen: false });
    assert.equal(error.code, "REMOTE_ABORTED");
    assert.deepEqual(asked, [[Firewall.Consistent, Firewall.Consistent]]);
  });
});

test("H12 the second dial begins with the relays of the first", async () => {
  await withWorld("cache", async (world) => {
    const [client, server] = [await world.peer("restricted-cone"), await world.peer("restricted-cone")];
    await world.listen(server);
    const first = await world.connect(client, server);
    await world.go(first.connection.close());
    const second = await world.connect(client, server);
    assert(second.ms < first.ms, `${first.ms}, then ${second.ms}`);
    await world.go(second.connection.close());
  });
});

test("H22 a reusable socket is a shortcut for the next connection", async () => {
  await withWorld("reuse", async (world) => {
    const [client, server] = [await world.peer("restricted-cone"), await world.peer("restricted-cone")];
    await world.listen(server, { reusableSocket: true });
    const first = await world.connect(client, server, { reusableSocket: true });
    const port = first.connection.socket!.address.port;
    const second = await world.connect(client, server, { reusableSocket: true });
    assert.equal(second.connection.socket!.address.port, port, "the same socket");
    assert.equal(second.connection.path.kind, "direct");
    assert(second.ms < 150, `${second.ms} ms`);
    await world.go(Promise.all([first.connection.close(), second.connection.close()]));
    await world.pass(10_000);
  });
});

test("H23 a pool has one connection to a peer, and of two that cross both sides keep the same", async () => {
  await withWorld("pool", async (world) => {
    const [a, b] = [await world.openPeer(), await world.openPeer()];
    const servers = [await world.listen(a), await world.listen(b)];
    const pools = [a.pool(), b.pool()];
    pools.forEach((pool, i) => pool.attach(servers[i]!));
    const [one, two, three] = await world.go(Promise.all([
      a.connect(b.keyPair.publicKey, { pool: pools[0]! }),
      a.connect(b.keyPair.publicKey, { pool: pools[0]! }),
      b.connect(a.keyPair.publicKey, { pool: pools[1]! }),
    ]));
    assert.equal(one, two);
    await world.pass(2000);
    const [left] = [...pools[0]!.connections];
    const [right] = [...pools[1]!.connections];
    assert.deepEqual(left!.handshakeHash, right!.handshakeHash);
    assert.deepEqual([...pools[0]!.connections].length, 1);
    const isSmaller = compare(a.keyPair.publicKey, b.keyPair.publicKey) < 0;
    assert.equal(left!.isInitiator, isSmaller, "the dial of the smaller key stays, as with the reference");
    assert.equal(pools[0]!.has(b.keyPair.publicKey), true);
    assert.equal(pools[0]!.get(b.keyPair.publicKey), left);
    for (const connection of [one, three, left!]) connection.abort();
    await world.pass(2000);
    assert.equal([...pools[0]!.connections].length, 0);
  });
});

test("H24 a server listens once, under a key of its own, and its end leaves connections alone", async () => {
  await withWorld("lifecycle", async (world) => {
    const [client, node] = [await world.openPeer(), await world.openPeer()];
    const keyPair = crypto.keyPair(new Uint8Array(32).fill(9));
    const server = node.createServer();
    const events: string[] = [];
    for (const name of ["listening", "connection", "close"] as const) {
      server.on(name, () => events.push(name));
    }
    assert.equal(server.address(), undefined);
    await world.go(server.listen(keyPair));
    await assert.rejects(server.listen(), /listens already/);
    await assert.rejects(
      node.createServer().listen(keyPair),
      /Another server of the node listens under this key/,
    );
    assert.deepEqual(server.address()?.publicKey, keyPair.publicKey);
    assert(server.relayAddresses.length > 0);
    const connection = await world.go(client.connect(keyPair.publicKey));
    await world.pass(100);
    await world.go(server.close());
    assert.deepEqual(events, ["listening", "connection", "close"]);
    assert.equal(connection.socket !== undefined, true, "the connection lives on");
    const { error } = await world.failure(client, keyPair.publicKey);
    assert.match(error.code!, /PEER_NOT_FOUND|PEER_CONNECTION_FAILED/);
    connection.abort();
  });
});

test("H24 dials end with the suspension, the end or the abort that they meet", async () => {
  await withWorld("suspend", async (world) => {
    const [client, server] = [await world.peer("restricted-cone"), await world.peer("restricted-cone")];
    await world.listen(server);
    const key = server.keyPair.publicKey;
    const controller = new AbortController();
    const aborted = client.connect(key, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(world.go(aborted), /enough/);
    const meets = client.connect(key);
    meets.catch(() => {});
    await world.pass(50);
    await world.go(client.suspend());
    await assert.rejects(meets, { code: "SUSPENDED" });
    await assert.rejects(client.connect(key), { code: "SUSPENDED" });
    await world.go(client.resume());
    const { connection } = await world.connect(client, server);
    await world.go(connection.close());
  });
});

test("H25 a raw stream takes the way of an encrypted connection", async () => {
  await withWorld("raw", async (world) => {
    const [client, server] = [await world.peer("restricted-cone"), await world.peer("restricted-cone")];
    await world.listen(server);
    const { connection } = await world.connect(client, server);
    const [near, far] = [client.createRawStream(), server.createRawStream()];
    client.connectRawStream(connection, near, far.id);
    server.connectRawStream(world.accepted[0]!, far, near.id);
    const received: number[] = [];
    const sink = { onDrain() {}, onEnd() {}, onClose() {} };
    far.attach({ ...sink, onData: (chunk) => received.push(...chunk) });
    near.attach({ ...sink, onData() {} });
    near.write(Uint8Array.of(1, 2, 3));
    await world.pass(200);
    assert.deepEqual(received, [1, 2, 3]);
    near.destroy();
    await world.go(connection.close());
  });
});

test("servers hand connections out by iteration too, and many dials at once all arrive", async () => {
  await withWorld("many", async (world) => {
    const server = await world.openPeer();
    const listening = server.createServer();
    await world.go(listening.listen());
    const keys = new Set<string>();
    const serving = (async () => {
      for await (const connection of listening) {
        keys.add(connection.remotePublicKey.join());
        void echo(connection);
      }
    })();
    const client = await world.peer("port-restricted-cone");
    const dials = Array.from({ length: 40 }, async (_, i) => {
      const keyPair = crypto.keyPair(new Uint8Array(32).fill(i + 1));
      const connection = await client.connect(server.keyPair.publicKey, { keyPair });
      await pingPong(connection);
      await connection.close();
    });
    await world.go(Promise.all(dials));
    assert.equal(keys.size, 40);
    await world.go(listening.close());
    await serving;
  });
});

test("D4 a flood of valid handshakes in the names of many takes few sockets, and all of them come back", async () => {
  await withWorld("flood", async (world) => {
    const host = world.host();
    const bind = host.bind.bind(host);
    let [open, most] = [0, 0];
    host.bind = async (options, receiver) => {
      const socket = await bind(options, receiver);
      most = Math.max(most, ++open);
      const close = socket.close.bind(socket);
      socket.close = () => {
        open--;
        return close();
      };
      return socket;
    };
    // It believes to be behind a NAT, so that it wants to be punched to.
    const server = await world.openDht({ at: host, quickFirewall: false });
    const listening = await world.listen(server);
    const target = targetOf(crypto, server.keyPair.publicKey);
    const context = {
      runtime: { crypto, random: world.random.fork("flood") },
      namespaces: dhtNamespaces(crypto),
    };
    const to = world.dhtAddress(server);
    const relays = await Promise.all(
      Array.from({ length: 4 }, () => world.host().bind({}, { onDatagram() {} })),
    );
    for (let i = 0; i < 400; i++) {
      const seed = context.runtime.random.fill(new Uint8Array(32));
      const noise = new PeerHandshaking(context, crypto.keyPair(seed), server.keyPair.publicKey).send({
        ...{ error: 0, firewall: Firewall.Unknown, addresses4: [], addresses6: [], secretStream: true },
        udx: { reusableSocket: false, id: i, seq: 0 },
      });
      const peerAddress = SocketAddress.v4(0x28000000 + i * 256, 1000);
      const value = encode(peerHandshake, { mode: RelayMode.FromRelay, noise, peerAddress });
      const message = { tid: i, to, isInternal: false, command: Command.PeerHandshake, target, value };
      relays[i % 4]!.send(encodeRequest(message), to);
      await world.pass(5);
    }
    assert(most > 16 && most <= 2 + MAX_HALF_OPEN_SOCKETS, `${most} sockets`);
    await world.pass(30_000);
    assert.deepEqual([open, world.accepted.length], [2, 0]);
    assert(listening.counters!.unproven >= MAX_HALF_OPEN_SOCKETS);
    const { connection } = await world.connect(await world.peer("restricted-cone"), server);
    await world.go(connection.close());
    await Promise.all(relays.map((relay) => relay.close()));
  });
});
