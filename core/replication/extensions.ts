/** Messages of applications that travel along with a log. */
import { type Codec, decode, encode } from "../../encoding/codec.ts";
import { type EncodingName, from } from "../../encoding/from.ts";
import { MAX_EXTENSION_NAME_BYTES } from "./constants.ts";
import type { ReplicationPeer } from "./peer.ts";
import type { PeerMachine } from "./peer_machine.ts";

/** One kind of such messages. */
export interface ExtensionOptions<T, Input = T> {
  /** How they are written and read; bytes as they are by default. */
  readonly encoding?: EncodingName | Codec<T, Input> | undefined;
  /** Takes one. Bytes in it that the encoding reads as views are lent until this returns. */
  onmessage?(message: T, peer: ReplicationPeer): void;
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

/** One kind, with what writes and reads it. */
interface Registered {
  // deno-lint-ignore no-explicit-any
  readonly codec: Codec<any>;
  // deno-lint-ignore no-explicit-any
  readonly options: ExtensionOptions<any, any>;
}

/** All kinds of one log. */
export class Extensions {
  readonly #registered = new Map<string, Registered>();
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
    if (this.#registered.has(name)) throw new TypeError(`There is an extension ${name} already`);
    const bytes = new TextEncoder().encode(name).length;
    if (bytes === 0 || bytes > MAX_EXTENSION_NAME_BYTES - 3) {
      throw new RangeError(`The name of an extension has 1 to ${MAX_EXTENSION_NAME_BYTES - 3} bytes`);
    }
    const codec = from((options.encoding ?? "binary") as Codec<unknown>) as Codec<T, Input>;
    const registered = { codec, options };
    this.#registered.set(name, registered);
    const send = (message: Input, peer: ReplicationPeer) =>
      this.#peers.find((one) => one === peer)?.sendExtension(name, encode(codec, message));
    return {
      name,
      send,
      broadcast: (message) => {
        for (const peer of this.#peers) send(message, peer);
      },
      destroy: () => {
        if (this.#registered.get(name) === registered) this.#registered.delete(name);
      },
    };
  }

  /** A message has come; what nobody knows is ignored. @throws {DecodeError} if it is none of that kind. */
  receive(name: string, message: Uint8Array, peer: ReplicationPeer): void {
    const { codec, options } = this.#registered.get(name) ?? {};
    if (codec !== undefined) options?.onmessage?.(decode(codec, message), peer);
  }
}
