/**
 * Records whole streams of the reference: `node record_secret_stream.mjs > ../../vectors/secret_stream.json`. The ephemeral
 * keys are put in before the first message; the stream headers are the reference's own draw, so that a second run differs in
 * what follows them.
 */
import { createRequire } from "node:module";
import { Duplex } from "streamx";
import hypercoreCrypto from "hypercore-crypto";
import NoiseSecretStream from "@hyperswarm/secret-stream";

const require = createRequire(import.meta.url);
const versions = Object.fromEntries(
  ["@hyperswarm/secret-stream", "noise-handshake", "sodium-native"].map((
    name,
  ) => [name, require(`${name}/package.json`).version]),
);
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const keyPair = (n) => hypercoreCrypto.keyPair(Buffer.alloc(32, n));
const pattern = (length, n) =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255));

/** One end of a pipe that notes what is written to it, unordered messages included. */
function rawEnd(written, unordered) {
  const end = new Duplex({
    write(chunk, done) {
      written.push(hex(chunk));
      end.peer.push(Buffer.from(chunk));
      done(null);
    },
    final(done) {
      end.peer.push(null);
      done(null);
    },
  });
  end.send = (message) => {
    unordered.push(hex(message));
    end.peer.emit("message", Buffer.from(message));
  };
  return end;
}

async function record(kind) {
  const [frames, unordered] = [{ initiator: [], responder: [] }, { initiator: [], responder: [] }];
  const near = rawEnd(frames.initiator, unordered.initiator);
  const far = rawEnd(frames.responder, unordered.responder);
  [near.peer, far.peer] = [far, near];
  const client = new NoiseSecretStream(true, near, {
    pattern: kind,
    keyPair: keyPair(1),
    remotePublicKey: keyPair(2).publicKey,
  });
  const server = new NoiseSecretStream(false, far, { pattern: kind, keyPair: keyPair(2) });
  client._handshake.noise.e = keyPair(3);
  server._handshake.noise.e = keyPair(4);
  const ends = [client, server].map((stream) => new Promise((resolve) => stream.resume().on("end", resolve)));
  await Promise.all([client.opened, server.opened]);
  const messages = {
    initiator: [pattern(5, 1), pattern(0, 1), pattern(300, 2)],
    responder: [pattern(1, 3), pattern(1000, 4)],
  };
  for (const message of messages.initiator) client.write(message);
  for (const message of messages.responder) server.write(message);
  for (const message of [pattern(3, 5), pattern(0, 6)]) client.send(message);
  server.send(pattern(40, 7));
  client.end();
  server.end();
  await Promise.all(ends);
  return {
    pattern: kind,
    seeds: { initiator: 1, responder: 2, initiatorEphemeral: 3, responderEphemeral: 4 },
    handshakeHash: hex(client.handshakeHash),
    frames,
    messages: { initiator: messages.initiator.map(hex), responder: messages.responder.map(hex) },
    unordered,
    unorderedMessages: { initiator: [hex(pattern(3, 5)), ""], responder: [hex(pattern(40, 7))] },
  };
}

console.log(JSON.stringify({ versions, streams: [await record("XX"), await record("IK")] }, null, 1));
