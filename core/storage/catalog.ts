/**
 * Which logs and overlays there are, as layers, and how batches change them.
 */
import { Slab } from "../../encoding/bytes.ts";
import { decodeExact, encode } from "../../encoding/codec.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { uint } from "../../encoding/varint.ts";
import { StorageError } from "../runtime/errors.ts";
import { type Engine, KINDS } from "./engine.ts";
import { type Layer, Layers, LOG, newLayer, NO_LAYER } from "./layers.ts";
import { encodeNode, logAuth, logHead, logHints } from "./records.ts";
import type { LogAddress } from "./storage.ts";
import type { LogOperation, LogWriter } from "./write_batch.ts";

const OVERLAY = "overlay:";
/** What the name of a log is; where it is damaged it may be something else. */
const IS_LOG = /^log:[0-9a-f]{64}$/;

/** A log that exists: its own layer, and those of its overlays. */
interface Family {
  readonly main: Layer;
  readonly overlays: Map<string, Layer>;
}

/** The logs in an engine. What changes them is called within a transaction of the engine. */
export class Catalog {
  /** Reads and changes what is in layers. */
  readonly layers: Layers;
  /** Ends a snapshot. */
  readonly dropSnapshot: (layer: Layer) => void;
  /** Whether nothing may be read any more. */
  isClosed = false;
  readonly #engine: Engine;
  /** For what an engine copies. */
  readonly #slab = new Slab();
  readonly #families = new Map<string, Family>();

  constructor(engine: Engine, dropSnapshot: (layer: Layer) => void) {
    this.#engine = engine;
    this.layers = new Layers(engine);
    this.dropSnapshot = dropSnapshot;
  }

  /** The engine, for reading. @throws {StorageError} if the store is closed. */
  engine(): Engine {
    if (this.isClosed) throw new StorageError("STORE_CLOSED", "The store is closed: open it again");
    return this.#engine;
  }

  /** The discovery keys of all logs. */
  list(): Uint8Array[] {
    const names = this.engine().names(NO_LAYER, LOG).filter((name) => IS_LOG.test(name));
    return names.map((name) => fromHex(name.slice(LOG.length)));
  }

  /** The numbers of all layers that a log, an overlay or a snapshot leads to. */
  reachable(): Set<number> {
    const engine = this.engine();
    const idOf = (layer: number, name: string) => decodeExact(uint, engine.getNamed(layer, name)!);
    const found = new Set([NO_LAYER]);
    for (const name of engine.names(NO_LAYER, LOG)) {
      const main = idOf(NO_LAYER, name);
      found.add(main);
      for (const overlay of engine.names(main, OVERLAY)) found.add(idOf(main, overlay));
    }
    const add = ({ id, children }: Layer) => {
      found.add(id);
      for (const child of children) add(child);
    };
    for (const { main, overlays } of this.#families.values()) {
      for (const layer of [main, ...overlays.values()]) {
        add(layer);
      }
    }
    return found;
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

  /** Takes a log out of the catalog, and dooms its layers, whose numbers are returned. */
  remove(discoveryKey: Uint8Array): number[] {
    const key = toHex(discoveryKey);
    const family = this.#family(key);
    if (family === undefined) return [];
    const layers = [family.main, ...family.overlays.values()];
    for (const layer of layers) this.layers.doom(layer);
    this.#engine.putNamed(NO_LAYER, LOG + key, undefined);
    this.#families.delete(key);
    this.layers.onRollback(() => this.#families.set(key, family));
    return layers.map(({ id }) => id);
  }

  /** The keys of logs whose entry here is lost, by the numbers of their layers. @throws {StorageError} `STORE_CORRUPT`. */
  lostLogs(): Map<number, Uint8Array> {
    const keys = new Map<number, Uint8Array>();
    for (const id of this.#orphans()) {
      const auth = this.#engine.getNamed(id, "auth");
      if (auth !== undefined) keys.set(id, decodeExact(logAuth, auth).key);
    }
    return keys;
  }

  /**
   * The numbers of layers that nothing leads to and that nobody can miss: where the store is damaged, a log may be in a layer that
   * nothing leads to, and what is in a layer may be of another one.
   */
  waste(): number[] {
    return this.#orphans().filter((id) => {
      try {
        for (const name of this.#engine.names(id, "")) this.#engine.getNamed(id, name);
        for (const kind of KINDS) this.#engine.scan(id, kind, 0, Infinity, 1);
        return this.#engine.getNamed(id, "auth") === undefined;
      } catch (error) {
        if (error instanceof StorageError && error.code === "STORE_CORRUPT") return false;
        throw error;
      }
    });
  }

  #orphans(): number[] {
    const reachable = this.reachable();
    return this.#engine.layersWith().filter((id) => !reachable.has(id));
  }

  /** Makes a layer the log of a discovery key, if there is none. */
  adopt(id: number, discoveryKey: Uint8Array): void {
    const name = LOG + toHex(discoveryKey);
    if (this.#engine.getNamed(NO_LAYER, name) !== undefined) return;
    this.#engine.putNamed(NO_LAYER, name, encode(uint, id));
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

  /** Makes the changes of one log; the numbers of layers that they have doomed are added to `removed`. */
  apply({ address, operations }: LogWriter, removed: number[]): void {
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
        return engine.putNamed(layer.id, "head", encode(logHead, operation.head, this.#slab));
      case "hints":
        return engine.putNamed(layer.id, "hints", encode(logHints, operation.hints, this.#slab));
      case "block":
        return engine.put(layer.id, "block", operation.index, operation.value);
      case "node":
        return engine.put(layer.id, "node", operation.node.index, encodeNode(operation.node, this.#slab));
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
}
