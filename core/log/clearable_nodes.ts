/** Which blocks there are to clear, and which nodes of a tree nothing needs any more then. */
import type { LogWriter } from "../storage/write_batch.ts";
import type { Bitfield } from "./bitfield.ts";
import { isLogLength, leftSpan, rightSpan, upgradePath } from "./flat_tree.ts";

/** Ranges of blocks, each from start up to but without end. */
type Ranges = readonly (readonly [start: number, end: number])[];

/** @throws {RangeError} if one is no range of blocks of a log. */
export function checkRanges(ranges: Ranges): void {
  for (const [start, end] of ranges) {
    if (isLogLength(start) && isLogLength(end) && start <= end) continue;
    throw new RangeError(`no range of blocks: from ${start} to ${end}`);
  }
}

/** What of `ranges` is in a log of `length` blocks, without those of which no block is held. */
export function clearableRanges(held: Bitfield, length: number, ranges: Ranges): Ranges {
  return ranges.map(([start, end]) => [start, Math.min(end, length)] as const)
    .filter(([start, end]) => start < end && held.count(start, end) > 0);
}

/**
 * The nodes that may go when blocks [start, end) were cleared, as ranges from first up to but without end: those below the
 * largest trees without any block at hand. These trees themselves stay, since they prove the blocks beside them.
 */
export function* clearableNodes(
  held: Bitfield,
  length: number,
  start: number,
  end: number,
): Generator<[first: number, end: number]> {
  const gapStart = held.lastSet(start) + 1;
  const next = held.firstSet(end);
  for (const index of upgradePath(gapStart, next === -1 ? length : next)) {
    if (index % 2 === 0) continue;
    yield [leftSpan(index), index];
    yield [index + 1, rightSpan(index) + 1];
  }
}

/** Drops these nodes. */
export function clearNodes(
  writer: LogWriter,
  held: Bitfield,
  length: number,
  start: number,
  end: number,
): void {
  for (const [from, to] of clearableNodes(held, length, start, end)) writer.clearNodes(from, to);
}
