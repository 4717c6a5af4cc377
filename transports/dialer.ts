/**
 * From addresses to connections: dials a peer at all its addresses until one answers with the right key, and accepts
 * peers who know ours.
 */
import { throwIfAborted } from "../core/runtime/async.ts";
import { ConnectError, HyphaError, toError } from "../core/runtime/errors.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { Runtime, Timer } from "../core/runtime/runtime.ts";
import { equals } from "../encoding/bytes.ts";
import { Connection, openConnection } from "../core/stream/connection.ts";
import type { Link, Listener, PeerRecord, Transport } from "./transport.ts";

/** Options of a {@linkcode Dialer}. */
export interface DialerOptions {
  /** The ways to reach peers; an address belongs to the one whose scheme it begins with. */
  readonly transports: readonly Transport[];
  /** The identity of this side. */
  readonly keyPair: KeyPair;
  /** Milliseconds after which an idle connection shows that it is alive; 5000 by default, 0 = never. */
  readonly keepAliveMs?: number;
  /** Milliseconds of silence after which a peer counts as gone; 20000 by default, 0 = never. */
  readonly idleTimeoutMs?: number;
}

/** The next address is tried after this, unless the one before has failed by then (RFC 8305), in milliseconds. */
const STAGGER_MS = 250;
/** Addresses of one peer that are tried at all: a record may come from anybody. */
const MAX_ADDRESSES = 16;
/** Links whose peer has not proven itself yet. */
const MAX_UNPROVEN = 256;

/**
 * Opens and accepts encrypted connections over any transports.
 *
 * @example
 * ```ts
 * import { loadSystemRuntime } from "../core/system_runtime.ts";
 * import { Dialer } from "./dialer.ts";
 * import { udpNetwork } from "./udp/mod.ts";
 * import { UdxTransport } from "./udx/mod.ts";
 *
 * const runtime = await loadSystemRuntime();
 * await using transport = new UdxTransport(runtime, udpNetwork(), { host: "127.0.0.1" });
 * const newKeyPair = () => runtime.crypto.keyPair(runtime.random.fill(new Uint8Array(32)));
 *
 * const server = new Dialer(runtime, { transports: [transport], keyPair: newKeyPair() });
 * await using listening = await server.listen((connection) => void connection.write(Uint8Array.of(1)));
 * const client = new Dialer(runtime, { transports: [transport], keyPair: newKeyPair() });
 * await using connection = await client.connect(listening.record);
 * for await (const chunk of connection) {
 *   console.assert(chunk[0] === 1);
 *   break;
 * }
 * ```
 */
export class Dialer {
  readonly #runtime: Runtime;
  readonly #options: DialerOptions;
  #unproven = 0;

  /** A dialer for one identity. */
  constructor(runtime: Runtime, options: DialerOptions) {
    this.#runtime = runtime;
    this.#options = options;
  }

  /** The public key of this side, 32 bytes. */
  get publicKey(): Uint8Array {
    return this.#options.keyPair.publicKey;
  }

  /**
   * Connects to `peer`: tries its addresses one after the other, a little staggered, and keeps the first connection whose
   * other end proves to own the peer's key. Transports take turns, in the order of the options, and so do IPv4 and IPv6: none
   * waits for all addresses of another.
   *
   * @throws {ConnectError} `PEER_NOT_FOUND` if no address is usable, `WRONG_PEER` if somebody else answers,
   * `PEER_CONNECTION_FAILED` if nobody does; `signal.reason` if aborted.
   */
  async connect(peer: PeerRecord, options: { readonly signal?: AbortSignal } = {}): Promise<Connection> {
    throwIfAborted(options.signal);
    const attempts = dialOrder(this.#options.transports, peer.addresses);
    if (attempts.length === 0) {
      throw new ConnectError("PEER_NOT_FOUND", noAddress(peer, this.#options.transports));
    }
    const race = new Race(this.#runtime, options.signal);
    return await race.run(
      attempts.map(({ transport, address }) => (signal) =>
        this.#dial(transport, address, peer.publicKey, signal)
      ),
    );
  }

  async #dial(
    transport: Transport,
    address: string,
    remotePublicKey: Uint8Array,
    signal: AbortSignal,
  ): Promise<Connection> {
    const link = await transport.dial(address, { signal });
    if (link.connection !== undefined) {
      if (equals(link.connection.remotePublicKey, remotePublicKey)) return this.#adopt(link.connection);
      link.connection.abort();
      throw new ConnectError(
        "WRONG_PEER",
        `${address} is the address of another peer: ask for the right one`,
      );
    }
    try {
      return await openConnection(link.duplex, this.#runtime, {
        ...this.#connectionOptions(link),
        isInitiator: true,
        remotePublicKey,
        signal,
      });
    } catch (cause) {
      throwIfAborted(signal);
      if (cause instanceof HyphaError && cause.code === "TIMEOUT") throw cause;
      // With IK a listener can only answer to those who know its key: to others it just hangs up.
      throw new ConnectError(
        "WRONG_PEER",
        `${address} answers, but does not prove to own the key that was asked for: ` +
          "the key is wrong, or another program has the address now",
        { cause },
      );
    }
  }

  /**
   * Accepts connections on all transports from peers who know the public key of this side. `onConnection` is called once
   * the peer has proven its own. If it throws, or its promise rejects, that ends the connection and not the program: a
   * loop over a connection that breaks needs no `try`.
   */
  async listen(
    onConnection: (connection: Connection) => unknown,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<PeerListener> {
    const listeners: Listener[] = [];
    try {
      for (const transport of this.#options.transports) {
        listeners.push(await transport.listen((link) => this.#accept(link, onConnection), options));
      }
    } catch (error) {
      await Promise.all(listeners.map((listener) => listener[Symbol.asyncDispose]()));
      throw error;
    }
    return new PeerListener(this.publicKey, listeners);
  }

  #accept(link: Link, onConnection: (connection: Connection) => unknown): void {
    if (link.connection === undefined && this.#unproven >= MAX_UNPROVEN) {
      link.duplex.destroy();
      return;
    }
    this.#unproven++;
    const connection = link.connection === undefined
      ? new Connection(link.duplex, this.#runtime, { ...this.#connectionOptions(link), isInitiator: false })
      : this.#adopt(link.connection);
    const proven = connection.opened.finally(() => this.#unproven--);
    proven.then(() => onConnection(connection)).catch((error) => connection.abort(error));
  }

  /** Takes a connection that a transport has opened by itself. */
  #adopt(connection: Connection): Connection {
    const { keepAliveMs, idleTimeoutMs } = this.#times();
    connection.setKeepAlive(keepAliveMs);
    connection.setIdleTimeout(idleTimeoutMs);
    return connection;
  }

  #times() {
    return {
      keepAliveMs: this.#options.keepAliveMs ?? 5000,
      idleTimeoutMs: this.#options.idleTimeoutMs ?? 20_000,
    };
  }

  #connectionOptions(link: Link) {
    return {
      keyPair: this.#options.keyPair,
      pattern: "IK",
      session: link.session,
      remoteAddress: link.remoteAddress,
      ...this.#times(),
    } as const;
  }
}

/** Where a {@linkcode Dialer} accepts connections. */
export class PeerListener implements AsyncDisposable {
  readonly #publicKey: Uint8Array;
  readonly #listeners: readonly Listener[];

  /** Used by {@linkcode Dialer.listen}. */
  constructor(publicKey: Uint8Array, listeners: readonly Listener[]) {
    this.#publicKey = publicKey;
    this.#listeners = listeners;
  }

  /** The key and the addresses that others need to connect now: those of a host that moves change. */
  get record(): PeerRecord {
    const addresses = this.#listeners.flatMap(({ addresses }) => addresses);
    return { publicKey: this.#publicKey, addresses };
  }

  /** Accepts no more connections; those that are open stay. */
  async close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener[Symbol.asyncDispose]()));
  }

  /** See {@linkcode close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A way to a peer. */
interface Way {
  readonly transport: Transport;
  readonly address: string;
}

/** The ways to `addresses` in the order in which to try them. */
function dialOrder(transports: readonly Transport[], addresses: readonly string[]): readonly Way[] {
  const ways = transports.map((transport) => {
    const own = addresses.filter((address) => address.startsWith(`${transport.scheme}:`));
    const isIpv6 = (address: string) => address.startsWith(`${transport.scheme}:[`);
    const [first = ""] = own;
    const other = own.filter((address) => isIpv6(address) !== isIpv6(first));
    const same = own.filter((address) => isIpv6(address) === isIpv6(first));
    return inTurns([same, other]).map((address) => ({ transport, address }));
  });
  return inTurns(ways).slice(0, MAX_ADDRESSES);
}

/** The first of each list, then the second of each, and so on. */
function inTurns<T>(lists: readonly (readonly T[])[]): T[] {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list.slice(i, i + 1))).flat();
}

/** Several attempts to connect, started one after the other: the first that succeeds aborts the rest. */
class Race {
  readonly #runtime: Runtime;
  readonly #abort = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #result = Promise.withResolvers<Connection>();
  readonly #errors: Error[] = [];
  readonly #timer: Timer;
  #waiting: ((signal: AbortSignal) => Promise<Connection>)[] = [];
  #running = 0;
  #isWon = false;

  constructor(runtime: Runtime, signal: AbortSignal | undefined) {
    this.#runtime = runtime;
    this.#outer = signal;
    this.#timer = runtime.clock.schedule(Infinity, () => this.#startNext());
  }

  async run(attempts: readonly ((signal: AbortSignal) => Promise<Connection>)[]): Promise<Connection> {
    const onAbort = () => this.#result.reject(this.#outer?.reason);
    this.#outer?.addEventListener("abort", onAbort, { once: true });
    this.#waiting = [...attempts];
    this.#startNext();
    try {
      return await this.#result.promise;
    } finally {
      this.#waiting = [];
      this.#timer.cancel();
      this.#outer?.removeEventListener("abort", onAbort);
      this.#abort.abort(new ConnectError("ABORTED", "Another attempt was faster, or all were given up"));
    }
  }

  #startNext(): void {
    const attempt = this.#waiting.shift();
    if (attempt === undefined) return;
    this.#running++;
    if (this.#waiting.length > 0) this.#timer.reset(this.#runtime.clock.now() + STAGGER_MS);
    attempt(this.#abort.signal).then(
      (connection) => this.#onSuccess(connection),
      (error) => this.#onFailure(error),
    );
  }

  #onSuccess(connection: Connection): void {
    if (this.#isWon || this.#abort.signal.aborted) {
      connection.abort();
      return;
    }
    this.#isWon = true;
    this.#result.resolve(connection);
  }

  #onFailure(error: unknown): void {
    this.#running--;
    this.#errors.push(toError(error));
    if (this.#waiting.length > 0) this.#startNext();
    else if (this.#running === 0) this.#result.reject(summarize(this.#errors));
  }
}

/** One error for several attempts: the most telling one if they agree or one is conclusive, else a list. */
function summarize(errors: readonly Error[]): Error {
  const wrongPeer = errors.find((error) => error instanceof HyphaError && error.code === "WRONG_PEER");
  if (wrongPeer !== undefined) return wrongPeer;
  if (errors.length === 1) return errors[0]!;
  const reasons = errors.map(({ message }) => `\n  - ${message}`).join("");
  return new ConnectError("PEER_CONNECTION_FAILED", `No address of the peer led to it:${reasons}`, {
    cause: errors[0],
  });
}

function noAddress(peer: PeerRecord, transports: readonly Transport[]): string {
  const schemes = transports.map(({ scheme }) => `${scheme}:`).join(", ");
  return peer.addresses.length === 0
    ? "No address of the peer is known: ask it for one"
    : `None of the peer's addresses can be dialed (${
      peer.addresses.join(", ")
    }): only ${schemes} is available here`;
}
