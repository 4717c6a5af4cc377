/** Connections whose path is lost: they go on over another, and nobody who uses them sees an error. */
import assert from "node:assert/strict";
import type { NoiseSession } from "../../core/stream/secret_options.ts";
import type { Dht } from "../../dht/dht.ts";
import type { DhtConnection } from "../../dht/dht_connection.ts";
import { Mobility } from "../../dht/mobility.ts";
import { SocketAddress } from "../../encoding/address.ts";
import type { RouterType, SimulatedRouter } from "../../transports/memory/mod.ts";
import { DATA, HEADER_BYTES, MESSAGE } from "../../transports/udx/constants.ts";
import type { UdxSocket, UdxStream } from "../../transports/udx/mod.ts";
import { writeHeader } from "../../transports/udx/packet.ts";
import { test } from "../harness.ts";
import { ConnectWorld, hostOf, pingPong } from "./connect_rig.ts";
import { crypto } from "./rpc/support.ts";

const NODES = 10;

interface Scene {
  readonly world: ConnectWorld;
  readonly routers: Readonly<Record<"client" | "server", SimulatedRouter>>;
}

/** What happens to the path, and how long it takes to be over. */
const EVENTS: readonly (readonly [string, number, (scene: Scene) => void])[] = [
  ["the client's router forgets its mappings", 0, ({ routers }) => routers.client.flush()],
  ["the server's router forgets its mappings", 0, ({ routers }) => routers.server.flush()],
  ["the client's router gets another address", 0, ({ routers }) => routers.client.renumber("30.7.7.1")],
  ["the server's router gets another address", 0, ({ routers }) => routers.server.renumber("30.7.7.2")],
  ["the client is cut off for 5 s", 5000, ({ routers, world }) => cutOff(world, routers.client, 5000)],
  ["the server is cut off for 25 s", 25_000, ({ routers, world }) => cutOff(world, routers.server, 25_000)],
];

function cutOff(world: ConnectWorld, router: SimulatedRouter, ms: number): void {
  router.setDown(true);
  world.clock.schedule(world.clock.now() + ms, () => router.setDown(false));
}

/** Echoes a message every 200 ms; the longest pause between two answers within `ms`. */
async function longestPause(world: ConnectWorld, connection: DhtConnection, ms: number): Promise<number> {
  const { clock } = world;
  const end = clock.now() + ms;
  let [lastAt, longest, answered] = [clock.now(), 0, 0];
  const reading = (async () => {
    for await (const chunk of connection) {
      answered += chunk.length;
      longest = Math.max(longest, clock.now() - lastAt);
      lastAt = clock.now();
    }
  })();
  reading.catch(() => {});
  let written = 0;
  while (clock.now() < end) {
    written++;
    connection.write(Uint8Array.of(written & 255)).catch(() => {});
    await world.pass(200);
  }
  await world.pass(2000);
  assert.equal(answered, written, "nothing is lost");
  return longest;
}

const PAIRS: readonly (readonly [RouterType, RouterType])[] = [
  ["port-restricted-cone", "port-restricted-cone"],
  ["full-cone", "restricted-cone"],
  ["symmetric", "port-restricted-cone"],
  ["port-restricted-cone", "symmetric"],
];

for (const [clientType, serverType] of PAIRS) {
  for (const [what, lastsMs, act] of EVENTS) {
    test(`N3 ${clientType} to ${serverType}: when ${what}, the connection goes on within 10 s`, async () => {
      const world = new ConnectWorld(`path/${clientType}/${serverType}/${what}`);
      await world.dhtSwarm(NODES);
      const routers = {
        client: world.network.router({ type: clientType }),
        server: world.network.router({ type: serverType }),
      };
      const [client, server] = [await world.peer(routers.client), await world.peer(routers.server)];
      await world.listen(server);
      const { connection } = await world.connect(client, server);
      await world.pass(25_000); // ports may be guessed again
      const errors: unknown[] = [];
      for (const end of [connection, world.accepted[0]!]) end.closed.catch((error) => errors.push(error));
      act({ world, routers });
      const pause = await longestPause(world, connection, 45_000);
      assert.deepEqual(errors, []);

      assert(pause < lastsMs + 10_000, `${pause} ms`);
      assert.equal(world.accepted.length, 1, "it is the same connection");
      await world.go(connection.close());
      await world.close();
    });
  }
}

async function homes(world: ConnectWorld): Promise<Scene & { readonly client: Dht; readonly server: Dht }> {
  await world.dhtSwarm(NODES);
  const routers = { client: world.network.router({}), server: world.network.router({}) };
  const [client, server] = [await world.peer(routers.client), await world.peer(routers.server)];
  await world.listen(server);
  return { world, routers, client, server };
}

test("N3 a connection that is silent for now keeps its path as well", async () => {
  const world = new ConnectWorld("idle");
  const { routers, client, server } = await homes(world);
  const { connection } = await world.connect(client, server);
  await world.pass(5000);
  routers.client.renumber("30.7.7.1");
  await world.pass(15_000);
  assert.equal(world.accepted[0]!.path.address?.host, "30.7.7.1");
  const pause = await longestPause(world, connection, 3000);
  assert(pause < 1000, `${pause} ms`);
  await world.go(connection.close());
  await world.close();
});

test("N3 a host that notices its new address moves its connections at once, whoever has dialed", async () => {
  for (const mover of ["client", "server"] as const) {
    const world = new ConnectWorld(`renumbered ${mover}`);
    await world.dhtSwarm(NODES);
    const [client, server] = [await world.openPeer(), await world.openPeer()];
    await world.listen(server);
    const { connection } = await world.connect(client, server);
    const host = hostOf(world, mover === "client" ? client : server);
    host.renumber(["30.9.9.9"]);
    const pause = await longestPause(world, connection, 20_000);
    // The address is looked at every five seconds.
    assert(pause < 6500, `${pause} ms`);
    const other = mover === "client" ? world.accepted[0]! : connection;
    assert.equal(other.path.address?.host, "30.9.9.9");
    assert.equal(world.accepted.length, 1);
    await world.go(connection.close());
    await world.close();
  }
});

test("N3 a peer that has lost the connection says so when it is found again", async () => {
  const world = new ConnectWorld("amnesia");
  const { routers, client, server } = await homes(world);
  const { connection } = await world.connect(client, server);
  let closedAt = Infinity;
  let code = "";
  connection.closed.catch((error) => {
    closedAt = world.clock.now();
    code = error.code;
  });
  routers.server.setDown(true);
  world.accepted[0]!.abort();
  await world.pass(500);
  routers.server.setDown(false);
  const start = world.clock.now();
  connection.write(Uint8Array.of(1)).catch(() => {});
  await world.pass(20_000);
  assert(closedAt - start < 6000, `${closedAt - start} ms`);
  assert(["SERVER_ERROR", "CONNECTION_RESET"].includes(code), code);
  await world.close();
});

test("N3 a peer that has not heard our proof yet is not taken for one that has lost the connection", async () => {
  const world = new ConnectWorld("unheard");
  const { routers, client, server } = await homes(world);
  const connection = await world.go(client.connect(server.keyPair.publicKey));
  // The two reach the nodes of the DHT, and not each other.
  const partition = world.network.partition([routers.client], [routers.server]);
  const talk = pingPong(connection);
  await world.pass(6000);
  assert.equal(world.accepted.length, 0, "the proof has not arrived");
  partition.heal();
  await world.go(talk);
  assert.equal(world.accepted.length, 1);
  await world.go(connection.close());
  await world.close();
});

test("D5 D7 only the peer moves a stream: not who knows its id, not who has seen the handshake, not a recording", () => {
  const [near, far] = sessions();
  const moves: string[] = [];
  const sent: Uint8Array[] = [];
  const stream = (name: string) =>
    ({
      isClosed: false,
      patienceMs: 0,
      redirect: (_: unknown, id: number, to: SocketAddress) => void moves.push(`${name} to ${to} as ${id}`),
      send: (message: Uint8Array) => void sent.push(message),
      ping() {},
    }) as unknown as UdxStream;
  const options = { onMoved() {} };
  const moving = new Mobility(crypto, { ...options, session: near, stream: stream("near"), remoteId: 2 });
  const staying = new Mobility(crypto, { ...options, session: far, stream: stream("far"), remoteId: 1 });
  const from = SocketAddress.parse("20.1.1.1:1000");
  const socket = {} as UdxSocket;
  const packet = (message: Uint8Array, type = MESSAGE) => {
    const bytes = new Uint8Array(HEADER_BYTES + message.length);
    writeHeader(bytes, type, 0, 2, 0, 0, 0);
    bytes.set(message, HEADER_BYTES);
    return bytes;
  };
  moving.prove();
  const proof = sent[0]!;
  assert.equal(staying.handleStrayPacket(socket, from, packet(proof, DATA)), false, "no message");
  for (let i = 0; i < proof.length; i++) {
    const forged = proof.slice();
    forged[i]! ^= 1;
    assert.equal(staying.handleStrayPacket(socket, from, packet(forged)), false, `byte ${i}`);
  }
  assert.equal(moving.handleStrayPacket(socket, from, packet(proof)), false, "our own, sent back");
  for (const length of [0, 8, 39, 41]) {
    assert.equal(staying.handleStrayPacket(socket, from, packet(new Uint8Array(length))), false);
  }
  assert.deepEqual(moves, []);
  assert.equal(staying.handleStrayPacket(socket, from, packet(proof)), true);
  assert.deepEqual(moves, ["far to 20.1.1.1:1000 as 1"]);
  assert.equal(staying.handleStrayPacket(socket, from, packet(proof)), false, "a recording");
});

/** The keys of both sides of a connection. */
function sessions(): [NoiseSession, NoiseSession] {
  const [tx, rx] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  const common = { hash: new Uint8Array(64), publicKey: rx, remotePublicKey: tx };
  return [{ ...common, isInitiator: true, tx, rx }, { ...common, isInitiator: false, tx: rx, rx: tx }];
}
