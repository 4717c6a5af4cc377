/** What goes into the machine of a server and what comes out, as types. */
import type { KeyPair } from "../core/runtime/crypto_provider.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { AttemptLimits } from "./attempt_limits.ts";
import type { HandshakeContext, HandshakeResult } from "./handshake.ts";
import type { ReceivedNoisePayload, RelayInfo, RelayThrough } from "./handshake_messages.ts";

/** Where an attempt stands. */
export type AcceptState = "deciding" | "preparing" | "answered" | "opening" | "open" | "ended";

/** A handshake as it came. */
export interface AcceptedHandshake {
  /** The first Noise message; borrowed until return. */
  readonly noise: Uint8Array;
  /** The dialing side, as the relay or this node sees it. */
  readonly clientAddress: SocketAddress;
  /** Whether it came without a relay. */
  readonly isDirect: boolean;
  /** The node that it came from. */
  readonly from: SocketAddress;
  /** This node, as that one sees it. */
  readonly to: SocketAddress;
}

/** What the answer says about this node. */
export interface AcceptFacts {
  /** The id of the stream that was made for the attempt. */
  readonly streamId: number;
  /** Where others reach this node unasked; undefined if they do not. */
  readonly ownAddress: SocketAddress | undefined;
  /** Its addresses in the local network; empty if they are not to be told. */
  readonly localAddresses: readonly SocketAddress[];
  /** Nodes that relay to it, and how they see it. */
  readonly relays: readonly RelayInfo[];
  /** Nodes that relay to it, for a later connection. */
  readonly relayAddresses: readonly SocketAddress[];
  /** A blind relay of this side's choice to meet the peer at; undefined = none, so that the peer's counts. */
  readonly relayThrough: RelayThrough | undefined;
  /** Whether the peer looks for another path for a connection that does not exist here. */
  readonly isGone: boolean;
  /** Whether there is no socket to be had for another punch: a peer that needs one is told to try later. */
  readonly isBusy: boolean;
}

/** What is needed to be punched to. */
export interface ResponderPlan {
  /** The peer's claim. */
  readonly remotePublicKey: Uint8Array;
  /** Seals what is said about punching, 32 bytes. */
  readonly secret: Uint8Array;
  /** What the peer said about its NAT; one of `Firewall`. */
  readonly remoteFirewall: number;
  /** The peer as the relay sees it. */
  readonly clientAddress: SocketAddress;
  /** Whether there is time, because the peers meet at a blind relay meanwhile. */
  readonly canWait: boolean;
}

/** What an attempt wants done, or has come to. */
export type AcceptEvent =
  /** Ask the server's policy: `allow` or `deny`. */
  | {
    readonly type: "policy";
    readonly id: number;
    readonly remotePublicKey: Uint8Array;
    readonly payload: ReceivedNoisePayload;
    readonly clientAddress: SocketAddress;
  }
  /** The keys are agreed on; the peer's stream has the id `payload.udx.id`. */
  | {
    readonly type: "keys";
    readonly id: number;
    readonly result: HandshakeResult;
    readonly payload: ReceivedNoisePayload;
  }
  /** Begin to be punched to. With `isAwaited`, call `handlePrepared` once there is a socket, or there will be none. */
  | { readonly type: "punch"; readonly id: number; readonly plan: ResponderPlan; readonly isAwaited: boolean }
  /**
   * Meet the peer at the relay: `handlePacket` when both are there, `handleRelayEnd` if they will not be. `isInitiator` = this side
   * has named the relay.
   */
  | {
    readonly type: "relay";
    readonly id: number;
    readonly relay: RelayThrough;
    readonly isInitiator: boolean;
    readonly clientAddress: SocketAddress;
  }
  /** Answer the `copies`, from the socket to punch from or from where they came. */
  | {
    readonly type: "answer";
    readonly id: number;
    readonly copies: readonly number[];
    readonly noise: Uint8Array;
    readonly isFromPunchSocket: boolean;
  }
  /** Send an empty packet for the peer's stream to `to`: it waits to be spoken to. */
  | { readonly type: "knock"; readonly id: number; readonly to: SocketAddress }
  /** It came to nothing, or is over: drop stream and sockets. */
  | { readonly type: "ended"; readonly id: number; readonly reason: string }
  /** Nothing is known of it any more: the number is free. */
  | { readonly type: "forgotten"; readonly id: number };

/** What a server's attempts have in common. */
export interface AcceptOptions extends HandshakeContext {
  /** The identity of the server. */
  readonly keyPair: KeyPair;
  /** Shared by all servers of the node. */
  readonly limits: AttemptLimits;
  /** Whether to let others punch to it. */
  readonly mayPunch: boolean;
  /** Whether to keep sockets for later connections. */
  readonly reusableSocket: boolean;
  /** Milliseconds that an attempt is remembered after its end; 10,000 by default. */
  readonly clearWaitMs?: number;
}

/** What has been turned away, for people and tests. */
export interface AcceptCounters {
  /** Too short or too long: cost nothing. */
  malformed: number;
  /** From an address that sends too many, or while too many attempts are remembered: cost nothing. */
  flooded: number;
  /** Forged, or for another key: cost cryptography. */
  forged: number;
  /** Denied by the server's policy. */
  denied: number;
  /** Copies of a handshake that is remembered. */
  copies: number;
  /** Peers that never proved themselves. */
  unproven: number;
}
