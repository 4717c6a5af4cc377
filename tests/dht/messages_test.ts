/** HyperDHT's messages, signatures and seals, against those of the reference. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { noisePayload, peerHandshake, peerHolepunch } from "../../dht/handshake_messages.ts";
import {
  announcement,
  lookupReply,
  mutablePut,
  mutableSignable,
  mutableValue,
  peerRecord,
  pluginRequest,
} from "../../dht/messages.ts";
import { punchPayload, SecurePayload } from "../../dht/punch/payload.ts";
import { isMutableValid, signMutable } from "../../dht/records.ts";
import { announceSignable, dhtNamespaces, punchSecret, targetOf } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { type Codec, decode, DecodeError, encode } from "../../encoding/codec.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { readVectors, seed, utf8, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { bytes32, type DhtVectors, flatten, revive } from "./support.ts";

const recorded = readVectors<DhtVectors>("dht_messages.json");
// deno-lint-ignore no-explicit-any
const codecs: Record<string, Codec<any, any>> = {
  ...{ peerRecord, announcement, lookupReply, mutableValue, mutablePut, mutableSignable, pluginRequest },
  ...{ peerHandshake, peerHolepunch, noisePayload, punchPayload },
};

for (const [name, vectors] of Object.entries(recorded.messages)) {
  test(`5.1: ${name} writes and reads the reference's bytes`, () => {
    const codec = codecs[name]!;
    for (const { value, hex } of vectors) {
      assert.equal(toHex(encode(codec, revive(value))), hex);
      const read = flatten(decode(codec, fromHex(hex))) as Record<string, unknown>;
      if (name === "noisePayload") {
        assert.equal(read["version"], 1);
        delete read["version"];
      }
      assert.deepEqual(read, value);
    }
  });
}

test("5.1: a lookup reply of an old node ends before the bump", () => {
  const bytes = encode(lookupReply, { peers: [], bump: 0 }).subarray(0, 1);
  assert.deepEqual(decode(lookupReply, bytes), { peers: [], bump: 0 });
});

test("5.4: a noise payload of another version is empty but for the version", () => {
  for (const [bytes, version] of [[[2], 2], [[0, 255, 255], 0], [[0xfd, 0, 1, 9], 256]] as const) {
    const nothing = { version, error: 0, firewall: 0, addresses4: [], addresses6: [], secretStream: false };
    assert.deepEqual(decode(noisePayload, Uint8Array.from(bytes)), nothing);
  }
});

test("5.4: the noise payload of an open peer is the recorded one", () => {
  const bytes = fromHex("011b00010301010203040100050607080200010a00000109000100070001");
  const payload = decode(noisePayload, bytes);
  assert.equal(payload.firewall, 1);
  assert.equal(payload.holepunch?.id, 3);
  assert.deepEqual(payload.holepunch.relays.map(({ relayAddress }) => String(relayAddress)), ["1.2.3.4:1"]);
  assert.deepEqual(payload.addresses4.map(String), ["10.0.0.1:9"]);
  assert.deepEqual(payload.udx, { reusableSocket: false, id: 7, seq: 0 });
  assert.equal(payload.secretStream, true);
  assert.deepEqual(encode(noisePayload, payload), bytes);
});

test("5.1: what is cut off is an error that says where", () => {
  for (const [name, vectors] of Object.entries(recorded.messages)) {
    // What may be missing at the end of these is allowed to.
    if (name === "lookupReply") continue;
    for (const { hex } of vectors) {
      const bytes = fromHex(hex);
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(
          () => decode(codecs[name]!, bytes.subarray(0, length)),
          DecodeError,
          `${name} ${length}`,
        );
      }
    }
  }
});

test("P2: the namespaces are the reference's", () => {
  const { announce, unannounce, mutablePut, peerHandshake, peerHolepunch, plugin } = dhtNamespaces(wasm);
  const ours = {
    ANNOUNCE: announce,
    UNANNOUNCE: unannounce,
    MUTABLE_PUT: mutablePut,
    PEER_HANDSHAKE: peerHandshake,
    PEER_HOLEPUNCH: peerHolepunch,
    PLUGIN: plugin,
  };
  for (const [name, value] of Object.entries(ours)) {
    assert.equal(toHex(value), recorded.namespaces[name], name);
  }
});

test("5.1: announcements are signed as the reference signs them", () => {
  const keys = wasm.keyPair(seed(1));
  const spaces = dhtNamespaces(wasm);
  const peer = { publicKey: keys.publicKey, relayAddresses: [SocketAddress.parse("1.2.3.4:5")] };
  const context = { target: bytes32(9), token: bytes32(8), nodeId: bytes32(7) };
  const sign = (space: Uint8Array, refresh?: Uint8Array) =>
    toHex(wasm.sign(announceSignable(wasm, space, context, peer, refresh), keys.secretKey));
  assert.equal(sign(spaces.announce), recorded.signatures["announce"]);
  assert.equal(sign(spaces.announce, bytes32(6)), recorded.signatures["announceWithRefresh"]);
  assert.equal(sign(spaces.unannounce), recorded.signatures["unannounce"]);
});

test("5.1: mutable values are signed as the reference signs them", () => {
  const keys = wasm.keyPair(seed(1));
  const spaces = dhtNamespaces(wasm);
  const small = signMutable(wasm, spaces, keys, { seq: 0, value: utf8("x") });
  const large = signMutable(wasm, spaces, keys, { seq: 70_000, value: new Uint8Array(1000).fill(2) });
  assert.equal(toHex(small.signature), recorded.signatures["mutable"]);
  assert.equal(toHex(large.signature), recorded.signatures["mutableLarge"]);
  assert.ok(isMutableValid(wasm, spaces, small));
  assert.ok(!isMutableValid(wasm, spaces, { ...small, seq: 1 }));
  assert.ok(!isMutableValid(wasm, spaces, { ...small, signature: large.signature }));
});

test("H8: the punch secret is derived from the handshake hash", () => {
  const { handshakes } = readVectors<{ handshakes: { what: string; hash: string }[] }>("noise.json");
  const { hash } = handshakes.find(({ what }) => what === "a DHT handshake")!;
  const expected = "626af7b2162b7ad2fc2553c86c2f01c754c25211882e4a270dac21f3b6e876d1";
  assert.equal(toHex(punchSecret(wasm, dhtNamespaces(wasm), fromHex(hash))), expected);
  assert.equal(
    toHex(targetOf(wasm, utf8(""))),
    "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8",
  );
});

/** A source of chance of which every byte is 5, as when the vectors were recorded. */
const fives = Object.assign(new SeededRandom(1), { fill: (into: Uint8Array) => into.fill(5) });

test("5.4: sealed punch payloads and tokens are the reference's", () => {
  const secure = new SecurePayload({ crypto: wasm, random: fives }, fromHex(recorded.secure.secret));
  for (const { value, hex } of recorded.secure.sealed) {
    assert.equal(toHex(secure.seal(revive(value) as Parameters<typeof secure.seal>[0])), hex);
    assert.deepEqual(flatten(secure.open(fromHex(hex))), value);
  }
  const { host, hex } = recorded.secure.token;
  assert.equal(toHex(secure.token(SocketAddress.of(host, 1))), hex);
  assert.equal(toHex(secure.token(SocketAddress.of(host, 2))), hex, "the port does not count");
});

test("5.4: a sealed payload that is damaged, cut or of another secret does not open", () => {
  const secure = new SecurePayload({ crypto: wasm, random: fives }, bytes32(4));
  const other = new SecurePayload({ crypto: wasm, random: fives }, bytes32(3));
  const sealed = fromHex(recorded.secure.sealed[0]!.hex);
  assert.equal(other.open(sealed), undefined);
  for (let i = 0; i < sealed.length; i++) {
    const damaged = sealed.slice();
    damaged[i]! ^= 1;
    assert.equal(secure.open(damaged), undefined);
    assert.equal(secure.open(sealed.subarray(0, i)), undefined);
  }
  assert.throws(() => new SecurePayload({ crypto: wasm, random: fives }, new Uint8Array(31)), RangeError);
});
