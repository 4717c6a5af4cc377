/**
 * One side of handshakes, played by noise-handshake. JSON lines on standard input: `{start: {pattern, initiator, prologue,
 * remotePublicKey}}` begins one and is answered by `{publicKey}`, `{send: payload}` is answered by `{message}`, and
 * `{recv: message}` by `{payload}` or `{error}`. Each answer has `session` once the handshake is complete. Bytes are hex.
 */
import { createInterface } from "node:readline";
import curve from "noise-curve-ed";
import Noise from "noise-handshake";

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const unhex = (text) => Buffer.from(text, "hex");

let noise;

function answer(line) {
  if (line.start) {
    const { pattern, initiator, prologue, remotePublicKey } = line.start;
    const keyPair = curve.generateKeyPair();
    noise = new Noise(pattern, initiator, keyPair, { curve });
    noise.initialise(unhex(prologue), remotePublicKey === undefined ? undefined : unhex(remotePublicKey));
    return { publicKey: hex(keyPair.publicKey) };
  }
  if (line.send !== undefined) return { message: hex(noise.send(unhex(line.send))) };
  try {
    return { payload: hex(noise.recv(unhex(line.recv))) };
  } catch (error) {
    return { error: String(error) };
  }
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const reply = answer(JSON.parse(line));
  if (noise.complete) {
    const { hash, tx, rx, rs } = noise;
    reply.session = { hash: hex(hash), tx: hex(tx), rx: hex(rx), remotePublicKey: hex(rs) };
  }
  console.log(JSON.stringify(reply));
});
