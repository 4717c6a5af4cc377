/**
 * What the records of a store are called that a corestore keeps in it, whatever store that is.
 */
import { toHex } from "../../encoding/text.ts";
import { MAX_NAME_LENGTH } from "./storage.ts";

/** 32 bytes from which a corestore makes the key pairs of its logs: its primary key. */
export const PRIMARY_KEY_RECORD = "primaryKey";
/** What the names of the records begin with that say which log has a name; their values are discovery keys. */
export const ALIAS_PREFIX = "alias/";

/**
 * The record that says which log is called `name` in `namespace`, 32 bytes; undefined if no record can be called so, since the name
 * is too long, or has a zero or half a character in it.
 */
export function aliasRecord(namespace: Uint8Array, name: string): string | undefined {
  const record = `${ALIAS_PREFIX}${toHex(namespace)}/${name}`;
  const isName = record.length <= MAX_NAME_LENGTH && record.isWellFormed() && !record.includes("\0");
  return isName ? record : undefined;
}
