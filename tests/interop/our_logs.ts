/** Logs of ours that a test drives as it drives those of the reference. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import { Corestore } from "../../core/corestore.ts";
import { Hypercore } from "../../core/hypercore.ts";
import {
  assembleSignature,
  createManifest,
  EMPTY_TREE,
  manifest as manifestCodec,
  type ManifestOptions,
  TreeBatch,
  Verifier,
} from "../../core/log/mod.ts";
import { MemoryStore, type Store } from "../../core/storage/mod.ts";
import { Connection } from "../../core/stream/connection.ts";
import { fromNodeDuplex } from "../../core/stream/node_duplex.ts";
import { encode } from "../../encoding/codec.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import type {
  Block,
  Digest,
  DownloadRange,
  DrivenLog,
  DrivenPeer,
  LogInfo,
  LogSettings,
  ManifestSettings,
  SignaturePart,
  SignedState,
} from "./log_rig.ts";
import { keyPair, pattern, runtime } from "./stream_peer.ts";

/** How long anything may take. */
const LIMIT_MS = 20_000;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes);
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const bytesOf = (block: Block) => typeof block === "string" ? fromHex(block) : pattern(...block);

/** Rejects when `work` is not done in time. */
async function within<V>(what: string, work: Promise<V>): Promise<V> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hypha, ${what}: not done after ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

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

/** A log of ours. */
export class OurLog implements DrivenLog {
  readonly core: Hypercore;

  /** Made by {@linkcode OurPeer.open}. */
  constructor(core: Hypercore) {
    this.core = core;
  }

  get key(): string {
    return toHex(this.core.key);
  }

  get discoveryKey(): string {
    return toHex(this.core.discoveryKey);
  }

  async info(): Promise<LogInfo> {
    const { core } = this;
    const { length, fork, byteLength, contiguousLength, writable, manifest } = core;
    return {
      ...{ key: this.key, discoveryKey: this.discoveryKey },
      manifest: manifest ? toHex(encode(manifestCodec, manifest)) : null,
      ...{ length, fork, byteLength, contiguousLength, writable, peers: core.peers.length },
      treeHash: toHex(await within("tree hash", core.treeHash())),
    };
  }

  async digest(): Promise<Digest> {
    const hash = createHash("sha256");
    let held = 0;
    for (let i = 0; i < this.core.length; i++) {
      const block = await this.core.get(i, { wait: false });
      hash.update(block === undefined ? "-" : "+");
      if (block === undefined) continue;
      held++;
      hash.update(sha256(block).digest());
    }
    const { length, fork, byteLength, treeHash } = await this.info();
    return { length, fork, byteLength, treeHash, held, hash: hash.digest("hex") };
  }

  async append(blocks: readonly Block[], signature?: string): Promise<LogInfo> {
    const options = signature === undefined ? {} : { signature: fromHex(signature) };
    await within("append", this.core.append(blocks.map(bytesOf), options));
    return await this.info();
  }

  async truncate(length: number, options: { fork?: number; signature?: string } = {}): Promise<LogInfo> {
    const { fork, signature } = options;
    const signing = signature === undefined ? {} : { signature: fromHex(signature) };
    await within("truncate", this.core.truncate(length, { fork, ...signing }));
    return await this.info();
  }

  async clear(start: number, end: number): Promise<LogInfo> {
    await within("clear", this.core.clear(start, end));
    return await this.info();
  }

  async get(index: number, options: { wait?: boolean; timeout?: number } = {}): Promise<string | null> {
    const { wait, timeout: timeoutMs } = options;
    const block = await within(`get ${index}`, this.core.get(index, { wait, timeoutMs }));
    return block === undefined ? null : sha256(block).digest("hex");
  }

  async has(start: number, end?: number): Promise<boolean> {
    return await within("has", this.core.has(start, end));
  }

  async seek(bytes: number): Promise<readonly [number, number]> {
    return (await within(`seek ${bytes}`, this.core.seek(bytes)))!;
  }

  async update(wait: boolean): Promise<boolean> {
    return await within("update", this.core.update({ wait }));
  }

  async until({ length, fork = this.core.fork }: { length: number; fork?: number }): Promise<LogInfo> {
    const { core } = this;
    const isThere = () => core.length >= length && core.fork >= fork;
    const wait = async () => {
      for (const start = performance.now(); !isThere() && performance.now() - start < LIMIT_MS;) {
        await core.update({ timeoutMs: 100 }).catch(() => {});
        if (!isThere()) await pause(10);
      }
      if (isThere()) return;
      const { length: own, fork: at } = core;
      throw new Error(`hypha, until ${length} in fork ${fork}: still ${own} in fork ${at}; ${this.state()}`);
    };
    await wait();
    return await this.info();
  }

  async download({ linear, ...range }: DownloadRange): Promise<LogInfo> {
    const download = this.core.download({ ...range, isLinear: linear });
    await within("download", download.done()).catch((error) => {
      throw new Error(`${error.message}; ${this.state()}`);
    });
    return await this.info();
  }

  follow(): Promise<void> {
    this.core.download();
    return Promise.resolve();
  }

  async sign({ seed, blocks = [], truncate }: SignedState): Promise<string> {
    const tree = new TreeBatch(runtime.crypto, EMPTY_TREE);
    const { length, fork } = truncate ?? this.core;
    for (let i = 0; i < length; i++) tree.append((await this.core.get(i, { raw: true }))!);
    for (const block of blocks) tree.append(bytesOf(block));
    tree.fork = fork;
    const verifier = new Verifier(runtime.crypto, this.core.key, this.core.manifest);
    return toHex(verifier.sign(tree, keyPair(seed)));
  }

  assemble(parts: readonly SignaturePart[]): Promise<string> {
    const inputs = parts.map(({ signer, signature }) => ({
      signer,
      signature: fromHex(signature),
      patch: 0,
    }));
    return Promise.resolve(toHex(assembleSignature(this.core.manifest!.version, inputs)));
  }

  async close(): Promise<void> {
    await within("close", this.core.close());
  }

  /** What it believes of its peers, to find out why it stalls. */
  state(): string {
    return JSON.stringify(
      this.core.syncState(),
      (_key, value) => value instanceof Uint8Array ? toHex(value) : value,
    );
  }
}

/** A log, or a store of them. */
type Replicated = Pick<Hypercore, "replicate">;

/** Logs of ours, each in a store of its own, and connections over TCP. */
export class OurPeer implements DrivenPeer {
  readonly title = "hypha";
  readonly #newStore: () => Promise<Store>;
  readonly #stores: Store[] = [];
  readonly #logs: OurLog[] = [];
  readonly #servers: net.Server[] = [];
  readonly #closing: { close(): Promise<void> }[] = [];
  readonly #connections = new Set<Connection>();
  /** Why connections have ended, but for those that were to. */
  readonly failures: Error[] = [];

  /** Logs in memory, or in what `newStore` makes. */
  constructor(newStore: () => Promise<Store> = () => Promise.resolve(new MemoryStore())) {
    this.#newStore = newStore;
  }

  async open(settings: LogSettings): Promise<OurLog> {
    const { compat, manifest, seed, key, encryptionKey, isBlockKey } = settings;
    const store = await this.#newStore();
    this.#stores.push(store);
    const core = await Hypercore.open(store, {
      compat,
      key,
      runtime,
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

  async connect(
    port: number,
    logs: readonly DrivenLog[],
    isInitiator = true,
  ): Promise<() => Promise<void>> {
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    await once(socket, "connect");
    const cores = logs.map((log) => (log as OurLog).core);
    const connection = await this.#replicate(socket, cores, isInitiator);
    return async () => {
      connection.abort();
      await connection.closed.catch(() => {});
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
    const connections = [...this.#connections];
    for (const connection of connections) connection.abort();
    await Promise.allSettled(connections.map((connection) => connection.closed));
    for (const log of this.#logs) await log.core.close();
    for (const closing of this.#closing) await closing.close();
    for (const store of this.#stores) await store.close();
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

  /** A store in memory, which is closed with `peer`. */
  static async open(peer: OurPeer, primaryKey: Uint8Array): Promise<OurStore> {
    const store = await Corestore.open(new MemoryStore(), { primaryKey, runtime });
    peer.adopt(store);
    return new OurStore(peer, store);
  }

  /** A log of it, by name or key. */
  async get(which: { readonly name: string } | { readonly key: string }): Promise<OurLog> {
    return new OurLog(await this.#store.get(which));
  }

  /** Listens for peers to which all of the store is shown that they know of; returns the port. */
  listen(): Promise<number> {
    return this.#peer.serve([this.#store]);
  }
}
