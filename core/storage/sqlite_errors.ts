/**
 * What SQLite says, in the words of a store.
 */
import { type ErrorCode, StorageError, toError } from "../runtime/errors.ts";

interface Meaning {
  /** SQLite's primary result code. */
  readonly result: number;
  /** Its text, where the runtime leaves out the code. */
  readonly text: RegExp;
  readonly code: ErrorCode;
  readonly advice: string;
}

const DAMAGED = "is damaged: copy what can be read into another store, or open a copy from before";

const MEANINGS: readonly Meaning[] = [
  {
    result: 5,
    text: /is locked/,
    code: "STORE_IN_USE",
    advice: "is in use, by another process or elsewhere in this one: close it there first",
  },
  {
    result: 13,
    text: /disk is full/,
    code: "DISK_FULL",
    advice: "has no room left on its disk: make room and try again, nothing was written",
  },
  {
    result: 11,
    text: /malformed|corrupt/,
    code: "STORE_CORRUPT",
    advice: DAMAGED,
  },
  {
    result: 26,
    text: /not a database/,
    code: "STORE_UNKNOWN",
    advice: "is no store: name another file",
  },
  {
    result: 14,
    text: /unable to open/,
    code: "READ_FAILED",
    advice: "cannot be opened: see that its folder exists and may be written to",
  },
  {
    result: 8,
    text: /readonly/,
    code: "WRITE_FAILED",
    advice: "may not be written to: see to the rights of the file and its folder",
  },
];

/** A {@linkcode StorageError} that says what SQLite said about the store at `path`; what is no error of SQLite stays. */
export function toStorageError(
  thrown: unknown,
  path: string,
  otherwise: "READ_FAILED" | "WRITE_FAILED",
): unknown {
  const cause = toError(thrown) as Error & { code?: unknown; errcode?: unknown };
  if (cause.code === "ERR_OUT_OF_RANGE") { // a number that no store writes
    return new StorageError("STORE_CORRUPT", `The store ${path} ${DAMAGED}`, { cause });
  }
  if (cause instanceof StorageError || cause.code !== "ERR_SQLITE_ERROR") return thrown;
  // The extended codes keep the primary one in their low byte.
  const result = typeof cause.errcode === "number" ? cause.errcode & 0xff : undefined;
  const meaning = MEANINGS.find((one) =>
    result === undefined ? one.text.test(cause.message) : one.result === result
  );
  if (meaning !== undefined) {
    return new StorageError(meaning.code, `The store ${path} ${meaning.advice}`, { cause });
  }
  const text = `The store ${path} failed: ${cause.message}. Look at its disk, then open it again`;
  return new StorageError(otherwise, text, { cause });
}
