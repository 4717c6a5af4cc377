/**
 * An engine in front of another one, which is slow at small transactions and at large values. What changes goes to a ring of
 * frames first, in one write, and from there to the engine below later, many transactions at a time. Large blocks go to files of
 * their own and stay there; the engine below has their places. This is the usual log-structured way, with values kept apart from
 * keys as in WiscKey (Lu et al., FAST 2016).
 *
 * What the engine below holds is always a state that was: it takes frames in order, and says in the same transaction which was
 * the last. Places go there only when the medium has the values. A transaction that deletes, copies, or is large, is made in the
 * engine below directly, together with all that waits; it begins a new epoch, since frames of the next one must not be repeated
 * if the power takes it.
 */
import { type Engine, type Entry, type Kind, transact, type TransactionSize } from "../engine.ts";
import { GroupSync } from "../group_sync.ts";
import { NO_LAYER } from "../layers.ts";
import type { Durability, StoreSize } from "../storage.ts";
import { Collector } from "./collector.ts";
import { FrameWriter } from "./frame_writer.ts";
import {
  FRAME_SHARE,
  FULL_SHARE,
  MANY_BYTES,
  MAX_UNSYNCED_BYTES,
  PENDING_SHARE,
  PLACES_BYTES,
  SLICE_SHARE,
} from "./limits.ts";
import { encodeMark, MARK } from "./mark.ts";
import { placed, readMerged } from "./merge.ts";
import { applyChanges, Pending, type PendingChange, type PendingFrame } from "./pending.ts";
import { decodePlace, encodePlace, LARGE_BYTES, type Place, PLACE_BYTES } from "./place.ts";
import type { Ring } from "./ring.ts";
import type { ValueFiles } from "./value_files.ts";

/** What the engine is made of. */
export interface DeferredParts {
  /** Where all goes in the end. */
  readonly below: Engine;
  /** What was changed since. */
  readonly ring: Ring;
  /** Large values. */
  readonly values: ValueFiles;
  /** What `sync` waits for. */
  readonly durability: Durability;
  /** The epoch that begins, and the number of the last frame of the one before. */
  readonly epoch: number;
  readonly number: number;
  /** Whether the frame behind that was begun. */
  readonly isTorn: boolean;
  /** Closes files, and removes the ring's if all that was in it is below. */
  close(isEmpty: boolean): void;
}

/** Is made by `openDeferred`. */
export class DeferredEngine implements Engine {
  readonly #parts: DeferredParts;
  readonly #below: Engine;
  readonly #ring: Ring;
  readonly #values: ValueFiles;
  readonly #pending = new Pending();
  readonly #writer = new FrameWriter();
  readonly #collector: Collector;
  #transaction: "none" | "deferred" | "direct" = "none";
  #changes: PendingChange[] = [];
  #isMany = false;
  #lastPlace: Place | undefined;
  #valuesBefore: ValueFiles["end"];
  #epoch: number;
  #number: number;
  /** The position behind the last frame that is below. */
  #applied: number;
  readonly #belowSync = new GroupSync(() => this.#watch(this.#below.sync()));
  #isReleasing = false;
  #relief: Promise<void> | undefined;
  #isRingDirty = false;
  #isBelowDirty = true;
  #failure: unknown;

  constructor(parts: DeferredParts) {
    this.#parts = parts;
    this.#below = parts.below;
    this.#ring = parts.ring;
    this.#values = parts.values;
    this.#epoch = parts.epoch;
    this.#number = parts.number;
    this.#applied = parts.ring.head;
    this.#valuesBefore = parts.values.end;
    this.#collector = new Collector({
      engine: this,
      below: parts.below,
      values: parts.values,
      settle: async () => {
        await this.#settleSafely();
        this.#ring.shrink();
      },
    });
  }

  begin({ bytes, largest }: TransactionSize = { bytes: 0, largest: 0 }): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#transaction = "deferred";
    this.#changes = [];
    this.#isMany = bytes > MANY_BYTES && largest < LARGE_BYTES;
    this.#lastPlace = undefined;
    this.#valuesBefore = this.#values.end;
    this.#writer.begin();
  }

  commit(): void {
    if (this.#transaction === "deferred" && this.#changes.length > 0) {
      this.#values.flush();
      if (this.#ring.hasRoom(this.#writer.size)) this.#write();
      else this.#goDirect();
    }
    if (this.#transaction === "direct") this.#commitBelow();
    this.#transaction = "none";
    this.#tidy();
  }

  rollback(): void {
    if (this.#transaction === "direct") this.#below.rollback();
    this.#transaction = "none";
    this.#values.takeBack(this.#valuesBefore);
    this.#pending.restore();
  }

  get(layer: number, kind: Kind, index: number): Uint8Array | undefined {
    const value = this.#waiting?.get(layer, kind, index);
    if (value !== undefined) return value;
    if (kind !== "block") return this.#below.get(layer, kind, index);
    const place = this.#waiting?.get(layer, "place", index);
    if (place !== undefined) return this.#values.read(decodePlace(place));
    const inline = this.#below.get(layer, kind, index);
    if (inline !== undefined) return inline;
    const safe = this.#below.get(layer, "place", index);
    return safe && this.#values.read(decodePlace(safe));
  }

  put(layer: number, kind: Kind, index: number, value: Uint8Array): void {
    if (this.#isMany) this.#goDirect();
    if (this.#transaction === "direct") return this.#below.put(layer, kind, index, value);
    if (kind !== "block" || value.length < LARGE_BYTES) {
      return this.#change({ type: "put", layer, kind, index, value });
    }
    this.#lastPlace = this.#values.append(value);
    this.#change({ type: "put", layer, kind: "place", index, value: encodePlace(this.#lastPlace) });
  }

  delete(layer: number, kind: Kind, start: number, end: number): void {
    this.#goDirect();
    this.#below.delete(layer, kind, start, end);
    if (kind !== "block") return;
    for (const { value } of this.#placesBelow(layer, start, end)) {
      this.#collector.free(decodePlace(value).length);
    }
    this.#below.delete(layer, "place", start, end);
  }

  copy(from: number, to: number, kind: Kind, start: number, end: number): void {
    this.#goDirect();
    this.#below.copy(from, to, kind, start, end);
    if (kind !== "block") return;
    // Each value has one place, so that what is cleared in one layer is not needed by another.
    for (const { index, value } of this.#placesBelow(from, start, end)) {
      if (this.get(to, kind, index) !== undefined) continue;
      this.#below.put(to, kind, index, this.#values.read(decodePlace(value)));
    }
  }

  scan(layer: number, kind: Kind, start: number, end: number, maxBytes: number): Entry[] {
    const waiting = this.#waiting;
    const lists = (from: number, left: number) => {
      const values = [
        waiting?.between(layer, kind, from, end) ?? [],
        this.#below.scan(layer, kind, from, end, left),
      ] as const;
      if (kind !== "block") return values;
      // No more than may be read: a large value has so many bytes at least.
      const count = Math.min(PLACES_BYTES / PLACE_BYTES, Math.floor(left / LARGE_BYTES) + 1);
      return [
        values[0],
        placed(waiting?.between(layer, "place", from, end, count) ?? []),
        placed(this.#below.scan(layer, "place", from, end, count * PLACE_BYTES)),
        values[1],
      ];
    };
    return readMerged(lists, (place) => this.#values.read(place), start, maxBytes);
  }

  getNamed(layer: number, name: string): Uint8Array | undefined {
    const change = this.#waiting?.getNamed(layer, name);
    if (change === undefined) return this.#below.getNamed(layer, name);
    return change.type === "name" ? change.value : undefined;
  }

  putNamed(layer: number, name: string, value: Uint8Array | undefined): void {
    if (this.#transaction === "direct") this.#below.putNamed(layer, name, value);
    else if (value === undefined) this.#change({ type: "unname", layer, name });
    else this.#change({ type: "name", layer, name, value });
  }

  names(layer: number, prefix: string): string[] {
    const below = this.#below.names(layer, prefix);
    const waiting = this.#waiting?.names(layer, prefix) ?? [];
    if (waiting.length === 0) return below;
    const names = new Set(below);
    for (const { type, name } of waiting) {
      if (type === "name") names.add(name);
      else names.delete(name);
    }
    return [...names];
  }

  layersWith(kind?: Kind): number[] {
    return [...new Set([...this.#below.layersWith(kind), ...this.#waiting?.layersWith(kind) ?? []])];
  }

  purge(layer: number): boolean {
    let isFirst = true;
    transact(this, () => {
      this.#goDirect();
      const places = this.#below.scan(layer, "place", 0, Infinity, PLACES_BYTES);
      for (const { value } of places) this.#collector.free(decodePlace(value).length);
      if (places.length > 0) this.#below.delete(layer, "place", 0, places.at(-1)!.index + 1);
      isFirst = places.length > 0;
    });
    return !isFirst && this.#below.purge(layer);
  }

  shrink(): boolean {
    return this.#collector.isIdle() && this.#below.shrink();
  }

  size(): StoreSize {
    const { bytes, freeBytes } = this.#below.size();
    return {
      bytes: bytes + this.#ring.size + this.#values.size(),
      freeBytes: freeBytes + this.#collector.freeBytes,
    };
  }

  relief(): Promise<void> | undefined {
    if (this.#ring.used < this.#ring.capacity * FULL_SHARE || this.#failure !== undefined) return undefined;
    return this.#relief ??= this.#settleSafely().catch(() => {}).finally(() => this.#relief = undefined);
  }

  rest(): Promise<void> {
    return this.#below.rest();
  }

  async sync(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#parts.durability !== "full") return;
    const [isRingDirty, isBelowDirty] = [this.#isRingDirty, this.#isBelowDirty];
    this.#isRingDirty = false;
    this.#isBelowDirty = false;
    await Promise.all([
      this.#syncValues(),
      isRingDirty && this.#ring.sync(),
      isBelowDirty && this.#belowSync.run(),
    ]);
    // A medium that failed to sync may report success the next time: what failed in the background counts as well.
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    await this.#collector.stop();
    let isEmpty = false;
    try {
      if (this.#failure === undefined) {
        await this.#syncValues();
        this.#settle(Infinity);
        isEmpty = this.#pending.first === undefined;
      }
    } finally {
      await this.#below.close();
      this.#parts.close(isEmpty);
    }
  }

  /** Whether a transaction was found that is not whole when the engine was opened. */
  get isTorn(): boolean {
    return this.#parts.isTorn;
  }

  /** The blocks whose values in files are not what was written. */
  *damagedBlocks(): Generator<{ readonly layer: number; readonly index: number }> {
    for (const layer of this.layersWith("place")) {
      const waiting = this.#pending.between(layer, "place", 0, Infinity);
      for (const list of [waiting, this.#placesBelow(layer, 0, Infinity)]) {
        for (const { index, value } of list) {
          const place = decodePlace(value);
          if (this.#values.readIfWhole(place) === undefined) yield { layer, index };
        }
      }
    }
  }

  /** What waits, as far as it is to be seen: a direct transaction has brought it below. */
  get #waiting(): Pending | undefined {
    return this.#transaction === "direct" ? undefined : this.#pending;
  }

  #change(change: PendingChange): void {
    this.#writer.add(change);
    this.#changes.push(change);
    this.#pending.show(change);
    const most = this.#lastPlace === undefined ? MANY_BYTES : this.#ring.capacity * FRAME_SHARE;
    if (this.#writer.size > most) this.#goDirect();
  }

  #write(): void {
    const frame = this.#writer.take();
    this.#ring.write(frame, { epoch: this.#epoch, number: this.#number + 1 });
    this.#number++;
    this.#isRingDirty = true;
    this.#pending.add({
      number: this.#number,
      end: this.#ring.head,
      size: frame.length,
      changes: this.#changes,
      lastPlace: this.#lastPlace,
    });
  }

  /** Makes the rest of the transaction below, with all that comes before it. */
  #goDirect(): void {
    if (this.#transaction === "direct") return;
    this.#below.begin();
    this.#transaction = "direct";
    this.#apply(this.#pending.frames);
    applyChanges(this.#below, this.#changes, this.#putPlace);
    const mark = { epoch: this.#epoch + 1, number: this.#number, position: this.#ring.head };
    this.#below.putNamed(NO_LAYER, MARK, encodeMark(mark));
  }

  #commitBelow(): void {
    this.#below.commit();
    this.#epoch++;
    this.#pending.clear();
    this.#applied = this.#ring.head;
    this.#isBelowDirty = true;
  }

  /** Keeps short what waits. None of it may fail a transaction that is made. */
  #tidy(): void {
    if (this.#values.unsyncedBytes > MAX_UNSYNCED_BYTES) this.#inBackground(this.#syncValues());
    const { capacity, used, tail } = this.#ring;
    if (this.#pending.bytes > capacity * PENDING_SHARE) this.#settle(capacity * SLICE_SHARE);
    if (!this.#isReleasing && used > capacity * PENDING_SHARE && this.#applied > tail) {
      this.#isReleasing = true;
      this.#inBackground(this.#release());
    }
    this.#collector.wake();
  }

  /** Takes the oldest frames below, about so many bytes of them, as far as the medium has their values. */
  #settle(maxBytes: number): void {
    const frames: PendingFrame[] = [];
    let bytes = 0;
    for (const frame of this.#pending.frames) {
      if (frame.lastPlace !== undefined && !this.#values.isSynced(frame.lastPlace)) break;
      if (bytes > maxBytes) break;
      bytes += frame.size;
      frames.push(frame);
    }
    const last = frames.at(-1);
    if (last === undefined) return this.#inBackground(this.#syncValues());
    try {
      transact(this.#below, () => {
        this.#apply(frames);
        const mark = { epoch: this.#epoch, number: last.number, position: last.end };
        this.#below.putNamed(NO_LAYER, MARK, encodeMark(mark));
      });
    } catch (error) {
      // Without room they stay where they are: a transaction that has no room either will tell.
      if ((error as { code?: unknown }).code !== "DISK_FULL") this.#failure ??= error;
      return;
    }
    this.#pending.drop(frames.length);
    this.#applied = last.end;
  }

  /** Settles when all that was written before is below, and the medium has it. */
  async #settleSafely(): Promise<void> {
    const { last } = this.#pending;
    await this.#syncValues();
    while (
      last !== undefined && this.#pending.first !== undefined && this.#pending.first.number <= last.number
    ) {
      if (this.#failure !== undefined) throw this.#failure;
      this.#settle(this.#ring.capacity * SLICE_SHARE);
      await this.#below.rest();
    }
    await this.#release();
  }

  async #release(): Promise<void> {
    const applied = this.#applied;
    try {
      await this.#belowSync.run();
      this.#ring.release(applied);
    } finally {
      this.#isReleasing = false;
    }
  }

  #apply(frames: readonly PendingFrame[]): void {
    const changes = function* () {
      for (const frame of frames) yield* frame.changes;
    };
    applyChanges(this.#below, changes(), this.#putPlace);
  }

  /** Puts a place below; before the medium has the value, the value itself. */
  readonly #putPlace = (layer: number, index: number, bytes: Uint8Array): void => {
    const place = decodePlace(bytes);
    if (this.#values.isSynced(place)) return this.#below.put(layer, "place", index, bytes);
    this.#below.put(layer, "block", index, this.#values.read(place));
    this.#collector.free(place.length);
  };

  *#placesBelow(layer: number, start: number, end: number): Generator<Entry> {
    for (let at = start; at < end;) {
      const entries = this.#below.scan(layer, "place", at, end, PLACES_BYTES);
      if (entries.length === 0) return;
      yield* entries;
      at = entries.at(-1)!.index + 1;
    }
  }

  #syncValues(): Promise<void> {
    return this.#watch(this.#values.sync());
  }

  #inBackground(work: Promise<void>): void {
    this.#watch(work).catch(() => {});
  }

  /** Notes it if something fails after which nobody knows what the medium has. */
  async #watch(work: Promise<void>): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }
}
