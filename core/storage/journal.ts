/**
 * A journal in front of an engine in memory: each transaction is a frame with a checksum at the end of a file, and what was not
 * written whole is cut off when the file is opened.
 */
import { buffer } from "../../encoding/buffers.ts";
import { type Codec, DecodeError, decodeExact, encode } from "../../encoding/codec.ts";
import { readUint32, writeUint32 } from "../../encoding/fixed.ts";
import { array } from "../../encoding/lists.ts";
import { string } from "../../encoding/strings.ts";
import { uint } from "../../encoding/varint.ts";
import { type Engine, type Entry, type Kind, KINDS, transact } from "./engine.ts";
import type { SimulatedFile } from "./simulated_disk.ts";
import type { StoreSize } from "./storage.ts";

/** Length and checksum before each frame. */
const HEADER_BYTES = 8;

/** A change of an engine. `end` is -1 for no end. */
export type EngineChange =
  | { type: "put"; layer: number; kind: Kind; index: number; value: Uint8Array }
  | { type: "delete"; layer: number; kind: Kind; start: number; end: number }
  | { type: "copy"; layer: number; kind: Kind; start: number; end: number; to: number }
  | { type: "name"; layer: number; name: string; value: Uint8Array }
  | { type: "unname"; layer: number; name: string }
  | { type: "purge"; layer: number };

const TYPES: readonly EngineChange["type"][] = ["put", "delete", "copy", "name", "unname", "purge"];

/** One change as bytes. */
export const engineChange: Codec<EngineChange> = {
  size(change) {
    let size = 1 + uint.size(change.layer);
    if ("kind" in change) size += 1;
    if ("index" in change) size += uint.size(change.index);
    if ("start" in change) size += uint.size(change.start) + uint.size(change.end + 1);
    if ("to" in change) size += uint.size(change.to);
    if ("name" in change) size += string.size(change.name);
    if ("value" in change) size += buffer.size(change.value);
    return size;
  },
  encode(cursor, change) {
    uint.encode(cursor, TYPES.indexOf(change.type));
    uint.encode(cursor, change.layer);
    if ("kind" in change) uint.encode(cursor, KINDS.indexOf(change.kind));
    if ("index" in change) uint.encode(cursor, change.index);
    if ("start" in change) {
      uint.encode(cursor, change.start);
      uint.encode(cursor, change.end + 1);
    }
    if ("to" in change) uint.encode(cursor, change.to);
    if ("name" in change) string.encode(cursor, change.name);
    if ("value" in change) buffer.encode(cursor, change.value);
  },
  decode(cursor) {
    const type = TYPES[uint.decode(cursor)];
    const layer = uint.decode(cursor);
    const decodeKind = (): Kind => {
      const kind = KINDS[uint.decode(cursor)];
      if (kind === undefined) throw new DecodeError("There is no such kind of values", cursor.start);
      return kind;
    };
    const decodeRange = () => ({
      kind: decodeKind(),
      start: uint.decode(cursor),
      end: uint.decode(cursor) - 1,
    });
    switch (type) {
      case "put":
        return { type, layer, kind: decodeKind(), index: uint.decode(cursor), value: buffer.decode(cursor) };
      case "delete":
        return { type, layer, ...decodeRange() };
      case "copy":
        return { type, layer, ...decodeRange(), to: uint.decode(cursor) };
      case "name":
        return { type, layer, name: string.decode(cursor), value: buffer.decode(cursor) };
      case "unname":
        return { type, layer, name: string.decode(cursor) };
      case "purge":
        return { type, layer };
      default:
        throw new DecodeError("There is no such change", cursor.start);
    }
  },
};

const frame: Codec<EngineChange[], readonly EngineChange[]> = array(engineChange);

/** An engine that outlives the one below, which must be empty, by what it writes to a file. */
export class JournaledEngine implements Engine {
  readonly #below: Engine;
  readonly #file: SimulatedFile;
  #changes: EngineChange[] = [];
  /** Where the next frame goes. */
  #end = 0;

  /** Repeats what the file holds. @throws {StorageError} if the disk fails. */
  constructor(below: Engine, file: SimulatedFile) {
    this.#below = below;
    this.#file = file;
    const bytes = file.read();
    for (let body = readFrame(bytes, 0); body !== undefined; body = readFrame(bytes, this.#end)) {
      for (const change of decodeExact(frame, body)) this.#repeat(change);
      this.#end += HEADER_BYTES + body.length;
    }
    if (this.#end === bytes.length) return;
    // A whole frame behind a broken one would come back to life once the gap is filled: the cut must come first.
    file.truncate(this.#end);
    file.sync();
  }

  begin(): void {
    this.#below.begin();
  }

  commit(): void {
    if (this.#changes.length > 0) this.#append();
    this.#changes = [];
    this.#below.commit();
  }

  rollback(): void {
    this.#changes = [];
    this.#below.rollback();
  }

  get(layer: number, kind: Kind, index: number): Uint8Array | undefined {
    return this.#below.get(layer, kind, index);
  }

  put(layer: number, kind: Kind, index: number, value: Uint8Array): void {
    this.#changes.push({ type: "put", layer, kind, index, value });
    this.#below.put(layer, kind, index, value);
  }

  delete(layer: number, kind: Kind, start: number, end: number): void {
    this.#changes.push({ type: "delete", layer, kind, start, end: end === Infinity ? -1 : end });
    this.#below.delete(layer, kind, start, end);
  }

  copy(from: number, to: number, kind: Kind, start: number, end: number): void {
    this.#changes.push({ type: "copy", layer: from, kind, start, end: end === Infinity ? -1 : end, to });
    this.#below.copy(from, to, kind, start, end);
  }

  scan(layer: number, kind: Kind, start: number, end: number, maxBytes: number): Entry[] {
    return this.#below.scan(layer, kind, start, end, maxBytes);
  }

  getNamed(layer: number, name: string): Uint8Array | undefined {
    return this.#below.getNamed(layer, name);
  }

  putNamed(layer: number, name: string, value: Uint8Array | undefined): void {
    this.#changes.push(
      value === undefined ? { type: "unname", layer, name } : { type: "name", layer, name, value },
    );
    this.#below.putNamed(layer, name, value);
  }

  layersWith(kind?: Kind): number[] {
    return this.#below.layersWith(kind);
  }

  names(layer: number, prefix: string): string[] {
    return this.#below.names(layer, prefix);
  }

  purge(layer: number): boolean {
    transact(this, () => this.#changes.push({ type: "purge", layer }));
    return this.#below.purge(layer);
  }

  shrink(): boolean {
    return true;
  }

  /** What is held: a journal that is never shortened says nothing of it. */
  size(): StoreSize {
    return this.#below.size();
  }

  relief(): Promise<void> | undefined {
    return this.#below.relief();
  }

  rest(): Promise<void> {
    return this.#below.rest();
  }

  async sync(): Promise<void> {
    this.#file.sync();
  }

  close(): Promise<void> {
    return this.#below.close();
  }

  #append(): void {
    const body = encode(frame, this.#changes);
    const bytes = new Uint8Array(HEADER_BYTES + body.length);
    writeUint32(bytes, 0, body.length);
    writeUint32(bytes, 4, checksum(body, this.#end));
    bytes.set(body, HEADER_BYTES);
    this.#file.write(this.#end, bytes);
    this.#end += bytes.length;
  }

  #repeat(change: EngineChange): void {
    const end = "end" in change && change.end === -1 ? Infinity : (change as { end?: number }).end ?? 0;
    switch (change.type) {
      case "put":
        return this.#below.put(change.layer, change.kind, change.index, change.value);
      case "delete":
        return this.#below.delete(change.layer, change.kind, change.start, end);
      case "copy":
        return this.#below.copy(change.layer, change.to, change.kind, change.start, end);
      case "name":
        return this.#below.putNamed(change.layer, change.name, change.value);
      case "unname":
        return this.#below.putNamed(change.layer, change.name, undefined);
      case "purge":
        this.#below.purge(change.layer);
    }
  }
}

/** The body of the frame at `start`; undefined if there is none, or not all of it. */
function readFrame(bytes: Uint8Array, start: number): Uint8Array | undefined {
  if (start + HEADER_BYTES > bytes.length) return undefined;
  const length = readUint32(bytes, start);
  const end = start + HEADER_BYTES + length;
  if (length === 0 || end > bytes.length) return undefined;
  const body = bytes.subarray(start + HEADER_BYTES, end);
  return checksum(body, start) === readUint32(bytes, start + 4) ? body : undefined;
}

/** Tells a torn frame from a whole one, and one from another place from both. */
function checksum(bytes: Uint8Array, place: number): number {
  let sum = Math.imul(place + 1, 0x9e3779b1) ^ bytes.length;
  for (const byte of bytes) {
    sum = Math.imul(sum ^ byte, 0x01000193);
    sum ^= sum >>> 15;
  }
  return sum >>> 0;
}
