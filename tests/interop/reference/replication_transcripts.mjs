/**
 * Lets two logs of either generation talk over a pipe in memory whose handshake is made up, and notes what they say. For
 * `record_replication.mjs`.
 */
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const c = require("compact-encoding");
const crypto = require("hypercore-crypto");
const { Duplex } = require("streamx");

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const pattern = (length, n) =>
  Buffer.from(Array.from({ length }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255));
const handshakeHash = pattern(64, 77);
const keyOf = (n) => crypto.keyPair(Buffer.alloc(32, n));
const types = [
  "sync",
  "request",
  "cancel",
  "data",
  "noData",
  "want",
  "unwant",
  "bitfield",
  "range",
  "extension",
];
const controls = ["batch", "open", "reject", "close"];

/** An end of a pipe that looks like a secret stream. */
class End extends Duplex {
  constructor(isInitiator, said) {
    super();
    this.isInitiator = isInitiator;
    this.said = said;
    this.handshakeHash = handshakeHash;
    this.publicKey = keyOf(isInitiator ? 21 : 22).publicKey;
    this.remotePublicKey = keyOf(isInitiator ? 22 : 21).publicKey;
    this.noiseStream = this;
    this.rawStream = this;
    this.userData = null;
    this.keepAlive = 0;
    this.opened = Promise.resolve(true);
    this.other = null;
  }

  setKeepAlive() {}

  _write(frame, done) {
    this.said.push(...messagesOf(frame));
    const copy = Buffer.from(frame);
    setImmediate(() => this.other.destroying || this.other.push(copy));
    done(null);
  }

  _final(done) {
    this.other.push(null);
    done(null);
  }
}

/** The messages of a frame, each as if it had been alone in one. */
function messagesOf(frame) {
  const state = { start: 0, end: frame.length, buffer: frame };
  let channel = c.uint.decode(state);
  if (channel !== 0) return [messageOf(channel, frame.subarray(state.start))];
  const control = c.uint.decode(state);
  if (control !== 0) return [{ message: controls[control], bytes: hex(frame) }];
  const messages = [];
  channel = c.uint.decode(state);
  while (state.start < state.end) {
    const length = c.uint.decode(state);
    if (length === 0) channel = c.uint.decode(state);
    else messages.push(messageOf(channel, frame.subarray(state.start, state.start += length)));
  }
  return messages;
}

function messageOf(channel, body) {
  if (channel === 0) return { message: controls[body[0]], bytes: `00${hex(body)}` };
  return { message: types[body[0]], bytes: hex(body.subarray(1)) };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const blockOf = (i) => pattern((i * 5) % 17, i);

/** What is done with a writer and a reader. Nothing may be left to chance: one thing is asked for at a time. */
const scenarios = {
  async "blocks one by one"({ reader, settle }) {
    await settle();
    await reader.update({ wait: true });
    for (const index of [3, 0, 6]) {
      await reader.get(index);
      await settle();
    }
  },
  async "the writer appends"({ writer, reader, settle }) {
    await settle();
    await reader.update({ wait: true });
    await settle();
    await writer.append([7, 8].map(blockOf));
    await settle();
    await reader.get(8);
    await settle();
  },
  async "the writer clears a block, and is asked for it"({ writer, reader, settle }) {
    await settle();
    await reader.update({ wait: true });
    await settle();
    await writer.clear(2, 4);
    await settle();
    await reader.get(3, { timeout: 200 }).catch(() => {});
    await settle();
  },
  async "the writer forks"({ writer, reader, settle }) {
    await settle();
    await reader.update({ wait: true });
    await reader.get(1);
    await settle();
    await writer.truncate(4);
    await settle();
    await writer.append(blockOf(40));
    await settle();
    await reader.get(4);
    await settle();
  },
  async "a byte is sought"({ reader, settle }) {
    await settle();
    await reader.update({ wait: true });
    await settle();
    await reader.seek(20);
    await settle();
  },
  async "an extension"({ writer, reader, settle }) {
    const heard = [];
    const make = (core) =>
      core.registerExtension("greeting", { encoding: "utf-8", onmessage: (text) => heard.push(text) });
    const [a, b] = [make(writer), make(reader)];
    await settle();
    a.broadcast("hello");
    a.broadcast("again");
    await settle();
    b.broadcast("bye");
    await settle();
    if (heard.join() !== "hello,again,bye") throw new Error(`heard ${heard}`);
  },
};

/** Takes chance out: what the scheduler draws is the same in each run. */
function tameChance() {
  let state = 1;
  Math.random = () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return state / 2 ** 32;
  };
}

async function transcript(generations, folder, title, settings, play) {
  const name = `${title}-${Object.values(settings).join("-")}`.replaceAll(" ", "_");
  const [ofWriter, ofReader] = [generations[settings.writer], generations[settings.reader]];
  const writer = new ofWriter.Hypercore(join(folder, `${name}-w`), {
    compat: settings.compat,
    keyPair: keyOf(9),
  });
  await writer.ready();
  for (let i = 0; i < 7; i++) await writer.append(blockOf(i));
  const reader = new ofReader.Hypercore(join(folder, `${name}-r`), writer.key);
  await reader.ready();
  const said = { writer: [], reader: [] };
  tameChance();
  const ends = [new End(true, said.writer), new End(false, said.reader)];
  [ends[0].other, ends[1].other] = [ends[1], ends[0]];
  for (const end of ends) end.on("error", () => {});
  writer.replicate(ends[0], { keepAlive: false });
  reader.replicate(ends[1], { keepAlive: false });
  /** Waits until nobody has said anything for some time. */
  const settle = async () => {
    for (let quiet = 0, seen = -1; quiet < 6; quiet++) {
      const now = said.writer.length + said.reader.length;
      if (now !== seen) [quiet, seen] = [0, now];
      await pause(20);
    }
  };
  await play({ writer, reader, settle });
  const result = {
    ...{
      title,
      ...settings,
      key: hex(writer.key),
      writerIsInitiator: true,
      handshakeHash: hex(handshakeHash),
    },
    ...{
      treeHash: hex(await writer.treeHash()),
      said: { writer: [...said.writer], reader: [...said.reader] },
    },
  };
  for (const end of ends) end.destroy();
  await reader.close();
  await writer.close();
  return result;
}

/** All scenarios with both generations in both places. */
export async function recordTranscripts(generations, folder) {
  const found = [];
  for (const [title, play] of Object.entries(scenarios)) {
    for (const [writer, reader] of [["v11", "v11"], ["v10", "v10"], ["v11", "v10"], ["v10", "v11"]]) {
      for (const compat of [true, false]) {
        found.push(await transcript(generations, folder, title, { writer, reader, compat }, play));
      }
    }
  }
  return found;
}
