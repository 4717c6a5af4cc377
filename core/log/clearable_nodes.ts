/** Which nodes of a tree nothing needs any more when blocks were cleared. */
import type { LogWriter } from "../storage/write_batch.ts";
import type { Bitfield } from "./bitfield.ts";
import { leftSpan, rightSpan, upgradePath } from "./flat_tree.ts";

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
