/**
 * Many deadlines, one of them the earliest: an indexed binary heap. Moving a deadline costs O(log n) and no garbage, so
 * one host timer serves thousands of machines.
 */

/** What sits in a {@linkcode Deadlines}: it carries its own place in the heap. */
export interface DeadlineEntry {
  /** When it is due, in milliseconds of the clock in use. Only {@linkcode Deadlines} writes it. */
  deadline: number;
  /** Place in the heap, or -1. Only {@linkcode Deadlines} writes it. */
  deadlineIndex: number;
  /** Breaks ties: of equal deadlines the one set first is due first. Only {@linkcode Deadlines} writes it. */
  deadlineOrder: number;
}

function isBefore(a: DeadlineEntry, b: DeadlineEntry): boolean {
  return a.deadline < b.deadline || (a.deadline === b.deadline && a.deadlineOrder < b.deadlineOrder);
}

/** A set of entries ordered by deadline. */
export class Deadlines<Entry extends DeadlineEntry> {
  readonly #heap: Entry[] = [];
  #order = 0;

  /** How many entries have a deadline. */
  get size(): number {
    return this.#heap.length;
  }

  /** The earliest deadline, or `Infinity`. */
  get next(): number {
    return this.#heap[0]?.deadline ?? Infinity;
  }

  /** Sets the deadline of `entry`; `Infinity` takes it out. */
  set(entry: Entry, at: number): void {
    if (at === Infinity) {
      this.delete(entry);
      return;
    }
    entry.deadlineOrder = this.#order++;
    if (entry.deadlineIndex === -1) {
      entry.deadline = at;
      entry.deadlineIndex = this.#heap.length;
      this.#heap.push(entry);
      this.#up(entry);
      return;
    }
    const earlier = at < entry.deadline;
    entry.deadline = at;
    if (earlier) this.#up(entry);
    else this.#down(entry);
  }

  /** Takes `entry` out, if it is in. */
  delete(entry: Entry): void {
    const index = entry.deadlineIndex;
    if (index === -1) return;
    entry.deadlineIndex = -1;
    entry.deadline = Infinity;
    const last = this.#heap.pop()!;
    if (last === entry) return;
    this.#place(last, index);
    this.#up(last);
    this.#down(last);
  }

  /** Takes out and returns the earliest entry if it is due at `now`. */
  popDue(now: number): Entry | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.deadline > now) return undefined;
    this.delete(first);
    return first;
  }

  #place(entry: Entry, index: number): void {
    this.#heap[index] = entry;
    entry.deadlineIndex = index;
  }

  #up(entry: Entry): void {
    let index = entry.deadlineIndex;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.#heap[parentIndex]!;
      if (isBefore(parent, entry)) break;
      this.#place(parent, index);
      index = parentIndex;
    }
    this.#place(entry, index);
  }

  #down(entry: Entry): void {
    const heap = this.#heap;
    let index = entry.deadlineIndex;
    while (true) {
      let childIndex = 2 * index + 1;
      if (childIndex >= heap.length) break;
      if (childIndex + 1 < heap.length && isBefore(heap[childIndex + 1]!, heap[childIndex]!)) childIndex++;
      const child = heap[childIndex]!;
      if (isBefore(entry, child)) break;
      this.#place(child, index);
      index = childIndex;
    }
    this.#place(entry, index);
  }
}
