/** What the interface of the providers promises beyond the right bytes: sizes, overlaps, forgeries, permissions. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { MAX_MESSAGE_BYTES } from "../../core/crypto/sizes.ts";
import { loadSodium } from "../../core/crypto/sodium_wasm.ts";
import { Scratch, SCRATCH_BYTES } from "../../core/crypto/wasm_scratch.ts";
import type { Cipher, CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";
import { hex, native, pattern, seed, testEach, utf8, wasm } from "./support.ts";

const none = new Uint8Array(0);
const bytes = (length: number) => new Uint8Array(length);

testEach("a wrong size is a RangeError that names it", (crypto) => {
  const { publicKey, secretKey } = crypto.keyPair(seed(1));
  const stream = crypto.secretStream(bytes(32), bytes(24));
  const calls: [RegExp, () => unknown][] = [
    [/seed must be 32 bytes, not 31/, () => crypto.keyPair(bytes(31))],
    [/secretKey must be 64 bytes, not 32/, () => crypto.sign(none, bytes(32))],
    [/signature must be 64 bytes, not 63/, () => crypto.verify(none, bytes(63), publicKey)],
    [/publicKey must be 32 bytes, not 33/, () => crypto.verify(none, bytes(64), bytes(33))],
    [/secretKey must be 64 bytes, not 65/, () => crypto.dh(bytes(65), publicKey)],
    [/publicKey must be 32 bytes, not 0/, () => crypto.dh(secretKey, none)],
    [/out must be 16 to 64 bytes, not 15/, () => crypto.hash(bytes(15), [])],
    [/out must be 16 to 64 bytes, not 65/, () => crypto.hash(bytes(65), [])],
    [/key must be 16 to 64 bytes, not 15/, () => crypto.hash(bytes(32), [], bytes(15))],
    [/key must be 16 to 64 bytes, not 0/, () => crypto.hash(bytes(32), [], none)],
    [/16 bytes longer/, () => crypto.seal("chacha20poly1305", bytes(15), none, bytes(12), bytes(32))],
    [/16 bytes longer/, () => crypto.open("chacha20poly1305", none, bytes(15), bytes(12), bytes(32))],
    [/nonce must be 12/, () => crypto.seal("chacha20poly1305", bytes(16), none, bytes(24), bytes(32))],
    [/nonce must be 24/, () => crypto.open("xsalsa20poly1305", none, bytes(16), bytes(12), bytes(32))],
    [/key must be 32/, () => crypto.seal("xsalsa20poly1305", bytes(16), none, bytes(24), bytes(31))],
    [
      /ad must be 0 to 0/,
      () => crypto.seal("xsalsa20poly1305", bytes(16), none, bytes(24), bytes(32), bytes(1)),
    ],
    [/out must be 2 bytes, not 1/, () => crypto.xor(bytes(1), bytes(2), bytes(24), bytes(32))],
    [/nonce must be 24/, () => crypto.xor(bytes(1), bytes(1), bytes(8), bytes(32))],
    [/key must be 32/, () => crypto.xor(bytes(1), bytes(1), bytes(24), bytes(33))],
    [/key must be 32/, () => crypto.secretStream(bytes(31), bytes(24))],
    [/header must be 24/, () => crypto.secretStream(bytes(32), bytes(23))],
    [/17 bytes longer/, () => stream.push(bytes(16), none)],
    [/17 bytes longer/, () => stream.pull(none, bytes(16))],
    [/17 bytes longer/, () => stream.pull(bytes(2), bytes(18))],
  ];
  for (const [message, call] of calls) assert.throws(call, { name: "RangeError", message }, String(message));
});

testEach("a message of 16 MiB passes, one more byte does not", (crypto) => {
  const key = seed(3);
  const header = pattern(24, 1);
  const text = bytes(MAX_MESSAGE_BYTES);
  text[0] = 1;
  text[text.length - 1] = 2;
  const sealed = bytes(MAX_MESSAGE_BYTES + 17);
  crypto.secretStream(key, header).push(sealed, text);
  const opened = sealed.subarray(1, -16);
  assert.equal(crypto.secretStream(key, header).pull(opened, sealed), true);
  assert.equal(Buffer.compare(opened, text), 0);

  const long = bytes(MAX_MESSAGE_BYTES + 1);
  const { publicKey, secretKey } = crypto.keyPair(key);
  assert.throws(() => crypto.secretStream(key, header).push(bytes(long.length + 17), long), RangeError);
  assert.throws(() => crypto.sign(long, secretKey), RangeError);
  assert.throws(() => crypto.verify(long, bytes(64), publicKey), RangeError);
});

testEach("a forged message is refused, whatever byte was changed", (crypto) => {
  for (const cipher of ["chacha20poly1305", "xsalsa20poly1305"] as const satisfies Cipher[]) {
    const nonce = pattern(cipher === "chacha20poly1305" ? 12 : 24, 1);
    const text = utf8("attack at dawn");
    const sealed = bytes(text.length + 16);
    crypto.seal(cipher, sealed, text, nonce, seed(2));
    const out = bytes(text.length);
    for (let i = 0; i < sealed.length; i++) {
      sealed[i]! ^= 0x10;
      assert.equal(crypto.open(cipher, out, sealed, nonce, seed(2)), false, `${cipher}, byte ${i}`);
      sealed[i]! ^= 0x10;
    }
    assert.equal(crypto.open(cipher, out, sealed, nonce, seed(3)), false, "another key");
    assert.equal(crypto.open(cipher, out, sealed, pattern(nonce.length, 2), seed(2)), false, "another nonce");
    assert.equal(crypto.open(cipher, out, sealed, nonce, seed(2)), true);
    assert.deepEqual(out, text);
  }
  const sealed = bytes(20);
  crypto.seal("chacha20poly1305", sealed, bytes(4), bytes(12), seed(2), utf8("a"));
  assert.equal(crypto.open("chacha20poly1305", bytes(4), sealed, bytes(12), seed(2), utf8("b")), false);
  assert.equal(crypto.open("chacha20poly1305", bytes(4), sealed, bytes(12), seed(2)), false);
});

testEach("a secretstream survives forged, repeated and reordered messages", (crypto) => {
  const header = pattern(24, 7);
  const sender = crypto.secretStream(seed(1), header);
  const receiver = crypto.secretStream(seed(1), header);
  const messages = [0, 1, 2].map((n) => {
    const sealed = bytes(10 + 17);
    sender.push(sealed, pattern(10, n));
    return sealed;
  });
  const out = bytes(10);
  for (const [n, sealed] of messages.entries()) {
    for (const later of messages.slice(n + 1)) assert.equal(receiver.pull(out, later), false, "too early");
    for (let i = 0; i < sealed.length; i++) {
      const forged = sealed.slice();
      forged[i]! ^= 1;
      assert.equal(receiver.pull(out, forged), false, `byte ${i}`);
    }
    assert.equal(receiver.pull(none, bytes(17)), false, "empty and forged");
    assert.equal(receiver.pull(out, sealed), true);
    assert.deepEqual(out, pattern(10, n));
    assert.equal(receiver.pull(out, sealed), false, "a second time");
  }
});

testEach("a secretstream works in place on both sides", (crypto) => {
  const header = pattern(24, 7);
  const sender = crypto.secretStream(seed(1), header);
  const apart = crypto.secretStream(seed(1), header);
  const receiver = crypto.secretStream(seed(1), header);
  for (const length of [0, 1, 64, 1000, 70000]) {
    const frame = bytes(length + 17);
    frame.subarray(1, -16).set(pattern(length, 3));
    sender.push(frame, frame.subarray(1, -16));
    const expected = bytes(length + 17);
    apart.push(expected, pattern(length, 3));
    assert.deepEqual(frame, expected);
    assert.equal(receiver.pull(frame.subarray(1, -16), frame), true);
    assert.deepEqual(frame.subarray(1, -16), pattern(length, 3));
  }
});

testEach("no additional data and empty additional data are the same", (crypto) => {
  const [absent, empty] = [bytes(16), bytes(16)];
  crypto.seal("chacha20poly1305", absent, none, bytes(12), seed(2));
  crypto.seal("chacha20poly1305", empty, none, bytes(12), seed(2), none);
  assert.deepEqual(absent, empty);
  assert.equal(crypto.open("chacha20poly1305", none, absent, bytes(12), seed(2), none), true);
});

testEach("a hash may be written over its own input", (crypto) => {
  const apart = bytes(64);
  crypto.hash(apart, [pattern(64, 1), utf8("and more")]);
  const inPlace = pattern(64, 1);
  crypto.hash(inPlace, [inPlace, utf8("and more")]);
  assert.deepEqual(inPlace, apart);
});

testEach("many streams take turns without disturbing each other", (crypto) => {
  const pairs = [0, 1, 2, 3].map((n) =>
    [
      crypto.secretStream(seed(n), pattern(24, n)),
      crypto.secretStream(seed(n), pattern(24, n)),
    ] as const
  );
  for (let round = 0; round < 5; round++) {
    const sealed = pairs.map(([sender], n) => {
      const out = bytes(17 + n);
      sender.push(out, pattern(n, round));
      return out;
    });
    crypto.hash(bytes(32), [pattern(100, round)]);
    for (const [n, [, receiver]] of pairs.entries()) {
      const out = bytes(n);
      assert.equal(receiver.pull(out, sealed[n]!), true);
      assert.deepEqual(out, pattern(n, round));
    }
  }
});

testEach("results are fresh memory, and arguments may be views of something larger", (crypto) => {
  const large = new Uint8Array(1000).fill(0xee);
  large.set(seed(5), 100);
  const pair = crypto.keyPair(large.subarray(100, 132));
  const before = hex(pair.publicKey);
  const signature = crypto.sign(large.subarray(7, 300), pair.secretKey);
  const shared = crypto.dh(pair.secretKey, crypto.keyPair(seed(6)).publicKey)!;
  const kept = hex(signature) + hex(shared);
  crypto.keyPair(seed(9));
  crypto.sign(none, pair.secretKey);
  assert.equal(hex(pair.publicKey), before);
  assert.equal(hex(signature) + hex(shared), kept);
  assert.equal(crypto.verify(large.subarray(7, 300), signature, pair.publicKey), true);
  const out = large.subarray(500, 532);
  crypto.hash(out, [seed(1)]);
  assert.deepEqual([large[499], large[532]], [0xee, 0xee]);
});

test("long messages borrow memory of the module and give it back", async () => {
  const sodium = await loadSodium();
  const scratch = new Scratch(sodium);
  const usual = scratch.reserve(SCRATCH_BYTES);
  scratch.release(usual);
  assert.notEqual(sodium._malloc(SCRATCH_BYTES), usual, "the usual place is never given away");
  scratch.release(scratch.reserve(2 ** 24));
  const grown = sodium.HEAPU8.length;
  for (let i = 0; i < 100; i++) {
    const borrowed = scratch.reserve(2 ** 24);
    assert.notEqual(borrowed, usual);
    scratch.release(borrowed);
  }
  assert.equal(sodium.HEAPU8.length, grown);
});

test("both providers agree on random input", () => {
  const random = new SeededRandom("both providers agree");
  const draw = (length: number) => random.fill(new Uint8Array(length));
  for (let round = 0; round < 200; round++) {
    const length = random.below(random.chance(1, 10) ? 100_000 : 300);
    const [input, key, nonce, secret] = [draw(length), draw(32), draw(24), draw(32)];
    const answers = [wasm, native ?? wasm].map((crypto) => answersOf(crypto, input, key, nonce, secret));
    assert.deepEqual(answers[0], answers[1], `round ${round}, ${length} bytes`);
  }
}, { skip: native === undefined ? "sodium-native is not installed" : undefined });

/** All that a provider makes of the same arguments. */
function answersOf(
  crypto: CryptoProvider,
  input: Uint8Array,
  key: Uint8Array,
  nonce: Uint8Array,
  secret: Uint8Array,
) {
  const pair = crypto.keyPair(secret);
  const sealed = ["chacha20poly1305" as const, "xsalsa20poly1305" as const].map((cipher) => {
    const out = bytes(input.length + 16);
    crypto.seal(cipher, out, input, nonce.subarray(0, cipher === "chacha20poly1305" ? 12 : 24), key);
    return hex(out);
  });
  const digest = bytes(32);
  crypto.hash(digest, [input, key], secret);
  const stream = bytes(input.length + 17);
  crypto.secretStream(key, nonce).push(stream, input);
  const xored = bytes(input.length);
  crypto.xor(xored, input, nonce, key);
  const signature = crypto.sign(input, pair.secretKey);
  const point = crypto.dh(pair.secretKey, key);
  return {
    publicKey: hex(pair.publicKey),
    sealed,
    digest: hex(digest),
    stream: hex(stream),
    xored: hex(xored),
    signature: hex(signature),
    verdict: crypto.verify(input, signature, pair.publicKey),
    // one in sixteen random keys is a point of the subgroup
    point: point === undefined ? undefined : hex(point),
  };
}

test("the choice of provider can be told to stay with WebAssembly, and is the same each time", async () => {
  assert.equal((await loadCryptoProvider({ prefer: "wasm" })).name, "libsodium-wasm");
  assert.equal((await loadCryptoProvider()).name, native?.name ?? "libsodium-wasm");
  assert.equal(await loadCryptoProvider(), await loadCryptoProvider({ prefer: "native" }));
});

interface DenoCommand {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
}
type Deno = { Command: new (path: string, options: unknown) => { outputSync(): DenoCommand } };

const deno = (globalThis as { Deno?: Deno }).Deno;
const notDeno = deno === undefined ? "only Deno has permissions" : undefined;

/** Not with node:child_process, which grants everything to a Deno that it starts without permissions. */
function runDeno(permissions: readonly string[]): { readonly stdout: string; readonly stderr: string } {
  assert(deno !== undefined);
  const child = fileURLToPath(new URL("./provider_child.ts", import.meta.url));
  const args = ["run", "--no-prompt", "--no-check", "--quiet", ...permissions, child];
  const { stdout, stderr } = new deno.Command(process.execPath, { args }).outputSync();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  return { stdout: text(stdout), stderr: text(stderr) };
}

test("without any permission the default provider loads and works", () => {
  assert.deepEqual(runDeno([]), { stdout: "libsodium-wasm works", stderr: "" });
}, { skip: notDeno });

test("--allow-ffi alone is not enough for native code, and neither fails nor asks", () => {
  assert.deepEqual(runDeno(["--allow-ffi"]), { stdout: "libsodium-wasm works", stderr: "" });
}, { skip: notDeno });

test("with --allow-ffi and the one file that its loader reads, native code is taken", () => {
  const { stdout } = runDeno(["--allow-ffi", "--allow-read=/etc/alpine-release"]);
  assert.equal(stdout, "sodium-native works");
}, { skip: notDeno ?? (native === undefined ? "sodium-native is not installed" : undefined) });
