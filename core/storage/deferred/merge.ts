/**
 * Lists of values from several sources as one.
 */
import type { Entry } from "../engine.ts";
import { decodePlace, type Place } from "./place.ts";

/** A value that is elsewhere. */
export interface PlacedEntry {
  /** Its index. */
  readonly index: number;
  /** Where it is. */
  readonly place: Place;
}

/** Entries of places as entries of what is there. */
export function placed(entries: readonly Entry[]): PlacedEntry[] {
  return entries.map(({ index, value }) => ({ index, place: decodePlace(value) }));
}

type AnyEntry = Entry | PlacedEntry;

/**
 * Lists of entries from an index on: each by index, and complete up to its last entry, or to the end if it is empty. Those of
 * values have all that fit into `maxBytes`, or more.
 */
export type ListsFrom = (start: number, maxBytes: number) => readonly (readonly AnyEntry[])[];

/**
 * The entries of all lists from `start` on by index, of those with one index that of the first list; at least one if there is one,
 * then as many as fit into `maxBytes`. Only these are read.
 */
export function readMerged(
  lists: ListsFrom,
  read: (place: Place) => Uint8Array,
  start: number,
  maxBytes: number,
): Entry[] {
  const taken: AnyEntry[] = [];
  let left = maxBytes;
  for (let at = start; left > 0 || taken.length === 0;) {
    const found = lists(at, Math.max(0, left)).filter((list) => list.length > 0);
    if (found.length === 0) break;
    const merged = merge(found);
    for (const entry of merged) {
      left -= "value" in entry ? entry.value.length : entry.place.length;
      if (left < 0 && taken.length > 0) break;
      taken.push(entry);
    }
    if (found.length === 1 && "value" in merged[0]!) break;
    at = merged.at(-1)!.index + 1;
  }
  return taken.map((entry) => "value" in entry ? entry : { index: entry.index, value: read(entry.place) });
}

/** All up to where the first list ends that may go on. */
function merge(lists: readonly (readonly AnyEntry[])[]): readonly AnyEntry[] {
  if (lists.length === 1) return lists[0]!;
  const merged = new Map<number, AnyEntry>();
  const last = lists.reduce((least, list) => Math.min(least, list.at(-1)!.index), Infinity);
  for (const list of lists) {
    for (const entry of list) {
      if (entry.index <= last && !merged.has(entry.index)) merged.set(entry.index, entry);
    }
  }
  return [...merged.values()].sort((a, b) => a.index - b.index);
}
