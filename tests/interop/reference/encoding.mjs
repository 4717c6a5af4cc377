// Encodes and decodes with the reference what comes on stdin: JSON lines {codec, value} or {codec, hex}. Answers with one
// line each: {hex}, or {value, used}, or {error}. A value that is not JSON is tagged, see encoding_codecs.mjs.
import { createInterface } from "node:readline";
import c from "compact-encoding";
import { codecs, tag, untag } from "./encoding_codecs.mjs";

function answer({ codec, value, hex }) {
  try {
    if (hex === undefined) return { hex: Buffer.from(c.encode(codecs[codec], untag(value))).toString("hex") };
    const bytes = new Uint8Array(Buffer.from(hex, "hex"));
    const state = c.state(0, bytes.length, bytes);
    const decoded = codecs[codec].decode(state);
    return { value: tag(decoded), used: state.start };
  } catch (error) {
    return { error: String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(answer(JSON.parse(line))));
}
