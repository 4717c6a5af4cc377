/**
 * `hypha send`: offers a file to whoever holds the ticket.
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { basename } from "node:path";
import { HyphaError } from "../core/runtime/errors.ts";
import type { Connection } from "../core/stream/connection.ts";
import { toHex } from "../encoding/mod.ts";
import {
  DATA_BYTES,
  decodeFileMessage,
  encodeFileMessage,
  type FileMessage,
  newDataMessage,
} from "./file_messages.ts";
import { CliNode } from "./node.ts";
import { Progress, type Reporter } from "./reporter.ts";
import { formatTicket } from "./ticket.ts";

/** What `hypha send` is told. */
export interface SendOptions {
  /** The address to listen on; all of the host by default. */
  readonly host: string;
  /** The port to listen on, of UDP and of TCP; 0 = any. */
  readonly port: number;
  /** Whether to go on after the first receiver. */
  readonly keep: boolean;
}

/** Offers `path` until a receiver has it, or with `keep` until `signal` aborts. */
export async function send(
  path: string,
  options: SendOptions,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  await using file = await openForReading(path);
  const { size } = await file.stat();
  await using node = await CliNode.make();
  const queue: Connection[] = [];
  let wake = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => wake.reject(signal.reason), { once: true });
  wake.promise.catch(() => {});
  const listener = await node.listen(options, (connection) => {
    queue.push(connection);
    wake.resolve();
  });
  const ticket = formatTicket(node.runtime.crypto, listener.record);
  reporter.report({ event: "ticket", ticket, file: basename(path), bytes: size });
  for (;;) {
    await wake.promise;
    wake = Promise.withResolvers<void>();
    wake.promise.catch(() => {});
    for (let connection; (connection = queue.shift()) !== undefined;) {
      // One receiver's bad luck is not the next one's.
      const isDone = await serve(connection, file, basename(path), size, reporter, signal);
      if (isDone && !options.keep) return;
    }
    signal.throwIfAborted();
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, "r");
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (cause) {
    const isMissing = Reflect.get(cause as object, "code") === "ENOENT";
    throw new TypeError(
      isMissing ? `There is no file ${path}` : `Cannot read ${path}: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
  throw new TypeError(`${path} is not a file: pack a folder into an archive first`);
}

/** Serves one receiver; true if it has the file. Its failure is reported, not thrown. */
async function serve(
  connection: Connection,
  file: FileHandle,
  name: string,
  size: number,
  reporter: Reporter,
  signal: AbortSignal,
): Promise<boolean> {
  const onAbort = () => connection.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const progress = new Progress(reporter, size);
    const sha256 = await transfer(connection, file, name, size, progress);
    reporter.report({ event: "done", file: name, bytes: size, sha256, ms: Math.round(progress.elapsedMs) });
    await connection.close();
    return true;
  } catch (error) {
    connection.abort(error);
    signal.throwIfAborted();
    const code = error instanceof HyphaError ? error.code : "TRANSFER_FAILED";
    reporter.report({
      event: "error",
      code,
      message: `The receiver did not get it: ${(error as Error).message}`,
    });
    return false;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function transfer(
  connection: Connection,
  file: FileHandle,
  name: string,
  size: number,
  progress: Progress,
): Promise<string> {
  const replies = connection[Symbol.asyncIterator]();
  await connection.write(encodeFileMessage({ type: "offer", name, size }));
  await expectReply(replies, "accept");
  const hash = createHash("sha256");
  for (let at = 0; at < size;) {
    const { message, bytes } = newDataMessage(Math.min(DATA_BYTES, size - at));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, at);
    if (bytesRead === 0) throw new Error(`${name} became shorter while it was sent`);
    hash.update(bytes.subarray(0, bytesRead));
    await connection.write(bytesRead === bytes.length ? message : message.subarray(0, 1 + bytesRead));
    at += bytesRead;
    progress.add(bytesRead);
  }
  const sha256 = new Uint8Array(hash.digest());
  await connection.write(encodeFileMessage({ type: "end", sha256 }));
  await expectReply(replies, "done");
  return toHex(sha256);
}

async function expectReply(replies: AsyncIterator<Uint8Array>, wanted: FileMessage["type"]): Promise<void> {
  const { done, value } = await replies.next();
  if (done === true) throw new Error("it hung up");
  const message = decodeFileMessage(value);
  if (message.type === "refuse") throw new Error(`it refused, ${message.reason}`);
  if (message.type !== wanted) throw new Error(`it answered ${message.type} instead of ${wanted}`);
}
