/**
 * Reading a log of which parts are damaged: what the store knows to be damaged counts as missing.
 */
import type { MaybePromise } from "./runtime/async.ts";
import { StorageError } from "./runtime/errors.ts";
import {
  type LogHead,
  type LogHints,
  type LogReader,
  MAX_BLOCK_INDEX,
  type StoredBlock,
  type TreeNode,
} from "./storage/storage.ts";

/** Runs `read`; undefined if what it reads is damaged. */
export async function readable<T>(read: () => MaybePromise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Whether `error` says that something stored is not what was written. */
export function isDamage(error: unknown): boolean {
  return error instanceof StorageError && error.code === "STORE_CORRUPT";
}

/** What is left of a log. */
export class LenientReader {
  readonly #log: LogReader;

  /** Reads `log`. */
  constructor(log: LogReader) {
    this.#log = log;
  }

  /** The signed state, if it can be read. */
  head(): Promise<LogHead | undefined> {
    return readable(() => this.#log.head());
  }

  /** The hints, if they can be read. */
  hints(): Promise<LogHints | undefined> {
    return readable(() => this.#log.hints());
  }

  /** A block, if it can be read. */
  block(index: number): Promise<Uint8Array | undefined> {
    return readable(() => this.#log.block(index));
  }

  /** A tree node, if it can be read. */
  node(index: number): Promise<TreeNode | undefined> {
    return readable(() => this.#log.node(index));
  }

  /** The tree nodes at `indexes`, as far as they can be read. */
  async nodes(indexes: readonly number[]): Promise<readonly (TreeNode | undefined)[]> {
    const nodes = await readable(() => this.#log.nodes(indexes));
    return nodes ?? await Promise.all(indexes.map((index) => this.node(index)));
  }

  /** The pages of the bitfield in [start, end) that can be read. */
  async pages(start: number, end: number): Promise<readonly { page: number; value: Uint8Array }[]> {
    if (start >= end) return [];
    const pages = await readable(() => this.#log.bitfieldPages(start, end));
    if (pages !== undefined) return pages;
    if (end - start === 1) return [];
    const middle = Math.floor((start + end) / 2);
    return [...await this.pages(start, middle), ...await this.pages(middle, end)];
  }

  /** The blocks in [start, end) that can be read, in their order; about `maxBytes` are in memory at a time. */
  async *blocks(start: number, end: number, maxBytes: number): AsyncGenerator<StoredBlock> {
    const last = Math.min(end, MAX_BLOCK_INDEX + 1);
    for (let at = start; at < last;) {
      let stop = last;
      let blocks = await readable(() => this.#log.blocks(at, stop, maxBytes));
      while (blocks === undefined && stop - at > 1) {
        stop = at + Math.floor((stop - at) / 2);
        blocks = await readable(() => this.#log.blocks(at, stop, maxBytes));
      }
      yield* blocks ?? [];
      const lastRead = blocks?.at(-1);
      at = lastRead === undefined ? stop : lastRead.index + 1;
    }
  }
}
