/**
 * How peers reach each other: the interfaces for authors of transports, discoveries and datagram networks.
 */
export type { BindOptions, DatagramNetwork, DatagramReceiver, DatagramSocket } from "./datagram.ts";
export type { Discovery, Link, Listener, NoiseSession, PeerRecord, Transport } from "./transport.ts";
export { Dialer, type DialerOptions, PeerListener } from "./dialer.ts";
