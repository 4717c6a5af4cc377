/**
 * `hypha receive`: fetches the file behind a ticket. It gets its name only when it is whole, checked and on disk.
 */
import { createHash } from "node:crypto";
import { type FileHandle, link, lstat, mkdir, open, rename, unlink } from "node:fs/promises";
import { basename, join } from "node:path";
import { ConnectError, HyphaError, ProtocolError, StorageError } from "../core/runtime/errors.ts";
import type { Connection } from "../core/stream/connection.ts";
import { equals, toHex } from "../encoding/mod.ts";
import { decodeFileMessage, encodeFileMessage, type FileMessage } from "./file_messages.ts";
import { CliNode } from "./node.ts";
import { Progress, type Reporter } from "./reporter.ts";
import { parseTicket } from "./ticket.ts";

/** What `hypha receive` is told. */
export interface ReceiveOptions {
  /** The folder for the file. */
  readonly out: string;
  /** Whether a file of the same name may be replaced. */
  readonly force: boolean;
}

/** Fetches what `ticket` offers into a folder, and reports it. */
export async function receive(
  ticket: string,
  options: ReceiveOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  await using node = await CliNode.make();
  const connection = await node.dialer.connect(parseTicket(node.runtime.crypto, ticket), { signal });
  const onAbort = () => connection.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await fetchFile(connection, options, reporter);
    await connection.close();
  } catch (error) {
    await refuse(connection, error);
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Lets the sender know why, if it can still be reached. */
async function refuse(connection: Connection, error: unknown): Promise<void> {
  const code = error instanceof HyphaError ? error.code : "REFUSED";
  const reason = error instanceof StorageError ? error.message : "something went wrong at the receiver";
  await connection.write(encodeFileMessage({ type: "refuse", code, reason })).catch(() => {});
  await connection.close();
}

async function fetchFile(connection: Connection, options: ReceiveOptions, reporter: Reporter): Promise<void> {
  const messages = connection[Symbol.asyncIterator]();
  const offer = await next(messages, "offer");
  const name = safeName(offer.name);
  await using target = await Target.create(options.out, name, options.force);
  await connection.write(encodeFileMessage({ type: "accept" }));
  const progress = new Progress(reporter, offer.size);
  const hash = createHash("sha256");
  for (let left = offer.size; left > 0;) {
    const { bytes } = await next(messages, "data");
    if (bytes.length === 0 || bytes.length > left) {
      throw new ProtocolError("INVALID_FRAME", "The sender sent another number of bytes than it announced");
    }
    await target.write(bytes);
    hash.update(bytes);
    left -= bytes.length;
    progress.add(bytes.length);
  }
  const sha256 = new Uint8Array(hash.digest());
  if (!equals((await next(messages, "end")).sha256, sha256)) {
    throw new ProtocolError("INVALID_FRAME", "The file changed while it was sent: ask for it again");
  }
  await target.finish();
  await connection.write(encodeFileMessage({ type: "done" }));
  reporter.report({
    event: "done",
    file: join(options.out, name),
    bytes: offer.size,
    sha256: toHex(sha256),
    ms: Math.round(progress.elapsedMs),
  });
}

async function next<Type extends FileMessage["type"]>(
  messages: AsyncIterator<Uint8Array>,
  wanted: Type,
): Promise<Extract<FileMessage, { type: Type }>> {
  const { done, value } = await messages.next();
  if (done === true) {
    throw new ConnectError("CONNECTION_CLOSED", "The sender hung up before the file was complete");
  }
  const message = decodeFileMessage(value);
  if (message.type !== wanted) {
    throw new ProtocolError("INVALID_FRAME", `The sender sent ${message.type} where ${wanted} belongs`);
  }
  return message as Extract<FileMessage, { type: Type }>;
}

/** The last part of a path from a stranger, if it is harmless as a file name. */
function safeName(name: string): string {
  const last = basename(name.replaceAll("\\", "/"));
  // deno-lint-ignore no-control-regex
  const isHarmless = last !== "" && last !== "." && last !== ".." && !/[\x00-\x1f\x7f:*?"<>|]/.test(last);
  if (!isHarmless || new TextEncoder().encode(last).length > 255) {
    throw new ProtocolError(
      "INVALID_FRAME",
      `The sender's file name ${JSON.stringify(name)} cannot be used here`,
    );
  }
  return last;
}

/** A file that is being written under a temporary name. Disposing of it before `finish` leaves nothing behind. */
class Target implements AsyncDisposable {
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

  static async create(folder: string, name: string, replaces: boolean): Promise<Target> {
    const final = join(folder, name);
    const temporary = join(folder, `.${name.slice(0, 64)}.${crypto.randomUUID().slice(0, 8)}.part`);
    try {
      await mkdir(folder, { recursive: true });
      if (!replaces && await exists(final)) throw targetExists(final);
      return new Target(temporary, final, replaces, await open(temporary, "wx"));
    } catch (cause) {
      throw storageError(cause, final);
    }
  }

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
