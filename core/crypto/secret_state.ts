/**
 * What a secret stream derives from a Noise handshake beside the keys of its two directions: the ids by which each side
 * shows that it means this very connection, and the cipher of messages that may come in any order or not at all.
 *
 * Source: @hyperswarm/secret-stream 6.9.2. The ordered direction itself is {@linkcode CryptoProvider.secretStream}.
 */
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { blake2b } from "./hash.ts";
import { namespace } from "./keys.ts";
import { NONCE_BYTES, requireSize, TAG_BYTES } from "./sizes.ts";
import { NOISE_HASH_BYTES } from "./symmetric_state.ts";

/** Ids of the namespace "hyperswarm/secret-stream". */
const INITIATOR = 0;
const RESPONDER = 1;
const SEND = 2;

/** Bytes of a {@linkcode streamId}. */
export const STREAM_ID_BYTES = 32;
/** Bytes of the counter before an unordered message. */
const COUNTER_BYTES = 8;
/** Bytes that sealing adds to an unordered message. */
export const UNORDERED_OVERHEAD: number = COUNTER_BYTES + TAG_BYTES;
/**
 * How far behind the newest an unordered message may come. A power of two; DTLS asks for 64 at least, WireGuard takes 8128.
 * At 1024, a megabyte of full packets may overtake one.
 */
const WINDOW = 1024n;

/**
 * The 32-byte id that the side in the given role sends in its first frame, and that the other side expects there.
 *
 * @param handshakeHash the 64 bytes of {@linkcode NoiseKeys.hash}.
 * @param isInitiator the role of the side whose id is wanted.
 * @throws {RangeError} if the hash is not 64 bytes.
 */
export function streamId(
  crypto: CryptoProvider,
  handshakeHash: Uint8Array,
  isInitiator: boolean,
): Uint8Array {
  requireSize("handshakeHash", handshakeHash, NOISE_HASH_BYTES);
  return blake2b(crypto, streamNamespace(crypto, [roleId(isInitiator)]), handshakeHash);
}

/**
 * Seals messages that may be lost or overtake each other. On the wire: a counter as u64, then the secretbox.
 *
 * @example
 * ```ts
 * import { loadCryptoProvider } from "./provider.ts";
 * import { UnorderedOpener, UnorderedSealer } from "./secret_state.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const hash = new Uint8Array(64); // of the handshake
 * const sealer = new UnorderedSealer(crypto, hash, { isInitiator: true, start: new Uint8Array(8) });
 * const opener = new UnorderedOpener(crypto, hash, { isInitiator: false });
 * const sealed = sealer.seal(Uint8Array.of(1, 2, 3));
 * if (opener.open(sealed)?.length !== 3) throw new Error("never happens");
 * if (opener.open(sealed) !== undefined) throw new Error("a message counts once");
 * ```
 */
export class UnorderedSealer {
  readonly #crypto: CryptoProvider;
  readonly #key: Uint8Array;
  readonly #nonce = new Uint8Array(NONCE_BYTES.xsalsa20poly1305);
  readonly #view = new DataView(this.#nonce.buffer);

  /**
   * A sealer for the connection of this handshake.
   *
   * @param options `isInitiator` is the role of the sealing side, `start` 8 random bytes from which it counts.
   * @throws {RangeError} for a wrong size.
   */
  constructor(
    crypto: CryptoProvider,
    handshakeHash: Uint8Array,
    options: { readonly isInitiator: boolean; readonly start: Uint8Array },
  ) {
    requireSize("start", options.start, COUNTER_BYTES);
    this.#crypto = crypto;
    this.#key = unorderedKey(crypto, handshakeHash, options.isInitiator);
    this.#nonce.set(options.start);
  }

  /** The message as it goes to the wire, {@linkcode UNORDERED_OVERHEAD} bytes longer than `message`. */
  seal(message: Uint8Array): Uint8Array {
    // wraps at 2^64, which nobody reaches
    this.#view.setBigUint64(0, this.#view.getBigUint64(0, true) + 1n, true);
    const sealed = new Uint8Array(UNORDERED_OVERHEAD + message.length);
    sealed.set(this.#nonce.subarray(0, COUNTER_BYTES));
    this.#crypto.seal("xsalsa20poly1305", sealed.subarray(COUNTER_BYTES), message, this.#nonce, this.#key);
    return sealed;
  }
}

/**
 * The reverse of {@linkcode UnorderedSealer}. Refuses a message that was opened before, which the reference does not, and
 * one that is more than 1024 behind the newest, of which nobody knows.
 */
export class UnorderedOpener {
  readonly #crypto: CryptoProvider;
  readonly #key: Uint8Array;
  readonly #nonce = new Uint8Array(NONCE_BYTES.xsalsa20poly1305);
  readonly #view = new DataView(this.#nonce.buffer);
  readonly #window = new ReplayWindow();

  /**
   * An opener for the connection of this handshake.
   *
   * @param options `isInitiator` is the role of the opening side.
   * @throws {RangeError} if the hash is not 64 bytes.
   */
  constructor(crypto: CryptoProvider, handshakeHash: Uint8Array, options: { readonly isInitiator: boolean }) {
    this.#crypto = crypto;
    this.#key = unorderedKey(crypto, handshakeHash, !options.isInitiator);
  }

  /** The message as fresh memory; undefined if it is too short, forged or a repetition, and then nothing has changed. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < UNORDERED_OVERHEAD) return undefined;
    this.#nonce.set(sealed.subarray(0, COUNTER_BYTES));
    const counter = this.#view.getBigUint64(0, true);
    if (this.#window.refuses(counter)) return undefined;
    const message = new Uint8Array(sealed.length - UNORDERED_OVERHEAD);
    const body = sealed.subarray(COUNTER_BYTES);
    if (!this.#crypto.open("xsalsa20poly1305", message, body, this.#nonce, this.#key)) return undefined;
    this.#window.add(counter);
    return message;
  }
}

/** Which of the last 1024 counters were seen; a ring of bits as in RFC 6479. */
class ReplayWindow {
  readonly #seen = new Uint8Array(Number(WINDOW) / 8);
  #newest: bigint | undefined;

  refuses(counter: bigint): boolean {
    if (this.#newest === undefined) return false;
    // senders start anywhere and may pass 2^64, so that only differences count
    const ahead = BigInt.asIntN(64, counter - this.#newest);
    if (ahead > 0n) return false;
    const slot = slotOf(counter);
    return -ahead >= WINDOW || (this.#seen[slot >> 3]! & 1 << (slot & 7)) !== 0;
  }

  add(counter: bigint): void {
    const ahead = this.#newest === undefined ? WINDOW : BigInt.asIntN(64, counter - this.#newest);
    if (ahead > 0n) {
      if (ahead >= WINDOW) this.#seen.fill(0);
      else for (let i = 1n; i < ahead; i++) this.#clear(slotOf(counter - i));
      this.#newest = counter;
    }
    const slot = slotOf(counter);
    this.#seen[slot >> 3]! |= 1 << (slot & 7);
  }

  #clear(slot: number): void {
    this.#seen[slot >> 3]! &= ~(1 << (slot & 7));
  }
}

function slotOf(counter: bigint): number {
  return Number(counter & (WINDOW - 1n));
}

/** The key for unordered messages of the side in the given role. */
function unorderedKey(crypto: CryptoProvider, handshakeHash: Uint8Array, isInitiator: boolean): Uint8Array {
  requireSize("handshakeHash", handshakeHash, NOISE_HASH_BYTES);
  return blake2b(crypto, streamNamespace(crypto, [roleId(isInitiator), SEND]), handshakeHash);
}

function streamNamespace(crypto: CryptoProvider, ids: readonly number[]): Uint8Array[] {
  return namespace(crypto, "hyperswarm/secret-stream", ids);
}

function roleId(isInitiator: boolean): number {
  return isInitiator ? INITIATOR : RESPONDER;
}
