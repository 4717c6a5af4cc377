/**
 * A store in memory: for logs that need not outlive the process, and, on a simulated disk, for tests.
 */
import type { Engine, Entry, Kind } from "./engine.ts";
import { JournaledEngine } from "./journal.ts";
import { LayeredStore } from "./layered_store.ts";
import type { SimulatedFile } from "./simulated_disk.ts";
import type { StoreSize } from "./storage.ts";

/** The values of one layer. */
interface MemoryLayer {
  readonly block: Map<number, Uint8Array>;
  readonly node: Map<number, Uint8Array>;
  readonly page: Map<number, Uint8Array>;
  readonly place: Map<number, Uint8Array>;
  readonly named: Map<string, Uint8Array>;
}

/** What is to be put back if a transaction fails. */
interface Change {
  readonly values: Map<number | string, Uint8Array>;
  readonly key: number | string;
  readonly before: Uint8Array | undefined;
}

/** Values in maps. A transaction that fails is taken back change by change. */
export class MemoryEngine implements Engine {
  readonly #layers = new Map<number, MemoryLayer>();
  #undo: Change[] = [];
  #bytes = 0;

  begin(): void {
    this.#undo = [];
  }

  commit(): void {
    this.#undo = [];
  }

  rollback(): void {
    for (const { values, key, before } of this.#undo.toReversed()) this.#exchange(values, key, before);
    this.#undo = [];
  }

  get(layer: number, kind: Kind, index: number): Uint8Array | undefined {
    return this.#layers.get(layer)?.[kind].get(index);
  }

  put(layer: number, kind: Kind, index: number, value: Uint8Array): void {
    this.#set(this.#layer(layer)[kind], index, value.slice());
  }

  delete(layer: number, kind: Kind, start: number, end: number): void {
    const values = this.#layers.get(layer)?.[kind];
    if (values === undefined) return;
    for (const index of keysBetween(values, start, end)) this.#set(values, index, undefined);
  }

  copy(from: number, to: number, kind: Kind, start: number, end: number): void {
    const values = this.#layers.get(from)?.[kind];
    if (values === undefined) return;
    const target = this.#layer(to)[kind];
    for (const index of keysBetween(values, start, end)) {
      if (!target.has(index)) this.#set(target, index, values.get(index));
    }
  }

  scan(layer: number, kind: Kind, start: number, end: number, maxBytes: number): Entry[] {
    const values = this.#layers.get(layer)?.[kind];
    if (values === undefined) return [];
    const entries: Entry[] = [];
    let left = maxBytes;
    for (const index of keysInOrder(values, start, end)) {
      const value = values.get(index)!;
      left -= value.length;
      if (left < 0 && entries.length > 0) break;
      entries.push({ index, value });
    }
    return entries;
  }

  getNamed(layer: number, name: string): Uint8Array | undefined {
    return this.#layers.get(layer)?.named.get(name);
  }

  putNamed(layer: number, name: string, value: Uint8Array | undefined): void {
    this.#set(this.#layer(layer).named, name, value?.slice());
  }

  layersWith(kind?: Kind): number[] {
    const layers = [...this.#layers].filter(([, values]) => kind === undefined || values[kind].size > 0);
    return layers.map(([layer]) => layer);
  }

  names(layer: number, prefix: string): string[] {
    return [...this.#layers.get(layer)?.named.keys() ?? []].filter((name) => name.startsWith(prefix));
  }

  purge(layer: number): boolean {
    for (const values of Object.values(this.#layers.get(layer) ?? {}) as Map<number | string, Uint8Array>[]) {
      for (const value of values.values()) this.#bytes -= value.length;
    }
    this.#layers.delete(layer);
    return true;
  }

  shrink(): boolean {
    return true;
  }

  size(): StoreSize {
    return { bytes: this.#bytes, freeBytes: 0 };
  }

  relief(): Promise<void> | undefined {
    return undefined;
  }

  rest(): Promise<void> {
    return Promise.resolve();
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#layers.clear();
  }

  #layer(id: number): MemoryLayer {
    let layer = this.#layers.get(id);
    if (layer === undefined) {
      layer = { block: new Map(), node: new Map(), page: new Map(), place: new Map(), named: new Map() };
      this.#layers.set(id, layer);
    }
    return layer;
  }

  #set<K extends number | string>(values: Map<K, Uint8Array>, key: K, value: Uint8Array | undefined): void {
    this.#undo.push({ values: values as Change["values"], key, before: this.#exchange(values, key, value) });
  }

  /** Sets or deletes a value, and returns what was there. */
  #exchange<K>(values: Map<K, Uint8Array>, key: K, value: Uint8Array | undefined): Uint8Array | undefined {
    const before = values.get(key);
    this.#bytes += (value?.length ?? 0) - (before?.length ?? 0);
    if (value === undefined) values.delete(key);
    else values.set(key, value);
    return before;
  }
}

/** Beyond this many indexes a range is found by looking at all keys instead of at all indexes. */
function isDense(values: ReadonlyMap<number, unknown>, start: number, end: number): boolean {
  return end - start <= values.size;
}

function keysBetween(values: ReadonlyMap<number, unknown>, start: number, end: number): Iterable<number> {
  if (isDense(values, start, end)) return keysInOrder(values, start, end);
  return [...values.keys()].filter((index) => index >= start && index < end);
}

function* keysInOrder(values: ReadonlyMap<number, unknown>, start: number, end: number): Generator<number> {
  // A log that is held whole is the usual case: then its indexes need no sorting.
  let index = start;
  for (let misses = 0; index < end && misses < 16; index++) {
    if (values.has(index)) yield index;
    else misses++;
  }
  if (index >= end) return;
  const rest = [...values.keys()].filter((key) => key >= index && key < end);
  yield* rest.toSorted((a, b) => a - b);
}

/** What a store in memory may be told. */
export interface MemoryStoreOptions {
  /**
   * A simulated file that the store keeps a journal in, for tests: it opens with what the file holds, and what is not synced is
   * at the mercy of the disk. The journal is never shortened.
   */
  readonly journal?: SimulatedFile;
}

/**
 * A store in memory. Nothing of it outlives the process, and its durability says so; in all else it is a store like any other.
 *
 * @example
 * ```ts
 * import { MemoryStore, WriteBatch } from "./mod.ts";
 *
 * await using store = new MemoryStore();
 * const [a, b] = [store.open(new Uint8Array(32).fill(1)), store.open(new Uint8Array(32).fill(2))];
 * const batch = new WriteBatch();
 * batch.log(a).putBlock(0, Uint8Array.of(1));
 * batch.log(b).putBlock(7, Uint8Array.of(2));
 * store.write(batch);
 * console.assert((await b.block(7))![0] === 2);
 * ```
 */
export class MemoryStore extends LayeredStore {
  /** An empty store, or what the journal holds. @throws {StorageError} if the journal cannot be read. */
  constructor({ journal }: MemoryStoreOptions = {}) {
    const memory = new MemoryEngine();
    super(
      journal === undefined ? memory : new JournaledEngine(memory, journal),
      journal === undefined ? "none" : "full",
    );
  }
}
