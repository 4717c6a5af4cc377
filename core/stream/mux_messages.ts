/**
 * What a mux puts on the wire: a channel id, a message type, a body; control messages on channel 0; and batches of all
 * these in one frame.
 *
 * Byte by byte in `docs/spec/protomux.md`. Source: protomux 3.12.1.
 */
import { optionalBuffer } from "../../encoding/buffers.ts";
import { type Codec, Cursor } from "../../encoding/codec.ts";
import { string } from "../../encoding/strings.ts";
import { uint } from "../../encoding/varint.ts";

// Wire (index.js of the reference)

/** The channel of control messages. */
export const CONTROL_CHANNEL = 0;
/** The types of control messages. */
export const CONTROL = { batch: 0, open: 1, reject: 2, close: 3 } as const;
/** A batch that has this many bytes is sent, and a new one begun: 8 MiB. */
export const MAX_BATCH_BYTES: number = 8 * 1024 * 1024;

/** The body of an `open` control message. */
export interface OpenMessage {
  /** The id under which the sender will send on this channel. */
  readonly channelId: number;
  /** Which protocol is to be spoken on it. */
  readonly protocol: string;
  /** Which of several channels of that protocol it is; `null` if there is one only. */
  readonly id: Uint8Array | null;
  /** The rest of the message: whatever the protocol says at first. */
  readonly handshake: Uint8Array;
}

/** `open`: channel id, protocol, id, then the handshake to the end. What is decoded are views. */
export const openMessage: Codec<OpenMessage> = {
  size(value: OpenMessage): number {
    return uint.size(value.channelId) + string.size(value.protocol) + optionalBuffer.size(value.id) +
      value.handshake.length;
  },
  encode(cursor: Cursor, value: OpenMessage): void {
    uint.encode(cursor, value.channelId);
    string.encode(cursor, value.protocol);
    optionalBuffer.encode(cursor, value.id);
    const at = cursor.reserve(value.handshake.length);
    cursor.buffer.set(value.handshake, at);
  },
  decode(cursor: Cursor): OpenMessage {
    const channelId = uint.decode(cursor);
    const protocol = string.decode(cursor);
    const id = optionalBuffer.decode(cursor);
    const at = cursor.take(cursor.remaining);
    return { channelId, protocol, id, handshake: cursor.buffer.subarray(at, cursor.start) };
  },
};

/** Kept of the memory of a batch for the next one, in bytes: room for a block of 64 KiB, which others use most. */
const MAX_KEPT_BYTES = 2 ** 17;
/** The most that a message costs beside its body: a switch of channels (1 + 9 bytes), its length (9) and its type (9). */
const MAX_MESSAGE_OVERHEAD = 28;

/** A place in a batch to go back to. */
export interface BatchMark {
  /** How long the batch was. */
  readonly length: number;
  /** On which channel its last message was. */
  readonly channelId: number;
}

/** Collects messages into one frame: `00 00`, a channel id, then per message its length, type and body; length 0 switches. */
export class BatchWriter {
  #buffer = new Uint8Array(1024);
  #length = 0;
  #channelId = 0;

  /** How long the frame is so far; 0 if there is no message in it. */
  get length(): number {
    return this.#length;
  }

  /** Where the batch stands. */
  mark(): BatchMark {
    return { length: this.#length, channelId: this.#channelId };
  }

  /** Forgets what came after `mark`. */
  rewind(mark: BatchMark): void {
    this.#length = mark.length;
    this.#channelId = mark.channelId;
  }

  /** Begins a message and returns where its body, of `bodySize` bytes, is to be written. */
  add(channelId: number, type: number, bodySize: number): Cursor {
    this.#ensure(MAX_MESSAGE_OVERHEAD + bodySize);
    const cursor = new Cursor(this.#buffer, this.#length);
    if (this.#length === 0) {
      uint.encode(cursor, CONTROL_CHANNEL);
      uint.encode(cursor, CONTROL.batch);
      uint.encode(cursor, channelId);
    } else if (channelId !== this.#channelId) {
      uint.encode(cursor, 0);
      uint.encode(cursor, channelId);
    }
    this.#channelId = channelId;
    uint.encode(cursor, uint.size(type) + bodySize);
    uint.encode(cursor, type);
    cursor.end = this.#length = cursor.start + bodySize;
    return cursor;
  }

  /** Moves the frame into an array from `alloc` and starts anew. */
  take(alloc: (size: number) => Uint8Array): Uint8Array {
    const frame = alloc(this.#length);
    frame.set(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    if (this.#buffer.length > MAX_KEPT_BYTES) this.#buffer = new Uint8Array(1024);
    return frame;
  }

  #ensure(size: number): void {
    const needed = this.#length + size;
    if (needed <= this.#buffer.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}
