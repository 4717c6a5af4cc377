/**
 * What a store in folders needs of a disk, so that a simulated one can take its place.
 */

/** A file that is read and written anywhere. It comes into being with the first write. */
export interface RandomAccessFile {
  /** Its length in bytes; 0 if it does not exist. */
  size(): number;
  /** Up to `length` bytes from `offset` on: fewer only at its end. @throws {StorageError} READ_FAILED. */
  read(offset: number, length: number): Uint8Array;
  /**
   * Writes; what is between the end and `offset` reads as zeros.
   *
   * @throws {StorageError} DISK_FULL, WRITE_FAILED; then a part may be written.
   */
  write(offset: number, bytes: Uint8Array): void;
  /** Cuts it, or makes it longer with zeros. @throws {StorageError} DISK_FULL, WRITE_FAILED. */
  truncate(size: number): void;
  /** Settles when the medium has all of it. @throws {StorageError} WRITE_FAILED: then nobody knows what it has. */
  sync(): Promise<void>;
}

/** A folder of files. Paths are relative to it, with `/` between their parts. */
export interface FileFolder {
  /** The file at `path`, which need not exist. Only one of those that are handed out for a path may write. */
  file(path: string): RandomAccessFile;
  /** The names of what is in the folder at `path`, in no certain order; nothing if there is none. */
  names(path: string): string[];
  /** Removes files and folders with all that is in them; what is not there is no error. @throws {StorageError} WRITE_FAILED. */
  remove(path: string): void;
  /** Ends its use: closes what is open, and lets others have it. */
  close(): void;
}
