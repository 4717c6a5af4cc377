/**
 * Files that are only read, as what a database is read from: a folder on a disk, or anything that has names and bytes.
 */
import { StorageError } from "../../runtime/errors.ts";

/** A file that is read. */
export interface ReadableFile {
  /** Its name, for messages. */
  readonly name: string;
  /** How many bytes it had when it was opened. */
  readonly size: number;
  /**
   * The `length` bytes at `offset`, which nobody else writes to.
   *
   * @throws {StorageError} READ_FAILED if they cannot be read, or are not all there.
   */
  read(offset: number, length: number): Uint8Array;
  /** Ends its use. */
  close(): void;
}

/** A folder whose files are read. */
export interface ReadableFolder {
  /** Where it is, for messages. */
  readonly path: string;
  /** The names of its files, in no certain order. */
  names(): readonly string[];
  /** Opens a file; undefined if there is none of that name. */
  open(name: string): ReadableFile | undefined;
}

/** What is at `offset` of a file is not what was written there. */
export function damaged(file: string, offset: number, what: string, cause?: unknown): StorageError {
  const text = `${file} is damaged at byte ${offset}: ${what}. Take another copy of the store, ` +
    "or fetch its logs again from their peers";
  return new StorageError("STORE_CORRUPT", text, { cause });
}

/** A store is of a kind or a version that is not known. */
export function unknown(file: string, what: string): StorageError {
  return new StorageError("STORE_UNKNOWN", `${file} cannot be read: ${what}`);
}

/** Keeps some files open, and closes what was not used for longest. */
export class OpenFiles {
  readonly #folder: ReadableFolder;
  readonly #max: number;
  readonly #open = new Map<string, ReadableFile>();

  /** At most `max` files are open at a time. */
  constructor(folder: ReadableFolder, max: number) {
    this.#folder = folder;
    this.#max = max;
  }

  /** The file `name`. @throws {StorageError} STORE_CORRUPT if it is not there. */
  get(name: string): ReadableFile {
    const known = this.#open.get(name);
    if (known !== undefined) {
      this.#open.delete(name);
      this.#open.set(name, known);
      return known;
    }
    const file = this.#folder.open(name);
    if (file === undefined) {
      throw damaged(name, 0, `${this.#folder.path} needs the file and does not have it`);
    }
    this.#open.set(name, file);
    if (this.#open.size > this.#max) {
      const [oldest, unused] = this.#open.entries().next().value!;
      unused.close();
      this.#open.delete(oldest);
    }
    return file;
  }

  /** Closes all. */
  close(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }
}
