/** What sessions refuse. */
import { isLogLength } from "./log/flat_tree.ts";
import { HyphaError } from "./runtime/errors.ts";

/** @throws {RangeError} unless `index` is that of a block. */
export function checkBlockIndex(index: number): void {
  if (!isLogLength(index)) {
    throw new RangeError(`${index} is no index of a block: an integer from 0 is wanted`);
  }
}

/** @throws {RangeError} unless [start, end) is a range of blocks, whose end may be infinite. */
export function checkBlockRange(start: number, end: number): void {
  checkBlockIndex(start);
  if (end !== Infinity) checkBlockIndex(end);
  if (start > end) throw new RangeError(`${start} to ${end} is no range of blocks: it ends before it begins`);
}

/** The error of a session that is closed. */
export function sessionClosed(): HyphaError {
  return new HyphaError("SESSION_CLOSED", "The session is closed: open another one");
}

/** The error of a session that may only read. */
export function notWritable(): HyphaError {
  return new HyphaError(
    "SESSION_NOT_WRITABLE",
    "The session cannot write: it is a snapshot, or was opened for reading",
  );
}

/** What a session rejects with that waits in a log that it is moved away from; it asks in the other one instead. */
export function sessionMoved(): HyphaError {
  return new HyphaError("SESSION_MOVED", "The session is of another log now: ask again");
}

/** Whether `error` is that of {@linkcode sessionMoved}. */
export function isSessionMoved(error: unknown): boolean {
  return error instanceof HyphaError && error.code === "SESSION_MOVED";
}
