/**
 * What is in the ring and not in the engine below yet: frames in their order, and the last value of each place for reading.
 */
import type { Engine, Entry, Kind } from "../engine.ts";
import type { EngineChange } from "../journal.ts";
import type { Place } from "./place.ts";

/** A name that was set, or taken away. */
export type NamedChange = Extract<EngineChange, { type: "name" | "unname" }>;

/** One change of a transaction. */
export type PendingChange = Extract<EngineChange, { type: "put" }> | NamedChange;

/** A transaction. */
export interface PendingFrame {
  /** Its number in the ring. */
  readonly number: number;
  /** The position behind it in the ring. */
  readonly end: number;
  /** Bytes that it takes there. */
  readonly size: number;
  /** What it changes, in order. */
  readonly changes: readonly PendingChange[];
  /** The last of the places in it. */
  readonly lastPlace: Place | undefined;
}

interface Overlay {
  readonly block: Map<number, Uint8Array>;
  readonly node: Map<number, Uint8Array>;
  readonly page: Map<number, Uint8Array>;
  readonly place: Map<number, Uint8Array>;
  readonly named: Map<string, NamedChange>;
}

/** The frames, and those changes of a transaction that is under way. */
export class Pending {
  readonly #overlays = new Map<number, Overlay>();
  #frames: PendingFrame[] = [];
  #bytes = 0;

  /** The oldest frame. */
  get first(): PendingFrame | undefined {
    return this.#frames[0];
  }

  /** The newest frame. */
  get last(): PendingFrame | undefined {
    return this.#frames.at(-1);
  }

  /** The frames, oldest first. */
  get frames(): readonly PendingFrame[] {
    return this.#frames;
  }

  /** Bytes of all frames. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lets a change be seen. */
  show(change: PendingChange): void {
    let overlay = this.#overlays.get(change.layer);
    if (overlay === undefined) {
      overlay = { block: new Map(), node: new Map(), page: new Map(), place: new Map(), named: new Map() };
      this.#overlays.set(change.layer, overlay);
    }
    if (change.type === "put") overlay[change.kind].set(change.index, change.value);
    else overlay.named.set(change.name, change);
  }

  /** Adds a frame whose changes are seen. */
  add(frame: PendingFrame): void {
    this.#frames.push(frame);
    this.#bytes += frame.size;
  }

  /** Drops the `count` oldest frames, which are in the engine below. */
  drop(count: number): void {
    if (count === this.#frames.length) return this.clear();
    for (const { changes, size } of this.#frames.splice(0, count)) {
      this.#bytes -= size;
      for (const change of changes) this.#hide(change);
    }
  }

  /** Drops all. */
  clear(): void {
    this.#overlays.clear();
    this.#frames = [];
    this.#bytes = 0;
  }

  /** Shows the changes of the frames and nothing else. */
  restore(): void {
    this.#overlays.clear();
    for (const { changes } of this.#frames) for (const change of changes) this.show(change);
  }

  /** The value that was put last; undefined if none was. */
  get(layer: number, kind: Kind, index: number): Uint8Array | undefined {
    return this.#overlays.get(layer)?.[kind].get(index);
  }

  /** The last change of a name. */
  getNamed(layer: number, name: string): NamedChange | undefined {
    return this.#overlays.get(layer)?.named.get(name);
  }

  /** The last changes of names that begin with `prefix`. */
  names(layer: number, prefix: string): NamedChange[] {
    const named = this.#overlays.get(layer)?.named.values() ?? [];
    return [...named].filter(({ name }) => name.startsWith(prefix));
  }

  /** The values in [start, end), by index: the first `count` of them, or more. */
  between(layer: number, kind: Kind, start: number, end: number, count: number = Infinity): Entry[] {
    const values = this.#overlays.get(layer)?.[kind];
    if (values === undefined || values.size === 0) return [];
    const entries: Entry[] = [];
    // Most that is asked for follows each other.
    for (let index = start; index < end && entries.length < count; index++) {
      const value = values.get(index);
      if (value === undefined) break;
      entries.push({ index, value });
    }
    if (entries.length === count || entries.length === values.size) return entries;
    entries.length = 0;
    for (const [index, value] of values) if (index >= start && index < end) entries.push({ index, value });
    return entries.sort((a, b) => a.index - b.index);
  }

  /** Layers that a value of `kind`, or anything, was put into. */
  layersWith(kind?: Kind): number[] {
    const overlays = [...this.#overlays].filter(([, of]) => kind === undefined || of[kind].size > 0);
    return overlays.map(([layer]) => layer);
  }

  #hide(change: PendingChange): void {
    const overlay = this.#overlays.get(change.layer)!;
    // What is shown may be newer.
    if (change.type === "put") {
      const values = overlay[change.kind];
      if (values.get(change.index) === change.value) values.delete(change.index);
    } else if (overlay.named.get(change.name) === change) overlay.named.delete(change.name);
  }
}

/**
 * Makes changes in an engine, whose transaction is under way; of the values of a name only the last one. Places go where `put`
 * takes them.
 */
export function applyChanges(
  engine: Engine,
  changes: Iterable<PendingChange>,
  putPlace: (layer: number, index: number, place: Uint8Array) => void,
): void {
  const named = new Map<string, NamedChange>();
  for (const change of changes) {
    if (change.type !== "put") named.set(`${change.layer} ${change.name}`, change);
    else if (change.kind === "place") putPlace(change.layer, change.index, change.value);
    else engine.put(change.layer, change.kind, change.index, change.value);
  }
  for (const change of named.values()) {
    engine.putNamed(change.layer, change.name, change.type === "name" ? change.value : undefined);
  }
}
