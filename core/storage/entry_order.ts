/** Values that were put in any order, as a table takes them. */
import type { Entry } from "./engine.ts";
import { SEGMENT_SIZE } from "./schema.ts";

/** Entries are put in order by their places if there are no more places than so many times the entries. */
const SPARSEST = 4;

/** Entries by index; of those with one index the last. */
export function inOrder(entries: Entry[]): Entry[] {
  if (entries.every(({ index }, i) => i === 0 || index > entries[i - 1]!.index)) return entries;
  let [first, last] = [Infinity, 0];
  for (const { index } of entries) {
    if (index < first) first = index;
    if (index > last) last = index;
  }
  // The nodes of a batch leave few gaps: then each has its place, and nothing has to be compared.
  if (last - first < SPARSEST * entries.length) {
    const places: (Entry | undefined)[] = new Array(last - first + 1).fill(undefined);
    for (const entry of entries) places[entry.index - first] = entry;
    return places.filter((entry) => entry !== undefined);
  }
  const sorted = entries.toSorted((a, b) => a.index - b.index); // which keeps the order of equal ones
  return sorted.filter(({ index }, i) => index !== sorted[i + 1]?.index);
}

/** Entries in their order, those of each segment by themselves. */
export function* bySegment(entries: readonly Entry[]): Generator<readonly Entry[]> {
  for (let start = 0, end = 1; start < entries.length; end++) {
    const high = Math.floor(entries[start]!.index / SEGMENT_SIZE);
    if (end < entries.length && Math.floor(entries[end]!.index / SEGMENT_SIZE) === high) continue;
    yield start === 0 && end === entries.length ? entries : entries.slice(start, end);
    start = end;
  }
}
