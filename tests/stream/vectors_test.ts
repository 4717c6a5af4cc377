/**
 * The frames of the reference, written again and read back. Recorded by `interop/reference/record_secret_stream.mjs` and
 * `record_protomux.mjs`.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Random } from "../../core/runtime/runtime.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { Mux } from "../../core/stream/mux.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { string } from "../../encoding/strings.ts";
import { uint } from "../../encoding/varint.ts";
import type { Channel, ChannelMessage } from "../../core/stream/channel.ts";
import { test } from "../harness.ts";
import { keyPair, makeEnd, Recorder, testRuntime } from "./rig.ts";

interface Sides<T> {
  readonly initiator: T;
  readonly responder: T;
}

interface StreamVector {
  readonly pattern: "XX" | "IK";
  readonly handshakeHash: string;
  readonly frames: Sides<readonly string[]>;
  readonly messages: Sides<readonly string[]>;
  readonly unordered: Sides<readonly string[]>;
  readonly unorderedMessages: Sides<readonly string[]>;
}

interface MuxStep {
  readonly action: "open" | "text" | "number" | "close" | "cork" | "uncork" | "receive";
  readonly name: string;
  readonly protocol: string;
  readonly id?: string;
  readonly greeting?: string;
  // deno-lint-ignore no-explicit-any
  readonly value?: any;
  readonly hex: string;
  readonly frames: readonly string[];
}

function load<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), "utf8"));
}

/** Draws what the reference drew: the seed of the ephemeral key, the stream header, the start of the counter. */
class ScriptedRandom extends SeededRandom implements Random {
  readonly #draws: Uint8Array[];

  constructor(draws: Uint8Array[]) {
    super("unused");
    this.#draws = draws;
  }

  override fill(into: Uint8Array): Uint8Array {
    const draw = this.#draws.shift();
    assert.equal(draw?.length, into.length, "drawn as in the reference");
    into.set(draw!);
    return into;
  }
}

function counterBefore(sealed: Uint8Array): Uint8Array {
  const start = new Uint8Array(8);
  const counter = new DataView(sealed.buffer, sealed.byteOffset).getBigUint64(0, true);
  new DataView(start.buffer).setBigUint64(0, counter - 1n, true);
  return start;
}

for (const vector of load<{ streams: StreamVector[] }>("secret_stream").streams) {
  for (const side of ["initiator", "responder"] as const) {
    test(`vectors: ${vector.pattern}, as the ${side} we write and read the reference's frames (S1-S5, S8)`, () => {
      const other = side === "initiator" ? "responder" : "initiator";
      const expected = vector.frames[side];
      const header = fromHex(expected.find((frame) => frame.startsWith("380000"))!).slice(35);
      const ephemeral = new Uint8Array(32).fill(side === "initiator" ? 3 : 4);
      const start = counterBefore(fromHex(vector.unordered[side][0]!));
      const runtime = {
        clock: new VirtualClock(),
        crypto: testRuntime().crypto,
        random: new ScriptedRandom([ephemeral, header, start]),
      };
      const [near, far] = duplexPair({ maxUnorderedBytes: 2000 });
      const wire = new Recorder();
      far.attach(wire);
      const end = makeEnd(near, runtime, {
        isInitiator: side === "initiator",
        keyPair: keyPair(side === "initiator" ? 1 : 2),
        pattern: vector.pattern,
        remotePublicKey: keyPair(side === "initiator" ? 2 : 1).publicKey,
      });
      end.stream.start();
      for (const frame of vector.frames[other]) far.write(fromHex(frame));
      assert.equal(toHex(end.stream.session!.hash), vector.handshakeHash);
      for (const message of vector.messages[side]) end.stream.write(fromHex(message));
      for (const message of vector.unorderedMessages[side]) end.stream.unordered!.send(fromHex(message));
      for (const message of vector.unordered[other]) far.unordered!.send(fromHex(message));
      assert.deepEqual(wire.chunks.map(toHex), expected);
      assert.deepEqual(wire.messages.map(toHex), vector.unordered[side]);
      assert.deepEqual(
        end.sink.chunks.map(toHex),
        vector.messages[other].filter((message) => message !== ""),
      );
      assert.deepEqual(end.sink.messages.map(toHex), vector.unorderedMessages[other]);
    });
  }
}

test("vectors: a mux writes the frames of the reference", () => {
  const [near, far] = duplexPair({ framing: "message" });
  const wire = new Recorder();
  far.attach(wire);
  const mux = new Mux(near);
  const channels = new Map<
    string,
    { channel: Channel<never>; text: ChannelMessage<string>; number: ChannelMessage<number> }
  >();
  const heard: string[] = [];

  function open({ name, protocol, id, greeting }: MuxStep): void {
    const common = { protocol, id: id === undefined ? null : fromHex(id), unique: false };
    const channel = mux.createChannel<string | undefined>({
      ...common,
      ...(greeting !== undefined && { handshake: string as never }),
      onOpen: (value) => void heard.push(`${name} ${value}`),
    })!;
    const text = channel.addMessage({ codec: string });
    const number = channel.addMessage({ codec: uint });
    channels.set(name, { channel, text, number });
    (channel.open as (greeting?: string) => void)(greeting);
  }

  for (const step of load<{ steps: MuxStep[] }>("protomux").steps) {
    wire.chunks.length = 0;
    const entry = channels.get(step.name);
    switch (step.action) {
      case "open":
        open(step);
        break;
      case "text":
        entry!.text.send(step.value);
        break;
      case "number":
        entry!.number.send(step.value);
        break;
      case "close":
        entry!.channel.close();
        break;
      case "cork":
        mux.cork();
        break;
      case "uncork":
        mux.uncork();
        break;
      case "receive":
        far.write(fromHex(step.hex));
        break;
    }
    assert.deepEqual(wire.chunks.map(toHex), step.frames, `${step.action} ${step.name ?? ""}`);
  }
  assert.deepEqual(heard, ["b hi"]);
});
