/**
 * Networks in which nodes of ours and of the reference meet, over loopback:
 *
 *     Dht of ours  <-- UDP -->  a network of ten nodes: theirs, ours, or half and half  <-- UDP -->  hyperdht in Node
 */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Dht } from "../../dht/dht.ts";
import type { DhtConnection } from "../../dht/dht_connection.ts";
import type { DhtOptions } from "../../dht/dht_options.ts";
import { REPLY_BYTE, REQUEST_BYTE } from "../../dht/rpc/constants.ts";
import { RelayServer } from "../../dht/relay.ts";
import type { DhtServer, DhtServerOptions } from "../../dht/server.ts";
import { fromHex } from "../../encoding/text.ts";
import type { DatagramNetwork } from "../../transports/datagram.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import { Child } from "./udx_support.ts";

/** Where all of this happens. */
export const HOST = "127.0.0.1";
/** Nodes of a network. */
export const NODES = 10;
/** Whose nodes a network has. */
export const KINDS = ["theirs", "ours", "mixed"] as const;
export type NetworkKind = typeof KINDS[number];
/** Versions of hyperdht, as they are installed. */
export type ReferenceVersion = "hyperdht" | "hyperdht-6.32";

/** A peer that was found. */
export interface FoundPeer {
  readonly publicKey: string;
  readonly relays: readonly string[];
}

/** What the child answers; each operation fills some of it. */
export interface PeerAnswer {
  readonly port: number;
  readonly ports: readonly number[];
  readonly ephemeral: boolean;
  readonly publicKey: string;
  readonly hash: string;
  readonly nodes: number;
  readonly value?: string;
  readonly values: readonly string[];
  readonly seq?: number;
  readonly bump: number;
  readonly peers: readonly FoundPeer[];
  readonly relays: readonly string[];
  readonly from: string;
  readonly signed: readonly string[];
  readonly echoed: string;
  readonly connections: number;
  readonly received: string;
  readonly closed: boolean;
  readonly error?: string | number;
  readonly isInitiator: boolean;
  readonly remoteKey: string;
  readonly remotePort: number;
  readonly localPort: number;
  readonly streamId: number;
  readonly matched: number;
  readonly open: readonly { readonly isInitiator: boolean; readonly remoteKey: string }[];
  readonly events: number;
}

/** A network, a process with nodes of the reference, and nodes of ours. */
export class DhtRig implements AsyncDisposable {
  readonly #child: Child;
  readonly #dhts: Dht[] = [];
  readonly #relays: RelayServer[] = [];
  /** Datagrams of the DHT that came to nodes of ours, those of the network aside. */
  readonly datagrams: Uint8Array[] = [];
  /** The nodes of ours that belong to the network. */
  readonly members: Dht[] = [];
  /** The way into the network. */
  port = 0;
  /** Where a persistent node of it is. */
  persistentPort = 0;
  #isTapped = false;

  private constructor(version: ReferenceVersion) {
    this.#child = new Child("dht_peer.mjs", [version]);
  }

  /** Makes a network. */
  static async open(kind: NetworkKind, version: ReferenceVersion = "hyperdht"): Promise<DhtRig> {
    const rig = new DhtRig(version);
    if (kind === "theirs") {
      const { port, ports } = await rig.ask("testnet", { size: NODES });
      rig.port = port;
      rig.persistentPort = ports[1]!;
    }
    if (kind === "ours") await rig.#found(NODES);
    if (kind === "mixed") {
      await rig.#found(1);
      await rig.ask("testnet", { size: NODES / 2, bootstrap: rig.port });
      await rig.#grow(NODES / 2 - 1);
    }
    rig.#isTapped = true;
    return rig;
  }

  /** Has the child do something. */
  async ask(op: string, details: Record<string, unknown> = {}): Promise<PeerAnswer> {
    return await this.#child.ask(op, details) as unknown as PeerAnswer;
  }

  /** Has the child do something that fails; returns how. */
  async failureOf(op: string, details: Record<string, unknown> = {}): Promise<string> {
    const { failure } = await this.#child.attempt(op, details);
    assert.notEqual(failure, undefined, `${op} has not failed`);
    return failure!;
  }

  /** A node of ours; in the network, not of it, if nothing else is said. */
  async dht(options: DhtOptions = {}): Promise<Dht> {
    const runtime = await loadSystemRuntime();
    const network = udpNetwork({ needTtl: true });
    const bootstrap = [`${HOST}:${this.port}`];
    const own = { bootstrap, host: HOST, port: 0, ephemeral: true };
    const dht = new Dht(runtime, this.#isTapped ? this.#tapped(network) : network, { ...own, ...options });
    this.#dhts.push(dht);
    await dht.open();
    await dht.ready();
    return dht;
  }

  /** A node of theirs, which is called `node` if nothing else is said. */
  async peer(options: Record<string, unknown> = {}): Promise<PeerAnswer> {
    return await this.ask("node", { name: "node", port: this.port, ephemeral: true, ...options });
  }

  /** A blind relay, ours or theirs, on a node of its own, and how many pairs it has matched. */
  async relay(
    kind: "ours" | "theirs",
  ): Promise<{ readonly publicKey: Uint8Array; readonly matched: () => Promise<number> }> {
    if (kind === "theirs") {
      await this.peer({ name: "relay", firewalled: false });
      const { publicKey } = await this.ask("relay", { node: "relay" });
      const matched = async () => (await this.ask("pairings", { node: "relay" })).matched;
      return { publicKey: fromHex(publicKey), matched };
    }
    const { clock } = await loadSystemRuntime();
    const dht = await this.dht({ firewalled: false });
    const relay = new RelayServer(clock, { createStream: (options) => dht.createRawStream(options) });
    this.#relays.push(relay);
    const server = dht.createServer();
    server.on("connection", ({ detail: { connection } }) => {
      void relay.accept(connection).closed.then(() => connection.close());
    });
    await server.listen();
    return { publicKey: server.publicKey!, matched: () => Promise.resolve(relay.stats.pairings.matched) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.ask("stop");
    for (const relay of this.#relays) relay.destroy();
    for (const dht of this.#dhts.reverse()) await dht.close({ force: true });
    await this.#child[Symbol.asyncDispose]();
  }

  /** The first node of a network of ours, and others. */
  async #found(size: number): Promise<void> {
    const runtime = await loadSystemRuntime();
    this.port = await freePort();
    this.persistentPort = this.port;
    const network = udpNetwork({ needTtl: true });
    const first = Dht.bootstrapper(runtime, network, { host: HOST, port: this.port }, { host: HOST });
    this.#dhts.push(first);
    this.members.push(first);
    await first.open();
    await first.ready();
    await this.#grow(size - 1);
  }

  async #grow(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.members.push(await this.dht({ ephemeral: false, firewalled: false }));
    }
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
}

/** A port of this host that nobody uses. */
export async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, HOST);
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

/** A server of ours that echoes, and what it has accepted. */
export async function echoServer(
  dht: Dht,
  options: DhtServerOptions = {},
): Promise<{ readonly server: DhtServer; readonly accepted: readonly DhtConnection[] }> {
  const accepted: DhtConnection[] = [];
  const server = dht.createServer(options);
  server.on("connection", ({ detail: { connection } }) => {
    accepted.push(connection);
    echo(connection).catch(() => {});
  });
  await server.listen();
  return { server, accepted };
}

async function echo(connection: DhtConnection): Promise<void> {
  for await (const chunk of connection) await connection.write(chunk);
  await connection.close();
}

/** Says something over a connection of ours, and waits for the echo. */
export async function sayHello(connection: DhtConnection, text = "hello"): Promise<void> {
  await connection.write(new TextEncoder().encode(text));
  let heard = "";
  for await (const chunk of connection) {
    heard += new TextDecoder().decode(chunk);
    if (heard.length >= text.length) break;
  }
  assert.equal(heard, text);
}

/** Waits until `isSo`, for `seconds` at most. */
export async function eventually(isSo: () => boolean | Promise<boolean>, seconds = 15): Promise<void> {
  const deadline = performance.now() + seconds * 1000;
  while (!(await isSo())) {
    assert.ok(performance.now() < deadline, `not so after ${seconds} s: ${isSo}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
