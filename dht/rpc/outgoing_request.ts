/** A request of this node on its way: from being made until it is answered or given up. */
import type { SocketAddress } from "../../encoding/address.ts";
import { REQUEST_RETRIES } from "./constants.ts";
import type { Due } from "./due.ts";

/** A bound socket, as far as the machine has to know it: it is told from others, and has a local address. */
export interface RpcPort {
  /** The local address. */
  readonly address: SocketAddress;
}

/** What a request says, and how it is sent. */
export interface OutgoingOptions {
  /** Whom to ask; IPv4. */
  readonly to: SocketAddress;
  /** Whether `command` is one of the protocol itself. */
  readonly isInternal: boolean;
  /** The number of the command. */
  readonly command: number;
  /** The key that the command is about, 32 bytes. */
  readonly target?: Uint8Array | undefined;
  /** The token that the other side gave, 32 bytes. */
  readonly token?: Uint8Array | undefined;
  /** What goes with the command. */
  readonly value?: Uint8Array | undefined;
  /** The socket to send from; by default the node's own choice at the time of sending. */
  readonly socket?: RpcPort | undefined;
  /** Hops that it may live; 0, the default, is the socket's own. */
  readonly ttl?: number | undefined;
  /** How often it is sent again; 3 by default. */
  readonly retries?: number | undefined;
  /** Milliseconds to wait for an answer to each try; by default as the node is known to answer. */
  readonly timeoutMs?: number | undefined;
  /** Whether it ignores the window. */
  readonly isForced?: boolean | undefined;
}

/** A reply to a request of this node. */
export interface Reply {
  /** Who answered: the address that was asked. */
  readonly from: SocketAddress;
  /** The id of who answered, checked; absent if it is ephemeral. */
  readonly id: Uint8Array | undefined;
  /** This node, as the other side sees it. */
  readonly to: SocketAddress;
  /** A token for later requests to the same node, if it gave one. */
  readonly token: Uint8Array | undefined;
  /** Nodes nearer to the target. */
  readonly closerNodes: readonly SocketAddress[];
  /** 0, or what went wrong: see `ReplyError`, and from 16 up what the command says. */
  readonly error: number;
  /** The answer. */
  readonly value: Uint8Array | undefined;
  /** Milliseconds since the request was first sent. */
  readonly rttMs: number;
}

/** Why a request came to nothing. */
export type RequestFailure =
  /** No answer to any try. */
  | "timeout"
  /** Its maker no longer wants it. */
  | "cancelled"
  /** The node was suspended. */
  | "suspended"
  /** The node was closed. */
  | "closed"
  /** Too many requests wait already. */
  | "overloaded";

/** Whoever made a request. Called while the machine handles input. */
export interface RequestOwner {
  /** The answer came, on `socket`. */
  onReply(now: number, request: OutgoingRequest, reply: Reply, socket: RpcPort): void;
  /** There will be no answer. */
  onFailure(now: number, request: OutgoingRequest, reason: RequestFailure): void;
  /** The try number `request.attempts` was not answered in time, and there will be another. */
  onSlow?(now: number, request: OutgoingRequest): void;
}

/** See the head of the file. */
export class OutgoingRequest implements Due {
  /** See {@linkcode Due}. */
  deadline: number = Infinity;
  /** See {@linkcode Due}. */
  deadlineIndex: number = -1;
  /** See {@linkcode Due}. */
  deadlineOrder: number = 0;
  /** What it says. */
  readonly options: OutgoingOptions;
  /** Who made it. */
  readonly owner: RequestOwner;
  /** Where it stands. */
  state: "waiting" | "sent" | "done" = "waiting";
  /** Ties the reply to it; -1 until it is sent. */
  tid: number = -1;
  /** How often it was sent. */
  attempts: number = 0;
  /** When it was first sent. */
  sentAt: number = 0;
  /** Its bytes, the same for all tries. */
  bytes: Uint8Array | undefined;
  /** What it was sent from. */
  socket: RpcPort | undefined;
  readonly #onTimeout: (now: number, request: OutgoingRequest) => void;

  /** Made by `Outbound`. */
  constructor(
    options: OutgoingOptions,
    owner: RequestOwner,
    onTimeout: (now: number, request: OutgoingRequest) => void,
  ) {
    this.options = options;
    this.owner = owner;
    this.#onTimeout = onTimeout;
  }

  /** Whom it asks. */
  get to(): SocketAddress {
    return this.options.to;
  }

  /** How often it is sent again. */
  get retries(): number {
    return this.options.isForced === true ? 0 : this.options.retries ?? REQUEST_RETRIES;
  }

  /** See {@linkcode Due}. */
  onDue(now: number): void {
    this.#onTimeout(now, this);
  }
}
