/**
 * What is to be written at once, to any number of logs.
 */
import {
  type LogAddress,
  type LogAuth,
  type LogHead,
  type LogHints,
  MAX_BLOCK_INDEX,
  MAX_NAME_LENGTH,
  MAX_VALUE_BYTES,
  type TreeNode,
} from "./storage.ts";

/** One change of a log. A store applies those of a log in their order. */
export type LogOperation =
  | { readonly type: "auth"; readonly auth: LogAuth }
  | { readonly type: "head"; readonly head: LogHead }
  | { readonly type: "hints"; readonly hints: LogHints }
  | { readonly type: "block"; readonly index: number; readonly value: Uint8Array }
  | { readonly type: "node"; readonly node: TreeNode }
  | { readonly type: "bitfieldPage"; readonly page: number; readonly value: Uint8Array }
  | { readonly type: "userData"; readonly key: string; readonly value: Uint8Array | undefined }
  | { readonly type: "clear"; readonly start: number; readonly end: number }
  | { readonly type: "clearNodes"; readonly start: number; readonly end: number }
  | { readonly type: "truncate"; readonly length: number }
  | { readonly type: "createOverlay"; readonly name: string; readonly length: number }
  | { readonly type: "removeOverlay" };

/** The changes of one log, or of one overlay. */
export class LogWriter {
  /** Which log. */
  readonly address: LogAddress;
  /** What was called so far, in order. */
  readonly operations: LogOperation[] = [];
  #byteLength = 0;
  #largest = 0;

  /** Is made by {@linkcode WriteBatch.log}. */
  constructor(address: LogAddress) {
    this.address = address;
  }

  /** Bytes of all blocks, pages and user data in it. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Bytes of the largest of these. */
  get largest(): number {
    return this.#largest;
  }

  /** Sets the keys. Those of an overlay are those of its log. */
  setAuth(auth: LogAuth): this {
    return this.#add({ type: "auth", auth });
  }

  /** Sets the signed state. */
  setHead(head: LogHead): this {
    return this.#add({ type: "head", head });
  }

  /** Sets the hints. */
  setHints(hints: LogHints): this {
    return this.#add({ type: "hints", hints });
  }

  /**
   * Puts a block. A block that is there is not changed but through {@linkcode truncate}, in the same batch or before, or its
   * overlays may see either.
   *
   * @throws {RangeError} if the index is above `MAX_BLOCK_INDEX` or there are more than `MAX_VALUE_BYTES`.
   */
  putBlock(index: number, value: Uint8Array): this {
    checkIndex(index, MAX_BLOCK_INDEX);
    return this.#add({ type: "block", index, value: this.#count(value) });
  }

  /** Puts a tree node, under the same rules as a block. @throws {RangeError} for a wrong index or size. */
  putNode(node: TreeNode): this {
    checkIndex(node.index, 2 * MAX_BLOCK_INDEX);
    checkIndex(node.size, Number.MAX_SAFE_INTEGER);
    if (node.hash.length !== 32) throw new RangeError(`A hash has 32 bytes, not ${node.hash.length}`);
    return this.#add({ type: "node", node });
  }

  /** Puts a page of the bitfield; an empty one takes it away. @throws {RangeError} for what is no page or too long. */
  putBitfieldPage(page: number, value: Uint8Array): this {
    checkIndex(page, MAX_BLOCK_INDEX);
    return this.#add({ type: "bitfieldPage", page, value: this.#count(value) });
  }

  /** Sets a value of user data, or removes it. @throws {RangeError} if the key or the value is too long. */
  setUserData(key: string, value: Uint8Array | undefined): this {
    checkName(key);
    return this.#add({ type: "userData", key, value: value && this.#count(value) });
  }

  /**
   * Drops the blocks in [start, end); `end` may be `Infinity`. In an overlay this drops its own blocks only: what it shares with
   * its log stays readable.
   */
  clear(start: number, end: number): this {
    checkRange(start, end);
    return this.#add({ type: "clear", start, end });
  }

  /** Drops the tree nodes whose indexes are in [start, end), as {@linkcode clear} does blocks. */
  clearNodes(start: number, end: number): this {
    checkRange(start, end);
    return this.#add({ type: "clearNodes", start, end });
  }

  /**
   * Drops all blocks from `length` on and all tree nodes that cover one of them. The head and the bitfield are the caller's to
   * set.
   */
  truncate(length: number): this {
    checkIndex(length, MAX_BLOCK_INDEX + 1);
    return this.#add({ type: "truncate", length });
  }

  /**
   * Creates an overlay of this log or overlay, as it is at this place of the batch, cut to `length`. What is to be written to
   * the overlay may follow in the same batch.
   *
   * The store fails the batch with `TARGET_EXISTS` if the log has an overlay of that name.
   */
  createOverlay(name: string, length: number): this {
    checkName(name);
    checkIndex(length, MAX_BLOCK_INDEX + 1);
    return this.#add({ type: "createOverlay", name, length });
  }

  /** Removes this overlay, which may be gone already; its own overlays and snapshots keep what they see. */
  removeOverlay(): this {
    if (this.address.overlayName === undefined) throw new TypeError("A log is removed by the store");
    return this.#add({ type: "removeOverlay" });
  }

  #add(operation: LogOperation): this {
    this.operations.push(operation);
    return this;
  }

  #count(value: Uint8Array): Uint8Array {
    if (value.length > MAX_VALUE_BYTES) {
      throw new RangeError(
        `${value.length} bytes are too many for one value: ${MAX_VALUE_BYTES} are the most`,
      );
    }
    this.#byteLength += value.length;
    if (value.length > this.#largest) this.#largest = value.length;
    return value;
  }
}

/**
 * Changes of any number of logs, and of the store's own records, that are written whole or not at all. Bytes are not copied:
 * leave them alone until `write` has returned.
 *
 * @example
 * ```ts
 * import { MemoryStore, WriteBatch } from "./mod.ts";
 *
 * await using store = new MemoryStore();
 * const log = await store.open(new Uint8Array(32));
 * const batch = new WriteBatch();
 * batch.log(log).putBlock(0, new TextEncoder().encode("hello"));
 * await store.write(batch);
 * console.assert((await log.block(0))?.length === 5);
 * ```
 */
export class WriteBatch {
  /** The changes of logs; logs that were mentioned first come first. */
  readonly logs: LogWriter[] = [];
  /** The changes of records, in order. */
  readonly records: { readonly name: string; readonly value: Uint8Array | undefined }[] = [];

  /** Bytes of all blocks, pages and user data in it. */
  get byteLength(): number {
    return this.logs.reduce((sum, log) => sum + log.byteLength, 0);
  }

  /** Where to say what changes in `log`; the same one for the same `log`. */
  log(log: LogAddress): LogWriter {
    let writer = this.logs.find(({ address }) => address === log);
    if (writer === undefined) {
      writer = new LogWriter(log);
      this.logs.push(writer);
    }
    return writer;
  }

  /** Sets a record of the store, or removes it. @throws {RangeError} if the name or the value is too long. */
  setRecord(name: string, value: Uint8Array | undefined): this {
    checkName(name);
    if (value !== undefined && value.length > MAX_VALUE_BYTES) throw new RangeError("The value is too long");
    this.records.push({ name, value });
    return this;
  }
}

/** @throws {RangeError} unless `index` is an integer in [0, max]. */
export function checkIndex(index: number, max: number): void {
  if (Number.isSafeInteger(index) && index >= 0 && index <= max) return;
  throw new RangeError(`${index} is no index: an integer from 0 to ${max} is wanted`);
}

/** @throws {RangeError} unless [start, end) is a range, whose end may be infinite. */
export function checkRange(start: number, end: number): void {
  checkIndex(start, Number.MAX_SAFE_INTEGER);
  if (end !== Infinity) checkIndex(end, Number.MAX_SAFE_INTEGER);
}

/** @throws {RangeError} if `name` is too long, or has half a surrogate pair, which no encoding keeps. */
export function checkName(name: string): void {
  if (name.length <= MAX_NAME_LENGTH && name.isWellFormed() && !name.includes("\0")) return;
  throw new RangeError(
    `A name has at most ${MAX_NAME_LENGTH} characters, all whole and none of them zero: ${
      JSON.stringify(name)
    }`,
  );
}
