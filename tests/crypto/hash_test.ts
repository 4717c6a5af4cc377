/** Namespaces and the hashes of a log, against the reference. */
import assert from "node:assert/strict";
import {
  blake2b,
  discoveryKey,
  leafHash,
  parentHash,
  treeHash,
  type TreeNode,
} from "../../core/crypto/hash.ts";
import { keyPairFromSeed, namespace } from "../../core/crypto/keys.ts";
import { test } from "../harness.ts";
import {
  type CryptoVectors,
  hex,
  pattern,
  readVectors,
  seed,
  testEach,
  unhex,
  utf8,
  type VectorNode,
  wasm,
} from "./support.ts";

const vectors = readVectors<CryptoVectors>("crypto.json");

function nodeOf({ index, size, n }: VectorNode): TreeNode {
  return { index, size, hash: pattern(32, n) };
}

testEach("namespaces are the reference's, by id and not by position", (crypto) => {
  for (const { name, ids, values } of vectors.namespaces) {
    assert.deepEqual(namespace(crypto, name, ids).map(hex), values, name);
  }
  const byCount = namespace(crypto, "hyperswarm/secret-stream", 3);
  assert.deepEqual(byCount, namespace(crypto, "hyperswarm/secret-stream", [0, 1, 2]));
  assert.equal(hex(byCount[0]!), "a931a0155b5c09e6d28628236af83c4b8a6af9af60986edeede9dc5d63192bf7");
});

test("an id that is no byte is refused", () => {
  for (const id of [-1, 256, 0.5, NaN]) assert.throws(() => namespace(wasm, "name", [id]), RangeError);
});

testEach("leaf, parent and tree hashes are the reference's", (crypto) => {
  const { leaves, parents, roots, discoveryKeys } = vectors.tree;
  for (const { length, hash } of leaves) assert.equal(hex(leafHash(crypto, pattern(length, 1))), hash);
  for (const { nodes, hash } of parents) {
    const [a, b] = [nodeOf(nodes[0]), nodeOf(nodes[1])];
    assert.equal(hex(parentHash(crypto, a, b)), hash);
    assert.equal(hex(parentHash(crypto, b, a)), hash, "the order of the arguments does not matter");
  }
  for (const { roots: list, hash } of roots) assert.equal(hex(treeHash(crypto, list.map(nodeOf))), hash);
  for (const { publicKey, key } of discoveryKeys) {
    assert.equal(hex(discoveryKey(crypto, unhex(publicKey))), key);
  }
});

test("a hash of the wrong size cannot shift its neighbours", () => {
  assert.throws(() => treeHash(wasm, [{ index: 0, size: 1, hash: new Uint8Array(31) }]), RangeError);
  assert.throws(() => discoveryKey(wasm, new Uint8Array(31)), RangeError);
  assert.throws(() => keyPairFromSeed(wasm, new Uint8Array(33)), RangeError);
});

testEach("tokens of the DHT and the punch secret are keyed hashes", (crypto) => {
  const token = blake2b(crypto, [utf8("127.0.0.1")], seed(5));
  assert.equal(hex(token), "d272d4fca0f4c5ec25796cb4408605dedf60d5f9fc0b5fdc8fe558e8c47d6b72");
  const handshakeHash = unhex(
    "0fa9c23e501afe96dec8beff3b6a090c1be10456bb06500e829a451f60a0e12bcecdf6b5bf6bd1fc9ade2fc8aded1d4b6d9a5ec369187453d4ced3e0ffc5648c",
  );
  const secret = blake2b(crypto, namespace(crypto, "hyperswarm/dht", [1]), handshakeHash);
  assert.equal(hex(secret), "626af7b2162b7ad2fc2553c86c2f01c754c25211882e4a270dac21f3b6e876d1");
  const id = blake2b(crypto, [Uint8Array.of(127, 0, 0, 1, 0x49, 0xc2)]);
  assert.equal(hex(id), "d1dcf835b0d62b9230c41393cb96a34f5f8b9f814f421ca3382dfc1678022e0e");
});
