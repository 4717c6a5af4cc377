/**
 * Pieces of files that were read lately, up to a number of bytes.
 */

/** Keeps what was used last. */
export class BlockCache<T> {
  readonly #maxBytes: number;
  readonly #blocks = new Map<string, { readonly block: T; readonly bytes: number }>();
  #bytes = 0;

  /** Keeps `maxBytes`, or one block if that is larger. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The block called `name`, or what `read` returns, with its bytes. */
  get(name: string, read: () => { readonly block: T; readonly bytes: number }): T {
    const known = this.#blocks.get(name);
    if (known !== undefined) {
      this.#blocks.delete(name);
      this.#blocks.set(name, known);
      return known.block;
    }
    const fresh = read();
    this.#blocks.set(name, fresh);
    this.#bytes += fresh.bytes;
    for (const [oldest, { bytes }] of this.#blocks) {
      if (this.#bytes <= this.#maxBytes || oldest === name) break;
      this.#blocks.delete(oldest);
      this.#bytes -= bytes;
    }
    return fresh.block;
  }
}
