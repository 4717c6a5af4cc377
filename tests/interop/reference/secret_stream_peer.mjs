/**
 * A reference secret stream, driven by JSON lines: commands come in on stdin, events go out on stdout.
 *
 *     node secret_stream_peer.mjs '{"carrier":"tcp","listen":true,"isInitiator":false,"seed":2,...}'
 *
 * A carrier is a file `<name>_carrier.mjs` beside this one, with `open(settings)`: it calls `settings.onListening` with what the
 * other side has to know, if it listens, and resolves with a raw stream.
 */
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import NoiseSecretStream from "@hyperswarm/secret-stream";
import { serveMux } from "./protomux_peer.mjs";

const settings = JSON.parse(process.argv[2]);
const tell = (event, details = {}) => console.log(JSON.stringify({ event, ...details }));
const hex = (text) => Buffer.from(text, "hex");

const { open } = await import(`./${settings.carrier}_carrier.mjs`);
const raw = await open({ ...settings, onListening: (address) => tell("listening", { address }) });

const session = settings.session && {
  tx: hex(settings.session.tx),
  rx: hex(settings.session.rx),
  hash: hex(settings.session.hash),
  publicKey: hex(settings.session.publicKey),
  remotePublicKey: hex(settings.session.remotePublicKey),
};
const stream = new NoiseSecretStream(settings.isInitiator, raw, {
  pattern: settings.pattern,
  keyPair: NoiseSecretStream.keyPair(Buffer.alloc(32, settings.seed)),
  remotePublicKey: settings.remotePublicKey && hex(settings.remotePublicKey),
  handshake: session,
  keepAlive: settings.keepAlive,
});

stream.on("connect", () =>
  tell("open", {
    remotePublicKey: stream.remotePublicKey.toString("hex"),
    handshakeHash: stream.handshakeHash.toString("hex"),
  }));
stream.on("error", (error) => tell("error", { message: error.message }));
stream.on("close", () => {
  tell("close");
  setImmediate(() => process.exit(0)); // the mux hears of it after us
});
stream.on("message", (message) => tell("message", { hex: message.toString("hex") }));

const mux = settings.mux ? serveMux(stream, tell) : null;
if (mux === null) {
  stream.on("data", (data) => {
    if (settings.echo) return stream.write(data);
    if (data.length <= 64) return tell("data", { size: data.length, hex: data.toString("hex") });
    tell("data", { size: data.length, sha256: createHash("sha256").update(data).digest("hex") });
  });
  stream.on("end", () => {
    tell("end");
    if (settings.echo) stream.end();
  });
}

/** Bytes that both sides can make: 7i + 13n + i/256 (mod 256). */
const pattern = (size, n) =>
  Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255));

const commands = {
  write: ({ hex: text }) => stream.write(hex(text)),
  writePattern: ({ size, n }) => stream.write(pattern(size, n)),
  send: ({ hex: text }) => stream.send(hex(text)),
  end: () => stream.end(),
  destroy: ({ message }) => stream.destroy(message ? new Error(message) : null),
  destroyRaw: () => raw.destroy(),
  counters: () => tell("counters", { read: stream.rawBytesRead, written: stream.rawBytesWritten }),
};
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...details } = JSON.parse(line);
  if (mux !== null && command in mux) mux[command](details);
  else commands[command](details);
}
process.exit(0);
