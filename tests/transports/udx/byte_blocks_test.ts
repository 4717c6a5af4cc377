/** Kept bytes. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import { concat } from "../../../encoding/bytes.ts";
import { ByteBlocks } from "../../../transports/udx/byte_blocks.ts";
import { test } from "../../harness.ts";
import { bytes } from "./support.ts";

test("what was appended comes out once and in order, as many bytes as were counted", () => {
  const random = new SeededRandom(1);
  const blocks = new ByteBlocks();
  const given: Uint8Array[] = [];
  const taken: Uint8Array[] = [];
  for (let i = 0; i < 2000; i++) {
    const chunk = bytes(random.below(3000), i);
    given.push(chunk.slice());
    blocks.append(chunk);
    chunk.fill(0);
    while (random.chance(1, 3)) {
      const before = blocks.byteLength;
      const block = blocks.shift();
      assert.equal(before - blocks.byteLength, block?.length ?? 0);
      if (block === undefined) break;
      taken.push(block);
    }
  }
  for (let block = blocks.shift(); block !== undefined; block = blocks.shift()) taken.push(block);
  assert.deepEqual(concat(taken), concat(given));
  assert.equal(blocks.byteLength, 0);
});

test("a few bytes take a small block, many bytes take large ones", () => {
  const blocks = new ByteBlocks();
  blocks.append(bytes(10));
  assert.equal(blocks.shift()!.buffer.byteLength, 2048);
  for (let i = 0; i < 1000; i++) blocks.append(bytes(1000));
  let count = 0;
  while (blocks.shift() !== undefined) count++;
  assert(count < 30, `${count} blocks`);
  blocks.append(bytes(10));
  blocks.clear();
  assert.deepEqual([blocks.byteLength, blocks.shift()], [0, undefined]);
});
