/** The channel on which a log is replicated with one peer: its kinds of messages in their order, and how many went which way. */
import type { Channel, ChannelMessage } from "../stream/channel.ts";
import type { Mux } from "../stream/mux.ts";
import type { Codec } from "../../encoding/codec.ts";
import { type LogData, type LogRequest, logRequest } from "../log/proof_messages.ts";
import { PROTOCOL, PROTOCOL_ALIAS } from "./constants.ts";
import {
  bitfield,
  type BitfieldMessage,
  type BlockRange,
  cancel,
  extension,
  type ExtensionMessage,
  type Handshake,
  handshake,
  type NoData,
  noData,
  ownedData,
  range,
  type Sync,
  sync,
  type Want,
  want,
} from "./messages.ts";

/** One kind of message. */
export type MessageKind =
  | "sync"
  | "request"
  | "cancel"
  | "data"
  | "noData"
  | "want"
  | "unwant"
  | "bitfield"
  | "range"
  | "extension";

/** The kinds of messages, in the order of their numbers. */
export const MESSAGE_KINDS: readonly MessageKind[] = [
  ...["sync", "request", "cancel", "data", "noData"] as const,
  ...["want", "unwant", "bitfield", "range", "extension"] as const,
];

/** What each kind carries. */
export interface Messages {
  /** See `Sync`. */
  readonly sync: Sync;
  /** See `LogRequest`. */
  readonly request: LogRequest;
  /** The id of a request. */
  readonly cancel: number;
  /** See `LogData`. */
  readonly data: LogData;
  /** See `NoData`. */
  readonly noData: NoData;
  /** See `Want`. */
  readonly want: Want;
  /** See `Want`. */
  readonly unwant: Want;
  /** See `BitfieldMessage`. */
  readonly bitfield: BitfieldMessage;
  /** See `BlockRange`. */
  readonly range: BlockRange;
  /** See `ExtensionMessage`. */
  readonly extension: ExtensionMessage;
}

/** How often a kind of message went either way. */
export interface MessageCount {
  /** To the peer. */
  sent: number;
  /** From the peer. */
  received: number;
}

/** {@linkcode MessageCount} of each kind. */
export type WireStats = { readonly [Kind in MessageKind]: MessageCount };

/** What a peer does. Handlers of messages are named by their kinds; what they throw ends the connection. */
export interface PeerHandlers {
  /** Takes a message. */
  readonly on: { readonly [Kind in MessageKind]: (message: Messages[Kind]) => void };
  /** The peer has opened its side. */
  onOpen(handshake: Handshake): void;
  /** The channel is over. */
  onClose(isRemote: boolean): void;
  /** There is room in the pipe again. */
  onDrain(): void;
}

// deno-lint-ignore no-explicit-any
type AnyCodec = Codec<any, any>;

const RECEIVED: Readonly<Record<MessageKind, AnyCodec>> = {
  sync,
  request: logRequest,
  cancel,
  data: ownedData,
  noData,
  want,
  unwant: want,
  bitfield,
  range,
  extension,
};

/** No messages yet. */
export function emptyStats(): WireStats {
  const entries = MESSAGE_KINDS.map((kind) => [kind, { sent: 0, received: 0 }]);
  return Object.fromEntries(entries) as WireStats;
}

/** A channel to one peer. */
export class PeerChannel {
  /** What went over it. */
  readonly stats: WireStats = emptyStats();
  readonly #channel: Channel<Handshake>;
  #handlers: PeerHandlers | undefined;
  // deno-lint-ignore no-explicit-any
  #messages!: Readonly<Record<MessageKind, ChannelMessage<any>>>;

  private constructor(channel: Channel<Handshake>) {
    this.#channel = channel;
  }

  /** Opens a channel for the log of that discovery key; undefined if there is one already, or no connection any more. */
  static open(
    mux: Mux,
    discoveryKey: Uint8Array,
    own: Handshake,
    makeHandlers: (channel: PeerChannel) => PeerHandlers,
  ): PeerChannel | undefined {
    const channel: Channel<Handshake> | undefined = mux.createChannel<Handshake>({
      protocol: PROTOCOL,
      aliases: [PROTOCOL_ALIAS],
      id: discoveryKey,
      handshake,
      onOpen: (theirs) => opened.#handlers!.onOpen(theirs),
      onClose: (isRemote) => opened.#handlers!.onClose(isRemote),
      onDrain: () => opened.#handlers!.onDrain(),
    });
    if (channel === undefined) return undefined;
    const opened: PeerChannel = new PeerChannel(channel);
    opened.#handlers = makeHandlers(opened);
    opened.#messages = opened.#declareAll(opened.#handlers);
    channel.open(own);
    return opened;
  }

  /** Whether the pipe has room. */
  get isDrained(): boolean {
    return this.#channel.isDrained;
  }

  /** Whether both sides are open. */
  get isOpen(): boolean {
    return this.#channel.state === "open";
  }

  /** Sends a message, or drops it if the channel is closed. */
  send<Kind extends MessageKind>(kind: Kind, message: Messages[Kind]): void {
    this.stats[kind].sent++;
    this.#messages[kind].send(message);
  }

  /** Holds messages back until {@linkcode PeerChannel.uncork}. Calls nest. */
  cork(): void {
    this.#channel.cork();
  }

  /** See {@linkcode PeerChannel.cork}. */
  uncork(): void {
    this.#channel.uncork();
  }

  /** Closes the channel. */
  close(): void {
    this.#channel.close();
  }

  /** Resolves when it is closed on this side and all handlers are done. */
  destroyed(): Promise<void> {
    return this.#channel.destroyed();
  }

  #declareAll(handlers: PeerHandlers): Readonly<Record<MessageKind, ChannelMessage<unknown>>> {
    const declared = MESSAGE_KINDS.map((kind) => [kind, this.#declare(kind, handlers)]);
    return Object.fromEntries(declared);
  }

  #declare(kind: MessageKind, handlers: PeerHandlers): ChannelMessage<unknown> {
    const count = this.stats[kind];
    const handle = handlers.on[kind] as (message: unknown) => void;
    return this.#channel.addMessage({
      codec: RECEIVED[kind],
      onMessage(message: unknown): void {
        count.received++;
        handle(message);
      },
    });
  }
}
