/**
 * Several small values that follow each other as one: a row costs more than a hundred bytes do. One value is itself; more are
 * their lengths, 16 bits each, and then all of them.
 */
import type { Entry } from "./engine.ts";

/** Most values of a pack. */
export const MAX_PACK_COUNT = 128;
/** Most bytes of a pack: a row of that size fits a page of the database. */
export const MAX_PACK_BYTES = 3900;
/** Bytes of a length. */
const LENGTH_BYTES = 2;

/** Up to so many bytes, a loop is faster than a call of `set`. */
const MAX_LOOPED_BYTES = 48;

/** Values that follow each other. */
export interface Pack {
  /** The first index. */
  readonly first: number;
  /** How many values. */
  readonly count: number;
  /** Their bytes, packed. */
  readonly value: Uint8Array;
}

/** Makes packs of values in the order of their indexes, none of which reaches over a multiple of `border`. */
export function* packsOf(entries: readonly Entry[], border: number): Generator<Pack> {
  for (let start = 0; start < entries.length;) {
    const { index: first, value } = entries[start]!;
    let bytes = value.length + LENGTH_BYTES;
    let end = start + 1;
    while (end < entries.length && end - start < MAX_PACK_COUNT) {
      const { index, value } = entries[end]!;
      bytes += value.length + LENGTH_BYTES;
      if (bytes > MAX_PACK_BYTES || index !== first + end - start || index % border === 0) break;
      end++;
    }
    yield pack(entries, start, end);
    start = end;
  }
}

function pack(entries: readonly Entry[], start: number, end: number): Pack {
  const { index: first, value } = entries[start]!;
  const count = end - start;
  if (count === 1) return { first, count, value };
  let size = LENGTH_BYTES * count;
  for (let i = start; i < end; i++) size += entries[i]!.value.length;
  const packed = new Uint8Array(size);
  let at = LENGTH_BYTES * count;
  for (let i = 0; i < count; i++) {
    const { value } = entries[start + i]!;
    packed[LENGTH_BYTES * i] = value.length;
    packed[LENGTH_BYTES * i + 1] = value.length >>> 8;
    if (value.length > MAX_LOOPED_BYTES) packed.set(value, at);
    else for (let j = 0; j < value.length; j++) packed[at + j] = value[j]!;
    at += value.length;
  }
  return { first, count, value: packed };
}

/** The values of a pack. Their bytes are views of it. */
export class Unpacked {
  readonly #pack: Pack;
  /** Where each value ends. */
  readonly #ends: number[] = [];

  constructor(pack: Pack) {
    this.#pack = pack;
    if (pack.count === 1) return;
    let at = LENGTH_BYTES * pack.count;
    for (let i = 0; i < pack.count; i++) {
      at += pack.value[LENGTH_BYTES * i]! + 256 * pack.value[LENGTH_BYTES * i + 1]!;
      this.#ends.push(at);
    }
  }

  /** The first index. */
  get first(): number {
    return this.#pack.first;
  }

  /** The index behind the last. */
  get end(): number {
    return this.#pack.first + this.#pack.count;
  }

  /** How many bytes it has. */
  get byteLength(): number {
    return this.#pack.value.length;
  }

  /** Whether the value at `index` is in it. */
  has(index: number): boolean {
    return index >= this.first && index < this.end;
  }

  /** The value at `index`, which is one of the pack. */
  get(index: number): Uint8Array {
    const { first, count, value } = this.#pack;
    if (count === 1) return value;
    const i = index - first;
    return value.subarray(i === 0 ? LENGTH_BYTES * count : this.#ends[i - 1], this.#ends[i]);
  }

  /** The values in [start, end). */
  *entries(start: number, end: number): Generator<Entry> {
    for (let index = Math.max(start, this.first); index < Math.min(end, this.end); index++) {
      yield { index, value: this.get(index) };
    }
  }
}
