/**
 * The protocol of a secret stream as a machine: a Noise handshake, a header in each direction, then sealed messages.
 * Bytes go in, plaintext and frames come out; nothing here waits, sends or knows the time.
 *
 * Byte by byte in `docs/spec/secret-stream.md`. Source: @hyperswarm/secret-stream 6.9.2.
 */
import { equals } from "../../encoding/bytes.ts";
import { NoiseHandshake } from "../crypto/noise.ts";
import { streamId } from "../crypto/secret_state.ts";
import { assert } from "../runtime/assert.ts";
import { requireSize } from "../crypto/sizes.ts";
import type { CryptoProvider, SecretStreamState } from "../runtime/crypto_provider.ts";
import { ConnectError, ProtocolError } from "../runtime/errors.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { FRAME_HEADER_BYTES, FrameReader, MAX_FRAME_BYTES, writeFrameLength } from "./frame_reader.ts";
import type { NoiseSession, SecretStreamConfig } from "./secret_options.ts";

// Wire (index.js of the reference)

/** Bytes that sealing adds to a message: an encrypted tag byte before it and a 16-byte authenticator behind. */
export const SEAL_OVERHEAD_BYTES = 17;
/** Bytes before a message in its frame: the length and the tag byte. */
export const ROOM_BEFORE_BYTES = 4;
/** Bytes behind a message in its frame: the authenticator. */
export const ROOM_BEHIND_BYTES = 16;
/** The longest message that fits a frame. */
export const MAX_MESSAGE_BYTES: number = MAX_FRAME_BYTES - SEAL_OVERHEAD_BYTES;

const STREAM_ID_BYTES = 32;
/** Bytes with which a direction begins. */
export const STREAM_HEADER_BYTES = 24;
const HEADER_FRAME_BYTES = STREAM_ID_BYTES + STREAM_HEADER_BYTES;

// Tuning

/** The longest handshake frame accepted: the reference sends at most 96 bytes, and a stranger should not make us hold more. */
const MAX_HANDSHAKE_FRAME_BYTES = 1024;

/** Which kind of frame comes next. */
export type SecretStage = "handshake" | "header" | "message";

/**
 * What proves that the peer is there now and is who it says.
 *
 * The handshake itself does in XX, and for the initiator of IK: the last message they read depends on their own fresh
 * key. The responder of IK has read nothing that could not be a recording, and the header proves nothing more, because
 * its stream id derives from the handshake hash, which anyone who saw the handshake can compute. Only a message sealed
 * with the new keys proves the initiator; or the header, where nobody else could have sent it here. With an injected session, the
 * initiator waits for the header, which shows that this pipe leads to the peer that it shook hands with, unless it knows that from
 * the handshake.
 */
export type Proof = "handshake" | "header" | "message";

function proofOf(config: SecretStreamConfig): Proof {
  const { session, isInitiator, responderProof } = config;
  if (session !== undefined) {
    if (!isInitiator) return responderProof;
    return session.isPathProven === true ? "handshake" : "header";
  }
  return config.pattern === "IK" && !config.isInitiator ? "message" : "handshake";
}

const NOTHING: Uint8Array = new Uint8Array(0);

/**
 * The header with which the side of `session` begins its direction, as a whole frame.
 *
 * @param streamHeader the 24 random bytes in it.
 */
export function headerFrame(
  crypto: CryptoProvider,
  session: NoiseSession,
  streamHeader: Uint8Array,
): Uint8Array {
  requireSize("streamHeader", streamHeader, STREAM_HEADER_BYTES);
  const frame = new Uint8Array(FRAME_HEADER_BYTES + HEADER_FRAME_BYTES);
  writeFrameLength(frame, HEADER_FRAME_BYTES);
  frame.set(streamId(crypto, session.hash, session.isInitiator), FRAME_HEADER_BYTES);
  frame.set(streamHeader, FRAME_HEADER_BYTES + STREAM_ID_BYTES);
  return frame;
}

/** One side of a secret stream, without its pipe. */
export class SecretMachine {
  readonly #config: SecretStreamConfig;
  readonly #runtime: Runtime;
  readonly #proof: Proof;
  readonly #reader = new FrameReader();
  readonly #transmits: Uint8Array[] = [];
  #stage: SecretStage = "handshake";
  #handshake: NoiseHandshake | undefined;
  #session: NoiseSession | undefined;
  #sealing: SecretStreamState | undefined;
  #opening: SecretStreamState | undefined;
  #proven = false;
  #bytesRead = 0;
  #bytesWritten = 0;

  /** A side that has said nothing yet: see {@linkcode start}. */
  constructor(runtime: Runtime, config: SecretStreamConfig) {
    this.#runtime = runtime;
    this.#config = config;
    this.#proof = proofOf(config);
  }

  /** Which kind of frame comes next. */
  get stage(): SecretStage {
    return this.#stage;
  }

  /** The keys; undefined until the handshake is complete. */
  get session(): NoiseSession | undefined {
    return this.#session;
  }

  /** Whether messages can be sealed. */
  get canSeal(): boolean {
    return this.#sealing !== undefined;
  }

  /** Whether the peer is proven: see {@linkcode Proof}. */
  get isProven(): boolean {
    return this.#proven;
  }

  /** Whether the peer needs a message of ours before it can trust this stream. */
  get owesProof(): boolean {
    const { isInitiator, session, pattern } = this.#config;
    return isInitiator && (session !== undefined || pattern === "IK");
  }

  /** Whether a frame has begun and its end has not come. */
  get isMidFrame(): boolean {
    return this.#reader.isMidFrame;
  }

  /** Bytes of message frames that were opened, with their headers. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes of message frames that were sealed, with their headers. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /**
   * Begins: prepares what is to be sent first.
   *
   * @throws {ConnectError} `WRONG_PEER` if the session is not with the expected peer.
   */
  start(): void {
    const { session, pattern, isInitiator, keyPair, prologue, remotePublicKey } = this.#config;
    if (session !== undefined) {
      this.#requireExpectedPeer(session.remotePublicKey);
      this.#establish(session);
      return;
    }
    this.#reader.expect(1, MAX_HANDSHAKE_FRAME_BYTES, "HANDSHAKE_INVALID");
    this.#handshake = new NoiseHandshake(this.#runtime.crypto, {
      pattern,
      initiator: isInitiator,
      staticKeyPair: keyPair,
      remotePublicKey: pattern === "IK" && isInitiator ? remotePublicKey : undefined,
      prologue,
      random: this.#runtime.random,
    });
    if (isInitiator) this.#sendHandshake(this.#handshake);
  }

  /** A frame that is to be sent before anything that is sealed from now on. */
  pollTransmit(): Uint8Array | undefined {
    return this.#transmits.shift();
  }

  /** The pipe is known to lead to the peer, as if `isPathProven` had been set. Only for the initiator of an injected session. */
  provePath(): void {
    const { session, isInitiator } = this.#config;
    assert(session !== undefined && isInitiator, "a path proves the peer to who has dialed with keys");
    this.#proven = true;
  }

  /** Lends `chunk`, in which messages are opened where they lie; take it back with {@linkcode release}. */
  feed(chunk: Uint8Array): void {
    this.#reader.feed(chunk);
  }

  /** Ends the loan: what {@linkcode next} has not reached is copied. */
  release(): void {
    this.#reader.release();
  }

  /** Frees memory that a quiet stream does not need. */
  trim(): void {
    this.#reader.trim();
  }

  /**
   * Handles one frame. Returns the message in it, which is valid until the next call of any method; an empty array for a
   * frame without one (handshake, header, keepalive); undefined if there is no whole frame.
   *
   * @throws {ProtocolError} `HANDSHAKE_INVALID`, `INVALID_HEADER`, `INVALID_FRAME` or `INVALID_MAC`: the stream is dead.
   * @throws {ConnectError} `WRONG_PEER`: likewise.
   */
  next(): Uint8Array | undefined {
    const frame = this.#reader.next();
    if (frame === undefined) return undefined;
    switch (this.#stage) {
      case "message":
        return this.#open(frame);
      case "header":
        this.#onHeader(frame);
        return NOTHING;
      case "handshake":
        this.#onHandshake(frame);
        return NOTHING;
    }
  }

  /** Seals in place: `frame` holds a message with {@linkcode ROOM_BEFORE_BYTES} before and {@linkcode ROOM_BEHIND_BYTES} behind. */
  seal(frame: Uint8Array): void {
    assert(this.#sealing !== undefined, "nothing can be sealed before there are keys");
    writeFrameLength(frame, frame.length - FRAME_HEADER_BYTES);
    const message = frame.subarray(ROOM_BEFORE_BYTES, frame.length - ROOM_BEHIND_BYTES);
    this.#sealing.push(frame.subarray(FRAME_HEADER_BYTES), message);
    this.#bytesWritten += frame.length;
  }

  #open(frame: Uint8Array): Uint8Array {
    const message = frame.subarray(1, frame.length - ROOM_BEHIND_BYTES);
    if (!this.#opening!.pull(message, frame)) {
      throw new ProtocolError(
        "INVALID_MAC",
        "The peer sent a message that was not sealed with the agreed keys",
      );
    }
    this.#bytesRead += FRAME_HEADER_BYTES + frame.length;
    this.#proven = true;
    return message;
  }

  #onHeader(frame: Uint8Array): void {
    const session = this.#session!;
    const expected = streamId(this.#runtime.crypto, session.hash, !session.isInitiator);
    if (!equals(expected, frame.subarray(0, STREAM_ID_BYTES))) {
      throw new ProtocolError("INVALID_HEADER", "The peer's header belongs to another handshake");
    }
    this.#opening = this.#runtime.crypto.secretStream(session.rx, frame.slice(STREAM_ID_BYTES));
    this.#stage = "message";
    this.#reader.expect(SEAL_OVERHEAD_BYTES, this.#config.maxFrameBytes, "INVALID_FRAME");
    if (this.#proof === "header") this.#proven = true;
  }

  #onHandshake(frame: Uint8Array): void {
    const handshake = this.#handshake!;
    handshake.recv(frame);
    if (handshake.remotePublicKey !== undefined) this.#requireExpectedPeer(handshake.remotePublicKey);
    if (handshake.sending) this.#sendHandshake(handshake);
    const { session } = handshake;
    if (session === undefined) return;
    this.#handshake = undefined;
    this.#establish({ ...session, publicKey: this.#config.keyPair.publicKey });
  }

  #requireExpectedPeer(remotePublicKey: Uint8Array): void {
    const expected = this.#config.remotePublicKey;
    if (expected === undefined || equals(expected, remotePublicKey)) return;
    throw new ConnectError("WRONG_PEER", "Another peer than the expected one answered: check its address");
  }

  #sendHandshake(handshake: NoiseHandshake): void {
    const message = handshake.send();
    const frame = new Uint8Array(FRAME_HEADER_BYTES + message.length);
    writeFrameLength(frame, message.length);
    frame.set(message, FRAME_HEADER_BYTES);
    this.#transmits.push(frame);
  }

  #establish(session: NoiseSession): void {
    const { crypto, random } = this.#runtime;
    const header = session.streamHeader ?? random.fill(new Uint8Array(STREAM_HEADER_BYTES));
    this.#sealing = crypto.secretStream(session.tx, header);
    this.#transmits.push(headerFrame(crypto, session, header));
    this.#session = session;
    this.#stage = "header";
    this.#reader.expect(HEADER_FRAME_BYTES, HEADER_FRAME_BYTES, "INVALID_HEADER");
    if (this.#proof === "handshake") this.#proven = true;
  }
}
