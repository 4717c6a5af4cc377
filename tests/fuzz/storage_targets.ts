/**
 * Fuzz targets for `core/storage/`: what is read back from a disk that may have rotted.
 */
import { decode, decodeExact, encode } from "../../encoding/codec.ts";
import { mark } from "../../core/storage/deferred/mark.ts";
import { place } from "../../core/storage/deferred/place.ts";
import { engineChange } from "../../core/storage/journal.ts";
import { logAuth, logHead, logHints, nodeValue } from "../../core/storage/records.ts";
import { oplogEntry } from "../../core/storage/v10/entry.ts";
import { manifestBytes, type V10Header, v10Header } from "../../core/storage/v10/header.ts";
import { decodeOplog, encodeFrame, SLOT_BYTES } from "../../core/storage/v10/oplog.ts";
import { concat } from "../../encoding/bytes.ts";
import { fromHex } from "../../encoding/text.ts";
import type { FuzzTarget } from "./target.ts";

const bytes = (size: number) => new Uint8Array(size).fill(size);

/** A manifest of version 1, and one of version 0 with two signers. */
const MANIFESTS = [
  concat([Uint8Array.of(1, 2, 0, 1, 1, 0), bytes(64), bytes(32), Uint8Array.of(7)]),
  concat([Uint8Array.of(0, 0, 2, 1, 2, 2, 0), bytes(64), Uint8Array.of(0), bytes(64)]),
];
const HEADER: V10Header = {
  key: bytes(32),
  manifest: MANIFESTS[0],
  keyPair: { publicKey: bytes(32), secretKey: bytes(64) },
  userData: [{ key: "corestore/name", value: bytes(4) }],
  tree: { fork: 1, length: 300, rootHash: bytes(32), signature: bytes(64) },
  reorgs: [{ from: 0, to: 1, ancestors: 7 }],
  contiguousLength: 70_000,
};
const ENTRY = {
  userData: { key: "é", value: bytes(3) },
  treeNodes: [{ index: 2 ** 33, size: 9, hash: bytes(32) }],
  treeUpgrade: { fork: 1, ancestors: 2, length: 3, signature: bytes(64) },
  bitfield: { isDrop: true, start: 2 ** 40, length: 5 },
};
/** Version, types, no user data, an empty tree, a key pair, hints: the header of a log of the first releases. */
const OLD_HEADER = concat([
  fromHex("0007626c616b65326203726177076564323535313900" + "00000000" + "20"),
  bytes(32),
  Uint8Array.of(0, 0),
]);
/** Both places, and two entries that belong together. */
const OPLOG = concat([
  padded(encodeFrame(v10Header, HEADER, 0)),
  padded(encodeFrame(v10Header, { start: 4096, length: 5000 }, 0)),
  encodeFrame(oplogEntry, ENTRY, 0, true),
  encodeFrame(oplogEntry, { ...ENTRY, userData: undefined }, 0),
]);

function padded(frame: Uint8Array): Uint8Array {
  return concat([frame, new Uint8Array(SLOT_BYTES - frame.length)]);
}

/** Everything that a store decodes. */
export const targets: readonly FuzzTarget[] = [
  {
    name: "v10Header",
    seeds: [encode(v10Header, HEADER), encode(v10Header, { start: 8192, length: 70_000 }), OLD_HEADER],
    run: (input) => void decode(v10Header, input),
  },
  {
    name: "manifestBytes",
    seeds: MANIFESTS,
    run: (input) => void decode(manifestBytes, input),
  },
  {
    name: "oplogEntry",
    covers: ["userDatum"],
    seeds: [encode(oplogEntry, ENTRY), encode(oplogEntry, { ...ENTRY, treeNodes: undefined })],
    run: (input) => void decode(oplogEntry, input),
  },
  {
    name: "decodeOplog",
    seeds: [OPLOG, OPLOG.slice(0, 100), OPLOG.slice(0, OPLOG.length - 3)],
    run: (input) => String(decodeOplog(input)?.entries.length),
  },
  {
    name: "logAuth",
    seeds: [
      encode(logAuth, { key: bytes(32), flags: 0 }),
      encode(logAuth, {
        key: bytes(32),
        flags: 3,
        manifest: bytes(80),
        keyPair: { publicKey: bytes(32), secretKey: bytes(64) },
        encryptionKey: bytes(32),
      }),
    ],
    run: (input) => void decodeExact(logAuth, input),
  },
  {
    name: "logHead",
    seeds: [encode(logHead, {
      fork: 1,
      length: 2 ** 40,
      rootHash: bytes(32),
      signature: bytes(64),
      flags: 0,
      timestamp: 1.7e12,
    })],
    run: (input) => void decodeExact(logHead, input),
  },
  {
    name: "logHints",
    seeds: [encode(logHints, { contiguousLength: 300, remoteContiguousLength: 9, recovering: true })],
    run: (input) => void decodeExact(logHints, input),
  },
  {
    name: "nodeValue",
    seeds: [encode(nodeValue, { size: 70_000, hash: bytes(32) })],
    run: (input) => void decodeExact(nodeValue, input),
  },
  {
    name: "place",
    seeds: [encode(place, { file: 3, offset: 2 ** 33, length: 65_536, sum: 0xfffffffe })],
    run: (input) => void decodeExact(place, input),
  },
  {
    name: "mark",
    seeds: [encode(mark, { epoch: 2 ** 33, number: 7, position: 300 })],
    run: (input) => void decodeExact(mark, input),
  },
  {
    name: "engineChange",
    seeds: [
      encode(engineChange, { type: "put", layer: 1, kind: "block", index: 2 ** 33, value: bytes(9) }),
      encode(engineChange, { type: "delete", layer: 1, kind: "node", start: 1, end: -1 }),
      encode(engineChange, { type: "copy", layer: 1, kind: "page", start: 1, end: 7, to: 2 }),
      encode(engineChange, { type: "name", layer: 0, name: "log:é", value: bytes(3) }),
      encode(engineChange, { type: "unname", layer: 0, name: "a" }),
      encode(engineChange, { type: "purge", layer: 300 }),
    ],
    run: (input) => void decodeExact(engineChange, input),
  },
];
