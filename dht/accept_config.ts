/** What a server is told and what it is given: its policy, and what it shares with the other servers of its node. */
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { AttemptLimits } from "./attempt_limits.ts";
import type { DhtContext } from "./context.ts";
import type { ReceivedNoisePayload, RelayInfo } from "./handshake_messages.ts";
import type { SocketPool } from "./punch/socket_pool.ts";
import type { RelayChoice } from "./relay_choice.ts";
import type { DialRelay } from "./relay_meeting.ts";

/** Which peers a server wants. True = not this one. What it throws counts as true. */
export type FirewallHook = (
  remotePublicKey: Uint8Array,
  payload: ReceivedNoisePayload,
  clientAddress: SocketAddress,
) => boolean | Promise<boolean>;

/** Whether a server punches, given the NATs (each one of `Firewall`) on both sides. */
export type HolepunchHook = (remoteFirewall: number, localFirewall: number) => boolean;

/** A server with every choice made. */
export interface AcceptConfig {
  /** The identity of the server. */
  readonly keyPair: KeyPair;
  /** Which peers it wants. */
  readonly firewall: FirewallHook;
  /** Whether to punch; false = never. */
  readonly holepunch: HolepunchHook | false;
  /** Whether peers are told the addresses in the local network. */
  readonly shareLocalAddress: boolean;
  /** Whether sockets may serve another connection of the same peer. */
  readonly reusableSocket: boolean;
  /** Milliseconds that an attempt is remembered after its end. */
  readonly clearWaitMs: number;
  /** Silence of our own after which a connection shows that it is alive. */
  readonly keepAliveMs: number;
  /** Blind relays to meet peers at; undefined = those that the peers name. */
  readonly relayThrough: RelayChoice | undefined;
}

/** What the servers of a node share. */
export interface AcceptHost {
  /** The node. */
  readonly context: DhtContext;
  /** Sockets to be punched to. */
  readonly pool: SocketPool<UdxSocket>;
  /** What strangers may cost. */
  readonly limits: AttemptLimits;
  /** Connects to a blind relay. */
  readonly dialRelay: DialRelay;
}

/** What a server knows about the nodes that relay to it; an `Announcer` does. */
export interface RelaySource {
  /** They, and how they see it. */
  readonly relays: readonly RelayInfo[];
  /** They alone. */
  readonly relayAddresses: readonly SocketAddress[];
  /** Whether `address` is one of them, or was lately. */
  isRelay(address: SocketAddress): boolean;
}
