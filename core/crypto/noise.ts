/**
 * The Noise handshakes of the Hyper stack: patterns IK and XX over Ed25519 points, ChaCha20-Poly1305 and BLAKE2b, as a
 * synchronous state that is handed messages and hands back messages.
 *
 * Source: Noise revision 34, with the curve of noise-curve-ed 2.1.0, which is not one of Noise's own.
 */
import { assert } from "../runtime/assert.ts";
import type { CryptoProvider, KeyPair } from "../runtime/crypto_provider.ts";
import { ProtocolError } from "../runtime/errors.ts";
import type { Random } from "../runtime/runtime.ts";
import { randomKeyPair, requireKeyPair } from "./keys.ts";
import { PUBLIC_KEY_BYTES, requireSize, TAG_BYTES } from "./sizes.ts";
import { SymmetricState } from "./symmetric_state.ts";

/**
 * Who knows whom in advance: in `IK` the initiator knows the key of the responder, which takes two messages; in `XX` they
 * tell each other, which takes three.
 */
export type NoisePattern = "IK" | "XX";

/** The longest message that Noise allows, in bytes. */
export const MAX_NOISE_MESSAGE_BYTES = 65535;

/** What a handshake starts from. */
export interface NoiseOptions {
  /** Which handshake. */
  readonly pattern: NoisePattern;
  /** Whether this side sends the first message. */
  readonly initiator: boolean;
  /** The lasting key pair of this side. */
  readonly staticKeyPair: KeyPair;
  /** The key of the responder: 32 bytes, for the initiator of `IK` and for nobody else. */
  readonly remotePublicKey?: Uint8Array | undefined;
  /** Data that both sides must agree on for the handshake to succeed. Empty if not given. */
  readonly prologue?: Uint8Array | undefined;
  /** Where the seed of the ephemeral key comes from. */
  readonly random?: Random | undefined;
  /** The ephemeral key pair itself, which makes a handshake repeatable; use each pair once. */
  readonly ephemeralKeyPair?: KeyPair | undefined;
}

/** What both sides share once the handshake is complete. */
export interface NoiseKeys {
  /** Whether this side sent the first message. */
  readonly isInitiator: boolean;
  /** 32 bytes: the key for what this side sends. */
  readonly tx: Uint8Array;
  /** 32 bytes: the key for what this side receives. */
  readonly rx: Uint8Array;
  /** 64 bytes: the hash of the whole handshake, the same on both sides and on no other connection. */
  readonly hash: Uint8Array;
  /** 32 bytes: the proven key of the other side. */
  readonly remotePublicKey: Uint8Array;
}

/** `e` and `s` are keys on the wire; two letters are an exchange of the initiator's first and the responder's second. */
type Token = "e" | "s" | "ee" | "es" | "se" | "ss";

/** Initiator and responder take turns, the initiator begins. */
const MESSAGES: Readonly<Record<NoisePattern, readonly (readonly Token[])[]>> = {
  IK: [["e", "es", "s", "ss"], ["e", "ee", "se"]],
  XX: [["e"], ["e", "ee", "s", "es"], ["s", "se"]],
};

/**
 * One handshake, seen from one side.
 *
 * @example
 * ```ts
 * import { loadCryptoProvider } from "./provider.ts";
 * import { NoiseHandshake } from "./noise.ts";
 * import { SeededRandom } from "../runtime/virtual.ts";
 *
 * const crypto = await loadCryptoProvider();
 * const random = new SeededRandom(1);
 * const [alice, bob] = [crypto.keyPair(new Uint8Array(32)), crypto.keyPair(new Uint8Array(32).fill(1))];
 * const dialing = new NoiseHandshake(crypto, {
 *   pattern: "IK",
 *   initiator: true,
 *   staticKeyPair: alice,
 *   remotePublicKey: bob.publicKey,
 *   random,
 * });
 * const answering = new NoiseHandshake(crypto, { pattern: "IK", initiator: false, staticKeyPair: bob, random });
 *
 * answering.recv(dialing.send());
 * dialing.recv(answering.send());
 * if (dialing.session?.tx[0] !== answering.session?.rx[0]) throw new Error("never happens");
 * ```
 */
export class NoiseHandshake {
  readonly #crypto: CryptoProvider;
  readonly #options: NoiseOptions;
  readonly #messages: readonly (readonly Token[])[];
  readonly #symmetric: SymmetricState;
  #index = 0;
  #ephemeral: KeyPair | undefined;
  #remoteEphemeral: Uint8Array | undefined;
  #remoteStatic: Uint8Array | undefined;
  #session: NoiseKeys | undefined;

  /**
   * A handshake before its first message.
   *
   * @throws {RangeError} for a key of the wrong size.
   * @throws {TypeError} for a missing source of the ephemeral key, and for a missing or a useless `remotePublicKey`.
   */
  constructor(crypto: CryptoProvider, options: NoiseOptions) {
    const { pattern, initiator, staticKeyPair, remotePublicKey, prologue, random, ephemeralKeyPair } =
      options;
    requireKeyPair("staticKeyPair", staticKeyPair);
    if (ephemeralKeyPair !== undefined) requireKeyPair("ephemeralKeyPair", ephemeralKeyPair);
    else if (random === undefined) throw new TypeError("a handshake needs random or ephemeralKeyPair");
    this.#crypto = crypto;
    this.#options = options;
    this.#messages = MESSAGES[pattern];
    this.#symmetric = new SymmetricState(
      crypto,
      new TextEncoder().encode(`Noise_${pattern}_Ed25519_ChaChaPoly_BLAKE2b`),
    );
    this.#symmetric.mixHash(prologue ?? new Uint8Array(0));
    const knowsRemote = pattern === "IK" && initiator;
    if (knowsRemote !== (remotePublicKey !== undefined)) {
      throw new TypeError(
        knowsRemote
          ? "the initiator of IK needs remotePublicKey"
          : "only the initiator of IK may set remotePublicKey; compare it after the handshake instead",
      );
    }
    if (remotePublicKey !== undefined) {
      requireSize("remotePublicKey", remotePublicKey, PUBLIC_KEY_BYTES);
      this.#remoteStatic = remotePublicKey.slice();
    }
    if (pattern === "IK") this.#symmetric.mixHash(this.#remoteStatic ?? staticKeyPair.publicKey);
  }

  /** Whether the last message is through and {@linkcode session} is there. */
  get complete(): boolean {
    return this.#session !== undefined;
  }

  /** The keys; undefined until the handshake is complete. */
  get session(): NoiseKeys | undefined {
    return this.#session;
  }

  /**
   * The key of the other side as soon as it is known; undefined before. The responder of `IK` knows it after the first
   * message, which may be a replay of an old one until the handshake is complete.
   */
  get remotePublicKey(): Uint8Array | undefined {
    return this.#remoteStatic;
  }

  /** Whether it is this side's turn to {@linkcode send}. */
  get sending(): boolean {
    return !this.complete && (this.#index % 2 === 0) === this.#options.initiator;
  }

  /**
   * The next message, with `payload` inside. The first message of XX carries its payload in the clear.
   *
   * @throws {TypeError} if it is the other side's turn or the handshake is complete.
   * @throws {RangeError} if the message would be longer than 65535 bytes.
   * @throws {ProtocolError} if the other side's key is no usable point: `HANDSHAKE_INVALID`.
   */
  send(payload: Uint8Array = new Uint8Array(0)): Uint8Array {
    if (!this.sending) throw new TypeError(this.#turnMessage("send"));
    const tokens = this.#tokens();
    const size = this.#sizeOf(tokens) + payload.length;
    if (size > MAX_NOISE_MESSAGE_BYTES) {
      throw new RangeError(`a Noise message must be at most ${MAX_NOISE_MESSAGE_BYTES} bytes, not ${size}`);
    }
    const message = new Uint8Array(size);
    let offset = 0;
    for (const token of tokens) {
      if (token === "e") {
        const { publicKey } = this.#ownEphemeral();
        message.set(publicKey, offset);
        this.#symmetric.mixHash(publicKey);
        offset += PUBLIC_KEY_BYTES;
      } else if (token === "s") {
        const { publicKey } = this.#options.staticKeyPair;
        offset += this.#symmetric.encryptAndHash(message.subarray(offset), publicKey);
      } else {
        this.#mixExchange(token, this.#remoteStatic, this.#remoteEphemeral);
      }
    }
    this.#symmetric.encryptAndHash(message.subarray(offset), payload);
    this.#advance();
    return message;
  }

  /**
   * Takes the next message of the other side and returns its payload, which is fresh memory. A message that is refused
   * leaves the handshake as it was, so that a stranger who can inject messages cannot end it (as in WireGuard).
   *
   * @throws {ProtocolError} `HANDSHAKE_INVALID` if the message is out of turn, too short, too long or forged.
   */
  recv(message: Uint8Array): Uint8Array {
    if (this.complete || this.sending) throw invalid(this.#turnMessage("recv"));
    const tokens = this.#tokens();
    const size = this.#sizeOf(tokens);
    if (message.length < size || message.length > MAX_NOISE_MESSAGE_BYTES) {
      throw invalid(`the message must be ${size} to ${MAX_NOISE_MESSAGE_BYTES} bytes, not ${message.length}`);
    }
    const saved = this.#symmetric.save();
    try {
      const payload = this.#read(tokens, message);
      this.#advance();
      return payload;
    } catch (error) {
      this.#symmetric.restore(saved);
      throw error;
    } finally {
      saved.memory.fill(0);
    }
  }

  #read(tokens: readonly Token[], message: Uint8Array): Uint8Array {
    const symmetric = this.#symmetric;
    let remoteEphemeral = this.#remoteEphemeral;
    let remoteStatic = this.#remoteStatic;
    let offset = 0;
    for (const token of tokens) {
      if (token === "e") {
        remoteEphemeral = message.slice(offset, offset += PUBLIC_KEY_BYTES);
        symmetric.mixHash(remoteEphemeral);
      } else if (token === "s") {
        const sealed = message.subarray(
          offset,
          offset += PUBLIC_KEY_BYTES + (symmetric.keyed ? TAG_BYTES : 0),
        );
        remoteStatic = symmetric.decryptAndHash(sealed);
        if (remoteStatic === undefined) {
          throw invalid("the static key is forged or was sealed for another key");
        }
      } else {
        this.#mixExchange(token, remoteStatic, remoteEphemeral);
      }
    }
    const payload = symmetric.decryptAndHash(message.subarray(offset));
    if (payload === undefined) throw invalid("the payload is forged or was sealed for another key");
    this.#remoteEphemeral = remoteEphemeral;
    this.#remoteStatic = remoteStatic;
    return payload;
  }

  #mixExchange(
    token: Token,
    remoteStatic: Uint8Array | undefined,
    remoteEphemeral: Uint8Array | undefined,
  ): void {
    const { initiator, staticKeyPair } = this.#options;
    const local = token[initiator ? 0 : 1] === "s" ? staticKeyPair : this.#ownEphemeral();
    const remote = token[initiator ? 1 : 0] === "s" ? remoteStatic : remoteEphemeral;
    assert(remote !== undefined, "the pattern exchanges a key before it was sent");
    const shared = this.#crypto.dh(local.secretKey, remote);
    if (shared === undefined) {
      throw invalid("the key of the other side is not a point of the prime-order group");
    }
    this.#symmetric.mixKey(shared);
    shared.fill(0);
  }

  #ownEphemeral(): KeyPair {
    if (this.#ephemeral !== undefined) return this.#ephemeral;
    const { ephemeralKeyPair, random } = this.#options;
    if (ephemeralKeyPair !== undefined) return this.#ephemeral = ephemeralKeyPair;
    assert(random !== undefined, "the constructor asks for one of the two");
    return this.#ephemeral = randomKeyPair(this.#crypto, random);
  }

  #tokens(): readonly Token[] {
    const tokens = this.#messages[this.#index];
    assert(tokens !== undefined, "a handshake that is not complete has a next message");
    return tokens;
  }

  /** How long the message of these tokens is with an empty payload. */
  #sizeOf(tokens: readonly Token[]): number {
    let size = 0;
    let tag = this.#symmetric.keyed ? TAG_BYTES : 0;
    for (const token of tokens) {
      if (token === "e") size += PUBLIC_KEY_BYTES;
      else if (token === "s") size += PUBLIC_KEY_BYTES + tag;
      else tag = TAG_BYTES;
    }
    return size + tag;
  }

  #advance(): void {
    this.#index++;
    if (this.#index < this.#messages.length) return;
    const { first, second } = this.#symmetric.split();
    const { initiator, ephemeralKeyPair } = this.#options;
    const remotePublicKey = this.#remoteStatic;
    assert(remotePublicKey !== undefined, "both patterns transmit or presume both static keys");
    this.#session = {
      isInitiator: initiator,
      tx: initiator ? first : second,
      rx: initiator ? second : first,
      hash: this.#symmetric.handshakeHash(),
      remotePublicKey,
    };
    this.#symmetric.wipe();
    if (this.#ephemeral !== ephemeralKeyPair) this.#ephemeral?.secretKey.fill(0);
    this.#ephemeral = undefined;
  }

  #turnMessage(call: "send" | "recv"): string {
    if (this.complete) return `${call}: the handshake is complete`;
    return call === "send"
      ? "send: the next message is the other side's"
      : "recv: the next message is this side's";
  }
}

function invalid(message: string): ProtocolError {
  return new ProtocolError("HANDSHAKE_INVALID", `Noise handshake: ${message}`);
}
