/**
 * The byte pipe between two layers: synchronous calls, a bounded buffer, an explicit signal to wait.
 *
 * A layer below implements {@linkcode Duplex}, the layer above attaches a {@linkcode Sink}. Nothing is promised, nothing
 * is scheduled: a chunk passes through any number of layers in one call stack. Promises begin where applications do, in
 * `connection.ts`.
 *
 * Memory moves by three rules. What is given to `write` belongs to the pipe. What comes in `onData` is lent for the
 * duration of the call, and the borrower may overwrite it: ciphertext becomes plaintext where it lies. Whoever keeps a
 * chunk keeps a copy. Chunks on their way up are never Node's `Buffer`, whose `slice` does not copy.
 */

/** The upper end of a pipe: what a {@linkcode Duplex} calls. */
export interface Sink {
  /** Bytes have come. `chunk` is lent until return: it may be overwritten, and must be copied to be kept. */
  onData(chunk: Uint8Array): void;
  /** After a `write` that returned false: there is room again. */
  onDrain(): void;
  /** The other side will send no more. Writing may go on. */
  onEnd(): void;
  /** An unordered message has come, if the pipe has them. `message` is lent as in {@linkcode onData}. */
  onUnordered?(message: Uint8Array): void;
  /** The pipe is gone, with `error` unless both sides ended in order. Comes last, and once. */
  onClose(error?: Error): void;
}

/** Messages beside the bytes of a pipe: each arrives once or never, in any order, possibly before earlier bytes. */
export interface UnorderedMessages {
  /** The longest message that {@linkcode send} takes now, in bytes. */
  readonly maxMessageBytes: number;
  /** Sends `message`, which is given away; false = dropped here. */
  send(message: Uint8Array): boolean;
}

/** The lower end of a pipe: what a layer above calls. */
export interface Duplex {
  /** Whether a `write` is one message at the other side (`message`) or just more bytes (`bytes`). */
  readonly framing: "message" | "bytes";
  /** The round trip to the other side in milliseconds, if the pipe knows it. */
  readonly roundTripMs?: number | undefined;
  /** Present if the pipe carries unordered messages too. */
  readonly unordered?: UnorderedMessages;
  /** Connects the upper end; once. What came before waits, in a bounded buffer, and is delivered during this call. */
  attach(sink: Sink): void;
  /**
   * A body of `size` bytes with room around it for the headers of the layers below: sealing then needs no copy. The room
   * counts for the body handed out last, when that very array is written next.
   */
  alloc(size: number): Uint8Array;
  /**
   * Sends `chunk`, which is given away: do not touch it afterwards. False means: wait for `onDrain` before more. After
   * `end` or the close of the pipe, `chunk` is dropped and the answer is false.
   */
  write(chunk: Uint8Array): boolean;
  /** Asks that `onData` is not called until `resume`; the sender is slowed down as the transport allows. */
  pause(): void;
  /** Ends a pause; waiting data may be delivered during this call. */
  resume(): void;
  /** Sends no more after what was written. Data may still come. Harmless when already ended. */
  end(): void;
  /** Drops the pipe at once in both directions. `onClose(error)` follows; harmless when already closed. */
  destroy(error?: Error): void;
}
