/**
 * Logs as layers of values: a log is a layer, an overlay or snapshot is a layer on top of another, which it reads through as far
 * as the two share. Before something that a layer on top can see goes away, it is copied up.
 */
import { Cursor, decodeExact, encode } from "../../encoding/codec.ts";
import { uint } from "../../encoding/varint.ts";
import type { Engine, Entry, Kind } from "./engine.ts";
import { MAX_BLOCK_INDEX } from "./storage.ts";

/** The layer of the store itself, and the number of layers that were not written to yet. */
export const NO_LAYER = 0;
/** Before the names of layers that nobody needs any more. */
export const DOOMED = "doomed:";
/** Before the discovery keys of logs, whose layers these names have. */
export const LOG = "log:";
/** Before the names of user data. */
export const USER_DATA = "user:";
/** What a layer says instead of a value that the layers below have and it has not. */
const TOMBSTONE = new Uint8Array(0);

/** One layer. */
export interface Layer {
  /** Its number in the engine; {@linkcode NO_LAYER} for a snapshot that has nothing of its own. */
  id: number;
  /** What it reads through. */
  parent: Layer | undefined;
  /** Before which index it reads blocks, and the nodes that cover only such blocks, from its parent. */
  shared: number;
  /** Who reads through it. */
  readonly children: Set<Layer>;
  /** Whether it lives only as long as the process. */
  readonly isSnapshot: boolean;
  /** False when it was removed. */
  isAlive: boolean;
}

/** A layer of its own, or on top of `parent`. */
export function newLayer(id: number, parent?: Layer, shared = 0, isSnapshot = false): Layer {
  const layer = { id, parent, shared, children: new Set<Layer>(), isSnapshot, isAlive: true };
  parent?.children.add(layer);
  return layer;
}

/** The index of the last leaf that the tree node at `index` covers. */
export function lastLeaf(index: number): number {
  let size = 1;
  for (let rest = index; rest % 2 === 1; rest = (rest - 1) / 2) size *= 2;
  return index + size - 1;
}

/** The tree nodes before the leaf of block `length` that cover it or blocks behind it, and blocks before it. */
export function* nodesAcross(length: number): Generator<number> {
  for (let blocks = 2; blocks <= MAX_BLOCK_INDEX; blocks *= 2) {
    const index = Math.floor(length / blocks) * blocks * 2 + blocks - 1;
    if (length % blocks !== 0 && index < 2 * length) yield index;
  }
}

/** Reads and changes layers in an engine. Changes must be made within a transaction of the engine. */
export class Layers {
  readonly #engine: Engine;
  /** What to do to the layers if the transaction fails; the engine undoes its own part. */
  #undo: (() => void)[] = [];

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Forgets how to go back. */
  commit(): void {
    this.#undo = [];
  }

  /** Takes back what was done to layers since the last {@linkcode commit}. */
  rollback(): void {
    for (const undo of this.#undo.toReversed()) undo();
    this.#undo = [];
  }

  /** Remembers what to do if the transaction fails. */
  onRollback(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** The number of a layer that was never used. */
  allocate(): number {
    const last = this.#engine.getNamed(NO_LAYER, "lastLayer");
    const id = last === undefined ? 1 : decodeExact(uint, last) + 1;
    this.#engine.putNamed(NO_LAYER, "lastLayer", encode(uint, id));
    return id;
  }

  /** A block, from the layer or below. */
  block(layer: Layer, index: number): Uint8Array | undefined {
    for (let at: Layer | undefined = layer; at !== undefined; at = at.parent) {
      const value = at.id === NO_LAYER ? undefined : this.#engine.get(at.id, "block", index);
      if (value !== undefined || index >= at.shared) return value;
    }
    return undefined;
  }

  /** The bytes of a node, from the layer or below. */
  node(layer: Layer, index: number): Uint8Array | undefined {
    for (let at: Layer | undefined = layer; at !== undefined; at = at.parent) {
      const value = at.id === NO_LAYER ? undefined : this.#engine.get(at.id, "node", index);
      if (value !== undefined || at.shared === 0 || lastLeaf(index) >= 2 * at.shared) return value;
    }
    return undefined;
  }

  /** A page, from the layer or below. */
  page(layer: Layer, page: number): Uint8Array | undefined {
    return this.#visible(layer, (id) => this.#engine.get(id, "page", page));
  }

  /** A value of user data, from the layer or below. */
  userData(layer: Layer, key: string): Uint8Array | undefined {
    return this.#visible(layer, (id) => this.#engine.getNamed(id, USER_DATA + key))?.subarray(1);
  }

  /** Blocks in [start, end), as `LogReader.blocks` has it. */
  blocks(layer: Layer, start: number, end: number, maxBytes: number): Entry[] {
    const own = layer.id === NO_LAYER ? [] : this.#engine.scan(layer.id, "block", start, end, maxBytes);
    const sharedEnd = Math.min(end, layer.shared);
    if (layer.parent === undefined || start >= sharedEnd) return own;
    const below = this.blocks(layer.parent, start, sharedEnd, maxBytes);
    if (own.length === 0 || below.length === 0) return own.length === 0 ? below : own;
    // Behind the end of the shorter list the other one may have gaps.
    const last = Math.min(own.at(-1)!.index, below.at(-1)!.index);
    const merged = new Map(below.map((entry) => [entry.index, entry]));
    for (const entry of own) merged.set(entry.index, entry);
    const sorted = [...merged.values()].filter(({ index }) => index <= last);
    sorted.sort((a, b) => a.index - b.index);
    let bytes = 0;
    const over = sorted.findIndex(({ value }, i) => (bytes += value.length) > maxBytes && i > 0);
    return over === -1 ? sorted : sorted.slice(0, over);
  }

  /** Pages in [start, end), by number. */
  pages(layer: Layer, start: number, end: number): Entry[] {
    const pages = new Map<number, Uint8Array>();
    for (let at: Layer | undefined = layer; at !== undefined; at = at.parent) {
      if (at.id === NO_LAYER) continue;
      for (const { index, value } of this.#engine.scan(at.id, "page", start, end, Infinity)) {
        if (!pages.has(index)) pages.set(index, value);
      }
    }
    return [...pages].filter(([, value]) => value.length > 0).toSorted(([a], [b]) => a - b)
      .map(([index, value]) => ({ index, value }));
  }

  /** Keys of user data. */
  userDataKeys(layer: Layer, prefix: string): string[] {
    const names = new Set<string>();
    for (let at: Layer | undefined = layer; at !== undefined; at = at.parent) {
      if (at.id === NO_LAYER) continue;
      for (const name of this.#engine.names(at.id, USER_DATA + prefix)) {
        names.add(name.slice(USER_DATA.length));
      }
    }
    return [...names].filter((key) => this.userData(layer, key) !== undefined);
  }

  /** Sets a page, or takes it away if it is empty. */
  putPage(layer: Layer, page: number, value: Uint8Array): void {
    for (const child of layer.children) this.#preservePage(layer, child, page);
    if (value.length > 0 || layer.parent !== undefined) this.#engine.put(layer.id, "page", page, value);
    else this.#engine.delete(layer.id, "page", page, page + 1);
  }

  /** Sets a value of user data, or takes it away. */
  putUserData(layer: Layer, key: string, value: Uint8Array | undefined): void {
    for (const child of layer.children) this.#preserveUserData(layer, child, key);
    const none = layer.parent === undefined ? undefined : TOMBSTONE;
    this.#engine.putNamed(layer.id, USER_DATA + key, value === undefined ? none : toNamed(value));
  }

  /** Drops blocks or nodes of the layer itself. */
  clear(layer: Layer, kind: "block" | "node", start: number, end: number): void {
    for (const child of layer.children) {
      if (kind === "block") this.#copyUp(layer, child, kind, start, Math.min(end, child.shared));
      else this.#copyNodesUp(layer, child, start, end, child.shared);
    }
    this.#engine.delete(layer.id, kind, start, end);
  }

  /** Drops blocks from `length` on, and the nodes above them. */
  truncate(layer: Layer, length: number): void {
    for (const child of layer.children) {
      if (child.shared <= length) continue;
      let end = child.shared;
      for (let at: Layer | undefined = layer; at !== undefined && end > length; at = at.parent) {
        this.#copyUp(at, child, "block", length, end);
        this.#copyNodesUp(at, child, 2 * length, Infinity, end);
        for (const index of nodesAcross(length)) {
          if (lastLeaf(index) < 2 * end) this.#copyUp(at, child, "node", index, index + 1);
        }
        end = Math.min(end, at.shared);
      }
      this.#share(child, child.parent, length);
    }
    this.#engine.delete(layer.id, "block", length, Infinity);
    this.#engine.delete(layer.id, "node", 2 * length, Infinity);
    for (const index of nodesAcross(length)) this.#engine.delete(layer.id, "node", index, index + 1);
    if (layer.shared > length) this.#share(layer, layer.parent, length);
  }

  /** Takes a layer out from between its children and its parent, and dooms it. */
  remove(layer: Layer): void {
    for (const child of [...layer.children]) {
      if (child.isSnapshot) continue; // it ends with what it is of
      this.#copyUp(layer, child, "block", 0, child.shared);
      this.#copyNodesUp(layer, child, 0, Infinity, child.shared);
      for (const { index } of this.#engine.scan(layer.id, "page", 0, Infinity, Infinity)) {
        this.#preservePage(layer, child, index);
      }
      for (const name of this.#engine.names(layer.id, USER_DATA)) {
        this.#preserveUserData(layer, child, name.slice(USER_DATA.length));
      }
      this.#share(child, layer.parent, Math.min(child.shared, layer.shared));
    }
    this.#share(layer, undefined, 0);
    this.doom(layer);
  }

  /** Lets what the layer holds be deleted, now or when the store is opened next. */
  doom(layer: Layer): void {
    layer.isAlive = false;
    this.onRollback(() => layer.isAlive = true);
    if (layer.id !== NO_LAYER) this.#engine.putNamed(NO_LAYER, DOOMED + layer.id, TOMBSTONE);
  }

  /** What an overlay reads through, as it was written. */
  readParent(id: number): { parent: number; shared: number } {
    const cursor = new Cursor(this.#engine.getNamed(id, "parent") ?? TOMBSTONE);
    return { parent: uint.decode(cursor), shared: uint.decode(cursor) };
  }

  /** Writes what an overlay reads through. */
  writeParent(layer: Layer): void {
    if (layer.isSnapshot) return;
    const bytes = [encode(uint, layer.parent?.id ?? NO_LAYER), encode(uint, layer.shared)];
    this.#engine.putNamed(layer.id, "parent", Uint8Array.from(bytes.flatMap((part) => [...part])));
  }

  #visible(layer: Layer, read: (id: number) => Uint8Array | undefined): Uint8Array | undefined {
    for (let at: Layer | undefined = layer; at !== undefined; at = at.parent) {
      const value = at.id === NO_LAYER ? undefined : read(at.id);
      if (value !== undefined) return value.length === 0 ? undefined : value;
    }
    return undefined;
  }

  #preservePage(layer: Layer, child: Layer, page: number): void {
    this.#materialise(child);
    if (this.#engine.get(child.id, "page", page) !== undefined) return;
    this.#engine.put(child.id, "page", page, this.page(layer, page) ?? TOMBSTONE);
  }

  #preserveUserData(layer: Layer, child: Layer, key: string): void {
    this.#materialise(child);
    if (this.#engine.getNamed(child.id, USER_DATA + key) !== undefined) return;
    const value = this.userData(layer, key);
    this.#engine.putNamed(child.id, USER_DATA + key, value === undefined ? TOMBSTONE : toNamed(value));
  }

  #copyUp(from: Layer, to: Layer, kind: Kind, start: number, end: number): void {
    if (from.id === NO_LAYER || start >= end) return;
    this.#materialise(to);
    this.#engine.copy(from.id, to.id, kind, start, end);
  }

  /** Copies up the nodes in [start, end) that cover only blocks before `shared`. */
  #copyNodesUp(from: Layer, to: Layer, start: number, end: number, shared: number): void {
    let at = start;
    for (const foreign of [...nodesAcross(shared), 2 * shared - 1].toSorted((a, b) => a - b)) {
      this.#copyUp(from, to, "node", at, Math.min(foreign, end));
      at = Math.max(at, foreign + 1);
    }
  }

  /** Gives a snapshot a place of its own, which is doomed from the start: should the process die, nobody needs it. */
  #materialise(layer: Layer): void {
    if (layer.id !== NO_LAYER) return;
    layer.id = this.allocate();
    this.#engine.putNamed(NO_LAYER, DOOMED + layer.id, TOMBSTONE);
    this.onRollback(() => layer.id = NO_LAYER);
  }

  #share(layer: Layer, parent: Layer | undefined, shared: number): void {
    const before = { parent: layer.parent, shared: layer.shared };
    const set = (state: typeof before) => {
      layer.parent?.children.delete(layer);
      layer.parent = state.parent;
      layer.shared = state.shared;
      layer.parent?.children.add(layer);
    };
    set({ parent, shared });
    this.onRollback(() => set(before));
    this.writeParent(layer);
  }
}

/** A value of user data as it is kept: never empty, since that is a tombstone. */
function toNamed(value: Uint8Array): Uint8Array {
  const named = new Uint8Array(1 + value.length);
  named.set(value, 1);
  return named;
}
