/**
 * The Noise handshake of a connection attempt: pattern IK, whose two messages travel through relays and carry a payload each.
 *
 * Source: hyperdht 6.34.0, lib/noise-wrap.js.
 */
import { NoiseHandshake } from "../core/crypto/noise.ts";
import { assert } from "../core/runtime/assert.ts";
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import { ProtocolError } from "../core/runtime/errors.ts";
import type { Runtime } from "../core/runtime/runtime.ts";
import type { NoiseSession } from "../core/stream/secret_options.ts";
import { decode, DecodeError, encode } from "../encoding/codec.ts";
import { type NoisePayload, noisePayload, type ReceivedNoisePayload } from "./handshake_messages.ts";
import { type DhtNamespaces, punchSecret } from "./signables.ts";

/** Bytes of the first message with the shortest payload: two keys, two tags, four bytes. */
const MIN_FIRST_BYTES = 32 + 48 + 16 + 4;
/** Bytes of the longest message that is worth a look: a payload with every list at a sensible length. */
const MAX_MESSAGE_BYTES = 1024;

/** Whether `noise` may be a first message, judged by its length alone: what is not costs no cryptography. */
export function mayBeFirstMessage(noise: Uint8Array): boolean {
  return noise.length >= MIN_FIRST_BYTES && noise.length <= MAX_MESSAGE_BYTES;
}

/** What the parts of a handshake take from outside. */
export interface HandshakeContext {
  /** Chance and cryptography. */
  readonly runtime: Pick<Runtime, "random" | "crypto">;
  /** What separates this handshake from others. */
  readonly namespaces: DhtNamespaces;
}

/** What a completed handshake gives. */
export interface HandshakeResult {
  /** The keys of the stream to be. */
  readonly session: NoiseSession;
  /** Seals what is said about punching, 32 bytes. */
  readonly punchSecret: Uint8Array;
}

/** One handshake, seen from one side. */
export class PeerHandshaking {
  readonly #context: HandshakeContext;
  readonly #publicKey: Uint8Array;
  readonly #noise: NoiseHandshake;

  /**
   * With `remotePublicKey` the side that dials that key, without it the side that answers.
   *
   * @throws {RangeError} for a key of the wrong size.
   */
  constructor(context: HandshakeContext, keyPair: KeyPair, remotePublicKey?: Uint8Array) {
    this.#context = context;
    this.#publicKey = keyPair.publicKey;
    this.#noise = new NoiseHandshake(context.runtime.crypto, {
      pattern: "IK",
      initiator: remotePublicKey !== undefined,
      staticKeyPair: keyPair,
      remotePublicKey,
      prologue: context.namespaces.peerHandshake,
      random: context.runtime.random,
    });
  }

  /** The key of the other side; for the answering side it is a claim that may be a replay until the stream is open. */
  get remotePublicKey(): Uint8Array {
    const key = this.#noise.remotePublicKey;
    assert(
      key !== undefined,
      "the dialing side knows the key from the start, the answering side since message 1",
    );
    return key;
  }

  /** The next message, with `payload` inside. @throws {ProtocolError} if the other side's key is no usable point. */
  send(payload: NoisePayload): Uint8Array {
    return this.#noise.send(encode(noisePayload, payload));
  }

  /** The payload of the other side's message; undefined if it is forged or makes no sense, and then nothing has changed. */
  tryReceive(message: Uint8Array): ReceivedNoisePayload | undefined {
    try {
      return decode(noisePayload, this.#noise.recv(message));
    } catch (error) {
      if (error instanceof ProtocolError || error instanceof DecodeError) return undefined;
      throw error;
    }
  }

  /** What came of it, once both messages are through. */
  finish(): HandshakeResult {
    const keys = this.#noise.session;
    assert(keys !== undefined, "the handshake is complete");
    const { runtime: { crypto }, namespaces } = this.#context;
    return {
      session: { ...keys, publicKey: this.#publicKey },
      punchSecret: punchSecret(crypto, namespaces, keys.hash),
    };
  }
}
