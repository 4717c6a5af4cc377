/** The packet codec, against packets that the reference sent. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { DATA, HEADER_BYTES, SACK } from "../../../transports/udx/constants.ts";
import {
  isDestroy,
  isPacket,
  newHeader,
  readHeader,
  readStreamId,
  refreshHeader,
  seqAdd,
  seqDiff,
  writeStreamId,
} from "../../../transports/udx/packet.ts";
import { fromHex, toHex } from "../../../encoding/text.ts";
import { test } from "../../harness.ts";
import { packet, parse } from "./support.ts";

interface Recorded {
  readonly name: string;
  readonly packet: string;
  readonly type: number;
  readonly dataOffset: number;
  readonly streamId: number;
  readonly window: number;
  readonly seq: number;
  readonly ack: number;
  readonly ranges: [number, number][];
  readonly payload: string;
}

const { packets } = JSON.parse(
  readFileSync(new URL("../../vectors/udx.json", import.meta.url), "utf8"),
) as { packets: Recorded[] };

test("each recorded packet of the reference decodes, and encodes to the same bytes", () => {
  assert(packets.length >= 10);
  for (const recorded of packets) {
    const bytes = fromHex(recorded.packet);
    assert(isPacket(bytes), recorded.name);
    assert.equal(readStreamId(bytes), recorded.streamId);
    assert.equal(isDestroy(bytes), recorded.name === "destroy");
    const parsed = parse(bytes);
    const { type, streamId, window, seq, ack, ranges, payload } = recorded;
    assert.deepEqual(
      { ...parsed, payload: toHex(parsed.payload) },
      {
        type,
        streamId,
        window,
        seq,
        ack,
        ranges,
        padding: recorded.dataOffset,
        payload,
        length: bytes.length,
        to: undefined,
      },
      recorded.name,
    );
    assert.deepEqual(packet(parsed), bytes, recorded.name);
  }
});

test("what is too short, or begins otherwise, is no packet", () => {
  const good = packet({});
  assert(isPacket(good));
  assert(!isPacket(good.subarray(0, 19)));
  assert(!isPacket(Uint8Array.of(0xfe, ...good.subarray(1))));
  assert(!isPacket(Uint8Array.of(0xff, 2, ...good.subarray(2))));
  assert(!isPacket(new Uint8Array(0)));
});

test("a data offset behind the end is refused, and one that reaches the end leaves no payload", () => {
  const header = newHeader();
  const bytes = packet({ type: DATA, payload: Uint8Array.of(1, 2, 3) });
  bytes[3] = 4;
  assert(!readHeader(bytes, header));
  bytes[3] = 3;
  assert(readHeader(bytes, header));
  assert.equal(header.payloadStart, bytes.length);
});

test("ranges end at the data offset if there is a payload, else at the end of the packet", () => {
  const ranges = [[5, 7], [9, 10]] as const;
  const both = parse(packet({ type: DATA, ranges, payload: Uint8Array.of(1, 2) }));
  assert.deepEqual([both.type, both.ranges, both.payload], [DATA | SACK, ranges, Uint8Array.of(1, 2)]);
  const alone = packet({ ranges });
  assert.deepEqual(parse(alone).ranges, ranges);
  const half = parse(alone.subarray(0, alone.length - 3));
  assert.deepEqual(half.ranges, [[5, 7]], "half a range is none");
});

test("rewriting the id or refreshing window and acknowledgement touches nothing else", () => {
  const fields = { type: DATA, streamId: 1, window: 2, seq: 3, ack: 4, payload: Uint8Array.of(9) };
  const bytes = packet(fields);
  writeStreamId(bytes, 0xfffffffe);
  refreshHeader(bytes, 0xfffffff0, 0x80000001);
  assert.deepEqual(bytes, packet({ ...fields, streamId: 0xfffffffe, window: 0xfffffff0, ack: 0x80000001 }));
  assert.equal(bytes.length, HEADER_BYTES + 1);
});

test("sequence numbers lie on a circle", () => {
  assert.equal(seqDiff(0, 0xffffffff), 1);
  assert.equal(seqDiff(0xffffffff, 0), -1);
  assert.equal(seqDiff(5, 3), 2);
  assert.equal(seqAdd(0xffffffff, 2), 1);
});
