/**
 * What two peers tell each other about their NATs, through relays that must not read it: the payload of PEER_HOLEPUNCH,
 * sealed with a secret of the handshake, and the tokens that prove that a peer receives at an address.
 *
 * Source: hyperdht 6.34.0, lib/messages.js (`holepunchPayload`) and lib/secure-payload.js.
 */
import { blake2b } from "../../core/crypto/hash.ts";
import { NONCE_BYTES, requireSize, TAG_BYTES } from "../../core/crypto/sizes.ts";
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { ipv4Address } from "../../encoding/address_codecs.ts";
import { fixed32 } from "../../encoding/buffers.ts";
import { type Codec, type Cursor, decode, DecodeError, encode } from "../../encoding/codec.ts";
import { array } from "../../encoding/lists.ts";
import { uint } from "../../encoding/varint.ts";
import { PUNCH_SECRET_BYTES, TOKEN_BYTES } from "./constants.ts";

/** What one side says in a round. */
export interface PunchPayload {
  /** One of `PayloadError`; anything but 0 ends the punch, or puts it off. */
  readonly error: number;
  /** One of `Firewall`: what is in front of the sender's socket. */
  readonly firewall: number;
  /** Counts up with each round of the initiator; the other side repeats it. */
  readonly round: number;
  /** Whether the sender has been reached. */
  readonly connected: boolean;
  /** Whether the sender punches from now on. */
  readonly punching: boolean;
  /** The sender's addresses as others see them; undefined while it does not know. */
  readonly addresses?: readonly SocketAddress[] | undefined;
  /** An address of the receiver to which the sender has just opened its own NAT. */
  readonly remoteAddress?: SocketAddress | undefined;
  /** 32 bytes that the receiver is to send back from where it got them. */
  readonly token?: Uint8Array | undefined;
  /** The token that came from the receiver. */
  readonly remoteToken?: Uint8Array | undefined;
}

const CONNECTED = 1;
const PUNCHING = 2;
const ADDRESSES = 4;
const REMOTE_ADDRESS = 8;
const TOKEN = 16;
const REMOTE_TOKEN = 32;

const addressList: Codec<SocketAddress[], readonly SocketAddress[]> = array(ipv4Address);

/** A {@linkcode PunchPayload}: flags, error, firewall and round as `uint`, then what the flags announce. */
export const punchPayload: Codec<PunchPayload> = {
  size({ error, firewall, round, addresses, remoteAddress, token, remoteToken }: PunchPayload): number {
    return 1 + uint.size(error) + uint.size(firewall) + uint.size(round) +
      (addresses === undefined ? 0 : addressList.size(addresses)) +
      (remoteAddress === undefined ? 0 : ipv4Address.size(remoteAddress)) +
      (token === undefined ? 0 : TOKEN_BYTES) + (remoteToken === undefined ? 0 : TOKEN_BYTES);
  },
  encode(cursor: Cursor, payload: PunchPayload): void {
    const { addresses, remoteAddress, token, remoteToken } = payload;
    const flags = (payload.connected ? CONNECTED : 0) | (payload.punching ? PUNCHING : 0) |
      (addresses === undefined ? 0 : ADDRESSES) | (remoteAddress === undefined ? 0 : REMOTE_ADDRESS) |
      (token === undefined ? 0 : TOKEN) | (remoteToken === undefined ? 0 : REMOTE_TOKEN);
    uint.encode(cursor, flags);
    uint.encode(cursor, payload.error);
    uint.encode(cursor, payload.firewall);
    uint.encode(cursor, payload.round);
    if (addresses !== undefined) addressList.encode(cursor, addresses);
    if (remoteAddress !== undefined) ipv4Address.encode(cursor, remoteAddress);
    if (token !== undefined) fixed32.encode(cursor, token);
    if (remoteToken !== undefined) fixed32.encode(cursor, remoteToken);
  },
  decode(cursor: Cursor): PunchPayload {
    const flags = uint.decode(cursor);
    return {
      error: uint.decode(cursor),
      firewall: uint.decode(cursor),
      round: uint.decode(cursor),
      connected: (flags & CONNECTED) !== 0,
      punching: (flags & PUNCHING) !== 0,
      addresses: (flags & ADDRESSES) !== 0 ? addressList.decode(cursor) : undefined,
      remoteAddress: (flags & REMOTE_ADDRESS) !== 0 ? ipv4Address.decode(cursor) : undefined,
      token: (flags & TOKEN) !== 0 ? fixed32.decode(cursor) : undefined,
      remoteToken: (flags & REMOTE_TOKEN) !== 0 ? fixed32.decode(cursor) : undefined,
    };
  },
};

/** Bytes of the random nonce before the sealed text. */
const NONCE = NONCE_BYTES.xsalsa20poly1305;

/**
 * Seals and opens the payloads of one connection attempt. The wire form is 24 random bytes, then a secretbox.
 *
 * @example
 * ```ts
 * import { loadCryptoProvider } from "../../core/crypto/provider.ts";
 * import { SeededRandom } from "../../core/runtime/virtual.ts";
 * import { SecurePayload } from "./payload.ts";
 *
 * const runtime = { crypto: await loadCryptoProvider(), random: new SeededRandom(1) };
 * const secret = new Uint8Array(32).fill(7);
 * const [one, other] = [new SecurePayload(runtime, secret), new SecurePayload(runtime, secret)];
 * const sealed = one.seal({ error: 0, firewall: 2, round: 0, connected: false, punching: true });
 * console.assert(other.open(sealed)?.punching === true);
 * ```
 */
export class SecurePayload {
  readonly #crypto: CryptoProvider;
  readonly #random: Random;
  readonly #secret: Uint8Array;
  readonly #tokenKey: Uint8Array;

  /**
   * `secret` is the 32-byte punch secret of the handshake.
   *
   * @throws {RangeError} if it has another size.
   */
  constructor(
    runtime: { readonly crypto: CryptoProvider; readonly random: Random },
    secret: Uint8Array,
  ) {
    requireSize("secret", secret, PUNCH_SECRET_BYTES);
    this.#crypto = runtime.crypto;
    this.#random = runtime.random;
    this.#secret = secret;
    this.#tokenKey = runtime.random.fill(new Uint8Array(TOKEN_BYTES));
  }

  /** The sealed form of `payload`. */
  seal(payload: PunchPayload): Uint8Array {
    const text = encode(punchPayload, payload);
    const sealed = new Uint8Array(NONCE + text.length + TAG_BYTES);
    const nonce = this.#random.fill(sealed.subarray(0, NONCE));
    this.#crypto.seal("xsalsa20poly1305", sealed.subarray(NONCE), text, nonce, this.#secret);
    return sealed;
  }

  /** The payload in `sealed`; undefined if it is forged, damaged or empty. What it holds is not shared with `sealed`. */
  open(sealed: Uint8Array): PunchPayload | undefined {
    if (sealed.length <= NONCE + TAG_BYTES) return undefined;
    const text = new Uint8Array(sealed.length - NONCE - TAG_BYTES);
    const nonce = sealed.subarray(0, NONCE);
    if (!this.#crypto.open("xsalsa20poly1305", text, sealed.subarray(NONCE), nonce, this.#secret)) {
      return undefined;
    }
    try {
      return decode(punchPayload, text);
    } catch (error) {
      if (error instanceof DecodeError) return undefined;
      throw error;
    }
  }

  /** The token for whoever receives at the host of `address`; only this side can make it. 32 bytes. */
  token(address: SocketAddress): Uint8Array {
    return blake2b(this.#crypto, [new TextEncoder().encode(address.host)], this.#tokenKey);
  }
}
