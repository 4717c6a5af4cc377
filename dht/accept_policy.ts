/** What a server's owner has to say about peers. A hook that throws has no opinion that could be relied on: it counts as a no. */
import type { Random } from "../core/runtime/runtime.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { AcceptConfig } from "./accept_config.ts";
import type { ReceivedNoisePayload, RelayThrough } from "./handshake_messages.ts";
import { offerRelay } from "./relay_choice.ts";

/** See the head of the file. */
export class AcceptPolicy {
  readonly #config: AcceptConfig;

  /** The hooks of `config`. */
  constructor(config: AcceptConfig) {
    this.#config = config;
  }

  /** Whether to turn a peer away. A promise only if the hook returns one: others cost no turn. */
  isDenied(
    remotePublicKey: Uint8Array,
    payload: ReceivedNoisePayload,
    clientAddress: SocketAddress,
  ): boolean | Promise<boolean> {
    try {
      const verdict = this.#config.firewall(remotePublicKey, payload, clientAddress);
      return typeof verdict === "boolean" ? verdict : verdict.catch(() => true);
    } catch {
      return true;
    }
  }

  /** Whether to punch, given what is in front of both sides (of `Firewall`). */
  mayPunch(remoteFirewall: number, localFirewall: number): boolean {
    const { holepunch } = this.#config;
    try {
      return holepunch !== false && holepunch(remoteFirewall, localFirewall);
    } catch {
      return false;
    }
  }

  /** The blind relay that a peer is offered; undefined = none. */
  offerRelay(random: Random, remotePublicKey: Uint8Array): RelayThrough | undefined {
    try {
      return offerRelay(random, this.#config.relayThrough, remotePublicKey);
    } catch {
      return undefined;
    }
  }
}
