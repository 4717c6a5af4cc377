/**
 * Large values, one behind the other in files that are only ever written at their end: each byte is written once.
 */
import { StorageError } from "../../runtime/errors.ts";
import type { FileFolder, RandomAccessFile } from "../files.ts";
import { GroupSync } from "../group_sync.ts";
import type { Place } from "./place.ts";

/** Bytes after which the next file is begun. */
export const MAX_FILE_BYTES: number = 2 ** 28;
/** Bytes that are gathered before they are written. */
const GATHERED_BYTES = 2 ** 18;

/** What value files need. */
export interface ValueFilesParts {
  /** Where they are. */
  readonly folder: FileFolder;
  /** What their names begin with; a number follows. */
  readonly prefix: string;
  /** CRC-32 of `bytes`, going on from `start`. */
  crc32(bytes: Uint8Array, start: number): number;
  /** Whether the medium is ever asked to have them; if not, all counts as synced. */
  readonly mustSync: boolean;
}

/** An end of all that was written: a file and a length of it. */
interface End {
  readonly file: number;
  readonly offset: number;
}

/** The files. Their numbers grow; only the last one is written to. */
export class ValueFiles {
  readonly #parts: ValueFilesParts;
  readonly #files = new Map<number, RandomAccessFile>();
  readonly #group = new GroupSync(() => this.#syncAll());
  /** Files that have bytes that are not synced. */
  readonly #dirty = new Set<number>();
  readonly #gathered = new Uint8Array(GATHERED_BYTES);
  #gatheredBytes = 0;
  #end: End;
  #synced: End;

  /** Goes on behind what is there, all of which counts as not synced. */
  constructor(parts: ValueFilesParts) {
    this.#parts = parts;
    for (const name of parts.folder.names("")) {
      const number = name.startsWith(parts.prefix) ? Number(name.slice(parts.prefix.length)) : NaN;
      if (Number.isSafeInteger(number) && number > 0) this.#files.set(number, parts.folder.file(name));
    }
    const last = Math.max(0, ...this.#files.keys());
    this.#end = { file: Math.max(1, last), offset: this.#files.get(last)?.size() ?? 0 };
    this.#synced = { file: 0, offset: 0 };
    if (last > 0) this.#dirty.add(last);
  }

  /** The numbers of the files that exist. */
  get numbers(): number[] {
    return [...this.#files.keys()];
  }

  /** The number of the file that is written to. */
  get current(): number {
    return this.#end.file;
  }

  /** Where the next value will be, for {@linkcode takeBack}. */
  get end(): End {
    return { file: this.#end.file, offset: this.#end.offset + this.#gatheredBytes };
  }

  /** Bytes that were written and not synced; at most those of the file that is written to, if there are more. */
  get unsyncedBytes(): number {
    const { file, offset } = this.end;
    return file === this.#synced.file ? offset - this.#synced.offset : offset;
  }

  /** Adds a value, which {@linkcode flush} or a later value writes. @throws {StorageError} DISK_FULL, WRITE_FAILED. */
  append(value: Uint8Array): Place {
    if (this.end.offset + value.length > MAX_FILE_BYTES && this.end.offset > 0) this.startFile();
    const { file, offset } = this.end;
    if (this.#gatheredBytes + value.length > GATHERED_BYTES) this.flush();
    if (value.length > GATHERED_BYTES) this.#write(value);
    else {
      this.#gathered.set(value, this.#gatheredBytes);
      this.#gatheredBytes += value.length;
    }
    return { file, offset, length: value.length, sum: this.#parts.crc32(value, 0) };
  }

  /** Hands what was gathered to the operating system. @throws {StorageError} DISK_FULL, WRITE_FAILED. */
  flush(): void {
    if (this.#gatheredBytes === 0) return;
    const bytes = this.#gathered.subarray(0, this.#gatheredBytes);
    this.#write(bytes);
    this.#gatheredBytes = 0;
  }

  /** Lets what was added since `end` be written over. */
  takeBack(end: End): void {
    // In a new file it stays as waste.
    if (end.file !== this.#end.file) return this.#drop();
    const gathered = end.offset - this.#end.offset;
    if (gathered >= 0) this.#gatheredBytes = gathered;
    else {
      this.#drop();
      this.#end = end;
    }
  }

  /** The next value begins a new file. @throws {StorageError} DISK_FULL, WRITE_FAILED. */
  startFile(): void {
    this.flush();
    this.#end = { file: this.#end.file + 1, offset: 0 };
  }

  /** The value at a place. @throws {StorageError} STORE_CORRUPT if it is not there; READ_FAILED. */
  read(place: Place): Uint8Array {
    const value = this.readIfWhole(place);
    if (value !== undefined) return value;
    const name = this.#name(place.file);
    const text = this.#files.has(place.file)
      ? `The file ${name} of the store is damaged: byte ${place.offset} and those behind it are not what was written. ` +
        "Fetch the log again from its peers, or open a copy from before"
      : `The file ${name} of the store is missing: bring it back beside the others`;
    throw new StorageError("STORE_CORRUPT", text);
  }

  /** The value at a place; undefined if it is not there, or not as it was written. @throws {StorageError} READ_FAILED. */
  readIfWhole({ file, offset, length, sum }: Place): Uint8Array | undefined {
    if (file === this.#end.file && offset + length > this.#end.offset) this.flush();
    const value = this.#files.get(file)?.read(offset, length);
    return value?.length === length && this.#parts.crc32(value, 0) === sum ? value : undefined;
  }

  /** Whether the medium has what is at a place, or is never asked. */
  isSynced({ file, offset, length }: Place): boolean {
    if (!this.#parts.mustSync) return true;
    return file === this.#synced.file ? offset + length <= this.#synced.offset : file < this.#synced.file;
  }

  /** Settles when the medium has all that was added so far. @throws {StorageError} WRITE_FAILED. */
  sync(): Promise<void> {
    if (!this.#parts.mustSync || this.unsyncedBytes === 0 && this.#dirty.size === 0) return Promise.resolve();
    return this.#group.run();
  }

  /** Removes a file that is not written to. @throws {StorageError} WRITE_FAILED. */
  remove(number: number): void {
    this.#parts.folder.remove(this.#name(number));
    this.#files.delete(number);
    this.#dirty.delete(number);
  }

  /** The length of a file in bytes. */
  sizeOf(number: number): number {
    return number === this.#end.file ? this.end.offset : this.#files.get(number)?.size() ?? 0;
  }

  /** The length of all files in bytes. */
  size(): number {
    return this.numbers.reduce((sum, number) => sum + this.sizeOf(number), 0);
  }

  async #syncAll(): Promise<void> {
    this.flush();
    const end = this.#end;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    await Promise.all(dirty.map((number) => this.#files.get(number)?.sync()));
    this.#synced = end;
  }

  #write(bytes: Uint8Array): void {
    const { file: number, offset } = this.#end;
    let file = this.#files.get(number);
    if (file === undefined) {
      file = this.#parts.folder.file(this.#name(number));
      this.#files.set(number, file);
    }
    this.#dirty.add(number);
    file.write(offset, bytes);
    this.#end = { file: number, offset: offset + bytes.length };
  }

  #drop(): void {
    this.#gatheredBytes = 0;
  }

  #name(number: number): string {
    return this.#parts.prefix + number;
  }
}
