/** What the UDX tests share: packets by hand, one stream machine on its own, and a sink that keeps what it gets. */
import assert from "node:assert/strict";
import { HyphaError } from "../../../core/runtime/errors.ts";
import type { Sink } from "../../../core/stream/duplex.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { concat, Slab } from "../../../encoding/bytes.ts";
import { DEFAULT_WINDOW, HEADER_BYTES, RANGE_BYTES, SACK } from "../../../transports/udx/constants.ts";
import type { UdxStream } from "../../../transports/udx/mod.ts";
import {
  newHeader,
  readHeader,
  readRangeEnd,
  readRangeStart,
  writeHeader,
  writeRange,
} from "../../../transports/udx/packet.ts";
import { StreamMachine } from "../../../transports/udx/stream_machine.ts";
import type { PacketTransmit, StreamConfig, StreamEvent } from "../../../transports/udx/stream_types.ts";

/** The fields of a packet; what is left out is zero, empty, or the default window. */
export interface PacketFields {
  readonly type?: number;
  readonly streamId?: number;
  readonly window?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly ranges?: readonly (readonly [number, number])[];
  readonly padding?: number;
  readonly payload?: Uint8Array;
}

/** A packet by its fields. The SACK bit follows from the ranges. */
export function packet(fields: PacketFields): Uint8Array {
  const ranges = fields.ranges ?? [];
  const payload = fields.payload ?? new Uint8Array(0);
  const extra = ranges.length * RANGE_BYTES + (fields.padding ?? 0);
  const bytes = new Uint8Array(HEADER_BYTES + extra + payload.length);
  const type = (fields.type ?? 0) | (ranges.length > 0 ? SACK : 0);
  const offset = payload.length > 0 || ranges.length === 0 ? extra : 0;
  writeHeader(
    bytes,
    type,
    offset,
    fields.streamId ?? 0,
    fields.window ?? DEFAULT_WINDOW,
    fields.seq ?? 0,
    fields.ack ?? 0,
  );
  let at = HEADER_BYTES;
  for (const [start, end] of ranges) at = writeRange(bytes, at, start, end);
  bytes.set(payload, HEADER_BYTES + extra);
  return bytes;
}

/** A packet taken apart. */
export interface ParsedPacket {
  readonly type: number;
  readonly streamId: number;
  readonly window: number;
  readonly seq: number;
  readonly ack: number;
  readonly ranges: readonly (readonly [number, number])[];
  readonly padding: number;
  readonly payload: Uint8Array;
  readonly length: number;
  readonly to: SocketAddress | undefined;
}

/** Takes a packet apart. */
export function parse(bytes: Uint8Array, to?: SocketAddress): ParsedPacket {
  const header = newHeader();
  assert(readHeader(bytes, header));
  const ranges: [number, number][] = [];
  for (let at = HEADER_BYTES; at + RANGE_BYTES <= header.rangesEnd; at += RANGE_BYTES) {
    ranges.push([readRangeStart(bytes, at), readRangeEnd(bytes, at)]);
  }
  const { type, streamId, window, seq, ack, payloadStart } = header;
  const padding = (type & SACK) === 0 ? payloadStart - HEADER_BYTES : 0;
  const payload = bytes.slice(payloadStart);
  return { type, streamId, window, seq, ack, ranges, padding, payload, length: bytes.length, to };
}

/** Bytes that differ from their neighbours and by `seed`. */
export function bytes(length: number, seed = 0): Uint8Array {
  const array = new Uint8Array(length);
  for (let i = 0; i < length; i++) array[i] = (i * 31 + (i >> 8) * 7 + seed * 101) & 0xff;
  return array;
}

/** An address that is nobody's. */
export const PEER: SocketAddress = SocketAddress.of("11.1.1.1", 1111);

/** A stream machine without a network: packets go in and come out by hand. */
export class Bench {
  readonly machine: StreamMachine;
  readonly socket: object = {};
  readonly events: StreamEvent[] = [];
  now = 1000;
  readonly #out: PacketTransmit;

  /** A machine that is connected to stream 2 at `PEER`, unless told otherwise. */
  constructor(config: Partial<StreamConfig> = {}, isConnected = true) {
    this.machine = new StreamMachine({
      id: 1,
      firstSeq: 0,
      firstRemoteSeq: 0,
      maxReceiveBytes: DEFAULT_WINDOW,
      keepAliveMs: Infinity,
      maxMtu: 1200,
      slab: new Slab(),
      ...config,
    });
    if (isConnected) this.connect();
    this.#out = { buffer: new Uint8Array(0), length: 0, to: PEER, ttl: 0, socket: this.socket };
  }

  connect(): void {
    this.machine.connect({ socket: this.socket, address: PEER, remoteId: 2 });
  }

  /** Hands in a packet and returns what is read. */
  receive(fields: PacketFields): Uint8Array {
    this.machine.handlePacket(this.now, packet(fields));
    return this.read();
  }

  /** Takes what is ready. */
  read(): Uint8Array {
    const chunks: Uint8Array[] = [];
    for (let chunk = this.machine.take(); chunk !== undefined; chunk = this.machine.take()) {
      chunks.push(chunk.slice());
    }
    this.machine.settle();
    return concat(chunks);
  }

  /** All that may be sent now. */
  sent(): ParsedPacket[] {
    const packets: ParsedPacket[] = [];
    while (this.machine.pollTransmit(this.now, this.#out)) {
      packets.push(parse(this.#out.buffer.slice(0, this.#out.length), this.#out.to));
    }
    this.#drainEvents();
    return packets;
  }

  /** Lets time pass, and returns what is sent at each deadline until then, with its moment. */
  pass(ms: number): { readonly at: number; readonly packet: ParsedPacket }[] {
    const until = this.now + ms;
    const packets: { at: number; packet: ParsedPacket }[] = [];
    while (this.machine.nextTimeout() <= until) {
      this.now = Math.max(this.machine.nextTimeout(), this.now);
      this.machine.handleTimeout(this.now);
      for (const packet of this.sent()) packets.push({ at: this.now, packet });
    }
    this.now = until;
    return packets;
  }

  /** Writes `length` bytes. */
  write(length: number): boolean {
    return this.machine.write(bytes(length));
  }

  /** Writes and sends a packet, and has it acknowledged after `rtt`: then there is a round-trip sample. */
  warmUp(rtt: number): void {
    this.write(1);
    const [data] = this.sent();
    this.now += rtt;
    this.receive({ ack: data!.seq + 1 });
    this.sent();
  }

  /** The types of the events so far. */
  get eventTypes(): string[] {
    this.#drainEvents();
    return this.events.map((event) => event.type);
  }

  /** The error that the stream closed with; undefined when in order. */
  get closeError(): Error | undefined {
    this.#drainEvents();
    const event = this.events.find((event) => event.type === "close");
    assert(event?.type === "close", "the stream is closed");
    return event.error;
  }

  #drainEvents(): void {
    for (let event = this.machine.pollEvent(); event !== undefined; event = this.machine.pollEvent()) {
      this.events.push(event);
    }
  }
}

/** The code of an error of hypha's; undefined without an error. */
export function errorCode(error: Error | undefined): string | undefined {
  return error instanceof HyphaError ? error.code : error?.message;
}

/** Collects what a stream receives. */
export class Reader implements Sink {
  readonly chunks: Uint8Array[] = [];
  readonly messages: Uint8Array[] = [];
  received = 0;
  drains = 0;
  ends = 0;
  closes: (Error | undefined)[] = [];
  onDrained: (() => void) | undefined;
  onEnded: (() => void) | undefined;

  onData(chunk: Uint8Array): void {
    this.received += chunk.length;
    this.chunks.push(chunk.slice());
    // Borrowers may overwrite: whoever relies on the bytes afterwards is found out.
    chunk.fill(0xee);
  }

  onDrain(): void {
    this.drains++;
    this.onDrained?.();
  }

  onEnd(): void {
    this.ends++;
    this.onEnded?.();
  }

  onUnordered(message: Uint8Array): void {
    this.messages.push(message.slice());
  }

  onClose(error?: Error): void {
    this.closes.push(error);
  }

  /** All bytes so far. */
  get bytes(): Uint8Array {
    return concat(this.chunks);
  }

  /** Writes `data` as `stream` takes it. */
  pump(stream: UdxStream, data: Uint8Array, onDone?: () => void): void {
    let at = 0;
    const more = () => {
      while (at < data.length) {
        const chunk = data.slice(at, at + 32_768);
        at += chunk.length;
        if (!stream.write(chunk)) return;
      }
      this.onDrained = undefined;
      onDone?.();
      onDone = undefined;
    };
    this.onDrained = more;
    more();
  }
}
