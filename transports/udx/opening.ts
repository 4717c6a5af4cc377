/**
 * How two UDX endpoints that know nothing but an address agree on stream ids. UDX itself has no opening: in HyperDHT the
 * ids travel in the handshake through the DHT. This exchange is hypha's own, for dialing an address directly.
 *
 * ```text
 * dialer                              listener
 *   OPEN(dialer id, nonce)        ->               all datagrams are 66 bytes: an answer is never larger than the
 *                                 <-  ACCEPT       question, so a forged source gains nothing
 *   UDX packets                   <->
 *
 * and when the listener has many that never sent a packet, so that a forged source costs it no memory:
 *   OPEN                          ->
 *                                 <-  CHALLENGE(cookie)
 *   OPEN(cookie)                  ->
 *                                 <-  ACCEPT
 * ```
 */

/** Kind of an opening datagram. */
export const OpeningKind = { Open: 1, Challenge: 2, Accept: 3, Refuse: 4 } as const;

/** An opening datagram taken apart. */
export interface Opening {
  /** One of {@linkcode OpeningKind}. */
  readonly kind: number;
  /** The stream id that the dialer chose. */
  readonly dialerId: number;
  /** The stream id that the listener chose; 0 before it has. */
  readonly listenerId: number;
  /** 16 random bytes of the dialer: who answers has seen the question. */
  readonly nonce: Uint8Array;
  /** 32 bytes that prove that the dialer receives at its address; zero if there was no challenge. */
  readonly cookie: Uint8Array;
}

/** Bytes of each opening datagram. */
export const OPENING_BYTES = 66;
/** Bytes of a nonce. */
export const NONCE_BYTES = 16;
/** Bytes of a cookie. */
export const COOKIE_BYTES = 32;
/** "hypha", then the version: no UDX packet (0xff), no dht-rpc message (0x03, 0x13) and no punch (1 byte) looks like it. */
const MAGIC = Uint8Array.of(0x68, 0x79, 0x70, 0x68, 0x61, 1);

/** Writes an opening datagram. */
export function encodeOpening(opening: Opening): Uint8Array {
  const bytes = new Uint8Array(OPENING_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes[6] = opening.kind;
  view.setUint32(8, opening.dialerId, true);
  view.setUint32(12, opening.listenerId, true);
  bytes.set(opening.nonce, 18);
  bytes.set(opening.cookie, 34);
  return bytes;
}

/** Reads an opening datagram; undefined if it is none. */
export function decodeOpening(datagram: Uint8Array): Opening | undefined {
  if (datagram.length !== OPENING_BYTES) return undefined;
  for (let i = 0; i < MAGIC.length; i++) if (datagram[i] !== MAGIC[i]) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  return {
    kind: datagram[6]!,
    dialerId: view.getUint32(8, true),
    listenerId: view.getUint32(12, true),
    nonce: datagram.slice(18, 34),
    cookie: datagram.slice(34, 66),
  };
}
