/** The connections on which a log is replicated, and when there is a channel on them. */
import type { Clock, Timer } from "../runtime/runtime.ts";
import type { Mux } from "../stream/mux.ts";
import { PROTOCOL, REOPEN_MS } from "./constants.ts";
import type { PeerSession } from "./peer.ts";

/** One of them. */
export interface Attachment {
  /** The connection. */
  readonly mux: Mux;
  /** Who is at its other end. */
  readonly session: PeerSession;
}

/** What {@linkcode Attachments} work with. */
export interface AttachmentsHost {
  /** The name of the log. */
  readonly discoveryKey: Uint8Array;
  /** Time. */
  readonly clock: Clock;
  /** Opens a channel, unless there is one. */
  open(attachment: Attachment): void;
}

/** All of them. */
export class Attachments implements Iterable<Attachment> {
  readonly #host: AttachmentsHost;
  readonly #byMux = new Map<Mux, Attachment>();
  readonly #timers = new Map<Mux, Timer>();

  constructor(host: AttachmentsHost) {
    this.#host = host;
  }

  /** All, in the order in which they were added. */
  [Symbol.iterator](): Iterator<Attachment> {
    return this.#byMux.values();
  }

  /** Whether the log is replicated on this connection. */
  has(mux: Mux): boolean {
    return this.#byMux.has(mux);
  }

  /** Opens a channel on the connection now, and whenever the peer opens one. */
  add(mux: Mux, session: PeerSession): void {
    if (this.#byMux.has(mux) || mux.isDestroyed) return;
    this.#prune();
    const attachment = { mux, session };
    this.#byMux.set(mux, attachment);
    mux.pair({ protocol: PROTOCOL, id: this.#host.discoveryKey }, () => this.#host.open(attachment));
    this.#host.open(attachment);
  }

  /** Opens no channel on the connection any more. */
  remove(mux: Mux): void {
    if (!this.#byMux.delete(mux)) return;
    mux.unpair({ protocol: PROTOCOL, id: this.#host.discoveryKey });
    this.#timers.get(mux)?.cancel();
    this.#timers.delete(mux);
  }

  /** Opens channels where there is none. */
  reopenAll(): void {
    this.#prune();
    for (const attachment of this.#byMux.values()) this.#host.open(attachment);
  }

  /** Opens a channel a little later, since the peer has closed it and it is needed. */
  reopen(mux: Mux): void {
    const attachment = this.#byMux.get(mux);
    if (attachment === undefined || mux.isDestroyed) return;
    const at = this.#host.clock.now() + REOPEN_MS;
    const timer = this.#timers.get(mux) ??
      this.#host.clock.schedule(Infinity, () => this.#host.open(attachment));
    this.#timers.set(mux, timer);
    timer.reset(at);
  }

  /** Removes all. */
  close(): void {
    for (const mux of [...this.#byMux.keys()]) this.remove(mux);
  }

  /** Forgets connections that ended while there was no channel on them. */
  #prune(): void {
    for (const mux of [...this.#byMux.keys()]) if (mux.isDestroyed) this.remove(mux);
  }
}
