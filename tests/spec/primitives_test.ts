/** The text of `docs/spec/secret-stream.md` suffices: what was written from it alone gives the same bytes. */
import assert from "node:assert/strict";
import { dhtNamespaces } from "../../dht/signables.ts";
import { hex, pattern, seed, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { readExamples } from "./document.ts";
import { SECRETSTREAM } from "./examples.ts";
import { TextHandshake, TextSecretstream } from "./primitives.ts";

const shown = readExamples();
const example = (name: string) => shown.get(name)!.bytes;

test("secret-stream.md: a handshake made from the text has the bytes of hyperdht.md, section 14", () => {
  const keys = (s: number, e: number) => ({ s: wasm.keyPair(seed(s)), e: wasm.keyPair(seed(e)) });
  const prologue = dhtNamespaces(wasm).peerHandshake;
  const [client, server] = [keys(1, 3), keys(2, 4)];
  const initiator = new TextHandshake(prologue, client, server.s.publicKey);
  const responder = new TextHandshake(prologue, server);
  const payloads = [example("client-payload"), example("server-payload")] as const;
  const first = initiator.write(payloads[0]);
  assert.equal(hex(first), hex(example("noise-1")));
  assert.equal(hex(responder.read(first)), hex(payloads[0]));
  const second = responder.write(payloads[1]);
  assert.equal(hex(second), hex(example("noise-2")));
  assert.equal(hex(initiator.read(second)), hex(payloads[1]));
  for (const side of [initiator, responder]) {
    const [first, second] = side.split();
    assert.equal(hex(example("handshake-keys")).slice(0, 256), hex(side.hash) + hex(first) + hex(second));
  }
  assert.throws(() => new TextHandshake(prologue, client).read(first), /forged/, "for somebody else");
});

test("secret-stream.md: a secretstream made from the text seals like libsodium's, at every length modulo 16", () => {
  const { key, header } = SECRETSTREAM;
  const text = new TextSecretstream(key, header);
  const opener = new TextSecretstream(key, header);
  const library = wasm.secretStream(key, header);
  for (let length = 0; length < 150; length++) {
    const out = new Uint8Array(17 + length);
    library.push(out, pattern(length, 3));
    assert.equal(hex(text.seal(pattern(length, 3))), hex(out), `${length} bytes`);
    assert.equal(hex(opener.open(out)), hex(pattern(length, 3)), `${length} bytes`);
  }
});
