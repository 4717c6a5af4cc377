/**
 * A disk that forgets, tears, reorders and fails as real ones do, by a seed.
 */
import { StorageError } from "../runtime/errors.ts";
import type { Random } from "../runtime/runtime.ts";

/** What a disk writes whole or not at all, in bytes. */
export const SECTOR_BYTES = 512;

/** What is left of writes that were not synced when the power fails. */
export type CrashMode =
  /** All of it. */
  | "all"
  /** Nothing of it. */
  | "none"
  /** The first of it, the last one torn. */
  | "prefix"
  /** Any sectors of it: later ones may have overtaken earlier ones. */
  | "any";

/** One use of the disk. */
export interface DiskCall {
  /** What is done. */
  readonly type: "read" | "write" | "sync" | "truncate";
  /** How many calls came before, of all types. */
  readonly number: number;
}

/** What becomes of a call: an error of the disk, or the power fails before it. */
export type DiskFault = "EIO" | "ENOSPC" | "power";

/** The power is gone; the machine that used the disk no longer runs. */
export class PowerFailure extends Error {
  /** The name of the class. */
  override readonly name: string = "PowerFailure";
}

type Change =
  | { readonly type: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly type: "truncate"; readonly size: number };

/** What a simulated disk may be told. */
export interface SimulatedDiskOptions {
  /** Where chance comes from. */
  readonly random: Random;
  /** Decides about each call; undefined lets it succeed. */
  readonly fault?: (call: DiskCall) => DiskFault | undefined;
}

/** Files in memory with a notion of what would survive. */
export class SimulatedDisk {
  readonly #files = new Map<string, SimulatedFile>();
  readonly #options: SimulatedDiskOptions;
  #calls = 0;
  #hasPower = true;

  /** An empty disk. */
  constructor(options: SimulatedDiskOptions) {
    this.#options = options;
  }

  /** How often it was used. */
  get calls(): number {
    return this.#calls;
  }

  /** The names of the files that are not empty. */
  get names(): string[] {
    return [...this.#files].filter(([, { size }]) => size > 0).map(([name]) => name);
  }

  /** The file called `name`, empty if it is new. */
  file(name: string): SimulatedFile {
    let file = this.#files.get(name);
    if (file === undefined) {
      file = new SimulatedFile(this, new Uint8Array(0));
      this.#files.set(name, file);
    }
    return file;
  }

  /** The disk as it is found after the power failed now, with its own `options`. This one stays as it is. */
  afterCrash(mode: CrashMode, options: SimulatedDiskOptions): SimulatedDisk {
    const disk = new SimulatedDisk(options);
    for (const [name, file] of this.#files) {
      disk.#files.set(name, new SimulatedFile(disk, file.imageAfterCrash(mode, options.random)));
    }
    return disk;
  }

  /** Counts a call, and fails it if it is to fail. Is called by files. */
  enter(type: DiskCall["type"]): DiskFault | undefined {
    if (!this.#hasPower) throw new PowerFailure("The power is off");
    const fault = this.#options.fault?.({ type, number: this.#calls++ });
    if (fault !== "power") return fault;
    this.#hasPower = false;
    throw new PowerFailure(`The power failed before a ${type}`);
  }

  /** Any number of bytes up to `size`, sectors whole. */
  part(size: number): number {
    return this.#options.random.below(Math.floor(size / SECTOR_BYTES) + 1) * SECTOR_BYTES;
  }
}

/** A file of a {@linkcode SimulatedDisk}. */
export class SimulatedFile {
  readonly #disk: SimulatedDisk;
  #durable: Uint8Array;
  #bytes: Uint8Array;
  #size: number;
  #unsynced: Change[] = [];

  /** Is made by the disk; `bytes` are safe. */
  constructor(disk: SimulatedDisk, bytes: Uint8Array) {
    this.#disk = disk;
    this.#durable = bytes;
    this.#bytes = bytes.slice();
    this.#size = bytes.length;
  }

  /** Its length in bytes. */
  get size(): number {
    return this.#size;
  }

  /** A copy of all of it. @throws {StorageError} if the disk fails. */
  read(): Uint8Array {
    this.#check("read", "READ_FAILED");
    return this.#bytes.slice(0, this.#size);
  }

  /** Writes; zeros fill a gap before `offset`. @throws {StorageError} if the disk fails: then a part may be written. */
  write(offset: number, bytes: Uint8Array): void {
    const fault = this.#disk.enter("write");
    const written = fault === undefined ? bytes.slice() : bytes.slice(0, this.#disk.part(bytes.length));
    this.#change({ type: "write", offset, bytes: written });
    if (fault !== undefined) throw diskError(fault, "WRITE_FAILED", "write");
  }

  /** Cuts it. @throws {StorageError} if the disk fails: then nothing happened. */
  truncate(size: number): void {
    this.#check("truncate", "WRITE_FAILED");
    this.#change({ type: "truncate", size });
  }

  /** Makes it safe. @throws {StorageError} if the disk fails: then nobody knows, and a later success says nothing. */
  sync(): void {
    const fault = this.#disk.enter("sync");
    if (fault === undefined) this.#durable = this.#bytes.slice(0, this.#size);
    this.#unsynced = [];
    if (fault !== undefined) throw diskError(fault, "WRITE_FAILED", "sync");
  }

  /** What is found of it after the power failed. */
  imageAfterCrash(mode: CrashMode, random: Random): Uint8Array {
    const image = new Image(this.#durable.slice());
    const kept = mode === "all" ? Infinity : mode === "none" ? 0 : random.below(this.#unsynced.length + 1);
    for (const [index, change] of this.#unsynced.entries()) {
      if (mode === "any") image.applySome(change, random);
      else if (index < kept) image.apply(change);
      else if (index === kept && mode === "prefix") image.applyStart(change, random);
    }
    return image.bytes;
  }

  #check(type: DiskCall["type"], code: "READ_FAILED" | "WRITE_FAILED"): void {
    const fault = this.#disk.enter(type);
    if (fault !== undefined) throw diskError(fault, code, type);
  }

  #change(change: Change): void {
    this.#unsynced.push(change);
    const end = change.type === "write" ? change.offset + change.bytes.length : change.size;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.#bytes.length));
      larger.set(this.#bytes.subarray(0, this.#size));
      this.#bytes = larger;
    }
    if (change.type === "write") {
      this.#bytes.set(change.bytes, change.offset);
      this.#size = Math.max(this.#size, end);
    } else {
      this.#bytes.fill(0, change.size);
      this.#size = change.size;
    }
  }
}

/** The bytes of a file while a crash is worked out. */
class Image {
  bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  apply(change: Change): void {
    if (change.type === "write") this.#write(change.offset, change.bytes);
    else this.#resize(change.size);
  }

  /** The first sectors of a write: it was torn. */
  applyStart(change: Change, random: Random): void {
    if (change.type !== "write") return;
    const sectors = Math.floor(change.bytes.length / SECTOR_BYTES) + 1;
    this.#write(change.offset, change.bytes.subarray(0, random.below(sectors) * SECTOR_BYTES));
  }

  /** Some sectors of a write. */
  applySome(change: Change, random: Random): void {
    if (change.type === "truncate") {
      if (random.chance(1, 2)) this.#resize(change.size);
      return;
    }
    const { offset, bytes } = change;
    for (let at = 0; at < bytes.length;) {
      const end = Math.min(bytes.length, at + SECTOR_BYTES - (offset + at) % SECTOR_BYTES);
      if (random.chance(1, 2)) this.#write(offset + at, bytes.subarray(at, end));
      at = end;
    }
  }

  #write(offset: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (offset + bytes.length > this.bytes.length) this.#resize(offset + bytes.length);
    this.bytes.set(bytes, offset);
  }

  #resize(size: number): void {
    const resized = new Uint8Array(size);
    resized.set(this.bytes.subarray(0, size));
    this.bytes = resized;
  }
}

function diskError(fault: DiskFault, code: "READ_FAILED" | "WRITE_FAILED", type: string): StorageError {
  if (fault === "ENOSPC") return new StorageError("DISK_FULL", "There is no room left on the simulated disk");
  return new StorageError(code, `The simulated disk failed to ${type}`);
}
