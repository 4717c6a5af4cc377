/**
 * Bytes that are kept because nobody takes them yet: copied together into blocks, so that a flood of tiny pieces takes no
 * more memory than its bytes.
 */

const NOTHING = new Uint8Array(0);
/** A block is as large as what is kept already, within these bounds, in bytes: a few bytes must not cost 64 KiB. */
const MIN_BLOCK_BYTES = 2048;
const MAX_BLOCK_BYTES = 65_536;

/** A queue of bytes. */
export class ByteBlocks {
  readonly #full: Uint8Array[] = [];
  #last: Uint8Array = NOTHING;
  #used = 0;
  #byteLength = 0;

  /** Bytes in the queue. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Adds a copy of `bytes`. */
  append(bytes: Uint8Array): void {
    let from = 0;
    while (from < bytes.length) {
      if (this.#used === this.#last.length) this.#open();
      const part = Math.min(bytes.length - from, this.#last.length - this.#used);
      this.#last.set(bytes.subarray(from, from + part), this.#used);
      this.#used += part;
      this.#byteLength += part;
      from += part;
    }
  }

  #open(): void {
    if (this.#used > 0) this.#full.push(this.#last);
    this.#last = new Uint8Array(Math.min(Math.max(this.#byteLength, MIN_BLOCK_BYTES), MAX_BLOCK_BYTES));
    this.#used = 0;
  }

  /** Takes out the oldest bytes, as many as lie together; undefined when there are none. */
  shift(): Uint8Array | undefined {
    let block = this.#full.shift();
    if (block === undefined) {
      if (this.#used === 0) return undefined;
      block = this.#last.subarray(0, this.#used);
      this.#last = NOTHING;
      this.#used = 0;
    }
    this.#byteLength -= block.length;
    return block;
  }

  /** Throws all away. */
  clear(): void {
    this.#full.length = this.#used = this.#byteLength = 0;
    this.#last = NOTHING;
  }
}
