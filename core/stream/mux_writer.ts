/**
 * The sending side of a mux: one message to a frame, or many while it is corked.
 */
import { type Codec, Cursor } from "../../encoding/codec.ts";
import { uint } from "../../encoding/varint.ts";
import { assert } from "../runtime/assert.ts";
import type { Duplex } from "./duplex.ts";
import { BatchWriter, MAX_BATCH_BYTES } from "./mux_messages.ts";

/** Writes messages to a pipe, where they are sealed without another copy. */
export class MuxWriter {
  readonly #duplex: Duplex;
  readonly #batch = new BatchWriter();
  #corks = 0;
  #isDrained = true;
  #isClosed = false;

  /** Writes to `duplex`. */
  constructor(duplex: Duplex) {
    this.#duplex = duplex;
  }

  /** Whether the pipe has room, as of the last write. */
  get isDrained(): boolean {
    return this.#isDrained;
  }

  /** Whether all that was sent is with the pipe, and the pipe has room. */
  get isIdle(): boolean {
    return this.#isDrained && this.#batch.length === 0;
  }

  /** The pipe has room again. */
  onDrain(): void {
    this.#isDrained = true;
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#isClosed = true;
  }

  /** Holds messages back until {@linkcode uncork}. Calls nest. */
  cork(): void {
    this.#corks++;
  }

  /** Sends what was held back. */
  uncork(): void {
    assert(this.#corks > 0, "uncork without cork");
    if (--this.#corks === 0) this.#sendBatch();
  }

  /** Sends `value` as a message of `type` on a channel; false = wait for room, or closed. True while corked. */
  send<T, Input>(channelId: number, type: number, codec: Codec<T, Input>, value: Input): boolean {
    if (this.#isClosed) return false;
    const size = codec.size(value);
    if (this.#corks > 0) {
      if (this.#batch.length + size > MAX_BATCH_BYTES) this.#sendBatch();
      if (size <= MAX_BATCH_BYTES) {
        this.#addToBatch(channelId, type, size, codec, value);
        return true;
      }
    }
    const frame = this.#duplex.alloc(uint.size(channelId) + uint.size(type) + size);
    const cursor = new Cursor(frame);
    uint.encode(cursor, channelId);
    uint.encode(cursor, type);
    codec.encode(cursor, value);
    return this.#write(frame);
  }

  #addToBatch<T, Input>(
    channelId: number,
    type: number,
    size: number,
    codec: Codec<T, Input>,
    value: Input,
  ): void {
    const mark = this.#batch.mark();
    try {
      codec.encode(this.#batch.add(channelId, type, size), value);
    } catch (error) {
      this.#batch.rewind(mark);
      throw error;
    }
  }

  #sendBatch(): void {
    if (this.#batch.length === 0) return;
    const frame = this.#batch.take((size) => this.#duplex.alloc(size));
    if (!this.#isClosed) this.#write(frame);
  }

  #write(frame: Uint8Array): boolean {
    return this.#isDrained = this.#duplex.write(frame);
  }
}
