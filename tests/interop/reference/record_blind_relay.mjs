/** Records the messages of the reference's blind relay: `node record_blind_relay.mjs > ../../vectors/blind_relay.json`. */
import { createRequire } from "node:module";
import { messages } from "blind-relay";
import c from "compact-encoding";

const require = createRequire(import.meta.url);
const versions = Object.fromEntries(
  ["blind-relay", "compact-encoding", "compact-encoding-bitfield"].map((name) => [
    name,
    require(`${name}/package.json`).version,
  ]),
);

const token = (n) => Buffer.alloc(32, n);
const hex = (bytes) => Buffer.from(bytes).toString("hex");

const pair = [];
for (const isInitiator of [false, true]) {
  for (const id of [0, 1, 252, 253, 65535, 65536, 4294967295]) {
    const message = { isInitiator, token: token(id & 255), id, seq: id & 1 };
    const { id: streamId, ...rest } = message;
    pair.push({
      value: { ...rest, token: hex(message.token), streamId },
      bytes: hex(c.encode(messages.pair, message)),
    });
  }
}
const unpair = [0, 7, 255].map((n) => ({
  value: { token: hex(token(n)) },
  bytes: hex(c.encode(messages.unpair, { token: token(n) })),
}));

console.log(JSON.stringify({ versions, pair, unpair }, null, 1));
