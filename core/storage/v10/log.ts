/**
 * Logs of a `V10Store`, and snapshots of them, as they are read.
 */
import { StorageError } from "../../runtime/errors.ts";
import {
  type LogAuth,
  type LogHead,
  type LogHints,
  type LogSnapshot,
  type LogStorage,
  MAX_BLOCK_INDEX,
  type StoredBlock,
  type TreeNode,
} from "../storage.ts";
import { checkIndex, checkName, checkRange } from "../write_batch.ts";
import { flagsOf, ownUserData } from "./change.ts";
import type { UserDatum } from "./entry.ts";
import type { LogState } from "./log_state.ts";
import { SnapshotState } from "./snapshot.ts";

/** Finds the log of a discovery key; undefined if there is none. @throws {StorageError} if the store is closed. */
export type FindLog = (discoveryKey: Uint8Array) => LogState | undefined;

/** A log, or an overlay, of which there are none. */
export class V10Log implements LogStorage {
  readonly discoveryKey: Uint8Array;
  readonly overlayName: string | undefined;
  readonly #find: FindLog;

  constructor(find: FindLog, discoveryKey: Uint8Array, overlayName: string | undefined) {
    this.#find = find;
    this.discoveryKey = discoveryKey;
    this.overlayName = overlayName;
  }

  auth(): LogAuth | undefined {
    const header = this.#find(this.discoveryKey)?.header;
    if (header === undefined) return undefined;
    const { key, manifest, keyPair, userData } = header;
    return {
      key,
      flags: flagsOf(userData),
      manifest,
      keyPair: keyPair?.secretKey.length === 0 ? undefined : keyPair,
    };
  }

  exists(): boolean {
    return this.#state() !== undefined;
  }

  overlay(name: string): V10Log {
    checkName(name);
    return new V10Log(this.#find, this.discoveryKey, name);
  }

  overlays(): string[] {
    this.#state();
    return [];
  }

  head(): LogHead | undefined {
    return this.#state()?.head();
  }

  hints(): LogHints | undefined {
    const state = this.#state();
    return state && hintsOf(state);
  }

  block(index: number): Uint8Array | undefined {
    checkIndex(index, MAX_BLOCK_INDEX);
    return this.#state()?.block(index);
  }

  blocks(start: number, end: number, maxBytes: number): StoredBlock[] {
    checkRange(start, end);
    return this.#state()?.blocks(start, end, maxBytes) ?? [];
  }

  node(index: number): TreeNode | undefined {
    checkIndex(index, 2 * MAX_BLOCK_INDEX);
    return this.#state()?.node(index);
  }

  nodes(indexes: readonly number[]): (TreeNode | undefined)[] {
    return indexes.map((index) => this.node(index));
  }

  bitfieldPage(page: number): Uint8Array | undefined {
    checkIndex(page, MAX_BLOCK_INDEX);
    return this.#state()?.blockMap.page(page);
  }

  bitfieldPages(start: number, end: number): { page: number; value: Uint8Array }[] {
    checkRange(start, end);
    const map = this.#state()?.blockMap;
    const numbers = map?.pageNumbers().filter((page) => page >= start && page < end) ?? [];
    return numbers.map((page) => ({ page, value: map!.page(page)! }));
  }

  userData(key: string): Uint8Array | undefined {
    checkName(key);
    return valueOf(this.#state()?.header.userData ?? [], key);
  }

  userDataKeys(prefix: string): string[] {
    return keysOf(this.#state()?.header.userData ?? [], prefix);
  }

  snapshot(): LogSnapshot {
    const state = this.#state();
    const pages = new Map(this.bitfieldPages(0, Infinity).map(({ page, value }) => [page, value]));
    const kept = new SnapshotState(this.head(), this.hints(), state?.header.userData ?? [], pages);
    state?.snapshots.add(kept);
    return new V10Snapshot(() => this.#state() === state ? state : undefined, kept);
  }

  #state(): LogState | undefined {
    const state = this.#find(this.discoveryKey);
    return this.overlayName === undefined ? state : undefined;
  }
}

/** A log at one point in time. */
class V10Snapshot implements LogSnapshot {
  readonly #find: () => LogState | undefined;
  readonly #kept: SnapshotState;
  #isDisposed = false;

  /** `find` gives the log, as long as it is the same. */
  constructor(find: () => LogState | undefined, kept: SnapshotState) {
    this.#find = find;
    this.#kept = kept;
  }

  head(): LogHead | undefined {
    return this.#log() && this.#kept.head;
  }

  hints(): LogHints | undefined {
    return this.#log() && this.#kept.hints;
  }

  block(index: number): Uint8Array | undefined {
    checkIndex(index, MAX_BLOCK_INDEX);
    const log = this.#log();
    return log && this.#kept.block(log, index);
  }

  blocks(start: number, end: number, maxBytes: number): StoredBlock[] {
    checkRange(start, end);
    const log = this.#log();
    return log === undefined ? [] : this.#kept.blocks(log, start, end, maxBytes);
  }

  node(index: number): TreeNode | undefined {
    checkIndex(index, 2 * MAX_BLOCK_INDEX);
    const log = this.#log();
    return log && this.#kept.node(log, index);
  }

  nodes(indexes: readonly number[]): (TreeNode | undefined)[] {
    return indexes.map((index) => this.node(index));
  }

  bitfieldPage(page: number): Uint8Array | undefined {
    checkIndex(page, MAX_BLOCK_INDEX);
    return this.#log() && this.#kept.pages.get(page);
  }

  bitfieldPages(start: number, end: number): { page: number; value: Uint8Array }[] {
    checkRange(start, end);
    if (this.#log() === undefined) return [];
    const inside = [...this.#kept.pages].filter(([page]) => page >= start && page < end);
    return inside.map(([page, value]) => ({ page, value }));
  }

  userData(key: string): Uint8Array | undefined {
    checkName(key);
    return this.#log() && valueOf(this.#kept.userData, key);
  }

  userDataKeys(prefix: string): string[] {
    return this.#log() === undefined ? [] : keysOf(this.#kept.userData, prefix);
  }

  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    try {
      this.#find()?.snapshots.delete(this.#kept);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error; // the store is closed: there is nothing to let go of
    }
  }

  #log(): LogState | undefined {
    if (this.#isDisposed) throw new StorageError("STORE_CLOSED", "The snapshot was disposed of");
    return this.#find();
  }
}

function hintsOf({ header: { contiguousLength } }: LogState): LogHints {
  return { contiguousLength, remoteContiguousLength: 0, recovering: false };
}

function valueOf(list: readonly UserDatum[], key: string): Uint8Array | undefined {
  return ownUserData(list).find((one) => one.key === key)?.value;
}

function keysOf(list: readonly UserDatum[], prefix: string): string[] {
  return ownUserData(list).filter(({ key }) => key.startsWith(prefix)).map(({ key }) => key);
}
