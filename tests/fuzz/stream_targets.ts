/** Fuzz targets of `core/stream/`: all that a stranger can send before, during and after a handshake, and as a peer. */
import { UnorderedSealer } from "../../core/crypto/secret_state.ts";
import { createWasmProvider } from "../../core/crypto/provider_js.ts";
import type { CryptoProvider, SecretStreamState } from "../../core/runtime/crypto_provider.ts";
import { HyphaError } from "../../core/runtime/errors.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import type { Channel, ChannelMessage } from "../../core/stream/channel.ts";
import type { Duplex, Sink } from "../../core/stream/duplex.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { FrameReader } from "../../core/stream/frame_reader.ts";
import { Mux } from "../../core/stream/mux.ts";
import { openMessage } from "../../core/stream/mux_messages.ts";
import { SecretStream } from "../../core/stream/secret_stream.ts";
import { concat } from "../../encoding/bytes.ts";
import { decode, encode } from "../../encoding/codec.ts";
import { string } from "../../encoding/strings.ts";
import { uint } from "../../encoding/varint.ts";
import type { FuzzTarget } from "./target.ts";

const crypto = await createWasmProvider();
const keys = [1, 2].map((n) => crypto.keyPair(new Uint8Array(32).fill(n)));

/** A provider under which every message is well sealed, to get past the cryptography. */
const gullible: CryptoProvider = {
  ...bound(crypto),
  secretStream: (): SecretStreamState => ({
    push: (out, input) => out.set(input, 1),
    pull: (out, input) => (out.set(input.subarray(1, -16)), true),
  }),
};

function bound(provider: CryptoProvider): CryptoProvider {
  return {
    name: "gullible",
    keyPair: (seed) => provider.keyPair(seed),
    sign: (message, key) => provider.sign(message, key),
    verify: (message, signature, key) => provider.verify(message, signature, key),
    dh: (secret, key) => provider.dh(secret, key),
    hash: (out, parts, key) => provider.hash(out, parts, key),
    seal: (...args) => provider.seal(...args),
    open: (...args) => provider.open(...args),
    xor: (...args) => provider.xor(...args),
    secretStream: (key, header) => provider.secretStream(key, header),
  };
}

function runtimeOf(provider: CryptoProvider): Runtime & { readonly clock: VirtualClock } {
  return { clock: new VirtualClock(), random: new SeededRandom("fuzz"), crypto: provider };
}

/** Checks the order of what a sink is told. */
class Strict implements Sink {
  ended = false;
  closed = false;
  error: Error | undefined;

  onData(chunk: Uint8Array): void {
    if (this.ended || this.closed) throw new Error("data after the end");
    chunk.fill(0);
  }

  onDrain(): void {
    if (this.closed) throw new Error("drain after the close");
  }

  onEnd(): void {
    if (this.ended || this.closed) throw new Error("a second end");
    this.ended = true;
  }

  onClose(error?: Error): void {
    if (this.closed) throw new Error("a second close");
    this.closed = true;
    this.error = error;
  }
}

/** Feeds `input` to `pipe` in pieces whose sizes come from the input too, with pauses of the stream in between. */
function feed(pipe: Duplex, stream: Duplex, input: Uint8Array): void {
  let at = 0;
  while (at < input.length) {
    const size = 1 + (input[at]! * 7 + at) % 97;
    if (size % 5 === 0) stream.pause();
    pipe.write(input.slice(at, at + size));
    if (size % 3 === 0) stream.resume();
    at += size;
  }
  stream.resume();
}

/** Ends everything and returns how it went. */
function finish(pipe: Duplex, sink: Strict, clock: VirtualClock): string {
  pipe.end();
  pipe.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose() {} });
  pipe.destroy();
  clock.run();
  if (!sink.closed) throw new Error("the stream outlives its pipe");
  return outcome(sink);
}

/** How a pipe was closed: in order, or with one of our own errors. */
function outcome({ error }: Strict): string {
  if (error !== undefined && !(error instanceof HyphaError)) throw error;
  return error?.code ?? "in order";
}

/** What the initiator would send to a responder of the same world, up to and with two messages and a close. */
function recordedClient(provider: CryptoProvider, pattern: "XX" | "IK"): Uint8Array {
  const runtime = runtimeOf(provider);
  const [near, far] = duplexPair();
  const parts: Uint8Array[] = [];
  const recording: Duplex = {
    framing: near.framing,
    attach: (sink) => near.attach(sink),
    alloc: (size) => near.alloc(size),
    pause: () => near.pause(),
    resume: () => near.resume(),
    end: () => near.end(),
    destroy: (error) => near.destroy(error),
    write: (chunk) => {
      parts.push(chunk.slice());
      return near.write(chunk);
    },
  };
  const server = new SecretStream(far, runtime, { isInitiator: false, keyPair: keys[1]!, pattern });
  const client = new SecretStream(recording, runtime, {
    isInitiator: true,
    keyPair: keys[0]!,
    pattern,
    remotePublicKey: keys[1]!.publicKey,
  });
  server.start();
  client.start();
  client.write(Uint8Array.of(1, 2, 3));
  client.write(new Uint8Array(300));
  client.destroy();
  return concat(parts);
}

function secretTarget(
  name: string,
  provider: CryptoProvider,
  pattern: "XX" | "IK",
  isInitiator: boolean,
): FuzzTarget {
  return {
    name: `SecretMachine:${name}`,
    seeds: [recordedClient(provider, pattern), new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")],
    run(input: Uint8Array): string {
      const runtime = runtimeOf(provider);
      const [near, far] = duplexPair();
      const sink = new Strict();
      const stream = new SecretStream(near, runtime, {
        isInitiator,
        keyPair: keys[isInitiator ? 0 : 1]!,
        pattern,
        remotePublicKey: isInitiator ? keys[1]!.publicKey : undefined,
      });
      stream.attach(sink);
      stream.start();
      feed(far, stream, input);
      return finish(far, sink, runtime.clock);
    },
  };
}

/** A stream whose keys both sides have, right before or after the header, under the provider that believes everything. */
function afterHandshakeTarget(name: string, sendHeader: boolean): FuzzTarget {
  const hash = new Uint8Array(64).fill(9);
  const session = {
    isInitiator: false,
    tx: new Uint8Array(32).fill(1),
    rx: new Uint8Array(32).fill(2),
    hash,
    publicKey: keys[1]!.publicKey,
    remotePublicKey: keys[0]!.publicKey,
  };
  const header = headerFrame(hash);
  const message = concat([Uint8Array.of(22, 0, 0), new Uint8Array(22)]);
  const body = concat([message, Uint8Array.of(17, 0, 0), new Uint8Array(17), message]);
  return {
    name: `SecretMachine:${name}`,
    seeds: [sendHeader ? body : concat([header, body])],
    run(input: Uint8Array): string {
      const runtime = runtimeOf(gullible);
      const [near, far] = duplexPair();
      const sink = new Strict();
      const stream = new SecretStream(near, runtime, { isInitiator: false, keyPair: keys[1]!, session });
      stream.attach(sink);
      stream.start();
      if (sendHeader) far.write(header.slice());
      feed(far, stream, input);
      return finish(far, sink, runtime.clock);
    },
  };
}

function headerFrame(hash: Uint8Array): Uint8Array {
  const runtime = runtimeOf(gullible);
  const [near, far] = duplexPair();
  let frame = new Uint8Array(0);
  far.attach({ onData: (chunk) => frame = chunk.slice(), onDrain() {}, onEnd() {}, onClose() {} });
  const key = new Uint8Array(32);
  const [publicKey, remotePublicKey] = [keys[0]!.publicKey, keys[1]!.publicKey];
  const session = { isInitiator: true, tx: key, rx: key, hash, publicKey, remotePublicKey };
  const stream = new SecretStream(near, runtime, { isInitiator: true, keyPair: keys[0]!, session });
  stream.start();
  stream.destroy();
  return frame;
}

const unorderedHash = new Uint8Array(64).fill(9);
const sealer = new UnorderedSealer(crypto, unorderedHash, { isInitiator: true, start: new Uint8Array(8) });

/** A protocol on a mux that opens, answers and closes as its messages say. */
function livelyChannel(mux: Mux, protocol: string): void {
  let channel: Channel | undefined = undefined as Channel | undefined;
  let text: ChannelMessage<string> | undefined = undefined as ChannelMessage<string> | undefined;
  channel = mux.createChannel({ protocol, unique: false });
  if (channel === undefined) return;
  text = channel.addMessage({ codec: string, onMessage: (value) => void text?.send(value) });
  channel.addMessage({
    codec: uint,
    onMessage: (value) => value % 2 === 0 ? channel?.close() : livelyChannel(mux, "b"),
  });
  channel.open();
}

function liveMux(): { mux: Mux; peer: Duplex; sink: Strict } {
  const [near, peer] = duplexPair({ framing: "message" });
  const sink = new Strict();
  peer.attach(sink);
  const mux = new Mux(near);
  mux.pair({ protocol: "a" }, () => livelyChannel(mux, "a"));
  livelyChannel(mux, "b");
  return { mux, peer, sink };
}

function frames(...list: number[][]): Uint8Array {
  return Uint8Array.from(list.flatMap((frame) => [frame.length, ...frame]));
}

const A = [1, 0x61];
const B = [1, 0x62];

/** All targets of this folder. */
export const targets: readonly FuzzTarget[] = [
  secretTarget("responder of XX", crypto, "XX", false),
  secretTarget("responder of IK", crypto, "IK", false),
  secretTarget("initiator of XX", crypto, "XX", true),
  secretTarget("responder of IK, all seals hold", gullible, "IK", false),
  afterHandshakeTarget("from the header", false),
  afterHandshakeTarget("messages, all seals hold", true),
  {
    name: "FrameReader",
    seeds: [Uint8Array.of(3, 0, 0, 1, 2, 3, 0, 0, 0, 2, 0, 0, 9, 9)],
    run(input: Uint8Array): void {
      const reader = new FrameReader();
      for (let at = 0; at < input.length; at += 5) {
        reader.feed(input.subarray(at, at + 5));
        while (at % 3 > 0 && reader.next() !== undefined);
        reader.release();
        if (reader.heldBytes > 4 * input.length + 4096) throw new Error("memory for what has not come");
      }
    },
  },
  {
    name: "SecretUnordered",
    seeds: [sealer.seal(Uint8Array.of(1, 2, 3)), sealer.seal(new Uint8Array(0))],
    run(input: Uint8Array): void {
      const runtime = runtimeOf(crypto);
      const [near, far] = duplexPair({ maxUnorderedBytes: 65536 });
      const stream = new SecretStream(near, runtime, { isInitiator: false, keyPair: keys[1]! });
      const peer = new SecretStream(far, runtime, { isInitiator: true, keyPair: keys[0]! });
      const sink = new Strict();
      stream.attach(sink);
      stream.start();
      peer.start();
      far.unordered!.send(input.slice());
      far.unordered!.send(input.slice());
      if (sink.closed) throw new Error("an unordered message closed the stream");
      peer.destroy();
    },
  },
  {
    name: "openMessage",
    seeds: [
      encode(openMessage, { channelId: 1, protocol: "a", id: Uint8Array.of(7), handshake: Uint8Array.of(1) }),
    ],
    run(input: Uint8Array): void {
      decode(openMessage, input);
    },
  },
  {
    name: "MuxChannel:frames",
    seeds: [
      frames([0, 1, 1, ...A, 0], [1, 0, 2, 0x68, 0x69], [1, 1, 3], [0, 3, 1]),
      frames([0, 1, 1, ...B, 0], [0, 0, 1, 4, 0, 2, 0x68, 0x69, 2, 1, 5, 0, 0, 2, 3, 1]),
      frames([0, 2, 1], [0, 1, 1, ...A, 0], [0, 1, 2, ...A, 0], [0, 3, 2], [0, 1, 2, ...A, 1, 9, 1]),
    ],
    run(input: Uint8Array): string {
      const { mux, peer, sink } = liveMux();
      for (let at = 0; at < input.length;) {
        const size = input[at++]!;
        peer.write(input.slice(at, at + size));
        at += size;
      }
      peer.destroy();
      if (!sink.closed || !mux.isDestroyed) throw new Error("the mux outlives its pipe");
      return outcome(sink);
    },
  },
  {
    name: "MuxChannel:orders",
    seeds: [Uint8Array.from({ length: 64 }, (_, i) => i * 37)],
    run(input: Uint8Array): void {
      const [near, far] = duplexPair({ framing: "message" });
      const muxes = [new Mux(near), new Mux(far)];
      const open: { channel: Channel; text: ChannelMessage<string> }[] = [];
      const create = (mux: Mux, id: Uint8Array | null) => {
        const channel = mux.createChannel({ protocol: "a", id, unique: false })!;
        open.push({ channel, text: channel.addMessage({ codec: string, onMessage() {} }) });
        channel.open();
      };
      for (const mux of muxes) mux.pair({ protocol: "a" }, (id) => mux.isIdle ? create(mux, id) : undefined);
      for (const byte of input) {
        const mux = muxes[byte & 1]!;
        const pipe = byte & 1 ? far : near;
        const chosen = open[byte >> 4];
        switch ((byte >> 1) & 7) {
          case 0:
            create(mux, null);
            break;
          case 1:
            create(mux, Uint8Array.of(byte));
            break;
          case 2:
            chosen?.channel.close();
            break;
          case 3:
            chosen?.text.send("x");
            break;
          case 4:
            pipe.pause();
            break;
          case 5:
            pipe.resume();
            break;
          default:
            mux.cork();
            chosen?.text.send("corked");
            open.at(-1)?.text.send("too");
            mux.uncork();
        }
      }
      near.resume();
      far.resume();
      if (muxes.some((mux) => mux.isDestroyed)) throw new Error("two good sides broke the rules");
      for (const { channel } of open) channel.close();
      if (muxes.some((mux) => !mux.isIdle)) throw new Error("a channel stays behind");
    },
  },
];
