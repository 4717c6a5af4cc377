/** Logs of ours in stores, and how they are connected. It runs under Node too: see `our_log_peer.ts`. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Corestore } from "../../core/corestore.ts";
import { Hypercore } from "../../core/hypercore.ts";
import { createManifest, type ManifestOptions } from "../../core/log/mod.ts";
import { MemoryStore, openSqliteStore, type Store } from "../../core/storage/mod.ts";
import { Connection } from "../../core/stream/connection.ts";
import { fromNodeDuplex } from "../../core/stream/node_duplex.ts";
import { Dht } from "../../dht/mod.ts";
import { fromHex } from "../../encoding/text.ts";
import { Swarm } from "../../swarm/mod.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";
import type {
  DrivenLog,
  DrivenPeer,
  LogSettings,
  ManifestSettings,
  Medium,
  SwarmRole,
} from "./driven_logs.ts";
import { OurLog, within } from "./our_log.ts";
import { keyPair, runtime } from "./stream_peer.ts";

function manifestOf({ signers = [], prologue, userData, linked, ...rest }: ManifestSettings) {
  const options: ManifestOptions = {
    ...rest,
    signers: signers.map((n) => ({ publicKey: keyPair(n).publicKey })),
    ...(prologue ? { prologue: { hash: fromHex(prologue.hash), length: prologue.length } } : {}),
    ...(userData ? { userData: fromHex(userData) } : {}),
    ...(linked ? { linked: linked.map(fromHex) } : {}),
  };
  return createManifest(options);
}

/** A log, or a store of them. */
type Replicated = Pick<Hypercore, "replicate">;

/** Logs of ours, each in a store of its own, and connections over TCP or in swarms. */
export class OurPeer implements DrivenPeer {
  readonly title: string;
  readonly #medium: Medium;
  #folder: string | undefined;
  readonly #stores: Store[] = [];
  readonly #logs: OurLog[] = [];
  readonly #servers: net.Server[] = [];
  readonly #closing: { close(): Promise<void> }[] = [];
  readonly #swarms = new Set<OurSwarm>();
  readonly #connections = new Set<Connection>();
  /** Why connections have ended, but for those that were to. */
  readonly failures: Error[] = [];

  constructor(medium: Medium = "memory") {
    this.#medium = medium;
    this.title = `hypha on ${medium}`;
  }

  /** A new store, which is closed with the others. */
  async newStore(): Promise<Store> {
    const store = this.#medium === "memory" ? new MemoryStore() : await this.#newSqliteStore();
    this.#stores.push(store);
    return store;
  }

  async #newSqliteStore(): Promise<Store> {
    this.#folder ??= await mkdtemp(join(tmpdir(), "hypha-our-logs-"));
    return await openSqliteStore(join(this.#folder, `${this.#stores.length}.sqlite`));
  }

  async open(settings: LogSettings): Promise<OurLog> {
    const { manifest, seed, encryptionKey, isBlockKey, directory: _, notDownloadingLinger, ...rest } =
      settings;
    const core = await Hypercore.open(await this.newStore(), {
      ...{ ...rest, notDownloadingLingerMs: notDownloadingLinger, runtime },
      manifest: manifest && manifestOf(manifest),
      keyPair: seed === undefined ? undefined : keyPair(seed),
      encryption: encryptionKey === undefined ? undefined : { key: fromHex(encryptionKey), isBlockKey },
    });
    const log = new OurLog(core);
    this.#logs.push(log);
    return log;
  }

  /** Closes `what` with it. */
  adopt(what: { close(): Promise<void> }): void {
    this.#closing.push(what);
  }

  listen(logs: readonly DrivenLog[], isInitiator = false): Promise<number> {
    return this.serve(logs.map((log) => (log as OurLog).core), isInitiator);
  }

  /** Listens for peers with whom `all` are replicated; returns the port. */
  async serve(all: readonly Replicated[], isInitiator = false): Promise<number> {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      this.#replicate(socket, all, isInitiator).catch((error) => this.failures.push(error));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#servers.push(server);
    return (server.address() as net.AddressInfo).port;
  }

  connect(port: number, logs: readonly DrivenLog[], isInitiator = true): Promise<() => Promise<void>> {
    return this.dial(port, logs.map((log) => (log as OurLog).core), isInitiator);
  }

  /** Connects to a peer with whom `all` are replicated; returns what ends the connection. */
  async dial(port: number, all: readonly Replicated[], isInitiator: boolean): Promise<() => Promise<void>> {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    const connection = await this.#replicate(socket, all, isInitiator);
    return async () => {
      connection.abort();
      await connection.closed.catch(() => {});
    };
  }

  async join(port: number, logs: readonly DrivenLog[], role: SwarmRole): Promise<() => Promise<void>> {
    const swarm = await OurSwarm.join(port, logs.map((log) => (log as OurLog).core), role);
    this.#swarms.add(swarm);
    return async () => {
      this.#swarms.delete(swarm);
      await swarm.close();
    };
  }

  async #replicate(
    socket: net.Socket,
    all: readonly Replicated[],
    isInitiator: boolean,
  ): Promise<Connection> {
    const keys = runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
    const connection = new Connection(fromNodeDuplex(socket), runtime, { isInitiator, keyPair: keys });
    this.#connections.add(connection);
    connection.closed.catch((error) => this.failures.push(error)).finally(() =>
      this.#connections.delete(connection)
    );
    await connection.opened;
    for (const one of all) one.replicate(connection);
    return connection;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) server.close();
    await Promise.all([...this.#swarms].map((swarm) => swarm.close()));
    const connections = [...this.#connections];
    for (const connection of connections) connection.abort();
    await Promise.allSettled(connections.map((connection) => connection.closed));
    for (const log of this.#logs) await log.core.close();
    for (const closing of this.#closing) await closing.close();
    for (const store of this.#stores) await store.close();
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true });
  }
}

/** A swarm of ours in which logs are shown. */
class OurSwarm {
  readonly #dht: Dht;
  readonly #swarm: Swarm;

  private constructor(dht: Dht, swarm: Swarm) {
    this.#dht = dht;
    this.#swarm = swarm;
  }

  /** Joins the swarm of the first of `logs`. Resolves when it can be found, or everybody that it has found was dialed. */
  static async join(port: number, logs: readonly Hypercore[], role: SwarmRole): Promise<OurSwarm> {
    const host = "127.0.0.1";
    const bootstrap = [`${host}:${port}`];
    const dht = new Dht(runtime, udpNetwork({ needTtl: true }), { bootstrap, host, port: 0 });
    await dht.open();
    const swarm = new Swarm(runtime, { dht, channels: true });
    swarm.on("connection", ({ detail: { connection } }) => {
      for (const log of logs) if (!log.closed) log.replicate(connection);
    });
    const joined = new OurSwarm(dht, swarm);
    const session = swarm.join(logs[0]!.discoveryKey, {
      server: role !== "client",
      client: role !== "server",
    });
    await within("join", role === "client" ? swarm.flush() : session.flushed());
    return joined;
  }

  async close(): Promise<void> {
    await this.#swarm.close();
    await this.#dht.close({ force: true });
  }
}

/** A store of logs of ours. */
export class OurStore {
  readonly #peer: OurPeer;
  readonly #store: Corestore;

  private constructor(peer: OurPeer, store: Corestore) {
    this.#peer = peer;
    this.#store = store;
  }

  /** A store of `peer`, which is closed with it. */
  static async open(peer: OurPeer, primaryKey?: Uint8Array): Promise<OurStore> {
    const store = await Corestore.open(await peer.newStore(), { primaryKey, runtime });
    peer.adopt(store);
    return new OurStore(peer, store);
  }

  /** A log of it, by name or key. */
  async get(which: { readonly name: string } | { readonly key: string }): Promise<OurLog> {
    return new OurLog(await this.#store.get(which));
  }

  /** Listens for peers to which all of the store is shown that they know of; returns the port. */
  listen(isInitiator = false): Promise<number> {
    return this.#peer.serve([this.#store], isInitiator);
  }

  /** Connects to a peer; returns what ends the connection. */
  connect(port: number, isInitiator = true): Promise<() => Promise<void>> {
    return this.#peer.dial(port, [this.#store], isInitiator);
  }
}
