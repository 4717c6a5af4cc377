/** What goes into the machine of a dial and what comes out, as types. */
import type { ErrorCode } from "../core/runtime/errors.ts";
import type { TraceLog } from "../core/runtime/trace.ts";
import type { SocketAddress } from "../encoding/address.ts";
import type { HandshakeResult, PeerHandshaking } from "./handshake.ts";
import type { NoisePayload, ReceivedNoisePayload, RelayInfo, RelayThrough } from "./handshake_messages.ts";

/** How two peers are connected. */
export type PathKind = "direct" | "lan" | "punched" | "relayed";

/** A way to the peer. */
export interface PeerPath {
  /** What kind it is. */
  readonly kind: PathKind;
  /** The socket of this side; the machine hands it through. */
  readonly socket: object;
  /** The peer. */
  readonly address: SocketAddress;
  /** Whether the peer's answer has come along it, so that nothing has to be waited for. */
  readonly isProven?: boolean;
}

/** Where a dial stands. */
export type ConnectState = "finding" | "racing" | "opening" | "open" | "failed";

/** What is needed to punch to the peer. */
export interface PunchPlan {
  /** The number that the peer gave to the attempt. */
  readonly id: number;
  /** Seals what is said about it, 32 bytes. */
  readonly secret: Uint8Array;
  /** What the peer said about its NAT; one of `Firewall`. */
  readonly remoteFirewall: number;
  /** The relay of the handshake. */
  readonly clientRelay: SocketAddress;
  /** The peer as that relay sees it. */
  readonly serverAddress: SocketAddress;
  /** A relay of the peer's choice, and the peer as that one sees it. */
  readonly serverRelay: RelayInfo;
  /** Whether to try the way that needs no agreement first. */
  readonly fastOpen: boolean;
  /** Whether there is time, because the peers meet at a relay meanwhile. */
  readonly canWait: boolean;
}

/** What a dial wants done, or has come to. */
export type ConnectEvent =
  /** Look for nodes that know the peer, beginning with `nodes`: `handleRelay` for each, then `handleSearchEnd`. */
  | { readonly type: "search"; readonly nodes: readonly SocketAddress[] }
  /** Stop looking. Handshakes that are out go on: the answer of the peer itself may prove the path. */
  | { readonly type: "stopSearch" }
  /** Ask `to`, from `socket` if given: `handleAnswer` or `handleNoAnswer`. */
  | {
    readonly type: "handshake";
    readonly id: number;
    readonly to: SocketAddress;
    readonly noise: Uint8Array;
    readonly socket: object | undefined;
  }
  /** Ask the node at `to` for a sign of life, from the server socket: `handlePong` or `handleNoPong`. */
  | { readonly type: "ping"; readonly to: SocketAddress }
  /** Punch: `handlePunched` or `handlePunchFailure`. Replaces one that has ended. */
  | { readonly type: "punch"; readonly plan: PunchPlan }
  /** Meet the peer at the relay: `handleRelayReady` or `handleRelayFailure`. `isInitiator` = this side has named the relay. */
  | { readonly type: "relay"; readonly relay: RelayThrough; readonly isInitiator: boolean }
  /** The keys are agreed on. */
  | { readonly type: "keys"; readonly result: HandshakeResult; readonly payload: ReceivedNoisePayload }
  /**
   * Send the stream along this path from now on; until then it went nowhere, or along another. From a relay it is to move without
   * losing a byte.
   */
  | { readonly type: "path"; readonly path: PeerPath }
  /** The peer's answer has come along the path as well: nothing has to be waited for. */
  | { readonly type: "pathProven" }
  /** It did not work. */
  | {
    readonly type: "failed";
    readonly code: ErrorCode;
    readonly phase: ConnectState;
    readonly message: string;
  };

/** What a dial is told. */
export interface ConnectOptions {
  /** When it begins. */
  readonly now: number;
  /** The handshake, before its first message. */
  readonly handshaking: PeerHandshaking;
  /** The payload of that message. */
  readonly payload: NoisePayload;
  /** Relays that are known already; may be empty. */
  readonly relays: readonly SocketAddress[];
  /** Where the peer was reached before. */
  readonly route: { readonly socket: object; readonly address: SocketAddress } | undefined;
  /** The own addresses in the local network; empty if it is not to be tried. */
  readonly localAddresses: readonly SocketAddress[];
  /** Sockets of the node. */
  readonly sockets: { readonly server: object; readonly current: object };
  /** See {@linkcode PunchPlan.fastOpen}. */
  readonly fastOpen: boolean;
  /** Whether the peer may be met at a relay, whoever names it. */
  readonly mayRelay: boolean;
  /** Takes notes. */
  readonly trace: Pick<TraceLog, "add">;
}

/** An answer to a handshake. */
export interface ConnectAnswer {
  /** The second Noise message. */
  readonly noise: Uint8Array;
  /** The peer as the relay sees it, or the relay if it is the peer. */
  readonly serverAddress: SocketAddress;
  /** This side as the relay sees it. */
  readonly clientAddress: SocketAddress;
  /** Whether the relay is not the peer. */
  readonly isRelayed: boolean;
  /** The socket that it came to. */
  readonly socket: object;
}
