/** Which blind relay to use, as the caller says it. */
import type { Random } from "../core/runtime/runtime.ts";

/**
 * A relay by its public key, 32 bytes; several, one of which is drawn for each connection; or a function that is asked for each
 * connection, with the peer's key.
 */
export type RelayChoice =
  | Uint8Array
  | readonly Uint8Array[]
  | ((remotePublicKey: Uint8Array) => Uint8Array | readonly Uint8Array[] | undefined);

/**
 * The relay of one connection; undefined = none.
 *
 * @throws {TypeError} if what was chosen is no key.
 */
export function chooseRelay(
  random: Random,
  choice: RelayChoice | undefined,
  remotePublicKey: Uint8Array,
): Uint8Array | undefined {
  const chosen = typeof choice === "function" ? choice(remotePublicKey) : choice;
  const key = chosen === undefined || chosen instanceof Uint8Array
    ? chosen
    : chosen[random.below(Math.max(1, chosen.length))];
  if (key !== undefined && key.length !== 32) {
    throw new TypeError(`A relay is named by its public key of 32 bytes, not by ${key.length}`);
  }
  return key;
}
