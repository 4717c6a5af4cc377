/** Records what the reference mux writes: `node record_protomux.mjs > ../../vectors/protomux.json`. */
import { EventEmitter } from "node:events";
import { createRequire } from "node:module";
import c from "compact-encoding";
import Protomux from "protomux";

const require = createRequire(import.meta.url);
const versions = Object.fromEntries(
  ["protomux", "compact-encoding"].map((name) => [name, require(`${name}/package.json`).version]),
);

/** A stream that goes nowhere and notes what is written to it. */
class Note extends EventEmitter {
  userData = null;
  destroyed = false;
  frames = [];
  write(chunk) {
    this.frames.push(Buffer.from(chunk).toString("hex"));
    return true;
  }
  pause() {}
  resume() {}
  end() {}
  destroy() {}
}

const steps = [];
const stream = new Note();
const mux = Protomux.from(stream);
const channels = new Map();

const actions = {
  open({ name, protocol, id, greeting }) {
    const channel = mux.createChannel({
      protocol,
      id: id === undefined ? null : Buffer.from(id, "hex"),
      handshake: greeting === undefined ? null : c.string,
      unique: false,
    });
    const messages = [channel.addMessage({ encoding: c.string }), channel.addMessage({ encoding: c.uint })];
    channels.set(name, { channel, messages });
    channel.open(greeting);
  },
  text: ({ name, value }) => channels.get(name).messages[0].send(value),
  number: ({ name, value }) => channels.get(name).messages[1].send(value),
  close: ({ name }) => channels.get(name).channel.close(),
  cork: () => mux.cork(),
  uncork: () => mux.uncork(),
  receive: ({ hex }) => stream.emit("data", Buffer.from(hex, "hex")),
};

function step(action, details = {}) {
  stream.frames = [];
  actions[action](details);
  steps.push({ action, ...details, frames: stream.frames });
}

step("open", { name: "a", protocol: "alpha" });
step("open", { name: "b", protocol: "beta/1", id: "00ff10", greeting: "hello" });
step("text", { name: "a", value: "early" });
step("receive", { hex: "000101046265746100" }); // an unknown protocol, which is rejected
step("receive", { hex: "00010206626574612f310300ff10026869" }); // the other half of b, with a greeting
step("number", { name: "b", value: 252 });
step("number", { name: "b", value: 253 });
step("number", { name: "b", value: 70000 });
step("number", { name: "b", value: 5000000000 });
step("text", { name: "b", value: "x".repeat(300) });
step("cork");
step("text", { name: "a", value: "one" });
step("text", { name: "a", value: "two" });
step("number", { name: "b", value: 7 });
step("open", { name: "c", protocol: "gamma", id: "01" });
step("text", { name: "c", value: "" });
step("close", { name: "b" });
step("uncork");
step("cork");
step("uncork");
step("open", { name: "d", protocol: "delta" });
step("receive", { hex: "000201" });
step("open", { name: "e", protocol: "epsilon" });
step("close", { name: "c" });
step("close", { name: "d" });

console.log(JSON.stringify({ versions, steps }, null, 1));
