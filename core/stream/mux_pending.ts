/**
 * What waits for openings of the peer to be answered: the one part of a mux that a stranger could make grow.
 */
import type { Cursor } from "../../encoding/codec.ts";
import { ProtocolError } from "../runtime/errors.ts";
import type { Duplex } from "./duplex.ts";

// Tuning

/** Openings of the peer that wait for an answer of ours. */
const MAX_PENDING_OPENS = 1024;
/** Weight of what waits from which reading is paused (MAX_BUFFERED of the reference). */
const PAUSE_BYTES = 32768;
/** Weight of what may wait: that mark, and the longest frame, which may come before the pause does. */
const MAX_EARLY_BYTES = 2 ** 24 + 2 * PAUSE_BYTES;
/** What an opening or a message that waits weighs beside its bytes (byteSize of the reference). */
const OVERHEAD_BYTES = 512;

/** Limits of what waits, as in the options of a mux. */
export interface PendingLimits {
  /** How many openings may wait. */
  readonly maxPendingOpens?: number | undefined;
  /** How much they and what came with them may weigh. */
  readonly maxEarlyBytes?: number | undefined;
}

/** An opening of the peer that waits for ours, with what the peer has sent on it already. */
export interface PendingOpen {
  /** The peer's number of the channel. */
  readonly remoteId: number;
  /** What the peer says at first. */
  readonly handshake: Uint8Array;
  /** Types and bodies that came early. */
  readonly messages: Uint8Array[];
  /** What all this weighs, in bytes. */
  weight: number;
  /** Whether the peer has closed it again. */
  isClosed: boolean;
}

/** Counts and weighs what waits; pauses the pipe while it is much, refuses when it is too much. */
export class PendingOpens {
  readonly #duplex: Duplex;
  readonly #maxOpens: number;
  readonly #maxBytes: number;
  #opens = 0;
  #bytes = 0;
  #paused = false;

  /** Pauses and resumes `duplex`. */
  constructor(duplex: Duplex, limits: PendingLimits) {
    this.#duplex = duplex;
    this.#maxOpens = limits.maxPendingOpens ?? MAX_PENDING_OPENS;
    this.#maxBytes = limits.maxEarlyBytes ?? MAX_EARLY_BYTES;
  }

  /**
   * Takes in an opening whose name has `nameBytes`.
   *
   * @throws {ProtocolError} `LIMIT_EXCEEDED`.
   */
  add(remoteId: number, handshake: Uint8Array, nameBytes: number): PendingOpen {
    if (this.#opens >= this.#maxOpens) {
      throw new ProtocolError("LIMIT_EXCEEDED", `More than ${this.#maxOpens} openings of the peer wait`);
    }
    this.#opens++;
    const kept = { remoteId, handshake: new Uint8Array(handshake), messages: [], weight: 0, isClosed: false };
    this.#weigh(kept, nameBytes + handshake.length);
    return kept;
  }

  /**
   * Keeps the rest of `cursor`, a type and a body, until `pending` is answered.
   *
   * @throws {ProtocolError} `LIMIT_EXCEEDED`.
   */
  keep(pending: PendingOpen, cursor: Cursor): void {
    if (pending.isClosed) return;
    this.#weigh(pending, cursor.remaining);
    pending.messages.push(new Uint8Array(cursor.buffer.subarray(cursor.start, cursor.end)));
  }

  /** `pending` was answered: nothing of it waits any more. */
  delete(pending: PendingOpen): void {
    this.#opens--;
    this.#bytes -= pending.weight;
    if (!this.#paused || this.#bytes > PAUSE_BYTES) return;
    this.#paused = false;
    this.#duplex.resume();
  }

  #weigh(pending: PendingOpen, bytes: number): void {
    pending.weight += OVERHEAD_BYTES + bytes;
    this.#bytes += OVERHEAD_BYTES + bytes;
    if (this.#bytes > this.#maxBytes) {
      throw new ProtocolError(
        "LIMIT_EXCEEDED",
        `More than ${this.#maxBytes} bytes wait for channels to open`,
      );
    }
    if (this.#paused || this.#bytes <= PAUSE_BYTES) return;
    this.#paused = true;
    this.#duplex.pause();
  }
}
