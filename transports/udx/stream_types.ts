/**
 * What goes into a stream machine and what comes out, as types.
 */
import type { Transmit } from "../../core/runtime/machine.ts";
import type { SenderConfig, SenderCounters } from "./sender.ts";

/**
 * `open`: from the beginning, connected or not. `lingering`: both directions have ended, only acknowledgements are
 * repeated. `dropped`: destroyed here, only that is repeated. `gone`: nothing more will happen.
 */
export type StreamPhase = "open" | "lingering" | "dropped" | "gone";

/** What a stream reports. Data is not an event: it is taken with `StreamMachine.take`. */
export type StreamEvent =
  | { readonly type: "drain" | "acked" | "remoteChanged" | "gone" }
  | { readonly type: "message"; readonly message: Uint8Array }
  /** A packet has timed out, and the peer has not answered for `ms`. */
  | { readonly type: "silence"; readonly ms: number }
  /** `isOrderly`: both directions have ended, and what was received is still there to be taken. */
  | { readonly type: "close"; readonly error: Error | undefined; readonly isOrderly: boolean };

/** A packet to be sent, with the socket to send it from. */
export interface PacketTransmit extends Transmit {
  /** The socket of the path, as it was handed in. */
  socket: object;
}

/** What a stream is made with. */
export interface StreamConfig extends SenderConfig {
  /** The id that the peer puts into packets for this stream. */
  readonly id: number;
  /** The window: bytes that may wait here unread or out of order. Up to twice that is kept if a sender overshoots. */
  readonly maxReceiveBytes: number;
  /** Milliseconds of silence after which an idle stream sends a heartbeat; `Infinity` = never. */
  readonly keepAliveMs: number;
}

/** Counters of packets in both directions, in UDX bytes (headers included) and packets. */
export interface PacketCounters {
  /** Sent. */
  bytesSent: number;
  /** Sent. */
  packetsSent: number;
  /** Received from an accepted source. */
  bytesReceived: number;
  /** Received from an accepted source. */
  packetsReceived: number;
  /** Data packets that were thrown away for want of room. */
  overflows: number;
  /** Unordered messages that were dropped before they were sent. */
  messagesDropped: number;
}

/** Counters of a stream. */
export interface StreamCounters extends PacketCounters, SenderCounters {}

/** Counters that stand at 0. */
export function newPacketCounters(): PacketCounters {
  return {
    bytesSent: 0,
    packetsSent: 0,
    bytesReceived: 0,
    packetsReceived: 0,
    overflows: 0,
    messagesDropped: 0,
  };
}
