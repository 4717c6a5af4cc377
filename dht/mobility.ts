/**
 * What lets an open connection go on over another path: each side can prove, in one packet, that it is the peer, wherever the
 * packet comes from. Both sides must be of this kind, which they tell each other in the handshake.
 *
 * A proof is an unordered message of the stream: a counter (8 bytes, little endian), and BLAKE2b of it (32 bytes) keyed by the
 * sender's stream key. Relays have seen the handshake but not that key. A counter is good for once, so that a recorded proof does
 * not move a stream a second time.
 */
import type { CryptoProvider } from "../core/runtime/crypto_provider.ts";
import type { NoiseSession } from "../core/stream/secret_options.ts";
import type { SocketAddress } from "../encoding/address.ts";
import { equals } from "../encoding/bytes.ts";
import { MESSAGE } from "../transports/udx/constants.ts";
import { newHeader, readHeader } from "../transports/udx/packet.ts";
import type { UdxSocket } from "../transports/udx/udx_socket.ts";
import type { UdxStream } from "../transports/udx/udx_stream.ts";
import { MOBILE_PATIENCE_MS } from "./connect_constants.ts";

const COUNTER_BYTES = 8;
const MAC_BYTES = 32;
const LABEL = new TextEncoder().encode("hypha/path");

/** Options of a {@linkcode Mobility}. */
export interface MobilityOptions {
  /** The keys. */
  readonly session: NoiseSession;
  /** Our end. */
  readonly stream: UdxStream;
  /** The id of the peer's end. */
  readonly remoteId: number;
  /** The stream was moved, because the peer has proven to be there. */
  onMoved(socket: UdxSocket, from: SocketAddress): void;
}

/** See the head of the file. One for each connection. */
export class Mobility {
  readonly #crypto: CryptoProvider;
  readonly #options: MobilityOptions;
  readonly #header = newHeader();
  #sent = 0n;
  #received = 0n;

  /** Makes the stream patient as well: while there is no path, time is needed to find another. */
  constructor(crypto: CryptoProvider, options: MobilityOptions) {
    this.#crypto = crypto;
    this.#options = options;
    options.stream.patienceMs = MOBILE_PATIENCE_MS;
  }

  /** Sends the stream along another path from now on, and proves to the peer that we are there. */
  move(socket: UdxSocket, address: SocketAddress): void {
    const { stream, remoteId } = this.#options;
    stream.redirect(socket, remoteId, address);
    this.prove();
  }

  /** Proves to the peer that we are at the other end of the path that the stream takes now. */
  prove(): void {
    const { session, stream } = this.#options;
    const message = new Uint8Array(COUNTER_BYTES + MAC_BYTES);
    new DataView(message.buffer).setBigUint64(0, ++this.#sent, true);
    this.#mac(message.subarray(COUNTER_BYTES), message.subarray(0, COUNTER_BYTES), session.tx);
    stream.send(message);
    stream.ping();
  }

  /** For the firewall of the stream: moves it to where the packet came from, if that is a proof of the peer; else false. */
  handleStrayPacket(socket: UdxSocket, from: SocketAddress, packet: Uint8Array): boolean {
    const { session, stream, remoteId, onMoved } = this.#options;
    const header = this.#header;
    if (stream.isClosed || !readHeader(packet, header) || (header.type & MESSAGE) === 0) return false;
    const message = packet.subarray(header.payloadStart);
    if (message.length !== COUNTER_BYTES + MAC_BYTES) return false;
    const view = new DataView(message.buffer, message.byteOffset);
    const counter = view.getBigUint64(0, true);
    if (counter <= this.#received) return false;
    const mac = new Uint8Array(MAC_BYTES);
    this.#mac(mac, message.subarray(0, COUNTER_BYTES), session.rx);
    if (!equals(mac, message.subarray(COUNTER_BYTES))) return false;
    this.#received = counter;
    stream.redirect(socket, remoteId, from);
    stream.ping();
    onMoved(socket, from);
    return true;
  }

  #mac(out: Uint8Array, counter: Uint8Array, key: Uint8Array): void {
    this.#crypto.hash(out, [LABEL, counter], key);
  }
}
