/**
 * Records what the reference's cryptography answers: `node record_crypto.mjs > ../../vectors/crypto.json`. Every input is
 * derived from fixed bytes, so that a second run gives the same file.
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import SecretStream from "@hyperswarm/secret-stream";
import hypercoreCrypto from "hypercore-crypto";
import sodium from "sodium-native";

const require = createRequire(import.meta.url);
const versions = Object.fromEntries(
  [
    "sodium-native",
    "hypercore-crypto",
    "noise-curve-ed",
    "@hyperswarm/secret-stream",
  ]
    .map((name) => [name, require(`${name}/package.json`).version]),
);

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const seed = (n) => Buffer.alloc(32, n);
/** `length` bytes that differ from each other and depend on `n`; tests make them the same way. */
const pattern = (length, n) =>
  Buffer.from(
    Array.from({ length }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255),
  );
const keyPair = (n) => hypercoreCrypto.keyPair(seed(n));
const digest = (bytes) => {
  const out = Buffer.alloc(32);
  sodium.crypto_generichash(out, bytes);
  return hex(out);
};
/** Long results are kept as a hash. */
const result = (bytes) => bytes.length <= 200 ? hex(bytes) : `blake2b:${digest(bytes)}`;
const attempt = (call) => {
  try {
    return call();
  } catch {
    return null;
  }
};

const namespaces = [
  ["hyperswarm/dht", [4, 5, 6, 0, 1, 10]],
  ["hyperswarm/secret-stream", [0, 1, 2]],
  ["hypercore", [0, 1, 2, 3, 4, 5]],
  ["", [255]],
].map(([name, ids]) => ({
  name,
  ids,
  values: hypercoreCrypto.namespace(name, ids).map(hex),
}));

const keyPairs = [0, 1, 2, 5, 255].map((n) => {
  const { publicKey, secretKey } = keyPair(n);
  return {
    seed: hex(seed(n)),
    publicKey: hex(publicKey),
    secretKey: hex(secretKey),
  };
});

const hashes = [];
for (
  const length of [
    0,
    1,
    32,
    64,
    127,
    128,
    129,
    255,
    1000,
    65535,
    65536,
    65792,
    65793,
    200000,
  ]
) {
  for (
    const [outLength, keyLength] of [[32, 0], [64, 0], [16, 0], [32, 32], [
      64,
      64,
    ], [32, 16]]
  ) {
    const out = Buffer.alloc(outLength);
    const key = keyLength === 0 ? undefined : pattern(keyLength, 3);
    sodium.crypto_generichash(out, pattern(length, 1), key);
    hashes.push({ length, keyLength, out: hex(out) });
  }
}

const node = (index, size, n) => ({ index, size, hash: pattern(32, n) });
const tree = {
  leaves: [0, 1, 100, 70000].map((length) => ({
    length,
    hash: hex(hypercoreCrypto.data(pattern(length, 1))),
  })),
  parents: [[[0, 3, 4], [2, 5, 5]], [[6, 2 ** 33 + 1, 6], [2, 7, 7]]].map((
    pair,
  ) => ({
    nodes: pair.map(([index, size, n]) => ({ index, size, n })),
    hash: hex(hypercoreCrypto.parent(...pair.map((each) => node(...each)))),
  })),
  roots: [[], [[0, 3, 4]], [[1, 8, 4], [2 ** 40, 2 ** 50 + 3, 5]]].map((
    roots,
  ) => ({
    roots: roots.map(([index, size, n]) => ({ index, size, n })),
    hash: hex(hypercoreCrypto.tree(roots.map((each) => node(...each)))),
  })),
  discoveryKeys: [1, 9].map((n) => ({
    publicKey: hex(seed(n)),
    key: hex(hypercoreCrypto.discoveryKey(seed(n))),
  })),
};

const lengths = [0, 1, 15, 16, 17, 63, 64, 65, 1000, 65536, 70001];
const seals = [];
for (const length of lengths) {
  const text = pattern(length, 2);
  for (const adLength of [0, 64]) {
    const out = Buffer.alloc(length + 16);
    const ad = adLength === 0 ? null : pattern(adLength, 5);
    sodium.crypto_aead_chacha20poly1305_ietf_encrypt(
      out,
      text,
      ad,
      null,
      pattern(12, 4),
      pattern(32, 3),
    );
    seals.push({
      cipher: "chacha20poly1305",
      length,
      adLength,
      out: result(out),
    });
  }
  const out = Buffer.alloc(length + 16);
  sodium.crypto_secretbox_easy(out, text, pattern(24, 4), pattern(32, 3));
  seals.push({
    cipher: "xsalsa20poly1305",
    length,
    adLength: 0,
    out: result(out),
  });
}

const xors = [...lengths, 131072, 200001].map((length) => {
  const out = Buffer.alloc(length);
  sodium.crypto_stream_xor(
    out,
    pattern(length, 2),
    pattern(24, 4),
    pattern(32, 3),
  );
  return { length, out: result(out) };
});

const STATE = sodium.crypto_secretstream_xchacha20poly1305_STATEBYTES;
const streamKey = seed(6);
const streamHeader = Buffer.from(
  "69db0721124bfb0fd5cd025050ff456ab788182b53d54d08",
  "hex",
);

/** A sender that starts from a given header instead of drawing one; checked against init_push. */
function sender(key, header) {
  const drawn = Buffer.alloc(24);
  const pushState = Buffer.alloc(STATE);
  const pullState = Buffer.alloc(STATE);
  sodium.crypto_secretstream_xchacha20poly1305_init_push(pushState, drawn, key);
  sodium.crypto_secretstream_xchacha20poly1305_init_pull(pullState, drawn, key);
  assert.deepEqual(pushState, pullState);
  sodium.crypto_secretstream_xchacha20poly1305_init_pull(
    pullState,
    header,
    key,
  );
  return (text, tag) => {
    const out = Buffer.alloc(text.length + 17);
    sodium.crypto_secretstream_xchacha20poly1305_push(
      pullState,
      out,
      text,
      null,
      tag,
    );
    return out;
  };
}
const sendMessage = sender(streamKey, streamHeader);
const sendTagged = sender(streamKey, streamHeader);
const secretStream = {
  key: hex(streamKey),
  header: hex(streamHeader),
  hello: [hex(sender(streamKey, streamHeader)(Buffer.from("hello"), 0))],
  messages: lengths.map((length) => ({
    length,
    out: result(sendMessage(pattern(length, 2), 0)),
  })),
  // tags that hypha never sends and a peer may: push, rekey (after which the keys change), final (which rekeys, too)
  tagged: [0, 1, 2, 0, 3, 0].map((tag) => ({
    tag,
    out: hex(sendTagged(pattern(20, tag), tag)),
  })),
};

const signatures = [0, 1, 100, 70001].map((length) => ({
  length,
  signature: hex(
    hypercoreCrypto.sign(pattern(length, 2), keyPair(1).secretKey),
  ),
}));

// ---- points and signatures at the edges of the curve ----

/** The eight points of small order. */
const torsion = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];
/** Other spellings: y = p, p + 1, p + 3 to p + 5, 2^255 - 1, and the sign of an x that is 0. */
const notCanonical = [
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "f1ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "f2ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];
const add = (a, b) => {
  const out = Buffer.alloc(32);
  sodium.crypto_core_ed25519_add(out, a, b);
  return out;
};
const honest = keyPair(2).publicKey;
const mixed = torsion.slice(1).map((point) => hex(add(honest, Buffer.from(point, "hex"))));
const notOnCurve = [];
for (let y = 2; notOnCurve.length < 3; y++) {
  const point = Buffer.alloc(32);
  point[0] = y;
  if (attempt(() => add(point, honest)) === null) notOnCurve.push(hex(point));
}

const dh = (secretKey, publicKey) => {
  const scalar = Buffer.alloc(64);
  sodium.crypto_hash_sha512(scalar, secretKey.subarray(0, 32));
  scalar[0] &= 248;
  scalar[31] = scalar[31] & 127 | 64;
  const out = Buffer.alloc(32);
  sodium.crypto_scalarmult_ed25519_noclamp(
    out,
    scalar.subarray(0, 32),
    publicKey,
  );
  return hex(out);
};
const exchanges = [
  ["good", [
    hex(honest),
    hex(keyPair(1).publicKey),
    hex(keyPair(255).publicKey),
  ]],
  ["small order", torsion],
  ["not canonical", notCanonical],
  ["outside of the prime-order subgroup", mixed],
  ["not on the curve", notOnCurve],
].flatMap(([what, points]) =>
  points.map((point) => ({
    what,
    point,
    shared: attempt(() => dh(keyPair(1).secretKey, Buffer.from(point, "hex"))),
  }))
);

const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const scalarOf = (bytes) => BigInt(`0x${hex(Buffer.from(bytes).reverse())}`);
const bytesOf = (value) => Buffer.from(value.toString(16).padStart(64, "0"), "hex").reverse();
const secretScalar = (pair) => {
  const out = Buffer.alloc(64);
  sodium.crypto_hash_sha512(out, pair.secretKey.subarray(0, 32));
  out[0] &= 248;
  out[31] = out[31] & 127 | 64;
  return scalarOf(out.subarray(0, 32));
};
/** A signature that satisfies 8SB = 8R + 8hA for the key A + `a` and the point R + `r`, both of which may be off the group. */
const forge = (a, r, n) => {
  const pair = keyPair(3);
  const publicKey = add(pair.publicKey, Buffer.from(a, "hex"));
  const message = pattern(32, n);
  const nonce = BigInt(1000 + n);
  const base = Buffer.alloc(32);
  sodium.crypto_scalarmult_ed25519_base_noclamp(base, bytesOf(nonce));
  const point = add(base, Buffer.from(r, "hex"));
  const wide = Buffer.alloc(64);
  sodium.crypto_hash_sha512(wide, Buffer.concat([point, publicKey, message]));
  const scalar = (nonce + (scalarOf(wide) % L) * (secretScalar(pair) % L)) % L;
  return {
    publicKey,
    message,
    signature: Buffer.concat([point, bytesOf(scalar)]),
  };
};
const honestSignature = hypercoreCrypto.sign(
  pattern(32, 2),
  keyPair(3).secretKey,
);
const malleable = Buffer.concat([
  honestSignature.subarray(0, 32),
  bytesOf(scalarOf(honestSignature.subarray(32)) + L),
]);
const edgeCase = (what, { publicKey, message, signature }) => ({
  what,
  publicKey: hex(publicKey),
  message: hex(message),
  signature: hex(signature),
  valid: sodium.crypto_sign_verify_detached(signature, message, publicKey),
});
const signed = { publicKey: keyPair(3).publicKey, message: pattern(32, 2) };
const zero = Buffer.alloc(32);
const verdicts = [
  edgeCase("honest", { ...signed, signature: honestSignature }),
  edgeCase("scalar of S + L", { ...signed, signature: malleable }),
  ...[...torsion, ...notCanonical].flatMap((text) => {
    const point = Buffer.from(text, "hex");
    return [
      edgeCase("small or odd key, S = 0", {
        ...signed,
        publicKey: point,
        signature: Buffer.concat([point, zero]),
      }),
      edgeCase("small or odd R, S = 0", {
        ...signed,
        signature: Buffer.concat([point, zero]),
      }),
      edgeCase("small key, honest R", {
        ...signed,
        publicKey: point,
        signature: honestSignature,
      }),
    ];
  }),
  ...torsion.slice(1).flatMap((point, i) => [
    edgeCase("key outside of the subgroup", forge(point, torsion[0], i)),
    edgeCase("R outside of the subgroup", forge(torsion[0], point, i + 10)),
    ...torsion.slice(1).map((other, j) =>
      edgeCase(
        "key and R outside of the subgroup",
        forge(point, other, 20 + 7 * i + j),
      )
    ),
  ]),
];
assert(
  verdicts.some(({ what, valid }) => what.startsWith("key and R") && valid),
  "one where both cancel out",
);

const handshakeHash = pattern(64, 8);
const unordered = [true, false].map((isInitiator) => {
  const stream = Object.create(SecretStream.prototype);
  stream.isInitiator = isInitiator;
  stream._setupSecretSend(handshakeHash);
  const start = Buffer.from("fdffffffff0000ff", "hex");
  stream._sendState.set(start, 64);
  return {
    isInitiator,
    start: hex(start),
    id: hex(SecretStream.id(handshakeHash, isInitiator)),
    sealed: [0, 1, 100, 5].map((length) => ({
      length,
      out: hex(stream._boxMessage(pattern(length, 2))),
    })),
  };
});

console.log(JSON.stringify(
  {
    versions,
    namespaces,
    keyPairs,
    hashes,
    tree,
    seals,
    xors,
    secretStream,
    signatures,
    exchanges,
    verdicts,
    handshakeHash: hex(handshakeHash),
    unordered,
  },
  null,
  1,
));
