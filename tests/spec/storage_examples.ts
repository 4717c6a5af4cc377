/** How the examples of `docs/spec/storage.md` and `storage-sqlite.md` are made: from the values on the page, with our own code. */
import { crc32 } from "node:zlib";
import { defaultManifest, manifest } from "../../core/log/manifest.ts";
import { EMPTY_TREE, TreeBatch } from "../../core/log/merkle_tree.ts";
import { Verifier } from "../../core/log/verifier.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { FrameWriter } from "../../core/storage/deferred/frame_writer.ts";
import { place } from "../../core/storage/deferred/place.ts";
import { Ring } from "../../core/storage/deferred/ring.ts";
import type { EngineChange } from "../../core/storage/journal.ts";
import { SimulatedDisk } from "../../core/storage/mod.ts";
import { packsOf } from "../../core/storage/packs.ts";
import { logAuth, logHead, logHints } from "../../core/storage/records.ts";
import { type OplogEntry, oplogEntry } from "../../core/storage/v10/entry.ts";
import { v10Header } from "../../core/storage/v10/header.ts";
import { encodeFrame } from "../../core/storage/v10/oplog.ts";
import { type Codec, encode } from "../../encoding/codec.ts";
import { concat } from "../../encoding/bytes.ts";
import { uint64 } from "../../encoding/fixed.ts";
import { SimulatedFolder } from "../storage/v10/simulated_folder.ts";
import { seed, utf8, wasm } from "../crypto/support.ts";

// deno-lint-ignore no-explicit-any
type AnyCodec = Codec<any, any>;

const pair = wasm.keyPair(seed(1));
const tree = new TreeBatch(wasm, EMPTY_TREE);
for (const text of ["a", "bc"]) tree.append(utf8(text));
const signature = new Verifier(wasm, pair.publicKey).sign(tree, pair);

const append: OplogEntry = {
  userData: undefined,
  treeNodes: tree.nodes,
  treeUpgrade: { fork: 0, ancestors: 0, length: 2, signature },
  bitfield: { isDrop: false, start: 0, length: 2 },
};
const clear: OplogEntry = {
  userData: undefined,
  treeNodes: undefined,
  treeUpgrade: undefined,
  bitfield: { isDrop: true, start: 1, length: 1 },
};
const header = {
  key: pair.publicKey,
  manifest: encode(manifest, defaultManifest(pair.publicKey)),
  keyPair: pair,
  userData: [{ key: "n", value: Uint8Array.of(7) }],
  tree: { fork: 0, length: 2, rootHash: tree.hash(), signature },
  reorgs: [],
  contiguousLength: 2,
};
const { size, hash } = tree.nodes[1]!;

const auth = { key: pair.publicKey, flags: 0, manifest: header.manifest, keyPair: pair };
const head = { fork: 0, length: 2, rootHash: tree.hash(), signature, flags: 0, timestamp: 0 };
const pack = [...packsOf(["a", "bc"].map((text, index) => ({ index, value: utf8(text) })), 8)][0]!.value;
const change: EngineChange = { type: "put", layer: 1, kind: "block", index: 2, value: utf8("def") };

/** The frame of a transaction that puts one block. */
function ringFrame(): Uint8Array {
  const disk = new SimulatedDisk({ random: new SeededRandom(1) });
  const folder = new SimulatedFolder(disk);
  const crc = (bytes: Uint8Array, start: number) => crc32(bytes, start);
  const ring = new Ring({ file: folder.file("ring"), capacity: 1000, crc32: crc }, 0);
  const writer = new FrameWriter();
  writer.begin();
  writer.add({ ...change });
  ring.write(writer.take(), { epoch: 2 ** 32, number: 7 });
  return disk.file("ring").read().subarray(0, ring.head);
}

/** Name, what reads it, bytes. */
export const storageExamples: readonly (readonly [string, AnyCodec | undefined, Uint8Array])[] = [
  ["v10-frame", undefined, encodeFrame(oplogEntry, clear, 1)],
  ["v10-header", v10Header, encode(v10Header, header)],
  ["v10-header-external", v10Header, encode(v10Header, { start: 4096, length: 5000 })],
  ["v10-entry", oplogEntry, encode(oplogEntry, append)],
  ["sqlite-auth", logAuth, encode(logAuth, auth)],
  ["sqlite-head", logHead, encode(logHead, head)],
  [
    "sqlite-hints",
    logHints,
    encode(logHints, { contiguousLength: 2, remoteContiguousLength: 1, recovering: false }),
  ],
  ["sqlite-pack", undefined, pack],
  ["sqlite-place", place, encode(place, { file: 1, offset: 65_536, length: 5000, sum: 0x01020304 })],
  ["sqlite-frame", undefined, ringFrame()],
  ["v10-node", undefined, concat([encode(uint64, size), hash])],
];
