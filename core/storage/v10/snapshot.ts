/**
 * What a snapshot keeps of a log: what the log has lost since.
 */
import type { LogHead, LogHints, StoredBlock, TreeNode } from "../storage.ts";
import type { UserDatum } from "./entry.ts";
import { lastLeaf, spanningNodes } from "./positions.ts";

/** The log that a snapshot is of, now. */
export interface SnapshotSource {
  block(index: number): Uint8Array | undefined;
  node(index: number): TreeNode | undefined;
}

/** The head, the hints, the user data and the pages of a log at one moment, and what it has lost since. */
export class SnapshotState {
  readonly head: LogHead | undefined;
  readonly hints: LogHints | undefined;
  readonly userData: readonly UserDatum[];
  readonly pages: ReadonlyMap<number, Uint8Array>;
  readonly #blocks = new Map<number, Uint8Array>();
  readonly #nodes = new Map<number, TreeNode>();
  /** Up to which block the log still is as it was. */
  #shared: number;

  /** A snapshot of a log that is now as is said. */
  constructor(
    head: LogHead | undefined,
    hints: LogHints | undefined,
    userData: readonly UserDatum[],
    pages: ReadonlyMap<number, Uint8Array>,
  ) {
    this.head = head;
    this.hints = hints;
    this.userData = userData;
    this.pages = pages;
    this.#shared = head?.length ?? 0;
  }

  /** Copies what [start, end) is about to lose; `isCut` says that nothing behind `start` stays. */
  keep(log: SnapshotSource, start: number, end: number, isCut: boolean): void {
    for (let index = start; index < Math.min(end, this.#shared); index++) {
      const block = log.block(index);
      if (block !== undefined) this.#blocks.set(index, block.slice());
    }
    if (!isCut || start >= this.#shared) return;
    const lost = spanningNodes(start);
    for (let index = 2 * start; index < 2 * this.#shared; index++) lost.push(index);
    for (const index of lost) {
      if (lastLeaf(index) >= 2 * this.#shared) continue;
      const node = log.node(index);
      if (node !== undefined) this.#nodes.set(index, node);
    }
    this.#shared = start;
  }

  /** A block, which `log` may still have. */
  block(log: SnapshotSource, index: number): Uint8Array | undefined {
    return this.#blocks.get(index) ?? (index < this.#shared ? log.block(index) : undefined);
  }

  /** A node, which `log` may still have. */
  node(log: SnapshotSource, index: number): TreeNode | undefined {
    return this.#nodes.get(index) ?? (lastLeaf(index) < 2 * this.#shared ? log.node(index) : undefined);
  }

  /** The first of the blocks in [start, end), as `LogReader.blocks` has it. */
  blocks(log: SnapshotSource, start: number, end: number, maxBytes: number): StoredBlock[] {
    const found: StoredBlock[] = [];
    let left = maxBytes;
    for (let index = start; index < Math.min(end, this.head?.length ?? 0); index++) {
      const value = this.block(log, index);
      if (value === undefined) continue;
      left -= value.length;
      if (left < 0 && found.length > 0) break;
      found.push({ index, value });
    }
    return found;
  }
}
