/**
 * Files of the host, read and written anywhere, few of them open at a time.
 */
import { type ErrorCode, StorageError, toError } from "../runtime/errors.ts";
import type { FileFolder, RandomAccessFile } from "./files.ts";

type FileSystem = typeof import("node:fs");

/** Names what failed. */
function toStorageError(thrown: unknown, path: string, otherwise: ErrorCode): StorageError {
  const cause = toError(thrown) as Error & { code?: unknown };
  if (cause.code === "ENOSPC" || cause.code === "EDQUOT") {
    return new StorageError("DISK_FULL", `There is no room left for ${path}: make some and try again`, {
      cause,
    });
  }
  return new StorageError(
    otherwise,
    `${path} failed: ${cause.message}. Look at its disk, then open it again`,
    { cause },
  );
}

/** Runs `work`; what fails is told as an error of a store. */
export function run<T>(path: string, otherwise: ErrorCode, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw toStorageError(error, path, otherwise);
  }
}

const isMissing = (error: unknown) => (error as { code?: unknown }).code === "ENOENT";

/** What a folder of the host is made of. */
export interface HostFolderParts {
  readonly fs: FileSystem;
  readonly path: string;
  readonly maxOpenFiles: number;
  readonly mustSync: boolean;
  readonly readOnly: boolean;
  readonly unlock: () => void;
}

/** A folder of the host. */
export class HostFolder implements FileFolder {
  readonly fs: FileSystem;
  readonly path: string;
  /** Whether what is written is to be safe before its file is closed. */
  readonly mustSync: boolean;
  /** Whether nothing is written. */
  readonly readOnly: boolean;
  /** Files that are open, the one that was used last at the end. */
  readonly #open = new Set<HostFile>();
  readonly #maxOpen: number;
  readonly #unlock: () => void;

  constructor({ fs, path, maxOpenFiles, mustSync, readOnly, unlock }: HostFolderParts) {
    this.fs = fs;
    this.path = path;
    this.mustSync = mustSync;
    this.readOnly = readOnly;
    this.#maxOpen = maxOpenFiles;
    this.#unlock = unlock;
  }

  file(path: string): HostFile {
    return new HostFile(this, path);
  }

  names(path: string): string[] {
    try {
      return this.fs.readdirSync(`${this.path}/${path}`);
    } catch (error) {
      if (isMissing(error)) return [];
      throw toStorageError(error, path, "READ_FAILED");
    }
  }

  remove(path: string): void {
    const full = `${this.path}/${path}`;
    for (const file of [...this.#open]) {
      if (file.path === full || (path.endsWith("/") && file.path.startsWith(full))) file.close();
    }
    run(full, "WRITE_FAILED", () => this.fs.rmSync(full, { recursive: true, force: true }));
  }

  close(): void {
    for (const file of [...this.#open]) file.close();
    this.#unlock();
  }

  /** Notes that `file` is used, and closes others if too many are open. */
  touch(file: HostFile): void {
    this.#open.delete(file);
    this.#open.add(file);
    for (const other of this.#open) {
      if (this.#open.size <= this.#maxOpen) return;
      if (other !== file && !other.isSyncing) other.close();
    }
  }

  /** Notes that `file` is closed. */
  closed(file: HostFile): void {
    this.#open.delete(file);
  }
}

/** A file of the host. */
class HostFile implements RandomAccessFile {
  readonly #folder: HostFolder;
  readonly path: string;
  #descriptor: number | undefined;
  #size: number | undefined;
  #isNew = false;
  #isDirty = false;
  #syncs = 0;

  constructor(folder: HostFolder, path: string) {
    this.#folder = folder;
    this.path = `${folder.path}/${path}`;
  }

  /** Whether a sync is under way, so that it may not be closed. */
  get isSyncing(): boolean {
    return this.#syncs > 0;
  }

  size(): number {
    if (this.#size !== undefined) return this.#size;
    const descriptor = this.#use("r+");
    return this.#size = descriptor === undefined
      ? 0
      : run(this.path, "READ_FAILED", () => this.#folder.fs.fstatSync(descriptor).size);
  }

  read(offset: number, length: number): Uint8Array {
    const available = Math.max(0, Math.min(length, this.size() - offset));
    const bytes = new Uint8Array(available);
    if (available === 0) return bytes;
    const descriptor = this.#use("r+")!;
    return run(this.path, "READ_FAILED", () => {
      for (let at = 0; at < available;) {
        const count = this.#folder.fs.readSync(descriptor, bytes, at, available - at, offset + at);
        if (count === 0) return bytes.subarray(0, at);
        at += count;
      }
      return bytes;
    });
  }

  write(offset: number, bytes: Uint8Array): void {
    const descriptor = this.#use("w")!;
    this.#isDirty = true;
    run(this.path, "WRITE_FAILED", () => {
      for (let at = 0; at < bytes.length;) {
        at += this.#folder.fs.writeSync(descriptor, bytes, at, bytes.length - at, offset + at);
      }
    });
    this.#size = Math.max(this.size(), offset + bytes.length);
  }

  truncate(size: number): void {
    const descriptor = this.#use("w")!;
    this.#isDirty = true;
    run(this.path, "WRITE_FAILED", () => this.#folder.fs.ftruncateSync(descriptor, size));
    this.#size = size;
  }

  async sync(): Promise<void> {
    const descriptor = this.#use("r+");
    if (descriptor === undefined) return;
    this.#syncs++;
    try {
      this.#isDirty = false;
      await new Promise<void>((resolve, reject) => {
        this.#folder.fs.fdatasync(descriptor, (error) => error ? reject(error) : resolve());
      });
      if (this.#isNew) this.#syncFolders();
    } catch (error) {
      throw toStorageError(error, this.path, "WRITE_FAILED");
    } finally {
      this.#syncs--;
    }
  }

  /** Closes it, once more if it is used again. */
  close(): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    this.#descriptor = undefined;
    this.#folder.closed(this);
    run(this.path, "WRITE_FAILED", () => {
      // An error of the disk that comes after it is closed nobody would hear of.
      if (this.#isDirty && this.#folder.mustSync) this.#folder.fs.fdatasyncSync(descriptor);
      this.#isDirty = false;
      this.#folder.fs.closeSync(descriptor);
    });
  }

  /** Opens it, if it exists or is to be written. */
  #use(mode: "r+" | "w"): number | undefined {
    if (this.#descriptor === undefined) {
      this.#descriptor = this.#openIt(mode);
      if (this.#descriptor === undefined) return undefined;
    }
    this.#folder.touch(this);
    return this.#descriptor;
  }

  #openIt(mode: "r+" | "w"): number | undefined {
    try {
      return this.#folder.fs.openSync(this.path, this.#folder.readOnly ? "r" : "r+");
    } catch (error) {
      if (!isMissing(error)) throw toStorageError(error, this.path, "READ_FAILED");
      if (mode === "r+") return undefined;
    }
    return run(this.path, "WRITE_FAILED", () => {
      this.#folder.fs.mkdirSync(parentOf(this.path), { recursive: true });
      this.#isNew = true;
      return this.#folder.fs.openSync(this.path, "w+");
    });
  }

  /** Windows does not open folders, and keeps them in step with what is in them. */
  #openFolder(path: string): number | undefined {
    try {
      return this.#folder.fs.openSync(path, "r");
    } catch {
      return undefined;
    }
  }

  /** A new file is only found again if its folder knows of it, and that one's folder of that. */
  #syncFolders(): void {
    this.#isNew = false;
    for (let path = parentOf(this.path); path.startsWith(this.#folder.path); path = parentOf(path)) {
      const descriptor = this.#openFolder(path);
      if (descriptor === undefined) return;
      try {
        this.#folder.fs.fsyncSync(descriptor);
      } finally {
        this.#folder.fs.closeSync(descriptor);
      }
    }
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
