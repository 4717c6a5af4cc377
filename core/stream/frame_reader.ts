/**
 * Cuts a stream of bytes into frames: a length of three bytes, little-endian, then that many bytes.
 *
 * A frame that lies whole inside one chunk is handed out where it lies. Only a frame that spans chunks is assembled, in
 * memory that grows with the bytes that have come and never with the length that a peer claims.
 */
import { type ErrorCode, ProtocolError } from "../runtime/errors.ts";

/** Bytes of the length in front of each frame. */
export const FRAME_HEADER_BYTES = 3;
/** The longest frame that three bytes can announce. */
export const MAX_FRAME_BYTES = 2 ** 24 - 1;

/** The least memory taken for a frame that spans chunks. */
const MIN_ASSEMBLY_BYTES = 4096;
/** The most that is kept for the next frame: enough for 64 KiB and its headers, the usual size of a large message. */
const MAX_KEPT_BYTES = 2 ** 17;

const EMPTY: Uint8Array = new Uint8Array(0);

/** Writes the length of a frame into the first three bytes of `frame`. */
export function writeFrameLength(frame: Uint8Array, length: number): void {
  frame[0] = length;
  frame[1] = length >>> 8;
  frame[2] = length >>> 16;
}

/**
 * The frames of a byte stream. Lend it a chunk with {@linkcode feed}, take frames with {@linkcode next} as long as
 * wanted, and call {@linkcode release} before the chunk goes back to its owner: what was not taken is copied.
 */
export class FrameReader {
  /** The lent chunk, and how much of it is used. */
  #chunk = EMPTY;
  #offset = 0;
  /** Bytes of our own that come before the chunk: `#assembly[#start..#end)`. */
  #assembly = EMPTY;
  #start = 0;
  #end = 0;
  /** The length of the frame at hand, or -1 while its header is incomplete. */
  #length = -1;
  #minBytes = 0;
  #maxBytes = MAX_FRAME_BYTES;
  #code: ErrorCode = "INVALID_FRAME";

  /** From now on a frame must be `minBytes` to `maxBytes` long; {@linkcode next} throws an error of `code` for others. */
  expect(minBytes: number, maxBytes: number, code: ErrorCode): void {
    this.#minBytes = minBytes;
    this.#maxBytes = maxBytes;
    this.#code = code;
  }

  /** Whether a frame has begun and its end has not come. */
  get isMidFrame(): boolean {
    return this.#end > this.#start || this.#offset < this.#chunk.length || this.#length !== -1;
  }

  /** Bytes of memory that the reader holds. */
  get heldBytes(): number {
    return this.#assembly.length;
  }

  /** Lends `chunk` to the reader. The one before must have been released. */
  feed(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#offset = 0;
  }

  /**
   * The next whole frame without its header, or undefined if there is none yet. It may be overwritten, and is valid until
   * the next call of any method.
   *
   * @throws {ProtocolError} for a length that {@linkcode expect} forbids, as soon as the length is known.
   */
  next(): Uint8Array | undefined {
    if (this.#end === this.#start) {
      this.#start = this.#end = 0;
      if (this.#assembly.length > MAX_KEPT_BYTES) this.#assembly = EMPTY;
      return this.#nextInChunk();
    }
    if (this.#length === -1) {
      if (!this.#fill(FRAME_HEADER_BYTES)) return undefined;
      this.#readLength(this.#assembly, this.#start);
    }
    const frameEnd = FRAME_HEADER_BYTES + this.#length;
    if (!this.#fill(frameEnd)) return undefined;
    const frame = this.#assembly.subarray(this.#start + FRAME_HEADER_BYTES, this.#start + frameEnd);
    this.#start += frameEnd;
    this.#length = -1;
    return frame;
  }

  /** Gives the chunk back; keeps a copy of what {@linkcode next} has not handed out. */
  release(): void {
    const left = this.#chunk.length - this.#offset;
    if (left > 0) this.#append(left, 0);
    this.#chunk = EMPTY;
    this.#offset = 0;
  }

  /** Frees the memory for assembling frames, if nothing is in it. */
  trim(): void {
    if (this.#end === this.#start) this.#assembly = EMPTY;
  }

  #nextInChunk(): Uint8Array | undefined {
    const chunk = this.#chunk;
    const bodyStart = this.#offset + FRAME_HEADER_BYTES;
    if (bodyStart > chunk.length) return undefined;
    if (this.#length === -1) this.#readLength(chunk, this.#offset);
    const end = bodyStart + this.#length;
    if (end > chunk.length) return undefined;
    this.#offset = end;
    this.#length = -1;
    return chunk.subarray(bodyStart, end);
  }

  #readLength(from: Uint8Array, at: number): void {
    const length = from[at]! | from[at + 1]! << 8 | from[at + 2]! << 16;
    if (length < this.#minBytes || length > this.#maxBytes) throw this.#lengthError(length);
    this.#length = length;
  }

  #lengthError(length: number): ProtocolError {
    const allowed = this.#minBytes === this.#maxBytes
      ? `${this.#minBytes}`
      : `${this.#minBytes} to ${this.#maxBytes}`;
    return new ProtocolError(
      this.#code,
      `The peer sent a frame of ${length} bytes where ${allowed} are allowed`,
    );
  }

  /** Whether `size` bytes are assembled; moves them over from the chunk as far as it has them. */
  #fill(size: number): boolean {
    const missing = size - (this.#end - this.#start);
    if (missing <= 0) return true;
    const left = this.#chunk.length - this.#offset;
    if (left > 0) this.#append(Math.min(missing, left), size);
    return missing <= left;
  }

  /** Copies the next `count` bytes of the chunk into the assembly, where `wanted` bytes are going to be. */
  #append(count: number, wanted: number): void {
    const have = this.#end - this.#start;
    if (this.#end + count > this.#assembly.length) this.#makeRoom(have + count, wanted);
    this.#assembly.set(this.#chunk.subarray(this.#offset, this.#offset + count), this.#end);
    this.#offset += count;
    this.#end += count;
  }

  #makeRoom(needed: number, wanted: number): void {
    const used = this.#assembly.subarray(this.#start, this.#end);
    if (needed <= this.#assembly.length) {
      this.#assembly.copyWithin(0, this.#start, this.#end);
    } else {
      const doubled = Math.max(this.#assembly.length * 2, MIN_ASSEMBLY_BYTES);
      const larger = new Uint8Array(
        Math.max(needed, Math.min(doubled, Math.max(wanted, MIN_ASSEMBLY_BYTES))),
      );
      larger.set(used);
      this.#assembly = larger;
    }
    this.#end -= this.#start;
    this.#start = 0;
  }
}
