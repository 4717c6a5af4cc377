/**
 * A frame while its transaction is under way: changes are encoded as they come, and their values from then on are views of it.
 */
import { Cursor } from "../../../encoding/codec.ts";
import { type EngineChange, engineChange } from "../journal.ts";
import { FRAME_HEADER_BYTES } from "./ring.ts";

/** Bytes that are allocated at once, for many small frames. */
const CHUNK_BYTES = 2 ** 16;

/** Builds one frame after the other. */
export class FrameWriter {
  #cursor = new Cursor(new Uint8Array(0));
  #start = 0;

  /** Bytes of the frame so far. */
  get size(): number {
    return this.#cursor.start - this.#start;
  }

  /** Begins a frame; one that was not taken is dropped. */
  begin(): void {
    this.#cursor.start = this.#start;
    this.#reserve(FRAME_HEADER_BYTES);
    this.#cursor.start += FRAME_HEADER_BYTES;
  }

  /** Adds a change; its value becomes a view of the frame. */
  add(change: EngineChange): void {
    this.#reserve(engineChange.size(change));
    engineChange.encode(this.#cursor, change);
    if ("value" in change) {
      const { buffer, start } = this.#cursor;
      change.value = buffer.subarray(start - change.value.length, start);
    }
  }

  /** The whole frame, whose header is not written yet. */
  take(): Uint8Array {
    const frame = this.#cursor.buffer.subarray(this.#start, this.#cursor.start);
    this.#start = this.#cursor.start;
    return frame;
  }

  /** Makes room. Views of what there is so far stay what they are. */
  #reserve(size: number): void {
    if (this.#cursor.remaining >= size) return;
    const frame = this.#cursor.buffer.subarray(this.#start, this.#cursor.start);
    const buffer = new Uint8Array(Math.max(CHUNK_BYTES, 2 * (frame.length + size)));
    buffer.set(frame);
    this.#cursor = new Cursor(buffer, 0);
    this.#cursor.start = frame.length;
    this.#start = 0;
  }
}
