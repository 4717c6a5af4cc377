/**
 * A store on top of an engine: logs, overlays and snapshots as layers of values, batches as transactions.
 */
import { decodeExact, encode } from "../../encoding/codec.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { uint } from "../../encoding/varint.ts";
import { HyphaError, StorageError, toError } from "../runtime/errors.ts";
import type { Engine } from "./engine.ts";
import { GroupSync } from "./group_sync.ts";
import { DOOMED, type Layer, Layers, newLayer, NO_LAYER } from "./layers.ts";
import { LayeredLog } from "./layered_log.ts";
import { encodeNode, logAuth, logHead, logHints } from "./records.ts";
import type { Durability, LogAddress, Store, StoreSize } from "./storage.ts";
import { checkName, type LogOperation, type LogWriter, type WriteBatch } from "./write_batch.ts";

const LOG = "log:";
const RECORD = "record:";
const OVERLAY = "overlay:";

/** A log that exists: its own layer, and those of its overlays. */
interface Family {
  readonly main: Layer;
  readonly overlays: Map<string, Layer>;
}

/** A {@linkcode Store} over any {@linkcode Engine}; answers at once. */
export class LayeredStore implements Store {
  readonly durability: Durability;
  /** Reads for the logs of the store. */
  readonly layers: Layers;
  readonly #engine: Engine;
  readonly #families = new Map<string, Family>();
  readonly #group: GroupSync;
  #failure: StorageError | undefined;
  #isClosed = false;

  /** Takes the engine over, and deletes what was left behind when it was last closed or died. */
  constructor(engine: Engine, durability: Durability) {
    this.#engine = engine;
    this.durability = durability;
    this.layers = new Layers(engine);
    this.#group = new GroupSync(() => engine.sync());
    for (const name of engine.names(NO_LAYER, DOOMED)) this.#purge(Number(name.slice(DOOMED.length)));
  }

  open(discoveryKey: Uint8Array): LayeredLog {
    this.engine();
    if (discoveryKey.length !== 32) {
      throw new TypeError(`A discovery key has 32 bytes, not ${discoveryKey.length}`);
    }
    return new LayeredLog(this, discoveryKey.slice(), undefined);
  }

  async *list(): AsyncIterable<Uint8Array> {
    for (const name of this.engine().names(NO_LAYER, LOG)) yield fromHex(name.slice(LOG.length));
  }

  record(name: string): Uint8Array | undefined {
    checkName(name);
    return this.engine().getNamed(NO_LAYER, RECORD + name);
  }

  recordNames(prefix: string): string[] {
    return this.engine().names(NO_LAYER, RECORD + prefix).map((name) => name.slice(RECORD.length));
  }

  write(batch: WriteBatch): void {
    const removed: number[] = [];
    this.#transact(() => {
      for (const { name, value } of batch.records) this.#engine.putNamed(NO_LAYER, RECORD + name, value);
      for (const writer of batch.logs) this.#apply(writer, removed);
    });
    for (const id of removed) this.#purge(id);
  }

  async sync(): Promise<void> {
    this.#checkWritable();
    try {
      await this.#group.run();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async remove(discoveryKey: Uint8Array): Promise<number> {
    const engine = this.engine();
    const key = toHex(discoveryKey);
    const family = this.#family(key);
    if (family === undefined) return 0;
    const before = engine.size().bytes;
    const layers = [family.main, ...family.overlays.values()];
    this.#transact(() => {
      for (const layer of layers) this.layers.doom(layer);
      engine.putNamed(NO_LAYER, LOG + key, undefined);
    });
    this.#families.delete(key);
    for (const { id } of layers) await this.#purgeSlowly(id);
    while (!this.engine().shrink()) await engine.rest();
    return Math.max(0, before - engine.size().bytes);
  }

  size(): StoreSize {
    return this.engine().size();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    try {
      if (this.#failure === undefined) {
        for (const name of this.#engine.names(NO_LAYER, DOOMED)) {
          this.#purge(Number(name.slice(DOOMED.length)));
        }
        await this.sync();
      }
    } finally {
      if (!this.#isClosed) this.#engine.close();
      this.#isClosed = true;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The engine, for reading. @throws {StorageError} if the store is closed. */
  engine(): Engine {
    if (this.#isClosed) throw new StorageError("STORE_CLOSED", "The store is closed: open it again");
    return this.#engine;
  }

  /** The layer of a log or overlay; undefined if there is none. */
  find({ discoveryKey, overlayName }: LogAddress): Layer | undefined {
    this.engine();
    const family = this.#family(toHex(discoveryKey));
    return overlayName === undefined ? family?.main : family?.overlays.get(overlayName);
  }

  /** The names of the overlays of a log. */
  overlaysOf({ discoveryKey }: LogAddress): string[] {
    this.engine();
    return [...this.#family(toHex(discoveryKey))?.overlays.keys() ?? []];
  }

  /** The layer that holds the keys of a log. */
  mainOf({ discoveryKey }: LogAddress): Layer | undefined {
    return this.find({ discoveryKey, overlayName: undefined });
  }

  /** Ends a snapshot; what it holds goes. */
  dropSnapshot(layer: Layer): void {
    layer.parent?.children.delete(layer);
    layer.parent = undefined;
    layer.isAlive = false;
    if (layer.id === NO_LAYER || this.#isClosed || this.#failure !== undefined) return;
    this.#purge(layer.id);
    layer.id = NO_LAYER;
  }

  #family(key: string): Family | undefined {
    return this.#families.get(key) ?? this.#loadFamily(key);
  }

  #loadFamily(key: string): Family | undefined {
    const id = this.#engine.getNamed(NO_LAYER, LOG + key);
    if (id === undefined) return undefined;
    const main = newLayer(decodeExact(uint, id));
    const overlays = new Map<string, Layer>();
    const byId = new Map([[main.id, main]]);
    for (const name of this.#engine.names(main.id, OVERLAY)) {
      const layer = newLayer(decodeExact(uint, this.#engine.getNamed(main.id, name)!));
      overlays.set(name.slice(OVERLAY.length), layer);
      byId.set(layer.id, layer);
    }
    for (const layer of overlays.values()) {
      const { parent, shared } = this.layers.readParent(layer.id);
      layer.parent = byId.get(parent);
      layer.shared = shared;
      layer.parent?.children.add(layer);
    }
    const family = { main, overlays };
    this.#families.set(key, family);
    return family;
  }

  #apply({ address, operations }: LogWriter, removed: number[]): void {
    const key = toHex(address.discoveryKey);
    const family = this.#family(key) ?? this.#createFamily(key);
    for (const operation of operations) {
      const { overlayName: name } = address;
      const layer = name === undefined ? family.main : family.overlays.get(name);
      if (layer !== undefined) this.#applyOne(family, layer, name, operation, removed);
      else if (operation.type !== "removeOverlay") {
        throw new TypeError(`The log has no overlay ${name}: create it first`);
      }
    }
  }

  #createFamily(key: string): Family {
    const family = { main: newLayer(this.layers.allocate()), overlays: new Map<string, Layer>() };
    this.#engine.putNamed(NO_LAYER, LOG + key, encode(uint, family.main.id));
    this.#families.set(key, family);
    this.layers.onRollback(() => {
      family.main.isAlive = false;
      this.#families.delete(key);
    });
    return family;
  }

  #applyOne(
    family: Family,
    layer: Layer,
    name: string | undefined,
    operation: LogOperation,
    removed: number[],
  ): void {
    const engine = this.#engine;
    switch (operation.type) {
      case "auth":
        return engine.putNamed(family.main.id, "auth", encode(logAuth, operation.auth));
      case "head":
        return engine.putNamed(layer.id, "head", encode(logHead, operation.head));
      case "hints":
        return engine.putNamed(layer.id, "hints", encode(logHints, operation.hints));
      case "block":
        return engine.put(layer.id, "block", operation.index, operation.value);
      case "node":
        return engine.put(layer.id, "node", operation.node.index, encodeNode(operation.node));
      case "bitfieldPage":
        return this.layers.putPage(layer, operation.page, operation.value);
      case "userData":
        return this.layers.putUserData(layer, operation.key, operation.value);
      case "clear":
        return this.layers.clear(layer, "block", operation.start, operation.end);
      case "clearNodes":
        return this.layers.clear(layer, "node", operation.start, operation.end);
      case "truncate":
        return this.layers.truncate(layer, operation.length);
      case "createOverlay":
        return this.#createOverlay(family, layer, operation.name, operation.length);
      case "removeOverlay":
        return this.#removeOverlay(family, layer, name!, removed);
    }
  }

  #createOverlay({ main, overlays }: Family, parent: Layer, name: string, length: number): void {
    if (overlays.has(name)) throw new StorageError("TARGET_EXISTS", `The log has an overlay ${name} already`);
    const layer = newLayer(this.layers.allocate(), parent, length);
    this.#engine.putNamed(main.id, OVERLAY + name, encode(uint, layer.id));
    this.layers.writeParent(layer);
    overlays.set(name, layer);
    this.layers.onRollback(() => {
      layer.isAlive = false;
      parent.children.delete(layer);
      overlays.delete(name);
    });
  }

  #removeOverlay({ main, overlays }: Family, layer: Layer, name: string, removed: number[]): void {
    this.layers.remove(layer);
    this.#engine.putNamed(main.id, OVERLAY + name, undefined);
    overlays.delete(name);
    this.layers.onRollback(() => overlays.set(name, layer));
    removed.push(layer.id);
  }

  /** Runs `work` whole or not at all. @throws what `work` throws, or that the store failed. */
  #transact(work: () => void): void {
    this.#checkWritable();
    try {
      this.#engine.transaction(work);
      this.layers.commit();
    } catch (error) {
      this.layers.rollback();
      throw isHarmless(error) ? error : this.#fail(error);
    }
  }

  #purge(id: number): void {
    while (!this.#engine.purge(id));
    this.#forget(id);
  }

  async #purgeSlowly(id: number): Promise<void> {
    while (!this.engine().purge(id)) await this.#engine.rest();
    this.#forget(id);
  }

  #forget(id: number): void {
    this.#engine.transaction(() => this.#engine.putNamed(NO_LAYER, DOOMED + id, undefined));
  }

  #checkWritable(): void {
    this.engine();
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
