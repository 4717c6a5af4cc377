/** Encrypted blocks, against both generations of the reference. */
import assert from "node:assert/strict";
import { BlockCipher, blockEncryptionKey } from "../../core/log/encryption.ts";
import { hex, pattern, testEach, unhex, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { vectors } from "./support.ts";

const [key, encryptionKey] = [pattern(32, 3), pattern(32, 4)];

testEach("blocks are encrypted as both generations of the reference do it", (crypto) => {
  for (const { isCompat, isBlockKey, blockKey, index, fork, length, stored } of vectors.encryptions) {
    const options = { key, encryptionKey, isCompat, isBlockKey };
    if (blockKey !== undefined) {
      assert.equal(hex(blockEncryptionKey(crypto, options)), blockKey);
      continue;
    }
    const cipher = new BlockCipher(crypto, options);
    const block = pattern(length, index % 100);
    assert.equal(hex(cipher.encrypt(index, fork, block)), stored);
    assert.deepEqual(cipher.decrypt(index, unhex(stored)), block);
    assert.deepEqual(block, pattern(length, index % 100), "the block itself is left alone");
  }
});

test("encryption: a block that never was encrypted is no encrypted block", () => {
  const cipher = new BlockCipher(wasm, { key, encryptionKey });
  assert.throws(() => cipher.decrypt(0, new Uint8Array(7)), RangeError);
  assert.equal(cipher.decrypt(0, new Uint8Array(8)).length, 0);
});

test("encryption: keys of another size are refused", () => {
  const short = key.subarray(1);
  assert.throws(() => new BlockCipher(wasm, { key: short, encryptionKey }), RangeError);
  assert.throws(() => new BlockCipher(wasm, { key, encryptionKey: short, isBlockKey: true }), RangeError);
});

test("encryption: a block key opens its log, whatever becomes of the bytes that it was given in", () => {
  const own = blockEncryptionKey(wasm, { key, encryptionKey }).slice();
  const stored = new BlockCipher(wasm, { key, encryptionKey }).encrypt(5, 1, pattern(20, 1));
  const cipher = new BlockCipher(wasm, { key, encryptionKey: own, isBlockKey: true });
  own.fill(0);
  assert.deepEqual(cipher.decrypt(5, stored), pattern(20, 1));
});
