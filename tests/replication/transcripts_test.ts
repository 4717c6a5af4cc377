/** What peers of both generations said to each other is read, and written the same again. */
import assert from "node:assert/strict";
import { logData, logRequest } from "../../core/log/proof_messages.ts";
import { PROTOCOL } from "../../core/replication/constants.ts";
import { capability } from "../../core/replication/capability.ts";
import {
  bitfield,
  cancel,
  extension,
  handshake,
  noData,
  range,
  sync,
  want,
} from "../../core/replication/messages.ts";
import { openMessage } from "../../core/stream/mux_messages.ts";
import { type Codec, decode, decodeExact, encode } from "../../encoding/codec.ts";
import { hex, readVectors, unhex, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";

interface Said {
  readonly message: string;
  readonly bytes: string;
}

interface Transcript {
  readonly title: string;
  readonly writer: string;
  readonly reader: string;
  readonly compat: boolean;
  readonly key: string;
  readonly writerIsInitiator: boolean;
  readonly handshakeHash: string;
  readonly said: Readonly<Record<"writer" | "reader", readonly Said[]>>;
}

// deno-lint-ignore no-explicit-any
const CODECS: Readonly<Record<string, Codec<any, any>>> = {
  ...{ sync, request: logRequest, cancel, data: logData, noData },
  ...{ want, unwant: want, bitfield, range, extension },
};

const { transcripts } = readVectors<{ transcripts: readonly Transcript[] }>("replication.json");

function checkOpening(transcript: Transcript, side: "writer" | "reader", bytes: Uint8Array): void {
  const { key, handshakeHash, writerIsInitiator } = transcript;
  const opening = decode(openMessage, bytes.subarray(2));
  assert.equal(opening.protocol, PROTOCOL);
  const isInitiator = writerIsInitiator === (side === "writer");
  const own = capability(wasm, isInitiator, unhex(key), unhex(handshakeHash));
  assert.equal(hex(decodeExact(handshake, opening.handshake).capability), hex(own));
}

for (const transcript of transcripts) {
  const { title, writer, reader, compat, writerIsInitiator, said } = transcript;
  const role = writerIsInitiator ? "initiator" : "responder";
  test(`transcripts: ${title}, ${writer} to ${reader}, ${compat ? "compat, " : ""}writer is ${role}`, () => {
    let count = 0;
    for (const side of ["writer", "reader"] as const) {
      for (const { message, bytes } of said[side]) {
        if (message === "open") checkOpening(transcript, side, unhex(bytes));
        const codec = CODECS[message];
        if (codec === undefined) continue;
        count++;
        assert.equal(hex(encode(codec, decode(codec, unhex(bytes)))).slice(0, bytes.length), bytes);
      }
    }
    assert.ok(count > 3);
  });
}
