/**
 * Gives back what value files hold of values that are gone: what is left in a file that is mostly waste moves to another one.
 */
import { type Engine, transact } from "../engine.ts";
import { PLACES_BYTES } from "./limits.ts";
import { decodePlace, type Place } from "./place.ts";
import type { ValueFiles } from "./value_files.ts";

/** Bytes of waste after which it is looked for without being asked. */
const MANY_BYTES = 2 ** 26;
/** Files whose waste is at least that share are given back. */
const WASTE_SHARE = 1 / 8;
/** Bytes of values that are moved at once. */
const STEP_BYTES = 2 ** 20;

/** What it works with. */
export interface CollectorParts {
  /** Where values are put. */
  readonly engine: Engine;
  /** Where places are. */
  readonly below: Engine;
  /** The files. */
  readonly values: ValueFiles;
  /** Settles when all that was written is in the engine below, and safe. */
  settle(): Promise<void>;
}

interface Placed {
  readonly index: number;
  readonly place: Place;
}

/** Looks for waste, in small steps between which other work goes on. */
export class Collector {
  readonly #parts: CollectorParts;
  #freed = 0;
  #left = 0;
  /** Whether nobody has looked yet at what the files held when they were opened. */
  #isUnknown = true;
  #running: Promise<void> | undefined;
  #failure: unknown;
  #isStopped = false;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /** Bytes that are known to be waste. */
  get freeBytes(): number {
    return this.#freed + this.#left;
  }

  /** Notes that so many bytes of values are needed no more. */
  free(bytes: number): void {
    this.#freed += bytes;
  }

  /** Begins to collect if there is much waste. */
  wake(): void {
    if (this.#freed >= MANY_BYTES) this.#start();
  }

  /** Begins to collect if there is any waste; whether there was none. @throws what went wrong since it was last asked. */
  isIdle(): boolean {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
    if (this.#freed > 0 || this.#isUnknown && this.#parts.values.numbers.length > 0) this.#start();
    return this.#running === undefined;
  }

  /** Settles when nothing is under way and nothing will be. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  #start(): void {
    if (this.#running !== undefined || this.#isStopped) return;
    const end = () => {
      this.#running = undefined;
    };
    this.#running = this.#collect().catch((error: unknown) => this.#failure = error).then(end);
  }

  async #collect(): Promise<void> {
    const { values, settle } = this.#parts;
    this.#freed = 0;
    this.#isUnknown = false;
    // From here on nothing new refers to the files that there are, and what waits is in the engine below.
    if (values.sizeOf(values.current) > 0) values.startFile();
    await settle();
    const files = new Map(values.numbers.filter((file) => file < values.current).map((file) => [file, 0]));
    for await (const { entries } of this.#slices(Infinity)) {
      for (const { place: { file, length } } of entries) {
        const live = files.get(file);
        if (live !== undefined) files.set(file, live + length);
      }
    }
    const wasteOf = (file: number) => values.sizeOf(file) - files.get(file)!;
    const wasted = [...files.keys()].filter((file) => wasteOf(file) >= values.sizeOf(file) * WASTE_SHARE);
    this.#left = [...files.keys()].filter((file) => !wasted.includes(file)).reduce(
      (sum, file) => sum + wasteOf(file),
      0,
    );
    await this.#move(new Set(wasted));
    if (this.#isStopped) return;
    await settle();
    for (const file of wasted) values.remove(file);
  }

  async #move(files: ReadonlySet<number>): Promise<void> {
    const { engine, values } = this.#parts;
    if (files.size === 0) return;
    for await (const { layer, entries } of this.#slices(STEP_BYTES)) {
      const moved = entries.filter(({ place }) => files.has(place.file));
      transact(engine, () => {
        for (const { index, place } of moved) engine.put(layer, "block", index, values.read(place));
      });
    }
  }

  /** All places, as many at a time as have so many bytes; between them other work goes on. */
  async *#slices(
    maxBytes: number,
  ): AsyncGenerator<{ readonly layer: number; readonly entries: readonly Placed[] }> {
    const { engine, below } = this.#parts;
    for (const layer of below.layersWith("place")) {
      for (let at = 0; !this.#isStopped;) {
        const entries: Placed[] = [];
        let bytes = 0;
        for (const { index, value } of below.scan(layer, "place", at, Infinity, PLACES_BYTES)) {
          const place = decodePlace(value);
          bytes += place.length;
          if (bytes > maxBytes && entries.length > 0) break;
          entries.push({ index, place });
        }
        if (entries.length === 0) break;
        yield { layer, entries };
        at = entries.at(-1)!.index + 1;
        await engine.rest();
      }
    }
  }
}
