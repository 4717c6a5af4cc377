import assert from "node:assert/strict";
import { ProtocolError } from "../../core/runtime/errors.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { FrameReader, MAX_FRAME_BYTES, writeFrameLength } from "../../core/stream/frame_reader.ts";
import { concat } from "../../encoding/bytes.ts";
import { test } from "../harness.ts";
import { bytes } from "./rig.ts";

function frameOf(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(3 + body.length);
  writeFrameLength(frame, body.length);
  frame.set(body, 3);
  return frame;
}

/** Feeds `chunk` and takes at most `most` frames. */
function take(reader: FrameReader, chunk: Uint8Array, most = Infinity): Uint8Array[] {
  const frames: Uint8Array[] = [];
  reader.feed(chunk);
  for (let frame; frames.length < most && (frame = reader.next()) !== undefined;) frames.push(frame.slice());
  reader.release();
  return frames;
}

test("frame reader: the same frames come out however the bytes are cut (S1)", () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new SeededRandom(seed);
    const bodies = Array.from(
      { length: 30 },
      (_, i) => bytes(random.below(random.chance(1, 5) ? 9000 : 40), i),
    );
    const stream = concat(bodies.map(frameOf));
    const reader = new FrameReader();
    const frames: Uint8Array[] = [];
    const largest = [1, 2, 5, 100, 2000, stream.length][seed % 6]!;
    for (let at = 0; at < stream.length;) {
      const size = 1 + random.below(largest);
      // some frames are left to the next turn, as when a reader pauses
      frames.push(
        ...take(reader, stream.slice(at, at + size), random.chance(1, 4) ? random.below(3) : Infinity),
      );
      at += size;
    }
    frames.push(...take(reader, new Uint8Array(0)));
    assert.deepEqual(frames, bodies, `seed ${seed}`);
    assert.equal(reader.isMidFrame, false);
  }
});

test("frame reader: a frame that lies whole in a chunk is not copied", () => {
  const reader = new FrameReader();
  const chunk = concat([frameOf(bytes(10)), frameOf(bytes(20))]);
  reader.feed(chunk);
  for (const size of [10, 20]) {
    const frame = reader.next()!;
    assert.equal(frame.buffer, chunk.buffer);
    assert.equal(frame.length, size);
  }
  reader.release();
  assert.equal(reader.heldBytes, 0);
});

test("frame reader: memory grows with what has come, not with what is claimed", () => {
  const reader = new FrameReader();
  assert.deepEqual(take(reader, Uint8Array.of(0xff, 0xff, 0xff)), []);
  for (let i = 0; i < 100; i++) take(reader, new Uint8Array(1));
  assert.equal(reader.isMidFrame, true);
  assert.ok(reader.heldBytes <= 4096, `${reader.heldBytes}`);
  for (let i = 0; i < 100; i++) take(reader, new Uint8Array(1000));
  assert.ok(reader.heldBytes <= 2 * 100_200, `${reader.heldBytes}`);
});

test("frame reader: large memory is not kept, and trim frees the rest", () => {
  const reader = new FrameReader();
  const frame = frameOf(bytes(1_000_000));
  take(reader, frame.subarray(0, 500_000));
  assert.equal(take(reader, frame.subarray(500_000)).length, 1);
  assert.equal(reader.heldBytes, 0);
  take(reader, frameOf(bytes(100)).subarray(0, 50));
  reader.trim();
  assert.ok(reader.heldBytes > 0, "bytes that wait are not trimmed");
  take(reader, new Uint8Array(53));
  reader.trim();
  assert.equal(reader.heldBytes, 0);
});

test("frame reader: a length that is not expected is refused before its bytes come", () => {
  const reader = new FrameReader();
  reader.expect(17, 100, "INVALID_FRAME");
  for (const length of [0, 16, 101, MAX_FRAME_BYTES]) {
    const header = new Uint8Array(3);
    writeFrameLength(header, length);
    const fresh = new FrameReader();
    fresh.expect(17, 100, "INVALID_FRAME");
    assert.throws(
      () => take(fresh, header),
      (error) => error instanceof ProtocolError && error.code === "INVALID_FRAME",
    );
  }
  assert.equal(take(reader, frameOf(bytes(17))).length, 1);
  assert.equal(take(reader, frameOf(bytes(100))).length, 1);
});
