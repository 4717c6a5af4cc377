/**
 * Protomux: any number of channels, each a protocol with typed messages, on one pipe of messages. Compatible with
 * protomux 3.12.1.
 *
 * Both sides open a channel under its name, a protocol and an optional id, in any order; the n-th opening on one side
 * pairs with the n-th of that name on the other. Each side numbers its channels itself and sends under its own number.
 */
import { Cursor, DecodeError } from "../../encoding/codec.ts";
import { uint } from "../../encoding/varint.ts";
import { AssertionError, ProtocolError, toError } from "../runtime/errors.ts";
import {
  type Channel,
  type ChannelHost,
  type ChannelName,
  type ChannelOptions,
  MuxChannel,
} from "./channel.ts";
import type { Duplex } from "./duplex.ts";
import { CONTROL, CONTROL_CHANNEL, openMessage } from "./mux_messages.ts";
import { keyOf, type Pairing, Pairings } from "./mux_pairings.ts";
import { type PendingOpen, PendingOpens } from "./mux_pending.ts";
import { MuxWriter } from "./mux_writer.ts";

// Tuning

/** Channels that the peer may have at once: a store with tens of thousands of logs on one connection still fits. */
const MAX_CHANNELS = 65536;
/** Rejections that may wait for room in the pipe, for a peer that opens and opens and does not read. */
const MAX_UNSENT_REJECTS = 65536;

/** Options of a {@linkcode Mux}. */
export interface MuxOptions {
  /** How many channels the peer may have at once; 65536 by default. */
  readonly maxChannels?: number | undefined;
  /** How many openings of the peer may wait for an answer; 1024 by default. */
  readonly maxPendingOpens?: number | undefined;
  /** How much may wait for openings to be answered, in bytes with 512 for each message; 16842752 by default. */
  readonly maxEarlyBytes?: number | undefined;
}

/** Is told that the peer opens a channel that this side has not: open it before returning, or before the promise resolves. */
export type PairCallback = (id: Uint8Array | null) => void | Promise<void>;

/** One of our numbers that is in use. */
interface LocalSlot {
  readonly pairing: Pairing;
  /** Undefined once closed: the number stays taken until the peer has answered the opening. */
  channel: MuxChannel | undefined;
}

/**
 * Channels on a pipe.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { string } from "../../encoding/strings.ts";
 * import { duplexPair } from "./duplex_pair.ts";
 * import { Mux } from "./mux.ts";
 *
 * const [near, far] = duplexPair({ framing: "message" });
 * const [alice, bob] = [new Mux(near), new Mux(far)];
 * const heard: string[] = [];
 * function openChat(mux: Mux) {
 *   const channel = mux.createChannel({ protocol: "chat" })!;
 *   const text = channel.addMessage({ codec: string, onMessage: (value) => void heard.push(value) });
 *   channel.open();
 *   return text;
 * }
 * bob.pair({ protocol: "chat" }, () => void openChat(bob).send("hi"));
 * openChat(alice).send("hello");
 * assert.deepEqual(heard, ["hi", "hello"]);
 * ```
 */
export class Mux implements Iterable<Channel<never>> {
  readonly #duplex: Duplex;
  readonly #maxChannels: number;
  readonly #host: ChannelHost;
  readonly #writer: MuxWriter;
  readonly #pairings = new Pairings();
  readonly #callbacks = new Map<string, PairCallback>();
  /** By our number less 1. */
  readonly #locals: (LocalSlot | undefined)[] = [];
  readonly #freeIds: number[] = [];
  /** By the peer's number. */
  readonly #remotes = new Map<number, MuxChannel | PendingOpen>();
  readonly #pending: PendingOpens;
  #highestRemoteId = 0;
  #unsentRejects = 0;
  #destroyed = false;
  #dropped = 0;

  /** Attaches to `duplex`, which must preserve the boundaries of writes, and owns it from now on. */
  constructor(duplex: Duplex, options: MuxOptions = {}) {
    if (duplex.framing !== "message") {
      throw new TypeError("A mux needs a pipe of messages: put a SecretStream in between");
    }
    this.#duplex = duplex;
    this.#maxChannels = options.maxChannels ?? MAX_CHANNELS;
    this.#pending = new PendingOpens(duplex, options);
    this.#writer = new MuxWriter(duplex);
    this.#host = this.#makeHost();
    duplex.attach({
      onData: (chunk) => this.#onData(chunk),
      onDrain: () => this.#onDrain(),
      onEnd: () => duplex.end(),
      onClose: (error) => this.#onClose(error),
    });
  }

  /** Whether the pipe has room. */
  get isDrained(): boolean {
    return this.#writer.isDrained;
  }

  /** Whether no channel is open, opening, or waiting for the peer to notice that it is closed. */
  get isIdle(): boolean {
    return this.#locals.length === this.#freeIds.length;
  }

  /** Whether the mux and its pipe are gone. */
  get isDestroyed(): boolean {
    return this.#destroyed;
  }

  /** What was ignored: messages for closed channels, and failures of handlers after the close of their channel. */
  get dropped(): number {
    return this.#dropped;
  }

  /** The channels of this side that are opening or open. */
  *[Symbol.iterator](): Iterator<Channel<never>> {
    for (const slot of this.#locals) if (slot?.channel !== undefined) yield slot.channel;
  }

  /**
   * A channel, to be given its messages and then opened; undefined if there is one of that name already (unless
   * `unique` is false), or if the mux is destroyed.
   */
  createChannel<Handshake = undefined, HandshakeInput = Handshake>(
    options: ChannelOptions<Handshake, HandshakeInput>,
  ): Channel<HandshakeInput> | undefined {
    if (this.#destroyed || (options.unique !== false && this.has(options))) return undefined;
    return new MuxChannel(this.#host, options);
  }

  /** Whether a channel of that name is opening or open on this side. */
  has(name: ChannelName): boolean {
    return (this.#pairings.get(name)?.channels ?? 0) > 0;
  }

  /** The channel of that name that was opened last, unless it is closed. */
  lastChannel(name: ChannelName): Channel<never> | undefined {
    return this.#pairings.get(name)?.last;
  }

  /** Calls `callback` when the peer opens a channel of that name first; without an id, of that protocol with any id. */
  pair(name: ChannelName, callback: PairCallback): void {
    this.#callbacks.set(keyOf(name), callback);
  }

  /** Ends a {@linkcode pair}. */
  unpair(name: ChannelName): void {
    this.#callbacks.delete(keyOf(name));
  }

  /** Holds messages back until {@linkcode uncork}, to send them in one frame. Calls nest. */
  cork(): void {
    this.#writer.cork();
  }

  /** See {@linkcode cork}. */
  uncork(): void {
    this.#writer.uncork();
  }

  /** Takes no more from the pipe, for all channels, until {@linkcode resume}: the peer is slowed down. */
  pause(): void {
    this.#duplex.pause();
  }

  /** See {@linkcode pause}. */
  resume(): void {
    this.#duplex.resume();
  }

  /** Drops the pipe and with it all channels, at once. */
  destroy(error?: Error): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#writer.close();
    this.#duplex.destroy(error);
  }

  #makeHost(): ChannelHost {
    return {
      writer: this.#writer,
      open: (channel, handshake) => this.#open(channel, handshake),
      close: (channel) => this.#sendControl(CONTROL.close, channel.localId),
      detach: (channel) => this.#detach(channel),
      onHandlerError: (channel, error) => this.#onHandlerError(channel, error),
    };
  }

  // What this side does

  #open(channel: MuxChannel, handshake: Uint8Array): void {
    if (this.#destroyed) {
      channel.shut(true);
      return;
    }
    const pairing = this.#pairings.obtain(channel);
    const localId = this.#freeIds.pop() ?? this.#locals.push(undefined);
    this.#locals[localId - 1] = { pairing, channel };
    channel.localId = localId;
    pairing.channels++;
    pairing.last = channel;
    const { protocol, id } = channel;
    const waiting = pairing.incoming.shift();
    if (waiting === undefined) pairing.outgoing.push(localId);
    const opening = { channelId: localId, protocol, id, handshake };
    this.#writer.send(CONTROL_CHANNEL, CONTROL.open, openMessage, opening);
    if (waiting !== undefined) this.#adopt(waiting, channel);
  }

  /** Pairs `channel` with an opening that waited, and delivers what waited with it. */
  #adopt(pending: PendingOpen, channel: MuxChannel): void {
    this.#remotes.set(pending.remoteId, channel);
    channel.pair(pending.remoteId, pending.handshake);
    for (const message of pending.messages) {
      if (channel.state === "open") channel.receive(new Cursor(message));
    }
    if (pending.isClosed) channel.shut(true);
    this.#pending.delete(pending);
  }

  #detach(channel: MuxChannel): void {
    const { localId, remoteId } = channel;
    if (localId === 0) return;
    const slot = this.#locals[localId - 1]!;
    slot.channel = undefined;
    slot.pairing.channels--;
    if (slot.pairing.last === channel) slot.pairing.last = undefined;
    if (remoteId !== 0) {
      this.#remotes.delete(remoteId);
      this.#free(localId);
    }
    this.#pairings.forgetIfIdle(slot.pairing);
  }

  #free(localId: number): void {
    this.#locals[localId - 1] = undefined;
    this.#freeIds.push(localId);
  }

  #sendControl(type: number, channelId: number): void {
    this.#writer.send(CONTROL_CHANNEL, type, uint, channelId);
  }

  // What the peer does

  #onData(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.#destroyed) return;
    try {
      const cursor = new Cursor(chunk);
      const channelId = uint.decode(cursor);
      if (channelId === CONTROL_CHANNEL) this.#onControl(cursor, false);
      else this.#onMessage(channelId, cursor);
    } catch (error) {
      this.#fail(error);
    }
  }

  #onMessage(remoteId: number, cursor: Cursor): void {
    const remote = this.#remotes.get(remoteId);
    if (remote === undefined) this.#dropped++;
    else if (remote instanceof MuxChannel) remote.receive(cursor);
    else this.#pending.keep(remote, cursor);
  }

  #onControl(cursor: Cursor, isBatched: boolean): void {
    switch (uint.decode(cursor)) {
      case CONTROL.batch:
        if (isBatched) throw new ProtocolError("INVALID_FRAME", "The peer put a batch into a batch");
        this.#onBatch(cursor);
        break;
      case CONTROL.open:
        this.#onOpen(cursor);
        break;
      case CONTROL.reject:
        this.#onReject(uint.decode(cursor));
        break;
      case CONTROL.close:
        this.#onRemoteClose(uint.decode(cursor));
        break;
      default: // of a later version
        this.#dropped++;
    }
  }

  /** What is answered while a batch of several messages is handled goes out as a batch too. */
  #onBatch(cursor: Cursor): void {
    const { end } = cursor;
    let channelId = uint.decode(cursor);
    this.cork();
    try {
      while (cursor.start < end && !this.#destroyed) {
        const size = uint.decode(cursor);
        if (size === 0) {
          channelId = uint.decode(cursor);
          continue;
        }
        cursor.end = Math.min(cursor.start + size, end);
        if (channelId === CONTROL_CHANNEL) this.#onControl(cursor, true);
        else this.#onMessage(channelId, cursor);
        cursor.start = cursor.end;
        cursor.end = end;
      }
    } finally {
      this.uncork();
    }
  }

  #onOpen(cursor: Cursor): void {
    const { channelId: remoteId, protocol, id, handshake } = openMessage.decode(cursor);
    this.#takeRemoteId(remoteId);
    const pairing = this.#pairings.obtain({ protocol, id });
    const localId = pairing.outgoing.shift();
    if (localId === undefined) {
      const nameBytes = protocol.length + (id?.length ?? 0);
      const pending = this.#pending.add(remoteId, handshake, nameBytes);
      this.#remotes.set(remoteId, pending);
      pairing.incoming.push(pending);
      this.#notify(pairing, protocol, id);
      return;
    }
    const { channel } = this.#locals[localId - 1]!;
    if (channel === undefined) {
      this.#free(localId);
      this.#pairings.forgetIfIdle(pairing);
    } else {
      this.#remotes.set(remoteId, channel);
      channel.pair(remoteId, handshake);
    }
  }

  #takeRemoteId(remoteId: number): void {
    if (remoteId === 0 || remoteId > this.#highestRemoteId + 1 || this.#remotes.has(remoteId)) {
      throw new ProtocolError(
        "INVALID_CHANNEL",
        `The peer opened channel ${remoteId}, which is not its next one`,
      );
    }
    if (this.#remotes.size >= this.#maxChannels) {
      throw new ProtocolError("LIMIT_EXCEEDED", `The peer opened more than ${this.#maxChannels} channels`);
    }
    this.#highestRemoteId = Math.max(this.#highestRemoteId, remoteId);
  }

  /** Asks whoever waits for that name, or for that protocol. */
  #notify(pairing: Pairing, protocol: string, id: Uint8Array | null): void {
    const callback = this.#callbacks.get(keyOf({ protocol, id })) ?? this.#callbacks.get(keyOf({ protocol }));
    pairing.notifying++;
    const result = callback?.(id === null ? null : new Uint8Array(id));
    if (typeof result?.then !== "function") this.#notified(pairing);
    else result.then(() => this.#notified(pairing)).catch((error) => this.#fail(error));
  }

  /** A pair callback is done; after the last one, whatever is not paired is rejected. */
  #notified(pairing: Pairing): void {
    if (--pairing.notifying > 0 || this.#destroyed) return;
    for (const pending of pairing.incoming.splice(0)) this.#reject(pending);
    this.#pairings.forgetIfIdle(pairing);
  }

  #reject(pending: PendingOpen): void {
    this.#remotes.delete(pending.remoteId);
    this.#sendControl(CONTROL.reject, pending.remoteId);
    this.#pending.delete(pending);
    this.#unsentRejects = this.#writer.isIdle ? 0 : this.#unsentRejects + 1;
    if (this.#unsentRejects > MAX_UNSENT_REJECTS) {
      throw new ProtocolError("LIMIT_EXCEEDED", "The peer opens channels and does not read the answers");
    }
  }

  #onReject(localId: number): void {
    const slot = this.#locals[localId - 1];
    const index = slot?.pairing.outgoing.indexOf(localId) ?? -1;
    if (slot === undefined || index === -1) {
      throw new ProtocolError(
        "INVALID_CHANNEL",
        `The peer rejected channel ${localId}, which is not opening`,
      );
    }
    slot.pairing.outgoing.splice(index, 1);
    slot.channel?.shut(true);
    this.#free(localId);
    this.#pairings.forgetIfIdle(slot.pairing);
  }

  #onRemoteClose(remoteId: number): void {
    const remote = this.#remotes.get(remoteId);
    if (remote instanceof MuxChannel) remote.shut(true);
    else if (remote !== undefined) remote.isClosed = true;
    else this.#dropped++;
  }

  // Room, failure and end

  #onDrain(): void {
    this.#writer.onDrain();
    for (const slot of this.#locals) slot?.channel?.drain();
  }

  #onHandlerError(channel: MuxChannel, error: unknown): void {
    if (channel.state === "closed" && !(error instanceof AssertionError)) this.#dropped++;
    else this.#fail(error);
  }

  /** Bytes that nobody understands and handlers that throw end the mux; a fault of ours is passed on as well. */
  #fail(error: unknown): void {
    this.destroy(
      error instanceof DecodeError
        ? new ProtocolError("DECODING_ERROR", "The peer sent a message that cannot be decoded", {
          cause: error,
        })
        : toError(error),
    );
    if (error instanceof AssertionError) throw error;
  }

  #onClose(error?: Error): void {
    this.#destroyed = true;
    this.#writer.close();
    for (const slot of [...this.#locals]) slot?.channel?.shut(true, error);
    this.#pairings.clear();
    this.#remotes.clear();
  }
}
