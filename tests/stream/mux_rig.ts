/** What the tests of muxes share: two muxes on a pipe in memory, channels that write down what happens, frames by hand. */
import type { Channel, ChannelMessage, ChannelOptions } from "../../core/stream/channel.ts";
import type { Duplex } from "../../core/stream/duplex.ts";
import { duplexPair, type DuplexPairOptions } from "../../core/stream/duplex_pair.ts";
import { Mux, type MuxOptions } from "../../core/stream/mux.ts";
import { rawBuffer } from "../../encoding/buffers.ts";
import { type Codec, encode } from "../../encoding/codec.ts";
import { string } from "../../encoding/strings.ts";
import { uint } from "../../encoding/varint.ts";
import { concat } from "../../encoding/bytes.ts";
import { Recorder } from "./rig.ts";

/** A channel of texts (type 0), bytes (1), nothing (2) and numbers (3), with a log. */
export interface TestChannel {
  readonly channel: Channel<string>;
  readonly log: string[];
  readonly text: ChannelMessage<string>;
  readonly bytes: ChannelMessage<Uint8Array>;
  readonly number: ChannelMessage<number>;
}

/** What a test channel may be told. */
export type TestChannelOptions = Partial<ChannelOptions<string>> & { readonly greeting?: string };

/** Creates and opens a test channel; undefined if the mux refuses. */
export function openChannel(mux: Mux, options: TestChannelOptions = {}): TestChannel | undefined {
  const made = makeChannel(mux, options);
  made?.channel.open(options.greeting ?? "");
  return made;
}

/** Creates a test channel. */
export function makeChannel(mux: Mux, options: TestChannelOptions = {}): TestChannel | undefined {
  const log: string[] = [];
  const channel = mux.createChannel<string>({
    protocol: "test",
    handshake: string,
    onOpen: (greeting) => void log.push(`open ${greeting}`.trim()),
    onClose: (isRemote, error) =>
      void log.push(`close ${isRemote ? "remote" : "local"} ${error?.message ?? ""}`.trim()),
    onDestroy: () => void log.push("destroy"),
    onDrain: () => void log.push("drain"),
    ...options,
  });
  if (channel === undefined) return undefined;
  const text = channel.addMessage({ codec: string, onMessage: (value) => void log.push(value) });
  const bytes = channel.addMessage({
    codec: rawBuffer,
    onMessage: (value) => void log.push(`${value.length} bytes`),
  });
  channel.skipMessage();
  const number = channel.addMessage({ codec: uint, onMessage: (value) => void log.push(`#${value}`) });
  return { channel, log, text, bytes, number };
}

/** Two muxes on one pipe. */
export function muxPair(
  options: {
    readonly pair?: DuplexPairOptions;
    readonly mux?: MuxOptions;
    readonly wrap?: (duplex: Duplex) => Duplex;
  } = {},
): { a: Mux; b: Mux; near: Duplex; far: Duplex } {
  const wrap = options.wrap ?? ((duplex: Duplex) => duplex);
  const [near, far] = duplexPair({ framing: "message", ...options.pair });
  return { a: new Mux(wrap(near), options.mux), b: new Mux(wrap(far), options.mux), near, far };
}

/** One mux, and the other end of its pipe in the hands of the test. */
export function muxAlone(options: MuxOptions = {}): { mux: Mux; peer: Duplex; sink: Recorder } {
  const [near, far] = duplexPair({ framing: "message" });
  const sink = new Recorder();
  far.attach(sink);
  return { mux: new Mux(near, options), peer: far, sink };
}

/** Values written one after the other: numbers as `uint`, texts as `string`, bytes as they are. */
export function frame(...parts: (number | string | Uint8Array)[]): Uint8Array {
  return concat(parts.map((part) => {
    if (part instanceof Uint8Array) return part;
    return typeof part === "number"
      ? encode(uint as Codec<number>, part)
      : encode(string as Codec<string>, part);
  }));
}

/** An `open` control message. */
export function openFrame(
  id: number,
  protocol = "test",
  rest: (number | string | Uint8Array)[] = [0, ""],
): Uint8Array {
  return frame(0, 1, id, protocol, ...rest);
}

/** A batch of messages on one channel, each `type + body`. */
export function batchFrame(id: number, ...messages: Uint8Array[]): Uint8Array {
  return frame(0, 0, id, ...messages.flatMap((message) => [message.length, message]));
}
