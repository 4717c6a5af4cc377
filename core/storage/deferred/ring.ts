/**
 * A file of frames that is written round and round. Each frame has a checksum and says which one it is, so that reading stops
 * where writing did: at a torn frame, or at one from the round before.
 */
import { equals } from "../../../encoding/bytes.ts";
import { readUint32, writeUint32 } from "../../../encoding/fixed.ts";
import type { RandomAccessFile } from "../files.ts";
import { isNearly } from "../nearly.ts";

/** Bytes before the body of a frame: length, checksum, epoch, number. */
export const FRAME_HEADER_BYTES = 24;

/**
 * Bytes that the file grows by: a sync of bytes that were there before takes three quarters of the time, since the system need
 * not note a new length.
 */
const ROOM_BYTES = 2 ** 18;

/** Bytes in which frames are looked for at once. */
const SCANNED_BYTES = 2 ** 20;

/** Which frame one is. */
export interface FrameId {
  /** Grows whenever the frames before may not be repeated any more. */
  readonly epoch: number;
  /** Counts frames. */
  readonly number: number;
}

/** A frame that was read. */
export interface Frame {
  /** Its number. */
  readonly number: number;
  /** What it holds. */
  readonly body: Uint8Array;
  /** The position behind it. */
  readonly end: number;
}

/** What a ring needs. */
export interface RingParts {
  /** Where it is kept. */
  readonly file: RandomAccessFile;
  /** The most bytes that it takes. */
  readonly capacity: number;
  /** CRC-32 of `bytes`, going on from `start`. */
  crc32(bytes: Uint8Array, start: number): number;
}

/** The ring. Positions count all bytes that were ever passed; where one is in the file is its remainder. */
export class Ring {
  readonly #parts: RingParts;
  /** Where the next frame goes. */
  #head: number;
  /** Before which nothing is needed any more. */
  #tail: number;

  /** Goes on at `position`, with nothing in it. */
  constructor(parts: RingParts, position: number) {
    this.#parts = parts;
    this.#head = position;
    this.#tail = position;
  }

  /** The most bytes that it takes. */
  get capacity(): number {
    return this.#parts.capacity;
  }

  /** Where the next frame goes. */
  get head(): number {
    return this.#head;
  }

  /** Before which nothing is needed any more. */
  get tail(): number {
    return this.#tail;
  }

  /** Bytes that are in use. */
  get used(): number {
    return this.#head - this.#tail;
  }

  /** Bytes that the file takes. */
  get size(): number {
    return this.#parts.file.size();
  }

  /** Whether a frame of so many bytes, with its header, fits. */
  hasRoom(size: number): boolean {
    const { capacity } = this.#parts;
    return size <= capacity && this.#start(size) + size - this.#tail <= capacity;
  }

  /**
   * Writes a frame, whose first {@linkcode FRAME_HEADER_BYTES} are filled in here.
   *
   * @throws {StorageError} DISK_FULL, WRITE_FAILED; then there is no such frame.
   */
  write(frame: Uint8Array, { epoch, number }: FrameId): void {
    const start = this.#start(frame.length);
    writeUint32(frame, 0, frame.length - FRAME_HEADER_BYTES);
    writeNumber(frame, 8, epoch);
    writeNumber(frame, 16, number);
    writeUint32(frame, 4, this.#parts.crc32(frame.subarray(8), 0));
    const { file, capacity } = this.#parts;
    const end = start % capacity + frame.length;
    if (end > file.size()) {
      file.write(file.size(), new Uint8Array(Math.min(capacity, end + ROOM_BYTES) - file.size()));
    }
    file.write(start % capacity, frame);
    this.#head = start + frame.length;
  }

  /** Lets what is before `position` be written over. */
  release(position: number): void {
    this.#tail = position;
  }

  /** Cuts the file to nothing, if nothing in it is needed. @throws {StorageError} WRITE_FAILED. */
  shrink(): void {
    if (this.used === 0 && this.size > 0) this.#parts.file.truncate(0);
  }

  /** The frames from the head on that follow the one of `id`; the head moves behind each. @throws {StorageError} READ_FAILED. */
  *frames({ epoch, number }: FrameId): Generator<Frame> {
    const { capacity } = this.#parts;
    for (let next = number + 1;; next++) {
      const start = this.#starts().find((start) => this.#isFrame(start % capacity, { epoch, number: next }));
      if (start === undefined) return;
      const length = readUint32(this.#parts.file.read(start % capacity, 4), 0);
      const body = this.#parts.file.read(start % capacity + FRAME_HEADER_BYTES, length);
      const end = start + FRAME_HEADER_BYTES + length;
      yield { number: next, body, end };
      this.#head = end;
    }
  }

  /**
   * Whether the frame of `id`, which is none, was begun, or others are there that come after it: a power cut has torn it, or it was
   * whole and is damaged.
   *
   * @throws {StorageError} READ_FAILED.
   */
  isTorn(id: FrameId): boolean {
    return this.#isBegun(id) || this.#hasLater(id);
  }

  #isBegun({ epoch, number }: FrameId): boolean {
    const expected = new Uint8Array(16);
    writeNumber(expected, 0, epoch);
    writeNumber(expected, 8, number);
    return this.#starts().some((start) => {
      const offset = start % this.capacity;
      const header = this.#parts.file.read(offset, FRAME_HEADER_BYTES);
      if (header.length < FRAME_HEADER_BYTES || header.every((byte) => byte === 0)) return false;
      const id = header.subarray(8);
      // The number of a frame of the round before may differ in one bit, too; but that one is whole.
      return equals(id, expected) || (isNearly(id, expected) && !this.#isWhole(offset, header));
    });
  }

  #hasLater({ epoch, number }: FrameId): boolean {
    const { file } = this.#parts;
    for (let start = 0; start < file.size(); start += SCANNED_BYTES) {
      const bytes = file.read(start, SCANNED_BYTES + FRAME_HEADER_BYTES - 1);
      for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length; at++) {
        if (!isNumber(bytes, at + 8, epoch) || readUint32(bytes, at + 20) !== Math.floor(number / 2 ** 32)) {
          continue;
        }
        if (readUint32(bytes, at + 16) <= number >>> 0) continue;
        if (this.#isWhole(start + at, bytes.subarray(at, at + FRAME_HEADER_BYTES))) return true;
      }
    }
    return false;
  }

  /** Settles when the medium has it. @throws {StorageError} WRITE_FAILED. */
  sync(): Promise<void> {
    return this.#parts.file.sync();
  }

  #isFrame(offset: number, { epoch, number }: FrameId): boolean {
    const header = this.#parts.file.read(offset, FRAME_HEADER_BYTES);
    if (header.length < FRAME_HEADER_BYTES) return false;
    return isNumber(header, 8, epoch) && isNumber(header, 16, number) && this.#isWhole(offset, header);
  }

  #isWhole(offset: number, header: Uint8Array): boolean {
    const { file, capacity, crc32 } = this.#parts;
    const length = readUint32(header, 0);
    if (length === 0 || offset + FRAME_HEADER_BYTES + length > capacity) return false;
    const rest = file.read(offset + 8, FRAME_HEADER_BYTES - 8 + length);
    return rest.length === FRAME_HEADER_BYTES - 8 + length && crc32(rest, 0) === readUint32(header, 4);
  }

  /** Where the frame behind the head may begin. */
  #starts(): number[] {
    const wrapped = Math.ceil(this.#head / this.capacity) * this.capacity;
    return wrapped === this.#head ? [wrapped] : [this.#head, wrapped];
  }

  /** Where a frame of so many bytes goes: none reaches over the end of the file. */
  #start(size: number): number {
    const { capacity } = this.#parts;
    const left = capacity - this.#head % capacity;
    return size <= left ? this.#head : this.#head + left;
  }
}

function writeNumber(bytes: Uint8Array, at: number, value: number): void {
  writeUint32(bytes, at, value >>> 0);
  writeUint32(bytes, at + 4, Math.floor(value / 2 ** 32));
}

function isNumber(bytes: Uint8Array, at: number, value: number): boolean {
  return readUint32(bytes, at) === value >>> 0 && readUint32(bytes, at + 4) === Math.floor(value / 2 ** 32);
}
