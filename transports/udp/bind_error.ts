/**
 * What a failed bind means, in hypha's words.
 */
import type { SocketAddress } from "../../encoding/address.ts";
import { ConnectError } from "../../core/runtime/errors.ts";

/** The error to throw when binding `local` failed with `cause`. */
export function bindError(local: SocketAddress, cause: unknown): ConnectError {
  const isInUse = cause instanceof Error &&
    (Reflect.get(cause, "code") === "EADDRINUSE" || cause.name === "AddrInUse");
  if (isInUse) {
    return new ConnectError("ADDRESS_IN_USE", `Another socket has ${local}: choose another port, or 0`, {
      cause,
    });
  }
  return new ConnectError(
    "ADDRESS_UNUSABLE",
    `Cannot bind ${local}: is it an address of this machine, and is the program allowed to use it?`,
    { cause },
  );
}
