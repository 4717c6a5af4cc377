/**
 * Manifests as hypercore 11 stores them. Those of version 0 have another form there than on the wire; all others are the same.
 */
import { fixed32, rawBuffer } from "../../../encoding/buffers.ts";
import { Cursor, DecodeError, encode } from "../../../encoding/codec.ts";
import { decodeCount } from "../../../encoding/lists.ts";
import { uint } from "../../../encoding/varint.ts";
import { concat } from "../../../encoding/bytes.ts";

const ALLOW_PATCH = 1;
const HAS_PROLOGUE = 2;
/** Kinds of manifests of version 0 on the wire. */
const STATIC = 0;
const SINGLE = 1;
const MULTIPLE = 2;
/** How a signer signs, its namespace and its public key. */
const SIGNER_BYTES = 65;

/** A manifest in the form of the wire. @throws {DecodeError} if it is none. */
export function toWireManifest(stored: Uint8Array): Uint8Array {
  const cursor = new Cursor(stored);
  if (uint.decode(cursor) !== 0) return stored.slice();
  const flags = uint.decode(cursor);
  const algorithm = uint.decode(cursor);
  if (algorithm !== 0) throw new DecodeError(`The hash ${algorithm} is not known`, cursor.start);
  const quorum = uint.decode(cursor);
  const signers = Array.from({ length: decodeCount(cursor) }, () => {
    const at = cursor.take(SIGNER_BYTES);
    return stored.subarray(at, at + SIGNER_BYTES);
  });
  const prologue = (flags & HAS_PROLOGUE) !== 0 ? fixed32.decode(cursor) : undefined;
  const allowPatch = flags & ALLOW_PATCH;
  const begin = [0, 0]; // the version, and the hash
  if (signers.length === 0 && prologue !== undefined) {
    return concat([Uint8Array.of(...begin, STATIC), prologue]);
  }
  if (signers.length === 1 && quorum === 1 && allowPatch === 0) {
    return concat([Uint8Array.of(...begin, SINGLE), signers[0]!]);
  }
  const counts = [quorum, signers.length].map((count) => encode(uint, count));
  const list = signers.map((signer) => encode(rawBuffer, signer));
  return concat([Uint8Array.of(...begin, MULTIPLE, allowPatch), ...counts, ...list]);
}
