/**
 * The blind relay with the reference, over loopback, in a DHT of the reference's nodes:
 *
 *     client of either kind  <-- UDX -->  relay of either kind  <-- UDX -->  client of either kind
 *
 * The clients talk end to end in a secret stream of their own. Those of the reference use its Node child process.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { openConnection } from "../../core/stream/connection.ts";
import { Dht } from "../../dht/dht.ts";
import { RelayClient, RelayedRoute, RelayServer } from "../../dht/relay.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { test } from "../harness.ts";
import { Child, Reader, skip } from "./udx_support.ts";

const HOST = "127.0.0.1";
const NODES = 8;
const TOKEN = new Uint8Array(32).fill(0xab);

interface PeerAnswer {
  readonly port: number;
  readonly publicKey: string;
  readonly heard: string;
  readonly streamId: number;
  readonly received: number;
  readonly hash: string;
  readonly pairings: { readonly matched: number; readonly pending: number; readonly active: number };
}

/** A network of theirs, with nodes of both kinds. */
class Rig implements AsyncDisposable {
  readonly #child = new Child("blind_relay_peer.mjs");
  readonly #dhts: Dht[] = [];
  readonly #relays: RelayServer[] = [];
  #port = 0;

  async ask(op: string, details: Record<string, unknown> = {}): Promise<PeerAnswer> {
    return await this.#child.ask(op, details) as unknown as PeerAnswer;
  }

  async start(): Promise<void> {
    this.#port = (await this.ask("testnet", { size: NODES })).port;
  }

  /** A node of theirs. */
  async theirs(name: string): Promise<void> {
    await this.ask("node", { name, port: this.#port, firewalled: false });
  }

  /** A node of ours. */
  async ours(): Promise<Dht> {
    const runtime = await loadSystemRuntime();
    const dht = new Dht(runtime, udpNetwork({ needTtl: true }), {
      ...{ bootstrap: [`${HOST}:${this.#port}`], host: HOST, port: 0, ephemeral: true, firewalled: false },
    });
    this.#dhts.push(dht);
    await dht.open();
    await dht.ready();
    return dht;
  }

  /** A relay of ours. */
  async relay(dht: Dht): Promise<RelayServer> {
    const { clock } = await loadSystemRuntime();
    const relay = new RelayServer(clock, { createStream: (options) => dht.createRawStream(options) });
    this.#relays.push(relay);
    const server = dht.createServer();
    server.on("connection", ({ detail: { connection } }) => {
      const session = relay.accept(connection);
      void session.closed.then(() => connection.close());
    });
    await server.listen();
    return relay;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const relay of this.#relays) relay.destroy();
    await this.ask("stop");
    for (const dht of this.#dhts) await dht.close({ force: true });
    await this.#child[Symbol.asyncDispose]();
  }
}

/** A client of ours: meets another at a relay, says something, and waits for what that says. */
async function meet(dht: Dht, relayKey: string, isInitiator: boolean, message: string): Promise<string> {
  const runtime = await loadSystemRuntime();
  const relay = await dht.connect(fromHex(relayKey));
  const client = new RelayClient(runtime.clock, relay);
  const stream = dht.createRawStream();
  const remoteId = await client.pair({ isInitiator, token: TOKEN, stream });
  dht.connectRawStream(relay, stream, remoteId);
  const knocks = setInterval(() => stream.ping(), 50);
  try {
    const keyPair = runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
    const connection = await openConnection(stream, runtime, { isInitiator, keyPair });
    await connection.write(new TextEncoder().encode(message));
    for await (const chunk of connection) return new TextDecoder().decode(chunk);
    throw new Error("The other side has ended");
  } finally {
    clearInterval(knocks);
  }
}

const theirs = (rig: Rig, node: string, relayKey: string, isInitiator: boolean, message: string) =>
  rig.ask("meet", { node, relayKey, isInitiator, token: toHex(TOKEN), message }).then(({ heard }) => heard);

test("B3 our clients, and one of ours with one of theirs, meet at a relay of the reference", async () => {
  await using rig = new Rig();
  await rig.start();
  await rig.theirs("relay");
  const { publicKey } = await rig.ask("relay", { node: "relay" });
  const [a, b] = [await rig.ours(), await rig.ours()];
  const heard = await Promise.all([meet(a, publicKey, true, "from a"), meet(b, publicKey, false, "from b")]);
  assert.deepEqual(heard, ["from b", "from a"]);

  await rig.theirs("client");
  for (const isInitiator of [true, false]) {
    const [ofOurs, ofTheirs] = await Promise.all([
      meet(a, publicKey, isInitiator, "from ours"),
      theirs(rig, "client", publicKey, !isInitiator, "from theirs"),
    ]);
    assert.deepEqual([ofOurs, ofTheirs], ["from theirs", "from ours"]);
  }
  const { pairings } = await rig.ask("relayStats");
  assert.deepEqual([pairings.matched, pairings.pending], [3, 0]);
}, { skip });

test("B3 clients of the reference, and one of theirs with one of ours, meet at a relay of ours", async () => {
  await using rig = new Rig();
  await rig.start();
  const host = await rig.ours();
  const relay = await rig.relay(host);
  const publicKey = toHex(host.keyPair.publicKey);
  await rig.theirs("a");
  await rig.theirs("b");
  const heard = await Promise.all([
    theirs(rig, "a", publicKey, true, "from a"),
    theirs(rig, "b", publicKey, false, "from b"),
  ]);
  assert.deepEqual(heard, ["from b", "from a"]);
  assert.ok(relay.stats.bytes > 0);

  const ours = await rig.ours();
  const mixed = await Promise.all([
    meet(ours, publicKey, false, "from ours"),
    theirs(rig, "a", publicKey, true, "from theirs"),
  ]);
  assert.deepEqual(mixed, ["from theirs", "from ours"]);
  await rig.ask("unpair", { node: "b", relayKey: publicKey, token: toHex(TOKEN) });
  const { matched, cancelled, requested } = relay.stats.pairings;
  assert.deepEqual([requested, matched, cancelled, relay.quotas.pending], [5, 2, 1, 0]);
  assert.equal(relay.stats.strays, 0);
}, { skip });

for (const first of ["ours", "theirs"] as const) {
  test(
    `H21 a stream with the reference leaves the relay for a direct path, ${first} first, and loses nothing`,
    async () => {
      await using rig = new Rig();
      await rig.start();
      const relay = await rig.ours();
      const server = await rig.relay(relay);
      const relayKey = toHex(relay.keyPair.publicKey);
      await rig.theirs("peer");
      const { streamId } = await rig.ask("stream", { name: "s", node: "peer" });
      const dht = await rig.ours();
      const { clock } = await loadSystemRuntime();
      let route: RelayedRoute | undefined;
      const states: string[] = [];
      const stream = dht.createRawStream({
        firewall: (socket, from) => route?.handleStrayPacket(socket, from) ?? false,
      });
      const reader = new Reader();
      stream.attach(reader);
      const [connection, { port }] = await Promise.all([
        dht.connect(fromHex(relayKey)).then(async (connection) => {
          route = await RelayedRoute.open({
            ...{ clock, relay: connection, stream, remoteId: streamId, token: TOKEN, isInitiator: true },
            onState: (state) => void states.push(state),
          });
          return connection;
        }),
        rig.ask("relayed", {
          ...{ name: "s", node: "peer", relayKey, isInitiator: false, token: toHex(TOKEN) },
          ...{ remoteId: stream.id, bytes: 200_000 },
        }),
      ]);
      const sent = [new Uint8Array(300_000).fill(3), new Uint8Array(300_000).fill(4)];
      const hash = createHash("sha256").update(sent[0]!).update(sent[1]!).digest("hex");
      stream.write(sent[0]!.slice());
      await reader.until(() => reader.received > 0);
      const { socket } = connection;
      if (first === "ours") {
        assert.ok(route!.move(socket!, SocketAddress.of(HOST, port)));
      }
      await rig.ask("move", { name: "s", port: socket!.address.port });
      stream.write(sent[1]!.slice());
      const finished = await rig.ask("finish", { name: "s", bytes: 100_000, received: 600_000 });
      assert.deepEqual([finished.received, finished.hash], [600_000, hash]);
      await reader.until(() => reader.received === 300_000);
      while (!states.includes("done")) await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual(states, ["moving", "direct", "done"]);
      while (server.sessions.size > 0) await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(stream.remoteAddress?.port, port);
      route!.close();
      stream.destroy();
    },
    { skip },
  );
}
