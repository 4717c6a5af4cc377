/** The text of `docs/spec/secret-stream.md` suffices: what was written from it alone gives the same bytes. */
import assert from "node:assert/strict";
import { toHex } from "../../encoding/text.ts";
import { dhtNamespaces } from "../../dht/signables.ts";
import { hex, pattern, seed, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { readExamples } from "./document.ts";
import { SECRETSTREAM } from "./examples.ts";
import { textHandshake, TextSecretstream, type TextSide } from "./primitives.ts";

const shown = readExamples();
const example = (name: string) => shown.get(name)!.bytes;

test("secret-stream.md: a handshake made from the text has the bytes of hyperdht.md, section 14", () => {
  const side = (isInitiator: boolean, s: number, e: number): TextSide => ({
    isInitiator,
    s: wasm.keyPair(seed(s)),
    e: wasm.keyPair(seed(e)),
  });
  const { messages, hash, keys } = textHandshake(
    [side(true, 1, 3), side(false, 2, 4)],
    dhtNamespaces(wasm).peerHandshake,
    [example("client-payload"), example("server-payload")],
  );
  assert.equal(hex(messages[0]!), hex(example("noise-1")));
  assert.equal(hex(messages[1]!), hex(example("noise-2")));
  const expected = toHex(example("handshake-keys"));
  assert.equal(expected.slice(0, 256), hex(hash) + hex(keys[0]) + hex(keys[1]));
});

test("secret-stream.md: a secretstream made from the text seals like libsodium's, at every length modulo 16", () => {
  const { key, header } = SECRETSTREAM;
  const text = new TextSecretstream(key, header);
  const library = wasm.secretStream(key, header);
  for (let length = 0; length < 150; length++) {
    const out = new Uint8Array(17 + length);
    library.push(out, pattern(length, 3));
    assert.equal(hex(text.seal(pattern(length, 3))), hex(out), `${length} bytes`);
  }
});
