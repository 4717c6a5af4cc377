/** Stream ids and unordered messages, against the reference and against those who repeat what they heard. */
import assert from "node:assert/strict";
import {
  streamId,
  UNORDERED_OVERHEAD,
  UnorderedOpener,
  UnorderedSealer,
} from "../../core/crypto/secret_state.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";
import { type CryptoVectors, hex, pattern, readVectors, testEach, unhex, wasm } from "./support.ts";

const vectors = readVectors<CryptoVectors>("crypto.json");
const handshakeHash = unhex(vectors.handshakeHash);

function sealerAt(start: bigint): UnorderedSealer {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, start), true);
  return new UnorderedSealer(wasm, handshakeHash, { isInitiator: true, start: bytes });
}

function opener(): UnorderedOpener {
  return new UnorderedOpener(wasm, handshakeHash, { isInitiator: false });
}

testEach("stream ids and unordered messages are the reference's, in both roles", (crypto) => {
  for (const { isInitiator, start, id, sealed } of vectors.unordered) {
    assert.equal(hex(streamId(crypto, handshakeHash, isInitiator)), id);
    const sealer = new UnorderedSealer(crypto, handshakeHash, { isInitiator, start: unhex(start) });
    const receiver = new UnorderedOpener(crypto, handshakeHash, { isInitiator: !isInitiator });
    const own = new UnorderedOpener(crypto, handshakeHash, { isInitiator });
    for (const { length, out } of sealed) {
      assert.equal(hex(sealer.seal(pattern(length, 2))), out);
      assert.equal(own.open(unhex(out)), undefined, "each role has its own key");
      assert.deepEqual(receiver.open(unhex(out)), pattern(length, 2));
    }
  }
  const hash = unhex(
    "0fa9c23e501afe96dec8beff3b6a090c1be10456bb06500e829a451f60a0e12bcecdf6b5bf6bd1fc9ade2fc8aded1d4b6d9a5ec369187453d4ced3e0ffc5648c",
  );
  assert.equal(
    hex(streamId(crypto, hash, true)),
    "17882683dbf89b3ed8300db2dd3137fd9c45d57c22ac742ee12c073a32720601",
  );
  assert.equal(
    hex(streamId(crypto, hash, false)),
    "944dfff40f72bfcd1a2bec47cdf7213eba3cfbdd1590bee2cfc92cad825187b7",
  );
});

test("an unordered message counts once, in whatever order it comes", () => {
  const sealer = sealerAt(1000n);
  const sealed = Array.from({ length: 100 }, (_, n) => sealer.seal(pattern(4, n)));
  const receiver = opener();
  const random = new SeededRandom("order");
  const order = sealed.map((_, n) => ({ n, key: random.uint32() })).sort((a, b) => a.key - b.key).map((
    { n },
  ) => n);
  for (const n of order) assert.deepEqual(receiver.open(sealed[n]!), pattern(4, n));
  for (const n of order) assert.equal(receiver.open(sealed[n]!), undefined);
});

test("an unordered message may be 1023 behind the newest and no more", () => {
  const sealer = sealerAt(0n);
  const sealed = Array.from({ length: 1100 }, () => sealer.seal(new Uint8Array(0)));
  const receiver = opener();
  assert(receiver.open(sealed[1099]!) !== undefined);
  assert.equal(receiver.open(sealed[1099 - 1024]!), undefined);
  assert(receiver.open(sealed[1099 - 1023]!) !== undefined);
  for (let n = 1099 - 1022; n < 1099; n++) assert(receiver.open(sealed[n]!) !== undefined, `${n}`);
  for (const message of sealed.slice(1099 - 1023)) assert.equal(receiver.open(message), undefined);
});

test("gaps of any size leave nothing of the old window behind", () => {
  for (const gap of [2, 1023, 1024, 1025, 5000]) {
    const receiver = opener();
    const first = sealerAt(10n);
    for (let i = 0; i < 20; i++) receiver.open(first.seal(new Uint8Array(0)));
    const far = sealerAt(30n + BigInt(gap) - 1n);
    assert(receiver.open(far.seal(new Uint8Array(0))) !== undefined);
    const between = sealerAt(30n);
    for (let i = 1; i < gap && i < 1023; i++) {
      const late = between.seal(new Uint8Array(0));
      const inWindow = gap - i < 1024;
      assert.equal(receiver.open(late) !== undefined, inWindow, `gap ${gap}, ${i}`);
    }
  }
});

test("the counter passes 2^64 without a break", () => {
  const sealer = sealerAt(-3n);
  const sealed = Array.from({ length: 6 }, (_, n) => sealer.seal(pattern(3, n)));
  assert.equal(hex(sealed[2]!.subarray(0, 8)), "0000000000000000");
  const receiver = opener();
  for (const n of [4, 0, 5, 1, 3, 2]) assert.deepEqual(receiver.open(sealed[n]!), pattern(3, n));
  for (const message of sealed) assert.equal(receiver.open(message), undefined);
});

test("short and forged unordered messages change nothing", () => {
  const sealer = sealerAt(7n);
  const sealed = sealer.seal(pattern(10, 1));
  assert.equal(sealed.length, 10 + UNORDERED_OVERHEAD);
  const receiver = opener();
  for (let length = 0; length < UNORDERED_OVERHEAD; length++) {
    assert.equal(receiver.open(sealed.subarray(0, length)), undefined);
  }
  for (let i = 0; i < sealed.length; i++) {
    const forged = sealed.slice();
    forged[i]! ^= 0x80;
    assert.equal(receiver.open(forged), undefined, `byte ${i}`);
  }
  assert.deepEqual(receiver.open(sealed), pattern(10, 1));
});

test("a handshake hash or a start of the wrong size is refused", () => {
  assert.throws(() => streamId(wasm, new Uint8Array(32), true), RangeError);
  assert.throws(() => new UnorderedOpener(wasm, new Uint8Array(32), { isInitiator: true }), RangeError);
  const options = { isInitiator: true, start: new Uint8Array(7) };
  assert.throws(() => new UnorderedSealer(wasm, handshakeHash, options), RangeError);
});
