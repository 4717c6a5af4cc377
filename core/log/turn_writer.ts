/** Writes at the end of a turn what was verified in it, in one go. */
import type { TreeNode } from "../crypto/hash.ts";
import type { MaybePromise } from "../runtime/async.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { StoredBlock } from "../storage/storage.ts";
import { PendingChanges } from "./pending_changes.ts";

/** Who has the changes written, and is told what came of it. */
export interface TurnWriterHost {
  /** Whose turns they are. */
  readonly clock: Clock;
  /** Writes changes. */
  write(changes: PendingChanges): MaybePromise<void>;
  /** They are written. */
  onWritten(changes: PendingChanges): void;
  /** They could not be written. What it returns is waited for before anything else is written, and does not reject. */
  onFailure(error: unknown): Promise<void>;
}

/** Changes that wait for the end of the turn, and those that are being written. */
export class TurnWriter {
  readonly #host: TurnWriterHost;
  #pending: PendingChanges | undefined;
  #writing: PendingChanges | undefined;
  #written: Promise<void> | undefined;

  constructor(host: TurnWriterHost) {
    this.#host = host;
  }

  /** Whether there is anything that is not written. */
  get isBusy(): boolean {
    return this.#pending !== undefined || this.#written !== undefined;
  }

  /** A block that is not written yet. */
  block(index: number): Uint8Array | undefined {
    return this.#pending?.blocks.get(index) ?? this.#writing?.blocks.get(index);
  }

  /** Blocks that follow each other and are not written yet, from `start` up to but without `end`, and as many as fit. */
  blocks(start: number, end: number, maxBytes: number): StoredBlock[] {
    const blocks: StoredBlock[] = [];
    let left = maxBytes;
    for (let index = start; this.isBusy && index < end; index++) {
      const value = this.block(index);
      if (value === undefined || ((left -= value.length) < 0 && blocks.length > 0)) break;
      blocks.push({ index, value });
    }
    return blocks;
  }

  /** A node that is not written yet. */
  node(index: number): TreeNode | undefined {
    return this.#pending?.nodes.get(index) ?? this.#writing?.nodes.get(index);
  }

  /** Where to add what is to be written at the end of the turn. */
  changes(): PendingChanges {
    if (this.#pending === undefined) {
      this.#pending = new PendingChanges();
      this.#host.clock.defer(() => void this.flush());
    }
    return this.#pending;
  }

  /** Forgets what waits. */
  drop(): void {
    this.#pending = undefined;
  }

  /** Writes what waits, or waits for what is being written. Does not reject. */
  flush(): MaybePromise<void> {
    if (this.#written !== undefined) return this.#written;
    const changes = this.#pending;
    if (changes === undefined) return;
    this.#pending = undefined;
    this.#writing = changes;
    try {
      const written = this.#host.write(changes);
      if (written instanceof Promise) return this.#wait(written, changes);
      this.#writing = undefined;
      this.#host.onWritten(changes);
    } catch (error) {
      return this.#wait(Promise.reject(error), changes);
    }
  }

  #wait(written: Promise<void>, changes: PendingChanges): Promise<void> {
    const told = written.then(() => {
      this.#writing = undefined;
      this.#host.onWritten(changes);
    }, (error) => {
      this.#writing = undefined;
      return this.#host.onFailure(error);
    });
    return this.#written = told.then(() => {
      this.#written = undefined;
      return this.flush();
    });
  }
}
