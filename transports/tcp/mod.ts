/**
 * TCP: for networks that let no UDP through, and for peers that only have TCP.
 *
 * @module
 */
export { TcpTransport, type TcpTransportOptions } from "./tcp_transport.ts";
