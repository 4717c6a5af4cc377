/** Which blind relay to use, as the caller says it. */
import type { Random } from "../core/runtime/runtime.ts";
import type { RelayThrough } from "./handshake_messages.ts";
import { RELAY_TOKEN_BYTES } from "./relay_messages.ts";

/**
 * A relay by its public key, 32 bytes; several, one of which is drawn for each connection; or a function that is asked for each
 * connection, with the peer's key.
 */
export type RelayChoice =
  | Uint8Array
  | readonly Uint8Array[]
  | ((remotePublicKey: Uint8Array) => Uint8Array | readonly Uint8Array[] | undefined);

/**
 * What to offer for one connection: a relay, and a fresh token to show there; undefined = none.
 *
 * @throws {TypeError} if what was chosen is no key; what the function throws.
 */
export function offerRelay(
  random: Random,
  choice: RelayChoice | undefined,
  remotePublicKey: Uint8Array,
): RelayThrough | undefined {
  const chosen = typeof choice === "function" ? choice(remotePublicKey) : choice;
  const publicKey = chosen === undefined || chosen instanceof Uint8Array
    ? chosen
    : chosen[random.below(Math.max(1, chosen.length))];
  if (publicKey === undefined) return undefined;
  if (publicKey.length !== 32) {
    throw new TypeError(`A relay is named by its public key of 32 bytes, not by ${publicKey.length}`);
  }
  return { publicKey, token: random.fill(new Uint8Array(RELAY_TOKEN_BYTES)) };
}
