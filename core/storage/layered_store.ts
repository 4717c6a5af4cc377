/**
 * A store on top of an engine: logs, overlays and snapshots as layers of values, batches as transactions.
 */
import { HyphaError, StorageError, toError } from "../runtime/errors.ts";
import { Catalog } from "./catalog.ts";
import { type Engine, transact, type TransactionSize } from "./engine.ts";
import { GroupSync } from "./group_sync.ts";
import { DOOMED, type Layer, NO_LAYER } from "./layers.ts";
import { LayeredLog } from "./layered_log.ts";
import type { Durability, LogStorage, MaybePromise, Store, StoreSize } from "./storage.ts";
import { checkName, type WriteBatch } from "./write_batch.ts";

const RECORD = "record:";
/** About what an operation takes besides its value: most put a node, or a block and what belongs to it. */
const OPERATION_BYTES = 32;

/** A {@linkcode Store} over any {@linkcode Engine}. All but `sync`, `remove` and `close` answers at once. */
export class LayeredStore implements Store {
  /** What `sync` waits for. */
  readonly durability: Durability;
  readonly #engine: Engine;
  readonly #catalog: Catalog;
  readonly #group: GroupSync;
  #failure: StorageError | undefined;

  /** Takes the engine over, and deletes what was left behind when it was last closed or died. */
  constructor(engine: Engine, durability: Durability) {
    this.#engine = engine;
    this.durability = durability;
    this.#catalog = new Catalog(engine, (layer) => this.#dropSnapshot(layer));
    this.#group = new GroupSync(() => engine.sync());
    this.#purgeDoomed();
  }

  /** The log of a discovery key. @throws {TypeError} if the key has another length than 32. */
  open(discoveryKey: Uint8Array): LogStorage {
    this.#catalog.engine();
    if (discoveryKey.length !== 32) {
      throw new TypeError(`A discovery key has 32 bytes, not ${discoveryKey.length}`);
    }
    return new LayeredLog(this.#catalog, discoveryKey.slice(), undefined);
  }

  /** The discovery keys of all logs. */
  async *list(): AsyncIterable<Uint8Array> {
    yield* this.#catalog.list();
  }

  /** A record of the store. */
  record(name: string): Uint8Array | undefined {
    checkName(name);
    return this.#catalog.engine().getNamed(NO_LAYER, RECORD + name);
  }

  /** The names of all records that begin with `prefix`. */
  recordNames(prefix: string): string[] {
    return this.#catalog.engine().names(NO_LAYER, RECORD + prefix).map((name) => name.slice(RECORD.length));
  }

  /**
   * Writes a batch, whole or not at all, and at once, even if it returns a promise: that one says when the medium has caught up.
   *
   * @throws {StorageError} as every store.
   */
  write(batch: WriteBatch): MaybePromise<void> {
    const removed: number[] = [];
    this.#transact(() => {
      for (const { name, value } of batch.records) this.#engine.putNamed(NO_LAYER, RECORD + name, value);
      for (const writer of batch.logs) this.#catalog.apply(writer, removed);
    }, sizeOf(batch));
    for (const id of removed) this.#purge(id);
    return this.#engine.relief();
  }

  /** Waits until all that was written is as safe as it gets. @throws {StorageError} as every store. */
  async sync(): Promise<void> {
    this.#checkWritable();
    try {
      await this.#group.run();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Removes a log; returns by how many bytes the store has shrunk. */
  async remove(discoveryKey: Uint8Array): Promise<number> {
    const before = this.size().bytes;
    let removed: readonly number[] = [];
    this.#transact(() => removed = this.#catalog.remove(discoveryKey));
    if (removed.length === 0) return 0;
    for (const id of removed) await this.#purgeSlowly(id);
    await this.#shrink();
    return Math.max(0, before - this.size().bytes);
  }

  /**
   * Deletes what no log leads to any more, unless it looks like a log or is damaged, and gives all room that holds nothing back to
   * the medium, in small steps between which other work goes on.
   *
   * @returns by how many bytes the store has shrunk.
   * @throws {StorageError} as every store.
   */
  async shrink(): Promise<number> {
    this.#checkWritable();
    const before = this.size().bytes;
    for (const id of this.#catalog.waste()) await this.#purgeSlowly(id);
    await this.#shrink();
    return Math.max(0, before - this.size().bytes);
  }

  async #purgeSlowly(id: number): Promise<void> {
    while (!this.#catalog.engine().purge(id)) await this.#engine.rest();
    this.#forget(id);
  }

  /**
   * Brings back logs that the store has and does not know of any more, since what said so is damaged.
   *
   * @param discoveryKeyOf tells of the key of a log its discovery key.
   * @throws {StorageError} as every store.
   */
  adoptLogs(discoveryKeyOf: (key: Uint8Array) => Uint8Array): void {
    this.#checkWritable();
    const lost = this.#catalog.lostLogs();
    this.#transact(() => lost.forEach((key, id) => this.#catalog.adopt(id, discoveryKeyOf(key))));
  }

  async #shrink(): Promise<void> {
    while (!this.#catalog.engine().shrink()) await this.#engine.rest();
  }

  /** How much it holds. */
  size(): StoreSize {
    return this.#catalog.engine().size();
  }

  /** Syncs and closes. */
  async close(): Promise<void> {
    if (this.#catalog.isClosed) return;
    try {
      if (this.#failure === undefined) {
        this.#purgeDoomed();
        await this.sync();
      }
    } finally {
      if (!this.#catalog.isClosed) {
        this.#catalog.isClosed = true;
        await this.#engine.close();
      }
    }
  }

  /** Closes. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Runs `work` whole or not at all. @throws what `work` throws, or that the store failed. */
  #transact(work: () => void, size?: TransactionSize): void {
    this.#checkWritable();
    try {
      transact(this.#engine, work, size);
      this.#catalog.layers.commit();
    } catch (error) {
      this.#catalog.layers.rollback();
      throw isHarmless(error) ? error : this.#fail(error);
    }
  }

  #dropSnapshot(layer: Layer): void {
    layer.parent?.children.delete(layer);
    layer.parent = undefined;
    layer.isAlive = false;
    if (layer.id === NO_LAYER || this.#catalog.isClosed || this.#failure !== undefined) return;
    this.#purge(layer.id);
    layer.id = NO_LAYER;
  }

  #purgeDoomed(): void {
    for (const name of this.#engine.names(NO_LAYER, DOOMED)) this.#purge(Number(name.slice(DOOMED.length)));
  }

  #purge(id: number): void {
    while (!this.#engine.purge(id));
    this.#forget(id);
  }

  #forget(id: number): void {
    transact(this.#engine, () => this.#engine.putNamed(NO_LAYER, DOOMED + id, undefined));
  }

  #checkWritable(): void {
    this.#catalog.engine();
    if (this.#failure === undefined) return;
    const text = `The store takes no more batches since it failed: ${this.#failure.message}. Open it again`;
    throw new StorageError(this.#failure.code, text, { cause: this.#failure });
  }

  #fail(error: unknown): unknown {
    if (error instanceof StorageError) this.#failure ??= error;
    else {
      const cause = toError(error);
      this.#failure ??= new StorageError("WRITE_FAILED", cause.message, { cause });
    }
    return error;
  }
}

/** Whether the store is as good as before: the caller was wrong, or there was no room. */
function isHarmless(error: unknown): boolean {
  if (error instanceof HyphaError) return error.code === "DISK_FULL" || error.code === "TARGET_EXISTS";
  return error instanceof TypeError || error instanceof RangeError;
}

function sizeOf({ logs }: WriteBatch): TransactionSize {
  let [bytes, largest] = [0, 0];
  for (const log of logs) {
    bytes += log.byteLength + OPERATION_BYTES * log.operations.length;
    largest = Math.max(largest, log.largest);
  }
  return { bytes, largest };
}
