/**
 * UDX: reliable, multiplexed streams over UDP, on the wire of libudx.
 *
 * @module
 */
export { type DatagramHandler, type SocketCounters, UdxSocket } from "./udx_socket.ts";
export { UdxEndpoint, type UdxEndpointOptions, type UdxStreamOptions } from "./endpoint.ts";
export { type Firewall, UdxStream, type UdxStreamStats } from "./udx_stream.ts";
export { UdxTransport, type UdxTransportOptions } from "./udx_transport.ts";
export type { PacketCounters, PacketTransmit, StreamCounters } from "./stream_types.ts";
export type { SenderCounters } from "./sender.ts";
