/**
 * Two ends of a pipe in memory: what is written at one end comes out at the other. The transport of tests, benchmarks
 * and of peers in one process.
 */
import { Slab } from "../../encoding/bytes.ts";
import { assert } from "../runtime/assert.ts";
import type { Clock } from "../runtime/runtime.ts";
import { ByteQueue } from "./byte_queue.ts";
import type { Duplex, Sink, UnorderedMessages } from "./duplex.ts";
import { isReadable, isWritable, nextPipeState, type PipeInput, type PipeState } from "./pipe_state.ts";

/** Options of {@linkcode duplexPair}. */
export interface DuplexPairOptions {
  /** What the pair promises; it preserves the boundaries of writes in any case. `bytes` by default. */
  readonly framing?: "message" | "bytes";
  /** How much may wait in each direction before `write` returns false, in bytes; 65536 by default. */
  readonly maxBufferedBytes?: number;
  /** The longest unordered message, in bytes; without it the pair has none. */
  readonly maxUnorderedBytes?: number;
  /** One-way delay in milliseconds, timed by `clock`; without it everything arrives during the call. */
  readonly latency?: { readonly clock: Clock; readonly ms: number };
}

/** What travels beside chunks, in order with them. */
type Signal = "end" | { readonly destroyed: Error | undefined };

/** Something on its way, due at a moment of the latency clock. */
interface InFlight {
  readonly due: number;
  readonly deliver: () => void;
}

/** What both ends share: a turn of delivery, so that an answer does not nest in the call that it answers. */
class Wire {
  readonly ends: PairEnd[] = [];
  readonly #latency: DuplexPairOptions["latency"];
  readonly #inFlight: InFlight[] = [];
  #pumping = false;

  constructor(latency: DuplexPairOptions["latency"]) {
    this.#latency = latency;
  }

  /** Whether things arrive during the call that sends them. */
  get isInstant(): boolean {
    return this.#latency === undefined;
  }

  /** Lets `deliver` happen after the latency of the wire. */
  carry(deliver: () => void): void {
    if (this.#latency === undefined) {
      deliver();
      this.pump();
      return;
    }
    const { clock, ms } = this.#latency;
    this.#inFlight.push({ due: clock.now() + ms, deliver });
    if (this.#inFlight.length === 1) this.#arm();
  }

  #arm(): void {
    const first = this.#inFlight[0];
    if (first !== undefined) this.#latency!.clock.schedule(first.due, () => this.#arrive());
  }

  #arrive(): void {
    const now = this.#latency!.clock.now();
    while (this.#inFlight.length > 0 && this.#inFlight[0]!.due <= now) this.#inFlight.shift()!.deliver();
    this.#arm();
    this.pump();
  }

  /** Delivers until both ends are quiet. A call from within does nothing: the outer one goes on. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      let busy = true;
      while (busy) {
        busy = false;
        for (const end of this.ends) if (end.deliverOne()) busy = true;
      }
    } finally {
      this.#pumping = false;
    }
  }
}

class PairEnd implements Duplex {
  readonly framing: "message" | "bytes";
  readonly unordered?: UnorderedMessages;
  readonly #wire: Wire;
  readonly #slab = new Slab();
  readonly #incoming: ByteQueue;
  readonly #messages: Uint8Array[] = [];
  #peer!: PairEnd;
  #sink: Sink | undefined;
  #state: PipeState = "open";
  #paused = false;
  #signal: Signal | undefined;
  readonly #maxBufferedBytes: number;
  /** Bytes that the latency holds; what has arrived is counted by the queue of the peer. */
  #inFlightBytes = 0;
  #needsDrain = false;
  #closedWith: { readonly error: Error | undefined } | undefined;

  constructor(wire: Wire, options: DuplexPairOptions) {
    this.framing = options.framing ?? "bytes";
    this.#maxBufferedBytes = options.maxBufferedBytes ?? 65536;
    this.#incoming = new ByteQueue(this.#maxBufferedBytes);
    this.#wire = wire;
    const maxMessageBytes = options.maxUnorderedBytes;
    if (maxMessageBytes !== undefined) {
      this.unordered = { maxMessageBytes, send: (message) => this.#sendUnordered(message, maxMessageBytes) };
    }
  }

  connect(peer: PairEnd): void {
    this.#peer = peer;
  }

  attach(sink: Sink): void {
    assert(this.#sink === undefined, "a pipe has one sink");
    this.#sink = sink;
    this.#wire.pump();
  }

  alloc(size: number): Uint8Array {
    return this.#slab.alloc(size);
  }

  write(chunk: Uint8Array): boolean {
    if (!isWritable(this.#state)) return false;
    const peer = this.#peer;
    if (this.#wire.isInstant) {
      peer.#receive(chunk);
      this.#wire.pump();
    } else {
      this.#inFlightBytes += chunk.length;
      this.#wire.carry(() => {
        this.#inFlightBytes -= chunk.length;
        peer.#receive(chunk);
      });
    }
    if (peer.#incoming.isFull || this.#inFlightBytes >= this.#maxBufferedBytes) this.#needsDrain = true;
    return !this.#needsDrain;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wire.pump();
  }

  end(): void {
    if (!isWritable(this.#state)) return;
    this.#move("localEnd");
    const peer = this.#peer;
    this.#wire.carry(() => peer.#signal ??= "end");
  }

  destroy(error?: Error): void {
    if (this.#state === "closed") return;
    const peer = this.#peer;
    this.#close(error);
    this.#wire.carry(() => peer.#signal = { destroyed: error });
  }

  /** Hands one thing to the sink; false if there is nothing or it must wait. */
  deliverOne(): boolean {
    const sink = this.#sink;
    if (sink === undefined) return false;
    if (this.#closedWith !== undefined) {
      const { error } = this.#closedWith;
      this.#closedWith = undefined;
      sink.onClose(error);
      return true;
    }
    if (this.#state === "closed") return false;
    if (typeof this.#signal === "object") {
      this.#close(this.#signal.destroyed);
      return true;
    }
    const message = this.#messages.shift();
    if (message !== undefined) {
      sink.onUnordered?.(message);
      return true;
    }
    if (this.#needsDrain && this.#hasRoom()) {
      this.#needsDrain = false;
      sink.onDrain();
      return true;
    }
    return this.#deliverData(sink);
  }

  #receive(chunk: Uint8Array): void {
    if (isReadable(this.#state)) this.#incoming.push(chunk);
  }

  #deliverData(sink: Sink): boolean {
    if (this.#paused) return false;
    const chunk = this.#incoming.shift();
    if (chunk !== undefined) {
      sink.onData(chunk);
      return true;
    }
    if (this.#signal !== "end" || !isReadable(this.#state)) return false;
    this.#signal = undefined;
    this.#move("remoteEnd");
    sink.onEnd();
    return true;
  }

  #hasRoom(): boolean {
    return this.#inFlightBytes * 2 <= this.#maxBufferedBytes && this.#peer.#incoming.isHalfEmpty;
  }

  #sendUnordered(message: Uint8Array, maxMessageBytes: number): boolean {
    if (!isWritable(this.#state) || message.length > maxMessageBytes) return false;
    const peer = this.#peer;
    this.#wire.carry(() => peer.#messages.push(message));
    return true;
  }

  #move(input: PipeInput): void {
    this.#state = nextPipeState(this.#state, input);
    if (this.#state === "closed") this.#closedWith ??= { error: undefined };
  }

  #close(error: Error | undefined): void {
    this.#state = "closed";
    this.#incoming.clear();
    this.#messages.length = 0;
    this.#closedWith = { error };
  }
}

/**
 * A pipe in memory, as its two ends. Delivery happens within the call that causes it, but never inside another delivery,
 * so that a conversation of any length takes no stack.
 *
 * A `destroy` reaches the other end with the same error, at once, past whatever is still on its way.
 *
 * @example
 * ```ts
 * import assert from "node:assert/strict";
 * import { duplexPair } from "./duplex_pair.ts";
 *
 * const [near, far] = duplexPair();
 * const received: number[] = [];
 * far.attach({ onData: (chunk) => received.push(...chunk), onDrain() {}, onEnd() {}, onClose() {} });
 * near.write(Uint8Array.of(1, 2, 3));
 * assert(received.length === 3);
 * ```
 */
export function duplexPair(options: DuplexPairOptions = {}): [Duplex, Duplex] {
  const wire = new Wire(options.latency);
  const [a, b] = [new PairEnd(wire, options), new PairEnd(wire, options)];
  a.connect(b);
  b.connect(a);
  wire.ends.push(a, b);
  return [a, b];
}
