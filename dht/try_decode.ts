/** Decoding what strangers send where nonsense is simply ignored. */
import { type Codec, decode, DecodeError } from "../encoding/codec.ts";

/** The value that `bytes` encode; undefined if there are none, or they encode nothing. */
export function tryDecode<T>(codec: Codec<T, never>, bytes: Uint8Array | undefined): T | undefined {
  if (bytes === undefined) return undefined;
  try {
    return decode(codec, bytes);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}
