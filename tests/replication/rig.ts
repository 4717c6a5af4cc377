/** What the tests of replication share: replicas of one log, connected in memory, under a clock that obeys. */
import { Replicator, type ReplicatorOptions } from "../../core/replication/replicator.ts";
import type { PeerSession } from "../../core/replication/peer.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { Mux } from "../../core/stream/mux.ts";
import type { Duplex } from "../../core/stream/duplex.ts";
import { bytes, keyPair, type TestRuntime, testRuntime } from "../stream/rig.ts";
import { MemoryReplica, type ReplicaOptions } from "./memory_log.ts";

/** One end: a log and its replicator. */
export interface Node {
  readonly log: MemoryReplica;
  readonly replicator: Replicator;
  /** What happened, as words. */
  readonly events: string[];
  readonly publicKey: Uint8Array;
}

/** A connection of two nodes. */
export interface Link {
  readonly muxes: readonly [Mux, Mux];
  /** Who each end sees. */
  readonly sessions: readonly [PeerSession, PeerSession];
  cut(): void;
}

/** Replicas of one log. */
export class World {
  readonly runtime: TestRuntime;
  readonly writerKeys = keyPair(1);
  #count = 0;

  constructor(seed: string | number = 1) {
    this.runtime = testRuntime(seed);
  }

  /** One that may write. */
  writer(options: ReplicatorOptions = {}, log: Partial<ReplicaOptions> = {}): Node {
    return this.node(new MemoryReplica(this.runtime, { keyPair: this.writerKeys, ...log }), options);
  }

  /** One that knows the key of `other`. */
  reader(other: Node, options: ReplicatorOptions = {}, log: Partial<ReplicaOptions> = {}): Node {
    return this.node(new MemoryReplica(this.runtime, { key: other.log.key, ...log }), options);
  }

  /** A node for `log`, which is in use. */
  node(log: MemoryReplica, options: ReplicatorOptions = {}): Node {
    const events: string[] = [];
    const observer = {
      onPeerAdd: () => void events.push("add"),
      onPeerRemove: () => void events.push("remove"),
      onConflict: () => void events.push("conflict"),
      onVerificationError: (error: Error) => void events.push(`invalid data: ${error.message}`),
      onInvalidRequest: (error: Error) => void events.push(`invalid request: ${error.message}`),
      ...options.observer,
    };
    const replicator = new Replicator(log, { ...options, observer });
    replicator.isDownloading = true;
    return { log, replicator, events, publicKey: keyPair(100 + this.#count++).publicKey };
  }

  /** Connects two nodes. `wrap` may come between the pipe and the mux of the second. */
  connect(a: Node, b: Node, options: LinkOptions = {}): Link {
    const [near, far] = duplexPair({
      framing: "message",
      maxBufferedBytes: options.maxBufferedBytes ?? 65536,
      ...(options.latencyMs ? { latency: { clock: this.runtime.clock, ms: options.latencyMs } } : {}),
    });
    const wrap = options.wrap ?? ((duplex: Duplex) => duplex);
    const muxes: [Mux, Mux] = [new Mux(near), new Mux(wrap(far))];
    const handshakeHash = bytes(64, `handshake ${this.#count++}`);
    const sessions = [
      sessionOf(true, handshakeHash, b.publicKey, options.rttMs),
      sessionOf(false, handshakeHash, a.publicKey, options.rttMs),
    ] as const;
    const link = { muxes, sessions, cut: () => muxes[0].destroy() };
    this.attach(link, a, b);
    return link;
  }

  /** Lets two nodes, of another log perhaps, use a connection as well. */
  attach({ muxes, sessions }: Link, a: Node, b: Node): void {
    a.replicator.attach(muxes[0], sessions[0]);
    b.replicator.attach(muxes[1], sessions[1]);
  }

  /** Lets everything happen that is due within `ms`. */
  async run(ms = 1000): Promise<void> {
    await this.runtime.clock.runAsync(settle, { until: this.runtime.clock.now() + ms });
  }

  /** Lets things happen until `promise` settles, at most `ms`. */
  async until<T>(promise: Promise<T>, ms = 60_000): Promise<T> {
    let isOver = false;
    const over = () => void (isOver = true);
    promise.then(over, over);
    await this.runtime.clock.runAsync(settle, {
      until: this.runtime.clock.now() + ms,
      stop: () => isOver,
    });
    if (!isOver) throw new Error(`nothing came in ${ms} ms`);
    return await promise;
  }
}

/** What a connection may be told. */
export interface LinkOptions {
  readonly latencyMs?: number;
  readonly rttMs?: number;
  readonly maxBufferedBytes?: number;
  readonly wrap?: (duplex: Duplex) => Duplex;
}

/** Who is at the other end. */
export function sessionOf(
  isInitiator: boolean,
  handshakeHash: Uint8Array,
  remotePublicKey: Uint8Array,
  rttMs?: number,
): PeerSession {
  const session = { isInitiator, handshakeHash, remotePublicKey };
  return rttMs === undefined ? session : { ...session, roundTripMs: () => rttMs };
}

/** A macrotask of the host. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Blocks that tell where they are from. */
export function blocksOf(count: number, from = 0, size = 10, word = ""): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => bytes(size, `block ${word}${from + i}`));
}
