/**
 * Records whole handshakes of the reference: `node record_noise.mjs > ../../vectors/noise.json`. The ephemeral keys are put
 * in before the first message, so that a second run gives the same file.
 */
import { createRequire } from "node:module";
import hypercoreCrypto from "hypercore-crypto";
import curve from "noise-curve-ed";
import Noise from "noise-handshake";

const require = createRequire(import.meta.url);
const versions = Object.fromEntries(
  ["noise-handshake", "noise-curve-ed", "sodium-native"].map((
    name,
  ) => [name, require(`${name}/package.json`).version]),
);

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const keyPair = (n) => hypercoreCrypto.keyPair(Buffer.alloc(32, n));
/** `length` bytes that differ from each other and depend on `n`; tests make them the same way. */
const pattern = (length, n) =>
  Buffer.from(
    Array.from({ length }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255),
  );
const [peerHandshake] = hypercoreCrypto.namespace("hyperswarm/dht", [0]);

/** Seeds: initiator, responder, and the ephemeral key of each. */
function record(what, pattern, seeds, prologue, payloads) {
  const [a, b, ea, eb] = seeds.map(keyPair);
  const initiator = new Noise(pattern, true, a, { curve });
  const responder = new Noise(pattern, false, b, { curve });
  initiator.e = ea;
  responder.e = eb;
  initiator.initialise(prologue, pattern === "IK" ? b.publicKey : undefined);
  responder.initialise(prologue);
  const messages = payloads.map((payload, i) => {
    const [from, to] = i % 2 === 0 ? [initiator, responder] : [responder, initiator];
    const message = from.send(payload);
    const recorded = { payload: hex(payload), message: hex(message) };
    to.recv(message); // which zeroes the ephemeral key inside of the last message
    return recorded;
  });
  return {
    what,
    pattern,
    seeds,
    prologue: hex(prologue),
    messages,
    hash: hex(initiator.hash),
    initiatorTx: hex(initiator.tx.subarray(0, 32)),
    initiatorRx: hex(initiator.rx.subarray(0, 32)),
  };
}

const none = Buffer.alloc(0);
const text = (value) => Buffer.from(value);
console.log(JSON.stringify(
  {
    versions,
    handshakes: [
      record("a DHT handshake", "IK", [1, 2, 3, 4], peerHandshake, [
        text("a"),
        text("b"),
      ]),
      record("nothing but keys", "IK", [1, 2, 3, 4], none, [none, none]),
      record("payloads of some size", "IK", [9, 8, 7, 6], text("prologue"), [
        pattern(300, 1),
        pattern(1000, 2),
      ]),
      record("a long prologue", "IK", [1, 1, 2, 2], pattern(500, 3), [
        pattern(1, 1),
        pattern(64, 2),
      ]),
      record("a stream of its own", "XX", [1, 2, 3, 4], none, [
        none,
        none,
        none,
      ]),
      record("payloads everywhere", "XX", [5, 6, 7, 8], text("prologue"), [
        text("a"),
        text("bb"),
        text("ccc"),
      ]),
      record("payloads of some size", "XX", [9, 8, 7, 6], pattern(500, 3), [
        pattern(200, 1),
        pattern(1000, 2),
        pattern(129, 3),
      ]),
    ],
  },
  null,
  1,
));
