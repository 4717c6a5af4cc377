/**
 * Fuzz targets for `core/storage/`: what is read back from a disk that may have rotted.
 */
import { decodeExact, encode } from "../../encoding/codec.ts";
import { engineChange } from "../../core/storage/journal.ts";
import { logAuth, logHead, logHints, nodeValue } from "../../core/storage/records.ts";
import type { FuzzTarget } from "./target.ts";

const bytes = (size: number) => new Uint8Array(size).fill(size);

/** Everything that a store decodes. */
export const targets: readonly FuzzTarget[] = [
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
