/** What a server sends to a peer that has not sent a packet of its stream yet. */
import type { CryptoProvider } from "../core/runtime/crypto_provider.ts";
import { headerFrame } from "../core/stream/secret_machine.ts";
import type { NoiseSession } from "../core/stream/secret_options.ts";
import { DATA, DEFAULT_WINDOW, HEADER_BYTES, HEARTBEAT } from "../transports/udx/constants.ts";
import { writeHeader } from "../transports/udx/packet.ts";

/** The shortest packet that makes the peer's stream `remoteId` know where we are. */
export function knockPacket(remoteId: number): Uint8Array {
  const packet = new Uint8Array(HEADER_BYTES);
  writeHeader(packet, HEARTBEAT, 0, remoteId, DEFAULT_WINDOW, 0, 0);
  return packet;
}

/**
 * The packet with which our stream to the peer's stream `remoteId` will begin, before it is known where the stream will go: if it
 * gets through, the peer knows that we are there, and need not wait for the stream itself.
 *
 * @param streamHeader the 24 random bytes in it.
 */
export function greetingPacket(
  crypto: CryptoProvider,
  session: NoiseSession,
  streamHeader: Uint8Array,
  remoteId: number,
): Uint8Array {
  const frame = headerFrame(crypto, session, streamHeader);
  const packet = new Uint8Array(HEADER_BYTES + frame.length);
  writeHeader(packet, DATA, 0, remoteId, DEFAULT_WINDOW, 0, 0);
  packet.set(frame, HEADER_BYTES);
  return packet;
}
