/**
 * Tokens: proof that whoever writes has been answered at its address shortly before.
 *
 * A token is a keyed hash of the host, and binds neither the port nor the target. The secret changes every 7.5 s and the one before
 * stays valid, so that a token lives 7.5 to 15 s. Source: dht-rpc 6.27.0, lib/io.js.
 */
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import type { Random } from "../../core/runtime/runtime.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { equals } from "../../encoding/bytes.ts";
import { ID_BYTES, TOKEN_ROTATION_MS } from "./constants.ts";

/** Makes and checks tokens. Needs no timer: secrets change when they are next used. */
export class Tokens {
  readonly #crypto: CryptoProvider;
  readonly #random: Random;
  /** The current secret and the one before. */
  #secrets: [Uint8Array, Uint8Array] | undefined;
  #period = 0;
  /** The dotted form of the host: at most 15 bytes. */
  readonly #text = new Uint8Array(15);

  /** Draws its secrets from `random`. */
  constructor(crypto: CryptoProvider, random: Random) {
    this.#crypto = crypto;
    this.#random = random;
  }

  /** The token of the host of `address`, for replies that are sent at `now`. */
  make(now: number, address: SocketAddress): Uint8Array {
    return this.#hash(address, this.#current(now)[0]);
  }

  /** Whether `token` was given to the host of `address` and is not too old. */
  check(now: number, address: SocketAddress, token: Uint8Array): boolean {
    const [current, previous] = this.#current(now);
    return equals(token, this.#hash(address, current)) || equals(token, this.#hash(address, previous));
  }

  #current(now: number): [Uint8Array, Uint8Array] {
    const period = Math.floor(now / TOKEN_ROTATION_MS);
    if (this.#secrets === undefined || period > this.#period + 1) {
      this.#secrets = [this.#draw(), this.#draw()];
    } else if (period > this.#period) this.#secrets = [this.#draw(), this.#secrets[0]];
    this.#period = period;
    return this.#secrets;
  }

  #draw(): Uint8Array {
    return this.#random.fill(new Uint8Array(ID_BYTES));
  }

  #hash(address: SocketAddress, secret: Uint8Array): Uint8Array {
    const token = new Uint8Array(ID_BYTES);
    this.#crypto.hash(token, [this.#text.subarray(0, this.#writeHost(address.bits))], secret);
    return token;
  }

  /** Writes the dotted form of `bits` without making a string, and returns its length. */
  #writeHost(bits: number): number {
    const text = this.#text;
    let at = 0;
    for (let shift = 24; shift >= 0; shift -= 8) {
      const octet = bits >>> shift & 0xff;
      if (octet >= 100) text[at++] = 0x30 + Math.floor(octet / 100);
      if (octet >= 10) text[at++] = 0x30 + Math.floor(octet / 10) % 10;
      text[at++] = 0x30 + octet % 10;
      if (shift > 0) text[at++] = 0x2e;
    }
    return at;
  }
}
