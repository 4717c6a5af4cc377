/**
 * One channel of a mux: a protocol between two peers, with its own life and its own messages.
 */
import { type Codec, Cursor, encode } from "../../encoding/codec.ts";
import { uint } from "../../encoding/varint.ts";
import { assert } from "../runtime/assert.ts";
import type { MuxWriter } from "./mux_writer.ts";

/** What a handler may return; a promise keeps the channel from being destroyed before it settles. */
export type HandlerResult = void | Promise<void>;

/** One kind of message, as it is declared. */
export interface MessageOptions<T, Input = T> {
  /** How the body is written and read. */
  readonly codec: Codec<T, Input>;
  /**
   * Takes a message of the peer. Bytes in `value` that the codec reads as views are lent until the handler returns. What
   * it throws or rejects with closes the mux, unless the channel is closed by then.
   */
  onMessage?(value: T): HandlerResult;
}

/** One kind of message, as it is sent. */
export interface ChannelMessage<Input> {
  /** Its number on the wire: the place among the messages of the channel. */
  readonly type: number;
  /**
   * Sends a message. Before the peer has opened its side, it waits there. False means: wait for `onDrain` before more, or
   * the channel is closed and the message was dropped.
   *
   * @throws {TypeError} if the channel was not opened.
   */
  send(value: Input): boolean;
}

/** Which channel: the two sides of a channel name it alike. */
export interface ChannelName {
  /** Which protocol is spoken. */
  readonly protocol: string;
  /** Which of several channels of that protocol; none if there is one only. */
  readonly id?: Uint8Array | null | undefined;
}

/** Options of a channel. */
export interface ChannelOptions<Handshake = undefined, HandshakeInput = Handshake> extends ChannelName {
  /** Other names under which the peer may open the same channel. */
  readonly aliases?: readonly string[] | undefined;
  /** Whether to refuse a second open channel of that name; true by default. */
  readonly unique?: boolean | undefined;
  /** How the first words of each side are written; nothing is said if not given. */
  readonly handshake?: Codec<Handshake, HandshakeInput> | undefined;
  /** Both sides are open; `handshake` is what the peer said. Called within `open` if the peer was first. */
  onOpen?(handshake: Handshake): HandlerResult;
  /** The channel is closed: by the peer, or with the mux and then maybe with its error, if `isRemote`. */
  onClose?(isRemote: boolean, error?: Error): HandlerResult;
  /** The channel is closed and all promises of its handlers have settled. Comes last. */
  onDestroy?(): HandlerResult;
  /** There is room in the pipe again. */
  onDrain?(): HandlerResult;
}

/** One side of a channel. */
export interface Channel<HandshakeInput = undefined> {
  /** Which protocol is spoken. */
  readonly protocol: string;
  /** Which of several channels of that protocol, or `null`. */
  readonly id: Uint8Array | null;
  /** Where the channel is in its life. */
  readonly state: ChannelState;
  /** Declares the next kind of message. Both sides declare the same kinds in the same order, before opening. */
  addMessage<T, Input = T>(options: MessageOptions<T, Input>): ChannelMessage<Input>;
  /** Leaves out a kind of message, but keeps its number. */
  skipMessage(): void;
  /**
   * Opens this side. If the peer was first, `onOpen` and the messages that waited are handled during this call.
   *
   * @throws {TypeError} if it was opened or closed before.
   */
  open(...handshake: HandshakeInput extends undefined ? [] : [HandshakeInput]): void;
  /** Closes the channel for both sides. Harmless when closed. */
  close(): void;
  /** Holds messages of all channels back until {@linkcode uncork}, to send them in one frame. Calls nest. */
  cork(): void;
  /** See {@linkcode cork}. */
  uncork(): void;
  /** Whether the pipe has room. */
  readonly isDrained: boolean;
  /** Resolves with true when both sides are open, or with false when the channel closes before. */
  opened(): Promise<boolean>;
  /** Resolves when the channel is destroyed. */
  destroyed(): Promise<void>;
}

/** The life of a channel: `opening` waits for the other side. */
export type ChannelState = "created" | "opening" | "open" | "closed";
type ChannelInput = "sendOpen" | "pair" | "close";

const TABLE: Readonly<Record<ChannelState, Readonly<Partial<Record<ChannelInput, ChannelState>>>>> = {
  created: { sendOpen: "opening", close: "closed" },
  opening: { pair: "open", close: "closed" },
  open: { close: "closed" },
  closed: {},
};

/** What a channel needs of its mux. */
export interface ChannelHost {
  /** Where messages go out. */
  readonly writer: MuxWriter;
  /** Opens the channel on the wire and gives it a number. */
  open(channel: MuxChannel, handshake: Uint8Array): void;
  /** Closes the channel on the wire. */
  close(channel: MuxChannel): void;
  /** Forgets the channel. */
  detach(channel: MuxChannel): void;
  /** A handler failed. */
  onHandlerError(channel: MuxChannel, error: unknown): void;
}

interface ReceivedMessage {
  readonly codec: Codec<unknown, never>;
  readonly onMessage: ((value: unknown) => HandlerResult) | undefined;
}

const NO_HANDSHAKE = new Uint8Array(0);

/** A {@linkcode Channel} with the side that its mux sees. */
// deno-lint-ignore no-explicit-any
export class MuxChannel implements Channel<any> {
  /** Which protocol is spoken. */
  readonly protocol: string;
  /** Which of several channels of that protocol. */
  readonly id: Uint8Array | null;
  /** Other names of it. */
  readonly aliases: readonly string[];
  /** Our number of the channel, or 0. */
  localId = 0;
  /** The peer's number of the channel, or 0. */
  remoteId = 0;
  readonly #host: ChannelHost;
  // deno-lint-ignore no-explicit-any
  readonly #options: ChannelOptions<any, any>;
  readonly #messages: (ReceivedMessage | undefined)[] = [];
  #state: ChannelState = "created";
  /** Handlers that run, and their promises that have not settled. */
  #active = 0;
  #isDestroyed = false;
  #opened: PromiseWithResolvers<boolean> | undefined;
  #destroyed: PromiseWithResolvers<void> | undefined;

  // deno-lint-ignore no-explicit-any
  constructor(host: ChannelHost, options: ChannelOptions<any, any>) {
    this.#host = host;
    this.#options = options;
    this.protocol = options.protocol;
    this.id = options.id ?? null;
    this.aliases = options.aliases ?? [];
  }

  get state(): ChannelState {
    return this.#state;
  }

  get isDrained(): boolean {
    return this.#host.writer.isDrained;
  }

  addMessage<T, Input = T>(options: MessageOptions<T, Input>): ChannelMessage<Input> {
    const { codec } = options;
    const type = this.#messages.length;
    const onMessage = options.onMessage?.bind(options) as ReceivedMessage["onMessage"];
    this.#messages.push({ codec, onMessage });
    return { type, send: (value) => this.#send(type, codec, value) };
  }

  skipMessage(): void {
    this.#messages.push(undefined);
  }

  open(...handshake: unknown[]): void {
    if (this.#state !== "created") throw new TypeError("A channel can be opened once: create another");
    const codec = this.#options.handshake;
    const bytes = codec === undefined ? NO_HANDSHAKE : encode(codec, handshake[0]);
    this.#move("sendOpen");
    this.#host.open(this, bytes);
  }

  close(): void {
    if (this.#state === "closed") return;
    if (this.#state !== "created") this.#host.close(this);
    this.shut(false);
  }

  cork(): void {
    this.#host.writer.cork();
  }

  uncork(): void {
    this.#host.writer.uncork();
  }

  opened(): Promise<boolean> {
    if (this.#state === "open" || this.#state === "closed") return Promise.resolve(this.#state === "open");
    this.#opened ??= Promise.withResolvers();
    return this.#opened.promise;
  }

  destroyed(): Promise<void> {
    if (this.#isDestroyed) return Promise.resolve();
    this.#destroyed ??= Promise.withResolvers();
    return this.#destroyed.promise;
  }

  /** The peer has opened its side under `remoteId`. */
  pair(remoteId: number, handshake: Uint8Array): void {
    this.remoteId = remoteId;
    this.#move("pair");
    this.#run(() => {
      const { handshake: codec } = this.#options;
      return this.#options.onOpen?.(codec?.decode(new Cursor(handshake)));
    });
    if (this.#state === "open") this.#opened?.resolve(true);
  }

  /** A message of the peer: its type is read from `cursor`, then its body. */
  receive(cursor: Cursor): void {
    const message = this.#messages[uint.decode(cursor)];
    if (message?.onMessage === undefined) return;
    let result: HandlerResult = undefined;
    this.#active++;
    try {
      result = message.onMessage(message.codec.decode(cursor));
    } catch (error) {
      this.#host.onHandlerError(this, error);
    }
    this.#settle(result);
  }

  /** There is room again. */
  drain(): void {
    if (this.#options.onDrain !== undefined) this.#run(() => this.#options.onDrain?.());
  }

  /** The channel is over. */
  shut(isRemote: boolean, error?: Error): void {
    if (this.#state === "closed") return;
    this.#move("close");
    this.#host.detach(this);
    this.#run(() => this.#options.onClose?.(isRemote, error));
    this.#opened?.resolve(false);
  }

  #send<T, Input>(type: number, codec: Codec<T, Input>, value: Input): boolean {
    if (this.#state === "closed") return false;
    if (this.#state === "created") throw new TypeError("Open the channel before sending on it");
    return this.#host.writer.send(this.localId, type, codec, value);
  }

  #move(input: ChannelInput): void {
    const next = TABLE[this.#state][input];
    assert(next !== undefined, `a channel that is ${this.#state} cannot ${input}`);
    this.#state = next;
  }

  #run(handler: () => HandlerResult): void {
    let result: HandlerResult = undefined;
    this.#active++;
    try {
      result = handler();
    } catch (error) {
      this.#host.onHandlerError(this, error);
    }
    this.#settle(result);
  }

  /** A handler has returned; if with a promise, it goes on until that settles. */
  #settle(result: HandlerResult): void {
    if (typeof result?.then === "function") {
      result.then(undefined, (error) => this.#host.onHandlerError(this, error)).then(() => this.#settle());
      return;
    }
    this.#active--;
    this.#destroyIfQuiet();
  }

  #destroyIfQuiet(): void {
    if (this.#active > 0 || this.#isDestroyed || this.#state !== "closed") return;
    this.#isDestroyed = true;
    this.#run(() => this.#options.onDestroy?.());
    this.#destroyed?.resolve();
  }
}
