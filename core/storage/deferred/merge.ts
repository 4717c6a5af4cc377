/**
 * Lists of values from several sources as one.
 */
import type { Entry } from "../engine.ts";

/** A value that may have to be read first. */
export interface LazyEntry {
  /** Its index. */
  readonly index: number;
  /** How many bytes it has. */
  readonly length: number;
  /** Reads it. */
  read(): Uint8Array;
}

/** Entries that need no reading. */
export function ready(entries: readonly Entry[]): LazyEntry[] {
  return entries.map(({ index, value }) => ({ index, length: value.length, read: () => value }));
}

/** As many of `entries` as fit into `maxBytes`, at least one. */
export function upTo(entries: readonly LazyEntry[], maxBytes: number): readonly LazyEntry[] {
  let left = maxBytes;
  const end = entries.findIndex(({ length }, i) => (left -= length) < 0 && i > 0);
  return end === -1 ? entries : entries.slice(0, end);
}

/**
 * The entries of all lists by index, of those with one index that of the first list; at least one if there is one, then as many
 * as fit into `maxBytes`. A list may go on behind its last entry, unless it is empty.
 */
export function mergeEntries(lists: readonly (readonly LazyEntry[])[], maxBytes: number): Entry[] {
  const merged = new Map<number, LazyEntry>();
  let last = Infinity;
  for (const list of lists) {
    if (list.length > 0) last = Math.min(last, list.at(-1)!.index);
    for (const entry of list) if (!merged.has(entry.index)) merged.set(entry.index, entry);
  }
  const sorted = [...merged.values()].filter(({ index }) => index <= last).sort((a, b) => a.index - b.index);
  return upTo(sorted, maxBytes).map((entry) => ({ index: entry.index, value: entry.read() }));
}
