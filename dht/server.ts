/** Being found and dialed under a key: announces, answers handshakes, hands out connections. */
import { AsyncQueue } from "../core/runtime/async.ts";
import { ConnectError } from "../core/runtime/errors.ts";
import { TypedEventTarget } from "../core/runtime/events.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { equals } from "../encoding/bytes.ts";
import type { AcceptHost, FirewallHook, HolepunchHook } from "./accept_config.ts";
import { AcceptDriver } from "./accept_driver.ts";
import type { AcceptCounters } from "./accept_types.ts";
import { Announcer } from "./announcer.ts";
import { CLEAR_WAIT_MS } from "./connect_constants.ts";
import type { DhtService } from "./context.ts";
import type { DhtConnection } from "./dht_connection.ts";
import type { RelayChoice } from "./relay_choice.ts";
import type { Router } from "./router.ts";
import { targetOf } from "./signables.ts";
import type { Identity, Signer } from "./signers.ts";

/** Options of a {@linkcode DhtServer}. */
export interface DhtServerOptions {
  /** Turns peers away by returning true, now or later; all are welcome by default. */
  readonly firewall?: FirewallHook;
  /** Decides whether to punch, given the NATs on both sides; `false` = never. Always by default. */
  readonly holepunch?: HolepunchHook | false;
  /** Whether peers are told the addresses in the local network; true by default. */
  readonly shareLocalAddress?: boolean;
  /** Whether a socket may serve another connection of the same peer; false by default. */
  readonly reusableSocket?: boolean;
  /** Milliseconds that an attempt is remembered after its end, so that copies are not taken for new ones; 10,000 by default. */
  readonly clearWaitMs?: number;
  /**
   * Blind relays to meet peers at while they look for a direct way; connections move there when they find one. Comes before the
   * relay that a peer names. None by default.
   */
  readonly relayThrough?: RelayChoice;
  /** Connections that nobody has taken yet, for who iterates; more are closed. 256 by default. */
  readonly maxWaiting?: number;
}

/** How to listen. */
export interface ListenOptions {
  /** Signs announcements instead of the key pair, for who keeps the signing elsewhere. */
  readonly signer?: Signer;
}

/** News of a server. */
export interface DhtServerEvents {
  /** It can be found. */
  listening: Record<string, never>;
  /** A peer has connected, and has proven its key. */
  connection: { readonly connection: DhtConnection };
  /** It no longer listens. Connections live on. */
  close: Record<string, never>;
}

/** What a server shares with the others of its node. */
export interface ServerHost extends AcceptHost {
  /** Hands it what is for its key. */
  readonly router: Router;
}

const DEFAULT_MAX_WAITING = 256;

type ServerState = "idle" | "listening" | "closed";

/**
 * See the head of the file. Take connections by iterating, or by the event `connection`: who does the one should not do the other.
 *
 * @example A peer whose address is known is dialed without any other node.
 * ```ts
 * import assert from "node:assert/strict";
 * import { loadSystemRuntime } from "../core/system_runtime.ts";
 * import { udpNetwork } from "../transports/udp/mod.ts";
 * import { Dht } from "./dht.ts";
 *
 * const runtime = await loadSystemRuntime();
 * const options = { bootstrap: false, host: "127.0.0.1", port: 0 } as const;
 * await using far = new Dht(runtime, udpNetwork(), options);
 * await using near = new Dht(runtime, udpNetwork(), options);
 * const server = await far.createServer().listen();
 * server.on("connection", ({ detail: { connection } }) => {
 *   void connection.write(new TextEncoder().encode("welcome"));
 * });
 *
 * const relayAddresses = [far.rpc.serverSocket!.address];
 * const connection = await near.connect(server.publicKey!, { relayAddresses });
 * assert.equal(connection.path.kind, "direct");
 * for await (const chunk of connection) {
 *   assert.equal(new TextDecoder().decode(chunk), "welcome");
 *   break;
 * }
 * connection.abort();
 * ```
 */
export class DhtServer extends TypedEventTarget<DhtServerEvents>
  implements DhtService, AsyncIterable<DhtConnection>, AsyncDisposable {
  readonly #host: ServerHost;
  readonly #options: DhtServerOptions;
  readonly #waiting: AsyncQueue<DhtConnection>;
  #state: ServerState = "idle";
  #keyPair: KeyPair | undefined;
  #identity: Identity | undefined;
  #announcer: Announcer | undefined;
  #accept: AcceptDriver | undefined;
  #starting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #isIterated = false;

  /** Made by `Connector.createServer`. */
  constructor(host: ServerHost, options: DhtServerOptions = {}) {
    super();
    this.#host = host;
    this.#options = options;
    this.#waiting = new AsyncQueue(options.maxWaiting ?? DEFAULT_MAX_WAITING);
  }

  /** Whether it was told to listen, and not to close. */
  get listening(): boolean {
    return this.#state === "listening";
  }

  /** The key that peers dial, 32 bytes; undefined before {@linkcode listen}. */
  get publicKey(): Uint8Array | undefined {
    return this.#keyPair?.publicKey;
  }

  /** See {@linkcode DhtService}. */
  get identity(): Identity | undefined {
    return this.#identity;
  }

  /** Nodes that relay to it: with them, peers need not search. */
  get relayAddresses(): readonly SocketAddress[] {
    return this.#announcer?.relayAddresses ?? [];
  }

  /** Handshakes that were turned away, by reason. */
  get counters(): Readonly<AcceptCounters> | undefined {
    return this.#accept?.counters;
  }

  /** Where it is: its key, and its node's address as others see it; undefined before {@linkcode listen}. */
  address(): { readonly publicKey: Uint8Array; readonly address: SocketAddress | undefined } | undefined {
    if (this.#keyPair === undefined) return undefined;
    return { publicKey: this.#keyPair.publicKey, address: this.#host.context.rpc.natAddress };
  }

  /**
   * Listens under a key, the node's own by default. Resolves when it has been announced, or nobody took it: then it is announced as
   * soon as somebody does.
   *
   * @throws {TypeError} if it listens already, was closed, or another server of the node has the key.
   * @throws {ConnectError} `NODE_DESTROYED` if the node is closed.
   */
  async listen(keyPair: KeyPair = this.#host.context.keyPair, options: ListenOptions = {}): Promise<this> {
    const { context } = this.#host;
    if (this.#state !== "idle") {
      throw new TypeError("The server listens already, or was closed: create another");
    }
    if (context.state === "closed") {
      throw new ConnectError("NODE_DESTROYED", "The node is closed: make another");
    }
    for (const { identity } of context.services) {
      if (identity !== undefined && equals(identity.publicKey, keyPair.publicKey)) {
        throw new TypeError("Another server of the node listens under this key: use another key");
      }
    }
    this.#state = "listening";
    this.#starting = this.#start(keyPair, options.signer ?? keyPair);
    await this.#starting;
    if (this.#state === "listening") this.emit("listening", {});
    return this;
  }

  /** Stops listening, and takes announcements back unless `isForced`. Connections live on. */
  close(isForced: boolean = false): Promise<void> {
    return this.#closing ??= this.#close(isForced);
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Announces again, as after a change of the node's address, and tells open connections where we are. */
  refresh(): void {
    this.#announcer?.refresh();
    this.#accept?.refresh();
  }

  /** See {@linkcode DhtService}. */
  notifyOnline(): void {
    this.#announcer?.notifyOnline();
  }

  /** Takes announcements back, and no more connections until {@linkcode resume}. */
  async suspend(): Promise<void> {
    await this.#starting?.catch(() => {});
    this.#accept?.suspend();
    await this.#announcer?.suspend();
  }

  /** Announces and takes connections again. */
  resume(): Promise<void> {
    this.#accept?.resume();
    this.#announcer?.resume();
    return Promise.resolve();
  }

  /** The connections as they come; ends when the server is closed. */
  [Symbol.asyncIterator](): AsyncIterator<DhtConnection> {
    this.#isIterated = true;
    return {
      next: () => this.#waiting.next(),
      return: () => {
        this.#isIterated = false;
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  async #start(keyPair: KeyPair, identity: Identity): Promise<void> {
    const { context, router } = this.#host;
    const target = targetOf(context.runtime.crypto, keyPair.publicKey);
    const { firewall, holepunch, shareLocalAddress, reusableSocket, clearWaitMs } = this.#options;
    const announcer = new Announcer(context, identity, target);
    const config = {
      keyPair,
      firewall: firewall ?? (() => false),
      holepunch: holepunch ?? (() => true),
      shareLocalAddress: shareLocalAddress ?? true,
      reusableSocket: reusableSocket ?? false,
      clearWaitMs: clearWaitMs ?? CLEAR_WAIT_MS,
      keepAliveMs: context.config.connectionKeepAliveMs,
      relayThrough: this.#options.relayThrough,
    };
    const accept = new AcceptDriver(this.#host, config, announcer, (connection) => {
      this.#deliver(connection);
    });
    this.#keyPair = keyPair;
    this.#identity = identity;
    this.#announcer = announcer;
    this.#accept = accept;
    context.services.add(this);
    context.records.pin(target, { publicKey: keyPair.publicKey, relayAddresses: [] });
    router.listen(target, accept);
    await context.rpc.open();
    if (this.#state === "listening") await announcer.start();
  }

  async #close(isForced: boolean): Promise<void> {
    const wasListening = this.#state === "listening";
    this.#state = "closed";
    const { context, router } = this.#host;
    context.services.delete(this);
    this.#accept?.suspend();
    if (wasListening) {
      const target = targetOf(context.runtime.crypto, this.#keyPair!.publicKey);
      router.unlisten(target);
      context.records.unpin(target);
      await this.#announcer!.stop(isForced);
      await this.#starting!.catch(() => {});
    }
    this.#waiting.close();
    this.emit("close", {});
  }

  #deliver(connection: DhtConnection): void {
    if (this.#isIterated && !this.#waiting.push(connection)) {
      connection.abort(new ConnectError("CONNECTION_REFUSED", "Nobody takes the connections of this server"));
      return;
    }
    this.emit("connection", { connection });
  }
}
