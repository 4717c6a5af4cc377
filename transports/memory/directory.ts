/**
 * What the memory transports and discoveries of one simulated network share: who listens where, who announced what, and
 * which links are open.
 */
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Duplex, Sink, UnorderedMessages } from "../../core/stream/duplex.ts";
import type { Link, PeerRecord } from "../transport.ts";
import type { SimulatedHost } from "./host.ts";

/** A listener in the table. */
export interface DirectoryListener {
  /** Where it is. */
  readonly host: SimulatedHost;
  /** Takes the links. */
  readonly onLink: (link: Link) => void;
}

/** An announcement in the table. */
export interface DirectoryRecord {
  /** Who announced it. */
  readonly host: SimulatedHost;
  /** What was announced. */
  readonly record: PeerRecord;
}

const FIRST_PORT = 1;
const LAST_PORT = 65_535;

/** One end of an open link: passes everything on, and is known to the directory until it is closed. */
class TrackedEnd implements Duplex {
  readonly framing: "message" | "bytes";
  readonly unordered?: UnorderedMessages;
  readonly #inner: Duplex;
  readonly #onClose: () => void;

  constructor(inner: Duplex, onClose: () => void) {
    this.framing = inner.framing;
    if (inner.unordered !== undefined) this.unordered = inner.unordered;
    this.#inner = inner;
    this.#onClose = onClose;
  }

  attach(sink: Sink): void {
    this.#inner.attach({
      onData: (chunk) => sink.onData(chunk),
      onDrain: () => sink.onDrain(),
      onEnd: () => sink.onEnd(),
      onUnordered: (message) => sink.onUnordered?.(message),
      onClose: (error) => {
        this.#onClose();
        sink.onClose(error);
      },
    });
  }

  alloc(size: number): Uint8Array {
    return this.#inner.alloc(size);
  }

  write(chunk: Uint8Array): boolean {
    return this.#inner.write(chunk);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  end(): void {
    this.#inner.end();
  }

  destroy(error?: Error): void {
    this.#onClose();
    this.#inner.destroy(error ?? new ConnectError("CONNECTION_RESET", "The link was destroyed"));
  }
}

interface OpenLink {
  readonly a: SimulatedHost;
  readonly b: SimulatedHost;
  readonly ends: readonly Duplex[];
}

/** See the head of the file; each network has one. */
export class Directory {
  readonly #listeners = new Map<string, DirectoryListener>();
  readonly #topics = new Map<string, Set<DirectoryRecord>>();
  readonly #links = new Set<OpenLink>();
  #nextPort = FIRST_PORT;

  /** How many links are open. */
  get linkCount(): number {
    return this.#links.size;
  }

  /** Registers a listener. @returns its address. */
  listen(listener: DirectoryListener): string {
    for (let tries = 0; tries < LAST_PORT; tries++) {
      const address = `memory:${listener.host.name}:${this.#nextPort}`;
      this.#nextPort = this.#nextPort === LAST_PORT ? FIRST_PORT : this.#nextPort + 1;
      if (this.#listeners.has(address)) continue;
      this.#listeners.set(address, listener);
      return address;
    }
    throw new ConnectError("ADDRESS_IN_USE", "The network has no free port for a memory listener");
  }

  /** Ends what {@linkcode listen} began. */
  unlisten(address: string): void {
    this.#listeners.delete(address);
  }

  /** Who listens at `address`. */
  listenerAt(address: string): DirectoryListener | undefined {
    return this.#listeners.get(address);
  }

  /** Makes `pair`, whose ends are at `a` and `b`, break when the two are parted. */
  track(a: SimulatedHost, b: SimulatedHost, pair: readonly [Duplex, Duplex]): [Duplex, Duplex] {
    const forget = () => this.#links.delete(link);
    const ends: [Duplex, Duplex] = [new TrackedEnd(pair[0], forget), new TrackedEnd(pair[1], forget)];
    const link: OpenLink = { a, b, ends };
    this.#links.add(link);
    return ends;
  }

  /** Breaks the links between hosts that `isConnected` denies. */
  breakLinks(isConnected: (a: SimulatedHost, b: SimulatedHost) => boolean): void {
    for (const { a, b, ends } of [...this.#links]) {
      if (isConnected(a, b)) continue;
      const error = new ConnectError("CONNECTION_RESET", `The path between ${a.name} and ${b.name} broke`);
      for (const end of ends) end.destroy(error);
    }
  }

  /** The announcements of a topic. */
  records(topic: string): readonly DirectoryRecord[] {
    return [...this.#topics.get(topic) ?? []];
  }

  /** Adds an announcement. */
  announce(topic: string, record: DirectoryRecord): void {
    const records = this.#topics.get(topic);
    if (records === undefined) this.#topics.set(topic, new Set([record]));
    else records.add(record);
  }

  /** Removes an announcement. */
  unannounce(topic: string, record: DirectoryRecord): void {
    const records = this.#topics.get(topic);
    records?.delete(record);
    if (records?.size === 0) this.#topics.delete(topic);
  }
}
