/**
 * Error classes: the class says what to do, the code says what happened.
 *
 * A caller's own mistake is a `TypeError` or `RangeError`, an abort is `signal.reason` unwrapped, undecodable bytes are
 * a `DecodeError` until the door that let them in turns them into a {@linkcode ProtocolError}.
 */

/** Everything that can go wrong and that a caller may want to tell apart. The words are the reference's where it has one. */
export type ErrorCode =
  // the peer broke the rules
  | "DECODING_ERROR"
  | "HANDSHAKE_INVALID"
  | "INVALID_HEADER"
  | "INVALID_FRAME"
  | "INVALID_MAC"
  | "INVALID_CHANNEL"
  | "INVALID_CAPABILITY"
  | "INVALID_OPERATION"
  | "INVALID_PROOF"
  | "INVALID_CHECKSUM"
  | "INVALID_SIGNATURE"
  | "INVALID_CAPABILITY"
  | "LIMIT_EXCEEDED"
  // nobody's fault
  | "ABORTED"
  | "ADDRESS_IN_USE"
  | "ADDRESS_UNUSABLE"
  | "CANNOT_HOLEPUNCH"
  | "CONNECTION_CLOSED"
  | "CONNECTION_REFUSED"
  | "CONNECTION_RESET"
  | "DUPLICATE_CONNECTION"
  | "HANDSHAKE_UNFINISHED"
  | "HOLEPUNCH_ABORTED"
  | "HOLEPUNCH_DOUBLE_RANDOMIZED_NATS"
  | "HOLEPUNCH_INVALID"
  | "HOLEPUNCH_PROBE_TIMEOUT"
  | "IO_SUSPENDED"
  | "NODE_DESTROYED"
  | "PEER_CONNECTION_FAILED"
  | "PEER_NOT_FOUND"
  | "RELAY_ABORTED"
  | "REMOTE_ABORTED"
  | "REMOTE_NOT_HOLEPUNCHABLE"
  | "REMOTE_NOT_HOLEPUNCHING"
  | "REQUEST_CANCELLED"
  | "REQUEST_DESTROYED"
  | "REQUEST_REFUSED"
  | "REQUEST_TIMEOUT"
  | "SERVER_ERROR"
  | "SERVER_INCOMPATIBLE"
  | "SOCKET_CLOSED"
  | "SUSPENDED"
  | "TIMEOUT"
  | "TOO_FEW_NODES"
  | "TRY_LATER"
  | "WRONG_PEER"
  // a log cannot do that
  | "BLOCK_NOT_AVAILABLE"
  | "LOG_DAMAGED"
  | "ROLLED_BACK"
  | "SESSION_CLOSED"
  | "SESSION_MOVED"
  | "SESSION_NOT_WRITABLE"
  | "SNAPSHOT_NOT_AVAILABLE"
  | "STORAGE_CONFLICT"
  // the disk
  | "READ_FAILED"
  | "STORE_CLOSED"
  | "STORE_CORRUPT"
  | "STORE_IN_USE"
  | "STORE_UNKNOWN"
  | "WRITE_FAILED"
  | "TARGET_EXISTS"
  | "DISK_FULL"
  | "NOT_SUPPORTED";

/** Base of every error that hypha raises for something outside of the program. */
export class HyphaError extends Error {
  /** The name of the class. */
  override readonly name: string = "HyphaError";
  /** What happened, for programs; the message is for people. */
  readonly code: ErrorCode;

  /** `message` says what was wrong and what to do about it; `options.cause` keeps the error below. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The peer broke the protocol: drop it; trying again will not help. */
export class ProtocolError extends HyphaError {
  /** The name of the class. */
  override readonly name: string = "ProtocolError";
}

/** The path failed and nobody is to blame: trying again, later or on another path, may help. */
export class ConnectError extends HyphaError {
  /** The name of the class. */
  override readonly name: string = "ConnectError";
}

/** Bytes could not be stored or read back: stop writing and look at the disk. */
export class StorageError extends HyphaError {
  /** The name of the class. */
  override readonly name: string = "StorageError";
}

/** An invariant of hypha itself is broken. Never caught inside hypha. */
export class AssertionError extends Error {
  /** The name of the class. */
  override readonly name: string = "AssertionError";
}

/** Turns anything that was thrown into an `Error`, without wrapping one that already is. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown });
}
