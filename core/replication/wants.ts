/** Of which regions of a log one side wants to hear which blocks the other has. */
import {
  MAX_LOCAL_ANY_WANTS,
  MAX_LOCAL_SMALL_WANTS,
  MAX_LOCAL_WANTS,
  MAX_REMOTE_ANY_WANTS,
  MAX_REMOTE_WANT_LENGTHS,
  MAX_REMOTE_WANTS,
  MIN_WANT_BLOCKS,
  SMALL_WANT_BLOCKS,
  SMALL_WANT_SHARE,
  WANT_BLOCKS,
} from "./constants.ts";
import type { Want } from "./messages.ts";

/** What to say to the peer. */
export interface WantChange {
  /** Regions of which nothing more needs to be said, */
  readonly unwants: readonly Want[];
  /** those among them that are to be forgotten, */
  readonly forgotten: readonly Want[];
  /** and regions to be told about. */
  readonly wants: readonly Want[];
}

const wholeOf = (index: number) => Math.floor(index / WANT_BLOCKS);
const smallOf = (index: number) => Math.floor(index / SMALL_WANT_BLOCKS);

/**
 * The regions of which this side has asked a peer. It is told of whole ones, up to 256 KiB of bits, only where much of them is of
 * interest, or where their bits are few anyway; else of small ones; or of any one block.
 *
 * hypercore 10 answers with the beginning of the whole region, whatever the want: it is recognized by that, and asked about whole
 * regions from then on.
 */
export class LocalWants {
  /** Numbers of regions of WANT_BLOCKS blocks, in the order in which they were asked for. */
  readonly #whole = new Set<number>();
  /** Numbers of regions of SMALL_WANT_BLOCKS blocks in others, likewise. */
  readonly #small = new Set<number>();
  /** The latest regions of which any block was asked for. */
  readonly #any: Want[] = [];
  #isWholesale = false;

  /** Whether one more may be asked about without giving up another. */
  get hasRoom(): boolean {
    return this.#whole.size < MAX_LOCAL_WANTS;
  }

  /** Whether the peer answers for whole regions only. */
  get isWholesale(): boolean {
    return this.#isWholesale;
  }

  /** Whether the peer was asked about the region of this block. */
  has(index: number): boolean {
    return this.#whole.has(wholeOf(index)) || this.#small.has(smallOf(index));
  }

  /** Where the region around this block ends, of which the peer was asked. */
  endOf(index: number): number {
    if (this.#whole.has(wholeOf(index))) return (wholeOf(index) + 1) * WANT_BLOCKS;
    return (smallOf(index) + 1) * SMALL_WANT_BLOCKS;
  }

  /** Asks about `count` blocks from `index` on in a log of `length`, or the first of them; undefined if that was done before. */
  add(index: number, count: number, length: number): WantChange | undefined {
    if (this.has(index)) return undefined;
    const inside = [...this.#small].filter((small) => wholeOf(small * SMALL_WANT_BLOCKS) === wholeOf(index));
    const bits = (inside.length + Math.ceil(count / SMALL_WANT_BLOCKS)) * SMALL_WANT_BLOCKS;
    const isSmall = this.#isWorthIt(index, length, bits) && this.#small.size < MAX_LOCAL_SMALL_WANTS;
    if (!isSmall) return this.#addWhole(wholeOf(index), inside);
    this.#small.add(smallOf(index));
    return { unwants: [], forgotten: [], wants: [wantOf(smallOf(index), SMALL_WANT_BLOCKS)] };
  }

  /** Asks for any block from `start` up to `end` of a log of `length`, in one whole region; undefined if that was done before. */
  addAny(start: number, end: number, length: number): WantChange | undefined {
    if (this.#whole.has(wholeOf(start))) return undefined;
    if (!this.#isWorthIt(start, length, SMALL_WANT_BLOCKS)) return this.add(start, WANT_BLOCKS, length);
    if (this.#any.some((one) => one.start === start && one.length === end - start)) return undefined;
    const want = { start, length: end - start, isAny: true };
    this.#any.push(want);
    return {
      unwants: this.#any.length > MAX_LOCAL_ANY_WANTS ? [this.#any.shift()!] : [],
      forgotten: [],
      wants: [want],
    };
  }

  /** Bits have come, of `count` blocks from `start` on. If they are of no region that was asked about, the whole ones are. */
  onBitfield(start: number, count: number): WantChange | undefined {
    if (this.#isWholesale || count <= SMALL_WANT_BLOCKS || this.#whole.has(wholeOf(start))) return undefined;
    this.#isWholesale = true;
    const asked = [
      ...[...this.#small].map((small) => small * SMALL_WANT_BLOCKS),
      ...this.#any.map((one) => one.start),
    ];
    this.#small.clear();
    this.#any.length = 0;
    const changes = [...new Set(asked.map(wholeOf))].flatMap((whole) => this.#addWhole(whole, []) ?? []);
    return {
      unwants: changes.flatMap(({ unwants }) => unwants),
      forgotten: changes.flatMap(({ forgotten }) => forgotten),
      wants: changes.flatMap(({ wants }) => wants),
    };
  }

  /** Whether so few bits are worth being asked for instead of all of the whole region around this block. */
  #isWorthIt(index: number, length: number, bits: number): boolean {
    const all = Math.min(WANT_BLOCKS, length - wholeOf(index) * WANT_BLOCKS);
    return !this.#isWholesale && bits * SMALL_WANT_SHARE <= all;
  }

  /** Asks about a whole region instead of the small ones inside. */
  #addWhole(whole: number, inside: readonly number[]): WantChange | undefined {
    if (this.#whole.has(whole)) return undefined;
    const [oldest] = this.#whole;
    const isFull = this.#whole.size >= MAX_LOCAL_WANTS;
    const forgotten = isFull ? [wantOf(oldest!, WANT_BLOCKS)] : [];
    if (isFull) this.#whole.delete(oldest!);
    this.#whole.add(whole);
    for (const small of inside) this.#small.delete(small);
    const unwants = [...forgotten, ...inside.map((small) => wantOf(small, SMALL_WANT_BLOCKS))];
    return { unwants, forgotten, wants: [wantOf(whole, WANT_BLOCKS)] };
  }
}

function wantOf(region: number, length: number): Want {
  return { start: region * length, length, isAny: false };
}

/** The regions of which a peer wants to hear. What cannot be kept in a few sets becomes: everything. */
export class RemoteWants {
  /** By length, the starts. */
  readonly #regions = new Map<number, Set<number>>();
  readonly #any: Want[] = [];
  #size = 0;
  #isAll = false;

  /** Whether the peer wants to hear of everything, because it asked for too much. */
  get isAll(): boolean {
    return this.#isAll;
  }

  /** Takes in a want; false if it is to be ignored. */
  add(want: Want): boolean {
    if (want.isAny) {
      if (this.#any.length < MAX_REMOTE_ANY_WANTS) this.#any.push(want);
      else this.#isAll = true;
      return true;
    }
    if (want.length > WANT_BLOCKS) return false;
    if (!this.#addRegion(want)) this.#isAll = true;
    return true;
  }

  /** Takes back a want. */
  remove({ start, length, isAny }: Want): void {
    if (isAny) {
      const place = this.#any.findIndex((one) => one.start === start && one.length === length);
      if (place !== -1) this.#any.splice(place, 1);
      return;
    }
    const starts = this.#regions.get(length);
    if (starts?.delete(start) !== true) return;
    this.#size--;
    if (starts.size === 0) this.#regions.delete(length);
  }

  /** Whether the peer wants to hear of any of these blocks. */
  overlaps(start: number, end: number): boolean {
    if (this.#isAll) return true;
    if (this.#any.some((one) => one.start < end && start < one.start + one.length)) return true;
    for (const [length, starts] of this.#regions) {
      const [first, last] = [Math.floor(start / length), Math.floor((end - 1) / length)];
      if (last - first >= starts.size) {
        for (const one of starts) if (one < end && start < one + length) return true;
        continue;
      }
      for (let i = first; i <= last; i++) if (starts.has(i * length)) return true;
    }
    return false;
  }

  #addRegion({ start, length }: Want): boolean {
    const isPower = Number.isInteger(Math.log2(length));
    if (length < MIN_WANT_BLOCKS || !isPower || start % length !== 0) return false;
    let starts = this.#regions.get(length);
    if (starts?.has(start) === true) return true;
    if (this.#size >= MAX_REMOTE_WANTS) return false;
    if (starts === undefined) {
      if (this.#regions.size >= MAX_REMOTE_WANT_LENGTHS) return false;
      starts = new Set();
      this.#regions.set(length, starts);
    }
    starts.add(start);
    this.#size++;
    return true;
  }
}
