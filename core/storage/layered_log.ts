/**
 * Reading logs, overlays and snapshots that are made of layers.
 */
import { type Codec, DecodeError, decodeExact } from "../../encoding/codec.ts";
import { StorageError } from "../runtime/errors.ts";
import type { Catalog } from "./catalog.ts";
import { type Layer, newLayer, NO_LAYER } from "./layers.ts";
import { logAuth, logHead, logHints, nodeValue } from "./records.ts";
import {
  type LogAuth,
  type LogHead,
  type LogHints,
  type LogReader,
  type LogSnapshot,
  type LogStorage,
  MAX_BLOCK_INDEX,
  type StoredBlock,
  type TreeNode,
} from "./storage.ts";
import { checkIndex, checkName, checkRange } from "./write_batch.ts";

/** What logs and snapshots read alike. */
abstract class Reader implements LogReader {
  protected readonly catalog: Catalog;

  constructor(catalog: Catalog) {
    this.catalog = catalog;
  }

  /** Where to read, if anywhere. @throws {StorageError} if the store is closed. */
  protected abstract layer(): Layer | undefined;
  abstract head(): LogHead | undefined;
  abstract hints(): LogHints | undefined;

  block(index: number): Uint8Array | undefined {
    checkIndex(index, MAX_BLOCK_INDEX);
    const layer = this.layer();
    return layer && this.catalog.layers.block(layer, index);
  }

  blocks(start: number, end: number, maxBytes: number): StoredBlock[] {
    checkRange(start, end);
    const layer = this.layer();
    return layer === undefined ? [] : this.catalog.layers.blocks(layer, start, end, maxBytes);
  }

  node(index: number): TreeNode | undefined {
    checkIndex(index, 2 * MAX_BLOCK_INDEX);
    const layer = this.layer();
    const value = layer && this.catalog.layers.node(layer, index);
    return value && { index, ...decodeStored(nodeValue, value, "a tree node") };
  }

  nodes(indexes: readonly number[]): (TreeNode | undefined)[] {
    return indexes.map((index) => this.node(index));
  }

  bitfieldPage(page: number): Uint8Array | undefined {
    checkIndex(page, MAX_BLOCK_INDEX);
    const layer = this.layer();
    return layer && this.catalog.layers.page(layer, page);
  }

  bitfieldPages(start: number, end: number): { page: number; value: Uint8Array }[] {
    checkRange(start, end);
    const layer = this.layer();
    if (layer === undefined) return [];
    return this.catalog.layers.pages(layer, start, end).map(({ index, value }) => ({ page: index, value }));
  }

  userData(key: string): Uint8Array | undefined {
    checkName(key);
    const layer = this.layer();
    return layer && this.catalog.layers.userData(layer, key);
  }

  userDataKeys(prefix: string): string[] {
    const layer = this.layer();
    return layer === undefined ? [] : this.catalog.layers.userDataKeys(layer, prefix);
  }
}

/** A log or an overlay of a `LayeredStore`. */
export class LayeredLog extends Reader implements LogStorage {
  readonly discoveryKey: Uint8Array;
  readonly overlayName: string | undefined;
  #layer: Layer | undefined;

  constructor(catalog: Catalog, discoveryKey: Uint8Array, overlayName: string | undefined) {
    super(catalog);
    this.discoveryKey = discoveryKey;
    this.overlayName = overlayName;
  }

  protected override layer(): Layer | undefined {
    this.catalog.engine();
    if (this.#layer?.isAlive !== true) this.#layer = this.catalog.find(this);
    return this.#layer;
  }

  override head(): LogHead | undefined {
    return this.#record("head", logHead);
  }

  override hints(): LogHints | undefined {
    return this.#record("hints", logHints);
  }

  auth(): LogAuth | undefined {
    const main = this.catalog.mainOf(this);
    const bytes = main && this.catalog.engine().getNamed(main.id, "auth");
    return bytes && decodeStored(logAuth, bytes, "the keys of a log");
  }

  overlay(name: string): LayeredLog {
    checkName(name);
    return new LayeredLog(this.catalog, this.discoveryKey, name);
  }

  overlays(): string[] {
    return this.catalog.overlaysOf(this);
  }

  exists(): boolean {
    return this.layer() !== undefined;
  }

  snapshot(): LogSnapshot {
    const head = this.head();
    return new LayeredSnapshot(this.catalog, this.layer(), head, this.hints());
  }

  #record<T>(name: string, codec: Codec<T>): T | undefined {
    const layer = this.layer();
    const bytes = layer && this.catalog.engine().getNamed(layer.id, name);
    return bytes && decodeStored(codec, bytes, `the ${name} of a log`);
  }
}

/** What a log was: a layer on top of it that has nothing of its own until the log changes. */
class LayeredSnapshot extends Reader implements LogSnapshot {
  readonly #origin: Layer | undefined;
  readonly #layer: Layer;
  readonly #head: LogHead | undefined;
  readonly #hints: LogHints | undefined;

  constructor(
    catalog: Catalog,
    origin: Layer | undefined,
    head: LogHead | undefined,
    hints: LogHints | undefined,
  ) {
    super(catalog);
    this.#origin = origin;
    this.#head = head;
    this.#hints = hints;
    this.#layer = newLayer(NO_LAYER, origin, head?.length ?? 0, true);
  }

  protected override layer(): Layer | undefined {
    this.catalog.engine();
    return this.#isReadable() ? this.#layer : undefined;
  }

  override head(): LogHead | undefined {
    this.catalog.engine();
    return this.#isReadable() ? this.#head : undefined;
  }

  override hints(): LogHints | undefined {
    this.catalog.engine();
    return this.#isReadable() ? this.#hints : undefined;
  }

  [Symbol.dispose](): void {
    if (this.#layer.isAlive) this.catalog.dropSnapshot(this.#layer);
  }

  #isReadable(): boolean {
    if (!this.#layer.isAlive) throw new StorageError("STORE_CLOSED", "The snapshot was disposed of");
    return this.#origin?.isAlive === true;
  }
}

function decodeStored<T>(codec: Codec<T>, bytes: Uint8Array, what: string): T {
  try {
    return decodeExact(codec, bytes);
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    const text =
      `The store holds ${what} that makes no sense: restore it, or fetch the log again from its peers`;
    throw new StorageError("STORE_CORRUPT", text, { cause });
  }
}
