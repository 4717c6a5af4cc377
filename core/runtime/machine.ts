/**
 * The shape of a protocol: a value that is handed time, bytes and commands, and hands back bytes, events and its next
 * deadline. A machine never waits, never calls back into its caller while it handles input, and touches no I/O.
 */
import type { SocketAddress } from "../../encoding/address.ts";

/** A protocol with deadlines and events. */
export interface Machine<Event> {
  /** Tells that time has come to `now`; called when {@linkcode nextTimeout} is due, and harmless earlier. */
  handleTimeout(now: number): void;
  /** The moment at which {@linkcode handleTimeout} wants to be called; `Infinity` if there is none. */
  nextTimeout(): number;
  /** Takes the oldest event, or undefined when there is none. */
  pollEvent(): Event | undefined;
}

/** A datagram to be sent, filled in by the machine. One object is reused for many datagrams. */
export interface Transmit {
  /** The bytes, `length` of them from the start; owned by the machine, valid until they are handed to a socket. */
  buffer: Uint8Array;
  /** How many bytes of `buffer` to send. */
  length: number;
  /** Where to. */
  to: SocketAddress;
  /** Time to live in hops; 0 = the socket's default. */
  ttl: number;
}

/** A protocol over datagrams. */
export interface DatagramMachine<Event> extends Machine<Event> {
  /** Takes a datagram that came from `from`. `datagram` is borrowed until return. */
  handleDatagram(now: number, datagram: Uint8Array, from: SocketAddress): void;
  /** Fills `out` with a datagram that may be sent now; false when there is none. */
  pollTransmit(now: number, out: Transmit): boolean;
}
