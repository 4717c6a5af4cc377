/**
 * What a secret stream is told: options as a caller writes them, and the complete configuration that they resolve to.
 */
import type { NoiseKeys, NoisePattern } from "../crypto/noise.ts";
import type { KeyPair } from "../runtime/crypto_provider.ts";
import { MAX_FRAME_BYTES } from "./frame_reader.ts";

// Tuning

/** How long a peer may take until it is heard with proof: four round trips over a bad line, or a reference peer's 5 s keepalive. */
const HANDSHAKE_TIMEOUT_MS = 15_000;

/** The outcome of a handshake that took place elsewhere, for streams that start with keys. */
export interface NoiseSession extends NoiseKeys {
  /** The Ed25519 key that this side proved; 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The 24 random bytes that this side's direction begins with, if its header was sent ahead; drawn by default. Good for once. */
  readonly streamHeader?: Uint8Array | undefined;
  /**
   * Whether the handshake came along the very path that the pipe takes, so that the initiator need not wait to hear more of the
   * peer; false by default.
   */
  readonly isPathProven?: boolean | undefined;
}

/** Options of a `SecretStream` and of all that is built on it. */
export interface SecretStreamOptions {
  /** Whether this side speaks first. The two sides must differ. Taken from {@linkcode session} if that is given. */
  readonly isInitiator: boolean;
  /** The identity of this side. Not used if {@linkcode session} is given. */
  readonly keyPair: KeyPair;
  /** The peer that must be at the other end, 32 bytes; anyone, by default. The initiator of `IK` needs it. */
  readonly remotePublicKey?: Uint8Array | undefined;
  /** Which handshake: `XX`, the default, needs no prior knowledge; `IK` saves a round trip if the initiator knows whom it calls. */
  readonly pattern?: NoisePattern | undefined;
  /** Bytes that both sides must agree on for the handshake to succeed; empty by default, as in the reference. */
  readonly prologue?: Uint8Array | undefined;
  /** Keys that both sides have already agreed on: the stream then starts with its header. */
  readonly session?: NoiseSession | undefined;
  /**
   * What proves the initiator to the responder of a {@linkcode session}: a sealed `message`, the default; or the `header` already,
   * if only the initiator can know where to send it, for example to a random stream id that was told under the session's keys.
   */
  readonly responderProof?: "header" | "message" | undefined;
  /** Sends an empty frame after this many milliseconds without a write of our own; 0, the default, sends none. */
  readonly keepAliveMs?: number | undefined;
  /** Gives up after this many milliseconds without a byte of the peer; 0, the default, never does. */
  readonly idleTimeoutMs?: number | undefined;
  /** Gives up if the stream is not open after this many milliseconds; 15000 by default, 0 waits forever. */
  readonly handshakeTimeoutMs?: number | undefined;
  /** The longest frame accepted from the peer, in bytes with 17 of overhead; 16777215, the most there is, by default. */
  readonly maxFrameBytes?: number | undefined;
}

/** {@linkcode SecretStreamOptions} with nothing left open. */
export interface SecretStreamConfig {
  /** Whether this side speaks first. */
  readonly isInitiator: boolean;
  /** The identity of this side, unless there is a session. */
  readonly keyPair: KeyPair;
  /** The peer that must be at the other end; undefined = anyone. */
  readonly remotePublicKey: Uint8Array | undefined;
  /** Which handshake, unless there is a session. */
  readonly pattern: NoisePattern;
  /** Bytes that both sides agree on. */
  readonly prologue: Uint8Array;
  /** Keys agreed elsewhere; undefined = do a handshake. */
  readonly session: NoiseSession | undefined;
  /** What proves the initiator of the session. */
  readonly responderProof: "header" | "message";
  /** Silence of our own after which to speak; 0 = never. */
  readonly keepAliveMs: number;
  /** Silence of the peer after which to give up; 0 = never. */
  readonly idleTimeoutMs: number;
  /** Time to be open; 0 = unlimited. */
  readonly handshakeTimeoutMs: number;
  /** The longest frame accepted. */
  readonly maxFrameBytes: number;
}

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} for a number that makes no sense, {@linkcode TypeError} for options that contradict each other.
 */
export function resolveSecretStreamOptions(options: SecretStreamOptions): SecretStreamConfig {
  const pattern = options.pattern ?? "XX";
  const isInitiator = options.session?.isInitiator ?? options.isInitiator;
  if (options.session === undefined && pattern === "IK" && isInitiator && !options.remotePublicKey) {
    throw new TypeError("The initiator of IK must know whom it calls: pass remotePublicKey, or use XX");
  }
  const maxFrameBytes = options.maxFrameBytes ?? MAX_FRAME_BYTES;
  if (!(maxFrameBytes >= 64 && maxFrameBytes <= MAX_FRAME_BYTES)) {
    throw new RangeError(`maxFrameBytes must be 64 to ${MAX_FRAME_BYTES}, not ${maxFrameBytes}`);
  }
  return {
    isInitiator,
    keyPair: options.keyPair,
    remotePublicKey: options.remotePublicKey,
    pattern,
    prologue: options.prologue ?? new Uint8Array(0),
    session: options.session,
    responderProof: options.responderProof ?? "message",
    keepAliveMs: requireMs("keepAliveMs", options.keepAliveMs ?? 0),
    idleTimeoutMs: requireMs("idleTimeoutMs", options.idleTimeoutMs ?? 0),
    handshakeTimeoutMs: requireMs("handshakeTimeoutMs", options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS),
    maxFrameBytes,
  };
}

/**
 * Checks the option called `what`.
 *
 * @throws {RangeError} unless `ms` is a duration.
 */
export function requireMs(what: string, ms: number): number {
  if (!(ms >= 0)) throw new RangeError(`${what} must be milliseconds, 0 or more, not ${ms}`);
  return ms;
}
