/**
 * Unordered messages of a secret stream: each sealed on its own, delivered at most once.
 */
import { UNORDERED_OVERHEAD, UnorderedOpener, UnorderedSealer } from "../crypto/secret_state.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { UnorderedMessages } from "./duplex.ts";
import type { NoiseSession } from "./secret_options.ts";

/**
 * Seals what goes out, opens what comes in.
 *
 * The wire format derives the key from the handshake hash alone, and whoever saw the handshake can compute that hash:
 * these messages are safe from others than the observers of the handshake, not from them.
 */
export class SecretUnordered implements UnorderedMessages {
  readonly #lower: UnorderedMessages;
  readonly #runtime: Runtime;
  #session: NoiseSession | undefined;
  #sealer: UnorderedSealer | undefined;
  #opener: UnorderedOpener | undefined;

  /** Over the unordered messages of a pipe; nothing passes before {@linkcode open}. */
  constructor(lower: UnorderedMessages, runtime: Runtime) {
    this.#lower = lower;
    this.#runtime = runtime;
  }

  /** From now on messages pass. */
  open(session: NoiseSession): void {
    this.#session = session;
  }

  /** See {@linkcode UnorderedMessages.maxMessageBytes}. */
  get maxMessageBytes(): number {
    return Math.max(0, this.#lower.maxMessageBytes - UNORDERED_OVERHEAD);
  }

  /** See {@linkcode UnorderedMessages.send}. */
  send(message: Uint8Array): boolean {
    const session = this.#session;
    if (session === undefined || message.length > this.maxMessageBytes) return false;
    const { crypto, random } = this.#runtime;
    this.#sealer ??= new UnorderedSealer(crypto, session.hash, {
      isInitiator: session.isInitiator,
      start: random.fill(new Uint8Array(8)),
    });
    return this.#lower.send(this.#sealer.seal(message));
  }

  /** The message in `sealed`; undefined if it is forged, repeated, too old or too early. */
  receive(sealed: Uint8Array): Uint8Array | undefined {
    const session = this.#session;
    if (session === undefined) return undefined;
    this.#opener ??= new UnorderedOpener(this.#runtime.crypto, session.hash, session);
    return this.#opener.open(sealed);
  }
}
