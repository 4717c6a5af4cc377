/** How the examples of `docs/spec/storage.md` are made: from the values that the page names, with our own code. */
import { defaultManifest, manifest } from "../../core/log/manifest.ts";
import { EMPTY_TREE, TreeBatch } from "../../core/log/merkle_tree.ts";
import { Verifier } from "../../core/log/verifier.ts";
import { type OplogEntry, oplogEntry } from "../../core/storage/v10/entry.ts";
import { v10Header } from "../../core/storage/v10/header.ts";
import { encodeFrame } from "../../core/storage/v10/oplog.ts";
import { type Codec, encode } from "../../encoding/codec.ts";
import { concat } from "../../encoding/bytes.ts";
import { uint64 } from "../../encoding/fixed.ts";
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

/** Name, what reads it, bytes. */
export const storageExamples: readonly (readonly [string, AnyCodec | undefined, Uint8Array])[] = [
  ["v10-frame", undefined, encodeFrame(oplogEntry, clear, 1)],
  ["v10-header", v10Header, encode(v10Header, header)],
  ["v10-header-external", v10Header, encode(v10Header, { start: 4096, length: 5000 })],
  ["v10-entry", oplogEntry, encode(oplogEntry, append)],
  ["v10-node", undefined, concat([encode(uint64, size), hash])],
];
