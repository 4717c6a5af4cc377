/**
 * How the bitfield of a log is kept: as the number of blocks from the start that are all held, and pages for what is held
 * behind that. A log that is held whole has no pages, and appending to it writes none.
 */
import type { LogHints, LogReader } from "../storage/storage.ts";
import type { LogWriter } from "../storage/write_batch.ts";
import { Bitfield } from "./bitfield.ts";
import { PAGE_BITS } from "./constants.ts";
import { MAX_LOG_LENGTH } from "./flat_tree.ts";

const NOTHING = new Uint8Array(0);

/** The hints of a log that has none. */
export const NO_HINTS: LogHints = { contiguousLength: 0, remoteContiguousLength: 0, recovering: false };

/** Reads which of the first `length` blocks are held, and the hints, brought up to date. */
export async function readBits(
  reader: LogReader,
  length: number,
): Promise<{ readonly held: Bitfield; readonly hints: LogHints }> {
  const held = new Bitfield();
  const pages = await reader.bitfieldPages(0, Math.ceil(length / PAGE_BITS));
  for (const { page, value } of pages) held.setPage(page, value);
  const hints = await reader.hints() ?? NO_HINTS;
  held.setRange(0, Math.min(length, hints.contiguousLength), true);
  const last = held.lastSet(MAX_LOG_LENGTH);
  if (last >= length) held.setRange(length, last + 1, false);
  return { held, hints: { ...hints, contiguousLength: held.firstUnset(0) } };
}

/** Writes the pages of ranges of blocks, from start up to but without end, each page once. */
export function writePages(
  writer: LogWriter,
  held: Bitfield,
  ranges: readonly (readonly [start: number, end: number])[],
): void {
  const done = new Set<number>();
  for (const [start, end] of ranges) {
    for (let page = Math.floor(start / PAGE_BITS); page * PAGE_BITS < end; page++) {
      if (!done.has(page)) writePage(writer, held, page);
      done.add(page);
    }
  }
}

/** Writes one page. */
function writePage(writer: LogWriter, held: Bitfield, page: number): void {
  writer.putBitfieldPage(page, held.page(page) ?? NOTHING);
}

/** Takes away the pages behind the first `length` blocks, of which `reader` has the numbers, and cuts the last one. */
export async function cutPages(
  writer: LogWriter,
  reader: LogReader,
  held: Bitfield,
  length: number,
): Promise<void> {
  for (const { page } of await reader.bitfieldPages(Math.floor(length / PAGE_BITS), Infinity)) {
    writePage(writer, held, page);
  }
}
