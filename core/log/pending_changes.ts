/** What peers have proven of a log and what is not written yet: it is read from here meanwhile, and written in one go. */
import { copyHash, type TreeNode } from "../crypto/hash.ts";
import type { LogHints } from "../storage/storage.ts";
import type { LogWriter } from "../storage/write_batch.ts";
import type { Bitfield } from "./bitfield.ts";
import { writePages } from "./stored_bits.ts";

/** How a log has changed as a whole. */
export interface LogChange {
  /** How many blocks from the start stayed the same: all that there were, if it grew. */
  readonly ancestors: number;
  /** How many blocks there were. */
  readonly oldLength: number;
  /** Which fork it was. */
  readonly oldFork: number;
  /** Whether a peer has proven it, so that it was signed before. */
  readonly isProven?: boolean | undefined;
}

/** About what a node takes in memory. */
const NODE_BYTES = 150;

/** Changes that are verified. */
export class PendingChanges {
  /** Blocks by index. */
  readonly blocks: Map<number, Uint8Array> = new Map<number, Uint8Array>();
  /** Nodes by index. */
  readonly nodes: Map<number, TreeNode> = new Map<number, TreeNode>();
  /** Set if the log has grown. */
  upgrade: LogChange | undefined;
  /** How many of the first blocks are all at hand with them; set when they are written. */
  contiguousLength = 0;
  #byteLength = 0;

  /** About how many bytes it takes in memory. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Takes a block, which nobody changes any more. */
  addBlock(index: number, value: Uint8Array): void {
    this.blocks.set(index, value);
    this.#byteLength += value.length;
  }

  /** Takes a node, and copies its hash: it outlives the message that it came in. */
  addNode({ index, size, hash }: TreeNode): void {
    this.nodes.set(index, { index, size, hash: copyHash(hash) });
    this.#byteLength += NODE_BYTES;
  }

  /** The blocks as ranges from start up to but without end, in order. */
  ranges(): [start: number, end: number][] {
    const ranges: [start: number, end: number][] = [];
    for (const index of [...this.blocks.keys()].sort((a, b) => a - b)) {
      const last = ranges.at(-1);
      if (last?.[1] === index) last[1]++;
      else ranges.push([index, index + 1]);
    }
    return ranges;
  }

  /** Writes them to a log that holds `held`, and whose hints were `hints`. */
  writeTo(writer: LogWriter, held: Bitfield, hints: LogHints): void {
    const { contiguousLength } = this;
    for (const [index, value] of this.blocks) writer.putBlock(index, value);
    for (const node of this.nodes.values()) writer.putNode(node);
    if (this.blocks.size > 0) writer.setHints({ ...hints, contiguousLength });
    // What is held from the start without a gap needs no pages.
    const rest = this.ranges().map(([start, end]) => [Math.max(start, contiguousLength), end] as const);
    writePages(writer, held, rest.filter(([start, end]) => start < end));
  }
}
