/**
 * Which blocks of a log are to stay when all others are dropped, kept with the log as user data: so that marking goes on after a
 * restart, and one session marks what another one sweeps.
 */
import { MARKS_KEY } from "../storage/storage.ts";
import { WriteBatch } from "../storage/write_batch.ts";
import { damaged } from "./branch_parts.ts";
import { Bitfield } from "./bitfield.ts";
import { PAGE_BITS } from "./constants.ts";
import type { LogState } from "./log_state.ts";

/** The marks of one log. */
export class Marks {
  readonly #log: LogState;
  #bits: Promise<Bitfield> | undefined;
  /** What is known without waiting, once it was read. */
  #known: Bitfield | undefined;
  /** Pages that were marked since they were written. */
  readonly #changed = new Set<number>();
  #isScheduled = false;

  /** Those of `log`, which are read when they are asked for. */
  constructor(log: LogState) {
    this.#log = log;
  }

  /** Which blocks are marked. Not to be changed. */
  bits(): Promise<Bitfield> {
    return this.#bits ??= this.#read().catch((error) => {
      this.#bits = undefined;
      throw error;
    });
  }

  /** Marks blocks from `start` up to but without `end`, as far as the log has them, and writes that. */
  async add(start: number, end: number): Promise<void> {
    await this.bits();
    this.#set(start, Math.min(end, this.#log.length));
    await this.flush();
  }

  /** Marks one block; that is written at the end of the turn, along with others. {@linkcode bits} must have been read. */
  addSoon(index: number): void {
    if (index >= this.#log.length) return;
    this.#set(index, index + 1);
    if (this.#changed.size === 0 || this.#isScheduled) return;
    this.#isScheduled = true;
    this.#log.runtime.clock.defer(() => {
      this.#isScheduled = false;
      void this.flush().catch(() => {}); // who sweeps is told; until then memory knows
    });
  }

  /** Writes what was marked. */
  async flush(): Promise<void> {
    const bits = this.#known;
    if (bits === undefined || this.#changed.size === 0) return;
    await this.#log.store();
    await this.#log.hold(async () => {
      const pages = [...this.#changed];
      this.#changed.clear();
      try {
        await this.#write(pages.map((page) => [MARKS_KEY + page, bits.page(page)]));
      } catch (error) {
        for (const page of pages) this.#changed.add(page);
        throw error;
      }
    });
  }

  /** Forgets all. */
  async clear(): Promise<void> {
    await this.#log.hold(async () => {
      const keys = await this.#log.storage.userDataKeys(MARKS_KEY);
      if (keys.length > 0) await this.#write(keys.map((key) => [key, undefined]));
      this.#changed.clear();
      this.#known = new Bitfield();
      this.#bits = Promise.resolve(this.#known);
    });
  }

  #set(start: number, end: number): void {
    const bits = this.#known!;
    if (start >= end || bits.firstUnset(start) >= end) return;
    bits.setRange(start, end, true);
    for (let page = Math.floor(start / PAGE_BITS); page * PAGE_BITS < end; page++) this.#changed.add(page);
  }

  async #read(): Promise<Bitfield> {
    const bits = new Bitfield();
    for (const key of await this.#log.storage.userDataKeys(MARKS_KEY)) {
      const page = await this.#log.storage.userData(key);
      try {
        if (page !== undefined) bits.setPage(Number(key.slice(MARKS_KEY.length)), page);
      } catch (error) {
        if (error instanceof RangeError) throw damaged("its marks make no sense");
        throw error;
      }
    }
    return this.#known = bits;
  }

  async #write(pages: readonly (readonly [key: string, page: Uint8Array | undefined])[]): Promise<void> {
    const batch = new WriteBatch();
    const writer = batch.log(this.#log.storage);
    for (const [key, page] of pages) writer.setUserData(key, page && withoutZeros(page));
    await this.#log.target.write(batch);
  }
}

/** A page without the zeros at its end. */
function withoutZeros(page: Uint8Array): Uint8Array {
  let end = page.length;
  while (end > 0 && page[end - 1] === 0) end--;
  return page.subarray(0, end);
}
