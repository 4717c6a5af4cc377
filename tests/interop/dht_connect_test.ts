/**
 * Connecting by key against the reference, over loopback:
 *
 *     Dht of ours  <-- UDP -->  testnet of either kind  <-- UDP -->  hyperdht in Node
 *
 * Each of them listens and dials, as reachable nodes, over the "local network", and by a punch that both are made to believe in.
 */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { Dht } from "../../dht/dht.ts";
import type { DhtConnection } from "../../dht/dht_connection.ts";
import type { DhtOptions } from "../../dht/dht_options.ts";
import { RelayServer } from "../../dht/relay.ts";
import type { DhtServerOptions } from "../../dht/server.ts";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { Command } from "../../dht/constants.ts";
import { peerHandshake, peerHolepunch } from "../../dht/handshake_messages.ts";
import { REPLY_BYTE, REQUEST_BYTE } from "../../dht/rpc/constants.ts";
import { replyMessage, requestMessage } from "../../dht/rpc/messages.ts";
import { type Codec, decode, encode } from "../../encoding/codec.ts";
import type { DatagramNetwork } from "../../transports/datagram.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { test } from "../harness.ts";
import { Child, skip } from "./udx_support.ts";

const HOST = "127.0.0.1";
const NODES = 10;

interface Mode {
  readonly name: string;
  /** How nodes are made, on either side. */
  readonly node: {
    readonly quickFirewall?: boolean;
    readonly ephemeral?: boolean;
    readonly firewalled?: boolean;
  };
  readonly listen: { readonly shareLocalAddress?: boolean };
  readonly dial: { readonly localConnection?: boolean };
  /** What the path is called. */
  readonly kind: string;
}

const MODES: readonly Mode[] = [
  {
    name: "reachable nodes",
    node: { firewalled: false, ephemeral: true },
    listen: {},
    dial: {},
    kind: "direct",
  },
  {
    name: "the local network",
    node: { quickFirewall: false, ephemeral: true },
    listen: {},
    dial: {},
    kind: "lan",
  },
  {
    name: "a punch",
    node: { quickFirewall: false, ephemeral: true },
    listen: { shareLocalAddress: false },
    dial: { localConnection: false },
    kind: "punched",
  },
];

/** What a child answers here. */
interface PeerAnswer {
  readonly port: number;
  readonly publicKey: string;
  readonly echoed: string;
  readonly connections: number;
  readonly received: string;
}

/** A peer of the reference, and nodes of ours. */
class Rig implements AsyncDisposable {
  readonly #child = new Child("dht_connect_peer.mjs");
  readonly #dhts: Dht[] = [];
  readonly #relays: RelayServer[] = [];
  /** Datagrams of the DHT that came to nodes of ours. */
  readonly datagrams: Uint8Array[] = [];
  #port = 0;

  /** A port of a node to start from. */
  get port(): number {
    return this.#port;
  }

  /** Has the child do something. */
  async ask(op: string, details: Record<string, unknown> = {}): Promise<PeerAnswer> {
    return await this.#child.ask(op, details) as unknown as PeerAnswer;
  }

  /** A network of theirs. */
  async theirs(): Promise<void> {
    this.#port = (await this.ask("testnet", { size: NODES })).port;
  }

  /** A network of ours. */
  async ours(): Promise<void> {
    const runtime = await loadSystemRuntime();
    this.#port = await freePort();
    const first = Dht.bootstrapper(runtime, udpNetwork({ needTtl: true }), { host: HOST, port: this.#port }, {
      host: HOST,
    });
    this.#dhts.push(first);
    await first.open();
    for (let i = 1; i < NODES; i++) await this.node({ ephemeral: false, firewalled: false });
  }

  /** A node of ours. */
  async node(options: DhtOptions): Promise<Dht> {
    const bootstrap = [`${HOST}:${this.#port}`];
    const runtime = await loadSystemRuntime();
    const dht = new Dht(runtime, this.#tapped(udpNetwork({ needTtl: true })), {
      bootstrap,
      host: HOST,
      port: 0,
      ...options,
    });
    this.#dhts.push(dht);
    await dht.open();
    await dht.ready();
    return dht;
  }

  /** A network that notes what arrives. */
  #tapped(network: DatagramNetwork): DatagramNetwork {
    return {
      maxDatagramBytes: network.maxDatagramBytes,
      localHosts: () => network.localHosts?.() ?? [],
      bind: (options, receiver) =>
        network.bind(options, {
          ...receiver,
          onDatagram: (datagram, from) => {
            if (datagram[0] === REQUEST_BYTE || datagram[0] === REPLY_BYTE) {
              this.datagrams.push(datagram.slice());
            }
            receiver.onDatagram(datagram, from);
          },
        }),
    };
  }

  /** A node of theirs. */
  async peer(options: Record<string, unknown>): Promise<PeerAnswer> {
    return await this.ask("node", { name: "node", port: this.#port, ...options });
  }

  /** A blind relay of ours; its key. */
  async relay(dht: Dht): Promise<Uint8Array> {
    const { clock } = await loadSystemRuntime();
    const relay = new RelayServer(clock, { createStream: dht.createRawStream.bind(dht) });
    this.#relays.push(relay);
    const server = dht.createServer();
    server.on("connection", ({ detail: { connection } }) => {
      void relay.accept(connection).closed.then(() => connection.close());
    });
    await server.listen();
    return server.publicKey!;
  }

  /** A server of ours that echoes. */
  async listen(dht: Dht, options: DhtServerOptions): Promise<readonly DhtConnection[]> {
    const connections: DhtConnection[] = [];
    const server = dht.createServer(options);
    server.on("connection", async ({ detail: { connection } }) => {
      connections.push(connection);
      for await (const chunk of connection) await connection.write(chunk);
      await connection.close();
    });
    await server.listen();
    return connections;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ask("stop");
    for (const relay of this.#relays) relay.destroy();
    for (const dht of this.#dhts.reverse()) await dht.close({ force: true });
    await this.#child[Symbol.asyncDispose]();
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, HOST);
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

/** Says something over a connection of ours, and waits for the echo. */
async function sayHello(connection: DhtConnection): Promise<void> {
  const message = new TextEncoder().encode("hello");
  await connection.write(message);
  for await (const chunk of connection) {
    assert.deepEqual(chunk, message);
    break;
  }
}

for (const network of ["theirs", "ours"] as const) {
  for (const mode of MODES) {
    test(
      `H9 in a network of ${network}, we dial the reference and it dials us over ${mode.name}`,
      async () => {
        await using rig = new Rig();
        await rig[network]();
        await rig.peer(mode.node);
        const ours = await rig.node(mode.node);
        const { publicKey } = await rig.ask("listen", { name: "server", node: "node", ...mode.listen });

        const dialed = await ours.connect(fromHex(publicKey), mode.dial);
        await sayHello(dialed);
        assert.equal(dialed.path.kind, mode.kind);
        const seen = await rig.ask("seen", { name: "server" });
        assert.deepEqual([seen.connections, seen.received], [1, "hello"]);
        await dialed.close();

        const accepted = await rig.listen(ours, mode.listen);
        const key = toHex(ours.keyPair.publicKey);
        const { echoed } = await rig.ask("connect", {
          node: "node",
          publicKey: key,
          message: "hi",
          ...mode.dial,
        });
        assert.equal(echoed, "hi");
        assert.equal(accepted.length, 1);
      },
      { skip },
    );
  }
}

for (const relayKind of ["ours", "theirs"] as const) {
  for (const namer of ["server", "client"] as const) {
    test(
      `H21 through a relay of ${relayKind} that the ${namer} names, we reach the reference and it reaches us`,
      async () => {
        await using rig = new Rig();
        await rig.theirs();
        const node = { quickFirewall: false, ephemeral: true };
        await rig.peer(node);
        await rig.ask("node", { name: "relay", port: rig.port, firewalled: false, ephemeral: true });
        const ours = await rig.node(node);
        const relayThrough = relayKind === "ours"
          ? await rig.relay(await rig.node({ firewalled: false, ephemeral: true }))
          : fromHex((await rig.ask("relay", { node: "relay" })).publicKey);
        const hex = toHex(relayThrough);
        const secluded = { shareLocalAddress: false, holepunch: false } as const;
        const [listenHex, dialHex] = namer === "server"
          ? [{ relayThrough: hex }, {}]
          : [{}, { relayThrough: hex }];
        const [listenKey, dialKey] = namer === "server" ? [{ relayThrough }, {}] : [{}, { relayThrough }];

        const { publicKey } = await rig.ask("listen", {
          name: "server",
          node: "node",
          ...secluded,
          ...listenHex,
        });
        const dialed = await ours.connect(fromHex(publicKey), { localConnection: false, ...dialKey });
        await sayHello(dialed);
        assert.equal(dialed.path.kind, "relayed");
        await dialed.close();

        const accepted = await rig.listen(ours, { ...secluded, ...listenKey });
        const key = toHex(ours.keyPair.publicKey);
        const dial = { node: "node", publicKey: key, message: "hi", localConnection: false, ...dialHex };
        assert.equal((await rig.ask("connect", dial)).echoed, "hi");
        assert.equal(accepted.length, 1);
        assert.equal(accepted[0]!.path.kind, "relayed");
      },
      { skip },
    );
  }
}

for (const server of ["ours", "theirs"] as const) {
  test(
    `H21 a server of ${server} and the other side leave their relay for a punched path in place`,
    async () => {
      await using rig = new Rig();
      await rig.theirs();
      const node = { quickFirewall: false, ephemeral: true };
      await rig.peer(node);
      await rig.ask("node", { name: "relay", port: rig.port, firewalled: false, ephemeral: true });
      const ours = await rig.node(node);
      const hex = (await rig.ask("relay", { node: "relay" })).publicKey;
      const relayThrough = fromHex(hex);
      if (server === "theirs") {
        const { publicKey } = await rig.ask("listen", { name: "s", node: "node", shareLocalAddress: false });
        const dialed = await ours.connect(fromHex(publicKey), { localConnection: false, relayThrough });
        for (let i = 0; i < 20; i++) await sayHello(dialed);
        await new Promise((resolve) => setTimeout(resolve, 500));
        await sayHello(dialed);
        assert.equal(dialed.path.kind, "punched");
        await dialed.close();
      } else {
        const accepted = await rig.listen(ours, { shareLocalAddress: false });
        const publicKey = toHex(ours.keyPair.publicKey);
        const dial = { node: "node", publicKey, localConnection: false, relayThrough: hex, waitMs: 500 };
        const { echoed } = await rig.ask("connect", { ...dial, message: "hi" });
        assert.equal(echoed, "hi");
        assert.equal(accepted[0]!.path.kind, "punched");
      }
    },
    { skip },
  );
}

function isSame<T>(codec: Codec<T>, bytes: Uint8Array): boolean {
  return toHex(encode(codec, decode(codec, bytes))) === toHex(bytes);
}

test("H9 handshakes and punch messages of the reference decode, and encode to the same bytes", async () => {
  await using rig = new Rig();
  await rig.theirs();
  const node = { quickFirewall: false, ephemeral: true };
  await rig.peer(node);
  const ours = await rig.node(node);
  await rig.listen(ours, { shareLocalAddress: false });
  const publicKey = toHex(ours.keyPair.publicKey);
  await rig.ask("connect", { node: "node", publicKey, message: "hi", localConnection: false });
  const theirs = await rig.ask("listen", { name: "server", node: "node", seed: 5, shareLocalAddress: false });
  const connection = await ours.connect(fromHex(theirs.publicKey), { localConnection: false });
  await connection.close();

  let [handshakes, punches, replies] = [0, 0, 0];
  for (const datagram of rig.datagrams) {
    if (datagram[0] === REPLY_BYTE) {
      assert(isSame(replyMessage, datagram));
      const { value } = decode(replyMessage, datagram);
      // Both kinds begin with flags and the mode; a record of a peer is told by its length.
      if (value === undefined || value[1] !== 4 || value.length === 33) continue;
      assert(isSame(peerHandshake, value) || isSame(peerHolepunch, value));
      replies++;
      continue;
    }
    assert(isSame(requestMessage, datagram));
    const { isInternal, command, value } = decode(requestMessage, datagram);
    if (isInternal || value === undefined) continue;
    if (command === Command.PeerHandshake) {
      assert(isSame(peerHandshake, value));
      handshakes++;
    } else if (command === Command.PeerHolepunch) {
      assert(isSame(peerHolepunch, value));
      punches++;
    }
  }
  assert(handshakes > 0 && punches > 0 && replies > 1, `${handshakes}, ${punches}, ${replies}`);
}, { skip });
