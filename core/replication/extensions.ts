/** Messages of applications that travel along with a log. */
import { type Codec, decode, encode } from "../../encoding/codec.ts";
import { MAX_EXTENSION_NAME_BYTES } from "./constants.ts";
import type { ReplicationPeer } from "./peer.ts";
import type { PeerMachine } from "./peer_machine.ts";

/** One kind of such messages. */
export interface ExtensionOptions<T, Input = T> {
  /** How they are written and read. */
  readonly codec: Codec<T, Input>;
  /** Takes one. Bytes in it that the codec reads as views are lent until this returns. */
  onMessage?(message: T, peer: ReplicationPeer): void;
}

/** One kind of such messages, as they are sent. */
export interface Extension<Input> {
  /** Its name. */
  readonly name: string;
  /** Sends a message to one peer. */
  send(message: Input, peer: ReplicationPeer): void;
  /** Sends a message to all peers. */
  broadcast(message: Input): void;
  /** Takes no more. */
  destroy(): void;
}

/** All kinds of one log. */
export class Extensions {
  // deno-lint-ignore no-explicit-any
  readonly #options = new Map<string, ExtensionOptions<any, any>>();
  readonly #peers: readonly PeerMachine[];

  constructor(peers: readonly PeerMachine[]) {
    this.#peers = peers;
  }

  /**
   * One more kind.
   *
   * @throws {TypeError} if there is one of that name; {RangeError} if the name is empty or too long.
   */
  register<T, Input>(name: string, options: ExtensionOptions<T, Input>): Extension<Input> {
    if (this.#options.has(name)) throw new TypeError(`There is an extension ${name} already`);
    const bytes = new TextEncoder().encode(name).length;
    if (bytes === 0 || bytes > MAX_EXTENSION_NAME_BYTES - 3) {
      throw new RangeError(`The name of an extension has 1 to ${MAX_EXTENSION_NAME_BYTES - 3} bytes`);
    }
    this.#options.set(name, options);
    const send = (message: Input, peer: ReplicationPeer) =>
      this.#peers.find((one) => one === peer)?.sendExtension(name, encode(options.codec, message));
    return {
      name,
      send,
      broadcast: (message) => {
        for (const peer of this.#peers) send(message, peer);
      },
      destroy: () => {
        if (this.#options.get(name) === options) this.#options.delete(name);
      },
    };
  }

  /** A message has come; what nobody knows is ignored. @throws {DecodeError} if it is none of that kind. */
  receive(name: string, message: Uint8Array, peer: ReplicationPeer): void {
    const options = this.#options.get(name);
    options?.onMessage?.(decode(options.codec, message), peer);
  }
}
