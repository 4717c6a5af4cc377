/**
 * What {@linkcode LayeredStore} keeps its data in: values in layers, written in transactions. The layered store turns this into
 * logs with overlays and snapshots; whoever has something that can read and write at once only writes an engine.
 */
import type { StoreSize } from "./storage.ts";

/**
 * What is counted: blocks by index, tree nodes by index, bitfield pages by number, and for blocks that are kept in files of their
 * own their places, by the index of the block.
 */
export type Kind = "block" | "node" | "page" | "place";
/** All kinds. */
export const KINDS: readonly Kind[] = ["block", "node", "page", "place"];

/** A value and where it is. */
export interface Entry {
  /** Its index, or the number of the page. */
  readonly index: number;
  /** Its bytes; not to be written to. */
  readonly value: Uint8Array;
}

/** About what a transaction will be. */
export interface TransactionSize {
  /** Bytes of all that is put. */
  readonly bytes: number;
  /** Bytes of the largest value. */
  readonly largest: number;
}

/** A synchronous store of values. Layers are numbered; layer 0 is the store's own. */
export interface Engine {
  /** Begins a transaction: what is changed until it ends is kept whole or not at all. @throws {StorageError} as `commit`. */
  begin(size?: TransactionSize): void;
  /**
   * Keeps what was changed. If it fails, {@linkcode rollback} must follow.
   *
   * @throws {StorageError} `DISK_FULL` if there was no room; anything else breaks the store.
   */
  commit(): void;
  /** Takes back what was changed since {@linkcode begin}. */
  rollback(): void;
  /** The value at `index`. */
  get(layer: number, kind: Kind, index: number): Uint8Array | undefined;
  /** Puts a value, over one that may be there. The bytes are the caller's: they are copied if they are kept. */
  put(layer: number, kind: Kind, index: number, value: Uint8Array): void;
  /** Deletes the values in [start, end); `end` may be infinite. */
  delete(layer: number, kind: Kind, start: number, end: number): void;
  /** Copies the values in [start, end) to another layer, but for those that it has. */
  copy(from: number, to: number, kind: Kind, start: number, end: number): void;
  /** The values in [start, end) by index, at least one if there is one, then as many as fit into `maxBytes`. */
  scan(layer: number, kind: Kind, start: number, end: number, maxBytes: number): Entry[];
  /** The value of a name. */
  getNamed(layer: number, name: string): Uint8Array | undefined;
  /** Puts the value of a name, or takes it away. */
  putNamed(layer: number, name: string, value: Uint8Array | undefined): void;
  /** The numbers of the layers that have, or have had, values of `kind`; by default those that have anything, names included. */
  layersWith(kind?: Kind): number[];
  /** All names that begin with `prefix`. */
  names(layer: number, prefix: string): string[];
  /** Deletes a part of the layer, in a transaction of its own; true if nothing is left of it. */
  purge(layer: number): boolean;
  /** Gives a part of the room that is free back to the medium; true if there is no more. */
  shrink(): boolean;
  /** How much room is taken. */
  size(): StoreSize;
  /** If more is written than the medium can take: settles when there is room again. What was written is there meanwhile. */
  relief(): Promise<void> | undefined;
  /** Lets other work of the program go first, between two parts of something long. */
  rest(): Promise<void>;
  /** Waits until all transactions are as safe as the engine can make them. */
  sync(): Promise<void>;
  /** Ends its use. */
  close(): Promise<void>;
}

/**
 * Runs `work` as a transaction of `engine`.
 *
 * @throws whatever `work` throws, and {@linkcode Engine.commit}; then nothing was changed.
 */
export function transact(engine: Engine, work: () => void, size?: TransactionSize): void {
  engine.begin(size);
  try {
    work();
    engine.commit();
  } catch (error) {
    engine.rollback();
    throw error;
  }
}
