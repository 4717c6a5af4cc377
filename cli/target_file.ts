/**
 * A file on its way to disk: it gets its name only when it is whole and safe.
 */
import { type FileHandle, link, lstat, mkdir, open, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { HyphaError, StorageError } from "../core/runtime/errors.ts";

/** A file that is being written under a temporary name. Disposing of it before `finish` leaves nothing behind. */
export class TargetFile implements AsyncDisposable {
  readonly #temporary: string;
  readonly #final: string;
  readonly #replaces: boolean;
  #file: FileHandle | undefined;
  #isFinished = false;

  private constructor(temporary: string, final: string, replaces: boolean, file: FileHandle) {
    this.#temporary = temporary;
    this.#final = final;
    this.#replaces = replaces;
    this.#file = file;
  }

  /** Begins a file in `folder`, which is made if need be. @throws {StorageError} */
  static async create(folder: string, name: string, replaces: boolean): Promise<TargetFile> {
    const final = join(folder, name);
    const temporary = join(folder, `.${name.slice(0, 64)}.${crypto.randomUUID().slice(0, 8)}.part`);
    try {
      await mkdir(folder, { recursive: true });
      if (!replaces && await exists(final)) throw targetExists(final);
      return new TargetFile(temporary, final, replaces, await open(temporary, "wx"));
    } catch (cause) {
      throw storageError(cause, final);
    }
  }

  /** Adds bytes. @throws {StorageError} */
  async write(bytes: Uint8Array): Promise<void> {
    try {
      await this.#file!.writeFile(bytes);
    } catch (cause) {
      throw storageError(cause, this.#final);
    }
  }

  /** Gives the file its name, once its bytes are on disk. */
  async finish(): Promise<void> {
    try {
      await this.#file!.sync();
      await this.#close();
      if (this.#replaces) {
        await rename(this.#temporary, this.#final);
      } else {
        // Unlike a rename, a link fails if somebody was faster.
        await link(this.#temporary, this.#final);
        await unlink(this.#temporary);
      }
      this.#isFinished = true;
    } catch (cause) {
      throw storageError(cause, this.#final);
    }
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
    if (!this.#isFinished) await unlink(this.#temporary).catch(() => {});
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (Reflect.get(error as object, "code") === "ENOENT") return false;
    throw error;
  }
}

function targetExists(path: string, cause?: unknown): StorageError {
  const text = `${path} exists: move it away, choose another folder with --out, or replace it with --force`;
  return new StorageError("TARGET_EXISTS", text, { cause });
}

function storageError(cause: unknown, path: string): Error {
  if (cause instanceof HyphaError) return cause;
  const code = Reflect.get(cause as object, "code");
  if (code === "EEXIST") return targetExists(path, cause);
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new StorageError("DISK_FULL", `There is no room left for ${path}`, { cause });
  }
  return new StorageError("WRITE_FAILED", `Cannot write ${path}: ${(cause as Error).message}`, { cause });
}
