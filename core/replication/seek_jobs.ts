/** Searches for the block that has a certain byte, where that cannot be told from the nodes at hand. */
import { depth, leftSpan, rightSpan } from "../log/flat_tree.ts";
import { seekByte } from "../log/merkle_tree.ts";
import type { Inquiry } from "./in_flight.ts";
import type { PeerMachine } from "./peer_machine.ts";
import type { ReplicatedLog } from "./replicated_log.ts";
import { Waiters } from "./waiters.ts";

/** Where a byte is. */
export interface FoundByte {
  /** In this block, */
  readonly block: number;
  /** at this byte of it. */
  readonly offset: number;
}

/** One search. */
export class SeekJob {
  /** The byte, counted without padding. */
  readonly bytes: number;
  /** Bytes of each block that do not count. */
  readonly padding: number;
  /** Where it is asked for right now. */
  inquiry: Inquiry | undefined;
  /** Peers that could not help, and in which state of theirs. */
  readonly refusals: Map<PeerMachine, number> = new Map();
  /** The node below which the byte is; undefined if it is behind the end of the log as it is known. */
  node: number | undefined;
  /** Whether the nodes at hand were looked at since they changed. */
  isLocated = false;
  readonly #waiters: Waiters<FoundByte>;

  constructor(bytes: number, padding: number, onEmpty: () => void) {
    this.bytes = bytes;
    this.padding = padding;
    this.#waiters = new Waiters(onEmpty);
  }

  /** How many levels the node is above its blocks. */
  get levels(): number {
    return this.node === undefined ? 0 : depth(this.node);
  }

  /** The blocks below the node. */
  get region(): { readonly start: number; readonly end: number } {
    const node = this.node ?? 0;
    return { start: leftSpan(node) / 2, end: rightSpan(node) / 2 + 1 };
  }

  /** One more who waits for it. */
  wait(signal: AbortSignal | undefined): Promise<FoundByte> {
    return this.#waiters.add(signal);
  }

  /** Looks at the nodes at hand; whether the search is over. */
  async locate({ nodes, tree }: ReplicatedLog): Promise<boolean> {
    const found = await seekByte(nodes, tree, this.bytes, this.padding);
    if (found?.isFound === true) {
      this.#waiters.resolve({ block: found.block, offset: found.offset });
      return true;
    }
    this.node = found?.node;
    this.isLocated = true;
    return false;
  }

  /** It will not be found. */
  reject(error: unknown): void {
    this.#waiters.reject(error);
  }
}

/** All searches. */
export class SeekJobs implements Iterable<SeekJob> {
  readonly #log: ReplicatedLog;
  readonly #onChange: () => void;
  readonly #seeks = new Set<SeekJob>();
  #locating: Promise<void> | undefined;
  #isStale = false;

  /** Calls `onChange` when searches know better what to ask. */
  constructor(log: ReplicatedLog, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
  }

  /** How many there are. */
  get size(): number {
    return this.#seeks.size;
  }

  /** All, oldest first. */
  [Symbol.iterator](): Iterator<SeekJob> {
    return this.#seeks.values();
  }

  /** One more. */
  add(seek: SeekJob): void {
    this.#seeks.add(seek);
    this.refresh();
  }

  /** Ends one. */
  delete(seek: SeekJob): void {
    this.#seeks.delete(seek);
  }

  /** A peer is gone. */
  forget(peer: PeerMachine): void {
    for (const seek of this.#seeks) seek.refusals.delete(peer);
  }

  /** The nodes at hand have changed. */
  refresh(): void {
    if (this.#seeks.size === 0) return;
    this.#isStale = true;
    this.#locating ??= this.#locateAll();
  }

  /** Fails all. */
  reject(error: unknown): void {
    for (const seek of this.#seeks) seek.reject(error);
    this.#seeks.clear();
  }

  async #locateAll(): Promise<void> {
    while (this.#isStale) {
      this.#isStale = false;
      for (const seek of [...this.#seeks]) await this.#locate(seek);
    }
    this.#locating = undefined;
    this.#onChange();
  }

  async #locate(seek: SeekJob): Promise<void> {
    try {
      if (await seek.locate(this.#log)) this.#seeks.delete(seek);
    } catch (error) {
      this.#seeks.delete(seek);
      seek.reject(error);
    }
  }
}
