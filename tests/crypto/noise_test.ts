/** Noise handshakes against recorded transcripts, and against peers that break the rules. */
import assert from "node:assert/strict";
import { randomKeyPair } from "../../core/crypto/keys.ts";
import {
  MAX_NOISE_MESSAGE_BYTES,
  NoiseHandshake,
  type NoiseOptions,
  type NoisePattern,
} from "../../core/crypto/noise.ts";
import type { CryptoProvider } from "../../core/runtime/crypto_provider.ts";
import { ProtocolError } from "../../core/runtime/errors.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { hex, pattern as patternBytes, readVectors, seed, testEach, unhex, utf8, wasm } from "./support.ts";
import { test } from "../harness.ts";

interface NoiseVectors {
  readonly handshakes: readonly {
    readonly what: string;
    readonly pattern: NoisePattern;
    /** Initiator, responder, and the ephemeral key of each. */
    readonly seeds: readonly [number, number, number, number];
    readonly prologue: string;
    readonly messages: readonly { readonly payload: string; readonly message: string }[];
    readonly hash: string;
    readonly initiatorTx: string;
    readonly initiatorRx: string;
  }[];
}

const { handshakes } = readVectors<NoiseVectors>("noise.json");

/** Two ends that have not spoken yet. */
function ends(crypto: CryptoProvider, pattern: NoisePattern, options: Partial<NoiseOptions> = {}) {
  const random = new SeededRandom("noise");
  const [a, b] = [crypto.keyPair(seed(1)), crypto.keyPair(seed(2))];
  const common = { pattern, random, ...options };
  return {
    initiator: new NoiseHandshake(crypto, {
      ...common,
      initiator: true,
      staticKeyPair: a,
      remotePublicKey: pattern === "IK" ? b.publicKey : undefined,
    }),
    responder: new NoiseHandshake(crypto, { ...common, initiator: false, staticKeyPair: b }),
  };
}

function refused(call: () => unknown, message: RegExp): void {
  assert.throws(call, (error) => {
    assert(error instanceof ProtocolError, String(error));
    assert.equal(error.code, "HANDSHAKE_INVALID");
    assert.match(error.message, message);
    return true;
  });
}

testEach("handshakes are the reference's, byte for byte", (crypto) => {
  for (const { what, pattern, seeds, prologue, messages, hash, initiatorTx, initiatorRx } of handshakes) {
    const [a, b, ephemeralA, ephemeralB] = seeds.map((n) => crypto.keyPair(seed(n)));
    const common = { pattern, prologue: unhex(prologue) };
    const initiator = new NoiseHandshake(crypto, {
      ...common,
      initiator: true,
      staticKeyPair: a!,
      remotePublicKey: pattern === "IK" ? b!.publicKey : undefined,
      ephemeralKeyPair: ephemeralA,
    });
    const responder = new NoiseHandshake(crypto, {
      ...common,
      initiator: false,
      staticKeyPair: b!,
      ephemeralKeyPair: ephemeralB,
    });
    for (const [i, { payload, message }] of messages.entries()) {
      const [from, to] = i % 2 === 0 ? [initiator, responder] : [responder, initiator];
      assert.equal(from.sending, true);
      assert.equal(to.sending, false);
      assert.equal(hex(from.send(unhex(payload))), message, `${pattern}: ${what}, message ${i + 1}`);
      assert.equal(hex(to.recv(unhex(message))), payload);
    }
    const [mine, theirs] = [initiator.session!, responder.session!];
    assert.deepEqual([hex(mine.tx), hex(mine.rx), hex(mine.hash)], [initiatorTx, initiatorRx, hash]);
    assert.deepEqual([hex(theirs.tx), hex(theirs.rx), hex(theirs.hash)], [initiatorRx, initiatorTx, hash]);
    assert.deepEqual([mine.isInitiator, theirs.isInitiator], [true, false]);
    assert.deepEqual(mine.remotePublicKey, b!.publicKey);
    assert.deepEqual(theirs.remotePublicKey, a!.publicKey);
    assert(
      ephemeralA!.secretKey.some((byte) => byte !== 0),
      "a key pair that was passed in stays the caller's",
    );
  }
});

test("the same chance gives the same handshake, other chance another", () => {
  const first = ends(wasm, "IK").initiator.send();
  assert.deepEqual(ends(wasm, "IK").initiator.send(), first);
  assert.notDeepEqual(ends(wasm, "IK", { random: new SeededRandom("other") }).initiator.send(), first);
});

test("keys appear as early as the pattern allows", () => {
  const ik = ends(wasm, "IK");
  assert.deepEqual(ik.initiator.remotePublicKey, wasm.keyPair(seed(2)).publicKey);
  assert.equal(ik.responder.remotePublicKey, undefined);
  ik.responder.recv(ik.initiator.send());
  assert.deepEqual(ik.responder.remotePublicKey, wasm.keyPair(seed(1)).publicKey);
  assert.deepEqual([ik.responder.complete, ik.responder.session], [false, undefined]);
  ik.initiator.recv(ik.responder.send());
  assert.deepEqual([ik.responder.complete, ik.initiator.complete], [true, true]);

  const xx = ends(wasm, "XX");
  xx.responder.recv(xx.initiator.send());
  xx.initiator.recv(xx.responder.send());
  assert.deepEqual(xx.initiator.remotePublicKey, wasm.keyPair(seed(2)).publicKey);
  assert.equal(xx.responder.remotePublicKey, undefined);
});

test("another prologue, another responder or another pattern is a forged message", () => {
  const { initiator } = ends(wasm, "IK", { prologue: utf8("one") });
  const message = initiator.send();
  refused(() => ends(wasm, "IK", { prologue: utf8("two") }).responder.recv(message), /forged/);
  const other = { pattern: "IK", initiator: false, staticKeyPair: wasm.keyPair(seed(3)) } as const;
  refused(() => new NoiseHandshake(wasm, { ...other, random: new SeededRandom(1) }).recv(message), /forged/);
  const { responder } = ends(wasm, "XX");
  responder.recv(message); // the first message of XX is open to all
  refused(() => initiator.recv(responder.send()), /forged/);
});

test("a refused message leaves the handshake as it was", () => {
  for (const pattern of ["IK", "XX"] as const) {
    const { initiator, responder } = ends(wasm, pattern);
    let [from, to] = [initiator, responder];
    for (let i = 0; !to.complete; i++) {
      const message = from.send(utf8("payload"));
      const open = pattern === "XX" && i === 0;
      for (let at = 0; at < message.length && !open; at += 7) {
        const forged = message.slice();
        forged[at]! ^= 1;
        refused(() => to.recv(forged), /forged|not a point/);
      }
      refused(() => to.recv(message.subarray(0, 31)), /must be \d+ to 65535 bytes, not 31/);
      refused(() => to.recv(new Uint8Array(MAX_NOISE_MESSAGE_BYTES + 1)), /not 65536/);
      assert.deepEqual(to.recv(message), utf8("payload"));
      [from, to] = [to, from];
    }
    assert.deepEqual(initiator.session!.hash, responder.session!.hash);
  }
});

testEach("a point of small order in place of a key is refused", (crypto) => {
  for (const point of ["00", "01"].map((first) => unhex(first.padEnd(64, "0")))) {
    const ik = ends(crypto, "IK");
    const message = ik.initiator.send();
    message.set(point);
    refused(() => ik.responder.recv(message), /not a point/);
    const xx = ends(crypto, "XX");
    xx.responder.recv(point);
    refused(() => xx.responder.send(), /not a point/);
    const dialing = new NoiseHandshake(crypto, {
      pattern: "IK",
      initiator: true,
      staticKeyPair: crypto.keyPair(seed(1)),
      remotePublicKey: point,
      random: new SeededRandom(1),
    });
    refused(() => dialing.send(), /not a point/);
  }
});

test("a message out of turn is the peer's fault when it comes and the caller's when it goes", () => {
  const { initiator, responder } = ends(wasm, "IK");
  assert.throws(() => responder.send(), { name: "TypeError", message: /other side's/ });
  refused(() => initiator.recv(new Uint8Array(48)), /this side's/);
  const first = initiator.send();
  assert.throws(() => initiator.send(), TypeError);
  responder.recv(first);
  refused(() => responder.recv(first), /this side's/);
  initiator.recv(responder.send());
  refused(() => initiator.recv(first), /complete/);
  refused(() => responder.recv(first), /complete/);
  assert.throws(() => initiator.send(), { name: "TypeError", message: /complete/ });
});

test("a payload fills a message to the last of 65535 bytes", () => {
  const { initiator, responder } = ends(wasm, "IK");
  const room = MAX_NOISE_MESSAGE_BYTES - 96;
  assert.throws(() => initiator.send(new Uint8Array(room + 1)), {
    name: "RangeError",
    message: /65535 bytes, not 65536/,
  });
  const payload = patternBytes(room, 1);
  const message = initiator.send(payload);
  assert.equal(message.length, MAX_NOISE_MESSAGE_BYTES);
  assert.deepEqual(responder.recv(message), payload);
});

test("options that cannot work are refused at once", () => {
  const staticKeyPair = wasm.keyPair(seed(1));
  const random = new SeededRandom(1);
  const make = (options: Partial<NoiseOptions>) => () =>
    new NoiseHandshake(wasm, { pattern: "IK", initiator: true, staticKeyPair, random, ...options });
  const remotePublicKey = wasm.keyPair(seed(2)).publicKey;
  assert.throws(make({}), { name: "TypeError", message: /needs remotePublicKey/ });
  assert.throws(make({ initiator: false, remotePublicKey }), {
    name: "TypeError",
    message: /only the initiator/,
  });
  assert.throws(make({ pattern: "XX", remotePublicKey }), {
    name: "TypeError",
    message: /only the initiator/,
  });
  assert.throws(make({ remotePublicKey, random: undefined }), {
    name: "TypeError",
    message: /random or ephemeral/,
  });
  assert.throws(make({ remotePublicKey: new Uint8Array(31) }), RangeError);
  const short = { publicKey: new Uint8Array(32), secretKey: new Uint8Array(32) };
  assert.throws(make({ remotePublicKey, staticKeyPair: short }), RangeError);
  assert.throws(make({ remotePublicKey, ephemeralKeyPair: short }), RangeError);
});

test("the session holds no memory of the messages", () => {
  const { initiator, responder } = ends(wasm, "XX");
  const first = initiator.send();
  responder.recv(first);
  first.fill(0);
  const second = responder.send();
  const copy = second.slice();
  initiator.recv(copy);
  copy.fill(0);
  responder.recv(initiator.send());
  assert.deepEqual(initiator.session!.hash, responder.session!.hash);
  assert.deepEqual(initiator.session!.remotePublicKey, wasm.keyPair(seed(2)).publicKey);
});

test("a random key pair has the seed that was drawn", () => {
  const drawn = new SeededRandom("pair").fill(new Uint8Array(32));
  assert.deepEqual(randomKeyPair(wasm, new SeededRandom("pair")), wasm.keyPair(drawn));
});
