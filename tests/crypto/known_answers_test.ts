/** Both providers against the vectors of the standards and against what the reference answers. */
import assert from "node:assert/strict";
import {
  type CryptoVectors,
  hex,
  pattern,
  readVectors,
  result,
  seed,
  testEach,
  unhex,
  utf8,
} from "./support.ts";

const vectors = readVectors<CryptoVectors>("crypto.json");

testEach("Ed25519 as in RFC 8032, section 7.1", (crypto) => {
  const cases = [
    [
      "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      "",
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
      "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      "72",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
      "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
      "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
      "af82",
      "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
  ] as const;
  for (const [seedHex, publicHex, messageHex, signatureHex] of cases) {
    const { publicKey, secretKey } = crypto.keyPair(unhex(seedHex));
    assert.equal(hex(publicKey), publicHex);
    assert.equal(hex(secretKey), seedHex + publicHex);
    const message = unhex(messageHex);
    assert.equal(hex(crypto.sign(message, secretKey)), signatureHex);
    assert.equal(crypto.verify(message, unhex(signatureHex), publicKey), true);
  }
});

testEach("BLAKE2b as in RFC 7693, appendix A", (crypto) => {
  const out = new Uint8Array(64);
  crypto.hash(out, [utf8("abc")]);
  assert.equal(
    hex(out),
    "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d17d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
  );
});

testEach("ChaCha20-Poly1305 as in RFC 8439, section 2.8.2", (crypto) => {
  const text = utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
  const nonce = unhex("070000004041424344454647");
  const ad = unhex("50515253c0c1c2c3c4c5c6c7");
  const sealed = new Uint8Array(text.length + 16);
  crypto.seal("chacha20poly1305", sealed, text, nonce, key, ad);
  assert.equal(
    hex(sealed),
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36" +
      "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116" +
      "1ae10b594f09e26a7e902ecbd0600691",
  );
});

testEach("secretbox as in NaCl's own test", (crypto) => {
  const key = unhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
  const nonce = unhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
  const text = unhex(
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31" +
      "0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864" +
      "5e0705",
  );
  const sealed = new Uint8Array(text.length + 16);
  crypto.seal("xsalsa20poly1305", sealed, text, nonce, key);
  assert.equal(
    hex(sealed),
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972" +
      "71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3" +
      "7973f622a43d14a6599b1f654cb45a74e355a5",
  );
});

testEach("key pairs and signatures of the reference", (crypto) => {
  for (const expected of vectors.keyPairs) {
    const { publicKey, secretKey } = crypto.keyPair(unhex(expected.seed));
    assert.equal(hex(publicKey), expected.publicKey);
    assert.equal(hex(secretKey), expected.secretKey);
  }
  const { publicKey, secretKey } = crypto.keyPair(seed(1));
  for (const { length, signature } of vectors.signatures) {
    const message = pattern(length, 2);
    assert.equal(hex(crypto.sign(message, secretKey)), signature, `${length} bytes`);
    assert.equal(crypto.verify(message, unhex(signature), publicKey), true);
  }
});

testEach("the verdict on every odd signature is libsodium's", (crypto) => {
  for (const { what, publicKey, message, signature, valid } of vectors.verdicts) {
    assert.equal(
      crypto.verify(unhex(message), unhex(signature), unhex(publicKey)),
      valid,
      `${what}: ${publicKey}`,
    );
  }
  assert(vectors.verdicts.some(({ what, valid }) => valid && what.startsWith("key and R")));
});

testEach("Diffie-Hellman refuses every bad point, and only those", (crypto) => {
  const { secretKey } = crypto.keyPair(seed(1));
  const refused = new Map<string, number>();
  for (const { what, point, shared } of vectors.exchanges) {
    const answer = crypto.dh(secretKey, unhex(point));
    assert.equal(answer === undefined ? null : hex(answer), shared, `${what}: ${point}`);
    if (answer === undefined) refused.set(what, (refused.get(what) ?? 0) + 1);
  }
  assert.deepEqual([...refused], [
    ["small order", 8],
    ["not canonical", 11],
    ["outside of the prime-order subgroup", 7],
    ["not on the curve", 3],
  ]);
});

testEach("Diffie-Hellman is the same from both sides", (crypto) => {
  const [a, b] = [crypto.keyPair(seed(1)), crypto.keyPair(seed(2))];
  const expected = "5612509e82825296cbaaae306ffe1088cbbe200de8ba23dad06f67e607f861df";
  assert.equal(hex(crypto.dh(a.secretKey, b.publicKey)!), expected);
  assert.equal(hex(crypto.dh(b.secretKey, a.publicKey)!), expected);
});

testEach("BLAKE2b of the reference, however the input is cut", (crypto) => {
  for (const { length, keyLength, out } of vectors.hashes) {
    const input = pattern(length, 1);
    const key = keyLength === 0 ? undefined : pattern(keyLength, 3);
    for (const cut of [0, 1, Math.floor(length / 2), Math.max(0, length - 1)]) {
      const digest = new Uint8Array(out.length / 2);
      crypto.hash(digest, [input.subarray(0, cut), new Uint8Array(0), input.subarray(cut)], key);
      assert.equal(hex(digest), out, `${length} bytes cut at ${cut}, key of ${keyLength}`);
    }
  }
});

testEach("sealed messages of the reference, and back", (crypto) => {
  for (const { cipher, length, adLength, out } of vectors.seals) {
    const text = pattern(length, 2);
    const nonce = pattern(cipher === "chacha20poly1305" ? 12 : 24, 4);
    const key = pattern(32, 3);
    const ad = adLength === 0 ? undefined : pattern(adLength, 5);
    const sealed = new Uint8Array(length + 16);
    crypto.seal(cipher, sealed, text, nonce, key, ad);
    assert.equal(result(crypto, sealed), out, `${cipher}, ${length} bytes`);
    const opened = new Uint8Array(length);
    assert.equal(crypto.open(cipher, opened, sealed, nonce, key, ad), true);
    assert.deepEqual(opened, text);
  }
});

testEach("XSalsa20 of the reference, apart and in place", (crypto) => {
  for (const { length, out } of vectors.xors) {
    const input = pattern(length, 2);
    const apart = new Uint8Array(length);
    crypto.xor(apart, input, pattern(24, 4), pattern(32, 3));
    assert.equal(result(crypto, apart), out, `${length} bytes`);
    crypto.xor(input, input, pattern(24, 4), pattern(32, 3));
    assert.deepEqual(input, apart);
  }
});

testEach("secretstream of the reference, from a header that came from outside", (crypto) => {
  const { key, header, hello, messages } = vectors.secretStream;
  const first = crypto.secretStream(unhex(key), unhex(header));
  const sealedHello = new Uint8Array(22);
  first.push(sealedHello, utf8("hello"));
  assert.deepEqual([hex(sealedHello)], hello);

  const sender = crypto.secretStream(unhex(key), unhex(header));
  const receiver = crypto.secretStream(unhex(key), unhex(header));
  for (const { length, out } of messages) {
    const sealed = new Uint8Array(length + 17);
    sender.push(sealed, pattern(length, 2));
    assert.equal(result(crypto, sealed), out, `${length} bytes`);
    const opened = new Uint8Array(length);
    assert.equal(receiver.pull(opened, sealed), true);
    assert.deepEqual(opened, pattern(length, 2));
  }
});

testEach("a secretstream follows tags that only others send, and their change of keys", (crypto) => {
  const { key, header, tagged } = vectors.secretStream;
  const receiver = crypto.secretStream(unhex(key), unhex(header));
  for (const { tag, out } of tagged) {
    const opened = new Uint8Array(20);
    assert.equal(receiver.pull(opened, unhex(out)), true, `tag ${tag}`);
    assert.deepEqual(opened, pattern(20, tag));
  }
});
