/** Manifests and keys, against the reference. */
import assert from "node:assert/strict";
import { decodeExact, encode } from "../../encoding/codec.ts";
import { namespace } from "../../core/crypto/keys.ts";
import { MAX_LINKED, MAX_SIGNERS } from "../../core/log/constants.ts";
import { LOG_NAMESPACES } from "../../core/log/namespaces.ts";
import {
  createManifest,
  defaultManifest,
  isCompatKey,
  isKeyOf,
  manifest,
  manifestKey,
  type ManifestOptions,
} from "../../core/log/manifest.ts";
import { hex, pattern, seed, testEach, unhex, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { keyPairOf } from "./signed_log.ts";
import { type RecordedOptions, vectors } from "./support.ts";

function optionsOf({ signers, prologue, linked, userData, ...rest }: RecordedOptions): ManifestOptions {
  return {
    ...rest,
    ...(signers && {
      signers: signers.map(({ publicKey, namespace }) => ({
        publicKey: unhex(publicKey),
        namespace: namespace === undefined ? undefined : unhex(namespace),
      })),
    }),
    prologue: prologue && { ...prologue, hash: unhex(prologue.hash) },
    linked: linked?.map(unhex),
    userData: userData === undefined ? undefined : unhex(userData),
  };
}

testEach("namespaces of logs are those that their name gives", (crypto) => {
  const names = [
    "tree",
    "replicateInitiator",
    "replicateResponder",
    "manifest",
    "defaultNamespace",
    "defaultEncryption",
  ];
  assert.deepEqual(Object.keys(LOG_NAMESPACES), names);
  assert.deepEqual(Object.values(LOG_NAMESPACES), namespace(crypto, "hypercore", 6));
  for (const [name, value] of vectors.namespaces) {
    const key = name.toLowerCase().replace(/_./, (match) => match[1]!.toUpperCase());
    assert.equal(hex(LOG_NAMESPACES[key as keyof typeof LOG_NAMESPACES]), value, name);
  }
});

testEach("manifests are the reference's bytes, and their keys its keys", (crypto) => {
  for (const { name, options, quorum, bytes, key } of vectors.manifests) {
    const made = createManifest(optionsOf(options));
    assert.equal(made.quorum, quorum, name);
    assert.equal(hex(encode(manifest, made)), bytes, name);
    assert.equal(hex(manifestKey(crypto, made)), key, name);
    const read = decodeExact(manifest, unhex(bytes));
    assert.deepEqual(read, made, name);
    assert.ok(isKeyOf(crypto, unhex(key), read));
    assert.ok(!isKeyOf(crypto, seed(99), read));
  }
});

test("manifest: the key of the only signer is a key of its log, and that of one of two is not", () => {
  const [a, b] = [keyPairOf(1), keyPairOf(2)];
  assert.ok(isCompatKey(a.publicKey, defaultManifest(a.publicKey)));
  assert.ok(!isCompatKey(a.publicKey, createManifest({ signers: [a, b] })));
  assert.ok(!isKeyOf(wasm, b.publicKey, defaultManifest(a.publicKey)));
});

test("manifest: what none can say is refused when it is made", () => {
  const signers = [keyPairOf(1)];
  const hash = pattern(32, 1);
  const wrong: ManifestOptions[] = [
    { version: 4, signers },
    { version: -1, signers },
    { quorum: 2, signers },
    { quorum: -1, signers },
    { quorum: 0.5, signers },
    { version: 1, signers, userData: hash },
    { version: 0, signers, linked: [hash] },
    { signers, linked: [hash.subarray(1)] },
    { signers, linked: new Array(MAX_LINKED + 1).fill(hash) },
    { signers: new Array(MAX_SIGNERS + 1).fill(signers[0]) },
    { signers: [{ publicKey: hash.subarray(1) }] },
    { signers: [{ publicKey: hash, namespace: hash.subarray(1) }] },
    { prologue: { hash: hash.subarray(1), length: 1 } },
    { prologue: { hash, length: -1 } },
    { prologue: { hash, length: 2 ** 52 } },
    { version: 0, prologue: { hash, length: 1 } },
    { version: 0, signers, prologue: { hash, length: 0 } },
  ];
  for (const options of wrong) assert.throws(() => createManifest(options), RangeError);
});

test("manifest: unknown versions, kinds and algorithms are not read, nor too long lists", () => {
  const single = encode(manifest, defaultManifest(seed(1)));
  for (const [at, value] of [[0, 4], [2, 1], [5, 1]] as const) {
    const bytes = single.slice();
    bytes[at] = value;
    assert.throws(() => decodeExact(manifest, bytes), { name: "DecodeError" }, `byte ${at}`);
  }
  assert.throws(() => decodeExact(manifest, Uint8Array.of(0, 0, 3)), { name: "DecodeError" });
  const signers = new Array(MAX_SIGNERS + 1).fill({ namespace: seed(1), publicKey: seed(2) });
  const long = encode(manifest, { version: 1, allowPatch: false, quorum: 1, signers });
  assert.throws(() => decodeExact(manifest, long), /at most 1024 signers/);
  const linked = new Array(MAX_LINKED + 1).fill(seed(2));
  const many = encode(manifest, { version: 2, allowPatch: false, quorum: 0, signers: [], linked });
  assert.throws(() => decodeExact(manifest, many), /at most 4096 linked keys/);
});
