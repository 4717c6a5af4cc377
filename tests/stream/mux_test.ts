import assert from "node:assert/strict";
import { ConnectError, type HyphaError, ProtocolError } from "../../core/runtime/errors.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import type { Duplex } from "../../core/stream/duplex.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { Mux } from "../../core/stream/mux.ts";
import { MAX_BATCH_BYTES } from "../../core/stream/mux_messages.ts";
import { SecretStream } from "../../core/stream/secret_stream.ts";
import { string } from "../../encoding/strings.ts";
import { test } from "../harness.ts";
import {
  batchFrame,
  frame,
  makeChannel,
  muxAlone,
  muxPair,
  openChannel,
  openFrame,
  type TestChannel,
} from "./mux_rig.ts";
import { bytes, keyPair, type Recorder, tap, testRuntime, text } from "./rig.ts";

/** Both sides have opened a channel of one name. */
function openPair(options: Parameters<typeof muxPair>[0] = {}) {
  const { a, b, near, far } = muxPair(options);
  let atB!: TestChannel;
  b.pair({ protocol: "test" }, (id) => void (atB = openChannel(b, { greeting: "from b", id })!));
  const atA = openChannel(a, { greeting: "from a" })!;
  return { a, b, near, far, atA, atB };
}

test("mux: a channel that both sides open carries messages both ways", () => {
  const { atA, atB } = openPair();
  assert.equal(atA.text.send("hello"), true);
  atB.text.send("world");
  atB.bytes.send(bytes(10));
  atA.number.send(300);
  assert.deepEqual(atA.log, ["open from b", "world", "10 bytes"]);
  assert.deepEqual(atB.log, ["open from a", "hello", "#300"]);
  assert.equal(atA.channel.state, "open");
});

test("mux: while it is paused nothing comes in, on any channel, and then all does", () => {
  const { b, atA, atB } = openPair();
  b.pause();
  atA.text.send("one");
  atA.text.send("two");
  assert.deepEqual(atB.log, ["open from a"]);
  b.resume();
  assert.deepEqual(atB.log, ["open from a", "one", "two"]);
});

test("mux: frames are as the reference writes them", () => {
  const { mux, peer, sink } = muxAlone();
  const channel = openChannel(mux, { greeting: "hi", id: Uint8Array.of(0xab) })!;
  channel.text.send("x");
  channel.number.send(1000);
  mux.cork();
  channel.text.send("y");
  channel.text.send("z");
  mux.uncork();
  channel.channel.close();
  peer.write(frame(0, 1, 1, "other", 0, "x"));
  assert.deepEqual(sink.chunks.map((chunk) => [...chunk]), [
    [0, 1, 1, 4, ...text("test"), 1, 0xab, 2, ...text("hi")],
    [1, 0, 1, ...text("x")],
    [1, 3, 0xfd, 0xe8, 0x03],
    [0, 0, 1, 3, 0, 1, ...text("y"), 3, 0, 1, ...text("z")],
    [0, 3, 1],
    [0, 2, 1],
  ]);
});

test("mux: a corked batch switches channels by a length of 0", () => {
  const { mux, sink } = muxAlone();
  const [one, two] = ["one", "two"].map((protocol) => openChannel(mux, { protocol })!);
  sink.chunks.length = 0;
  mux.cork();
  mux.cork();
  assert.equal(one!.text.send("a"), true);
  two!.text.send("b");
  one!.channel.close();
  mux.uncork();
  assert.equal(sink.chunks.length, 0);
  mux.uncork();
  mux.cork();
  mux.uncork();
  assert.deepEqual(sink.chunks.map((chunk) => [...chunk]), [
    [0, 0, 1, 3, 0, 1, ...text("a"), 0, 2, 3, 0, 1, ...text("b"), 0, 0, 2, 3, 1],
  ]);
});

test("mux: a batch is read back as what went in, whatever is in it", () => {
  const { a, atA, atB } = openPair();
  const expected: string[] = [];
  const random = new SeededRandom("batch");
  a.cork();
  for (let i = 0; i < 300; i++) {
    const value = "x".repeat(random.below(400));
    expected.push(value);
    atA.text.send(value);
  }
  a.uncork();
  assert.deepEqual(atB.log.slice(1), expected);
});

test("mux: a batch is cut at 8 MiB, and what is larger goes alone", () => {
  const frames: number[] = [];
  const { a, atA, atB } = openPair({
    wrap: (lower) =>
      tap(lower, (chunk) => {
        frames.push(chunk.length);
        return [chunk];
      }),
  });
  frames.length = 0;
  a.cork();
  for (let i = 0; i < 10; i++) atA.bytes.send(new Uint8Array(1_000_000));
  atA.bytes.send(new Uint8Array(MAX_BATCH_BYTES + 1));
  atA.text.send("last");
  a.uncork();
  assert.equal(frames.length, 4);
  for (const size of frames) assert.ok(size <= MAX_BATCH_BYTES + 10);
  assert.deepEqual(atB.log.slice(1), [
    ...Array(10).fill("1000000 bytes"),
    `${MAX_BATCH_BYTES + 1} bytes`,
    "last",
  ]);
});

test("mux: a value that cannot be encoded leaves the batch as it was", () => {
  const { a, atA, atB } = openPair();
  a.cork();
  atA.text.send("before");
  assert.throws(() => atA.number.send(-1));
  atA.text.send("after");
  a.uncork();
  assert.deepEqual(atB.log.slice(1), ["before", "after"]);
});

test("mux: a length in a batch that passes its end is cut to it, as in the reference", () => {
  const { mux, peer } = muxAlone();
  const { log } = openChannel(mux)!;
  peer.write(openFrame(1));
  peer.write(frame(0, 0, 1, 200, frame(0, "cut")));
  assert.deepEqual(log, ["open", "cut"]);
});

test("mux: answers to a batch of several messages go out as a batch", () => {
  const { mux, peer, sink } = muxAlone();
  const opened = makeChannel(mux)!;
  opened.channel.addMessage({ codec: string, onMessage: (value) => void opened.text.send(`${value}!`) });
  opened.channel.open("");
  peer.write(openFrame(1));
  sink.chunks.length = 0;
  peer.write(batchFrame(1, frame(4, "a"), frame(4, "b")));
  assert.deepEqual(sink.chunks, [batchFrame(1, frame(0, "a!"), frame(0, "b!"))]);
});

test("mux: a batch within a batch is refused", () => {
  const { mux, peer, sink } = muxAlone();
  openChannel(mux);
  peer.write(batchFrame(0, frame(0, 0, 1)));
  assert.equal((sink.closed!.error as HyphaError).code, "INVALID_FRAME");
});

test("mux: openings of one name pair in the order in which they came", () => {
  const { a, b, near: pipeA, far: pipeB } = muxPair();
  pipeA.pause();
  pipeB.pause();
  const open = (mux: Mux, side: string) => (i: number) =>
    openChannel(mux, { unique: false, greeting: `${side} ${i}` })!;
  const [near, far] = [[0, 1, 2].map(open(a, "near")), [0, 1, 2].map(open(b, "far"))];
  pipeA.resume();
  pipeB.resume();
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(near[i]!.log, [`open far ${i}`]);
    assert.deepEqual(far[i]!.log, [`open near ${i}`]);
    near[i]!.text.send(`to ${i}`);
    assert.equal(far[i]!.log.at(-1), `to ${i}`);
  }
});

test("mux: ids keep channels of one protocol apart", () => {
  const { a, b } = muxPair();
  const seen: string[] = [];
  b.pair({ protocol: "test" }, (id) => {
    seen.push(`${id}`);
    openChannel(b, { id, greeting: `for ${id}` });
  });
  const one = openChannel(a, { id: Uint8Array.of(1) })!;
  const two = openChannel(a, { id: Uint8Array.of(2) })!;
  const none = openChannel(a)!;
  assert.deepEqual(seen, ["1", "2", "null"]);
  assert.deepEqual([one.log, two.log, none.log], [["open for 1"], ["open for 2"], ["open for null"]]);
});

test("mux: a callback for one id comes before the one for any id, and unpair ends both", () => {
  const { a, b } = muxPair();
  const called: string[] = [];
  b.pair({ protocol: "test", id: Uint8Array.of(1) }, () => void called.push("exact"));
  b.pair({ protocol: "test" }, () => void called.push("any"));
  const first = openChannel(a, { id: Uint8Array.of(1) })!;
  openChannel(a, { id: Uint8Array.of(2) });
  assert.deepEqual(called, ["exact", "any"]);
  assert.deepEqual(first.log, ["close remote", "destroy"]);
  b.unpair({ protocol: "test", id: Uint8Array.of(1) });
  b.unpair({ protocol: "test" });
  openChannel(a, { id: Uint8Array.of(1) });
  assert.deepEqual(called, ["exact", "any"]);
});

test("mux: an opening that nobody wants is rejected, and its number is used again", async () => {
  const { a, b } = muxPair();
  const first = openChannel(a)!;
  assert.deepEqual(first.log, ["close remote", "destroy"]);
  assert.equal(await first.channel.opened(), false);
  await first.channel.destroyed();
  assert.equal(a.isIdle, true);
  b.pair({ protocol: "test" }, () => void openChannel(b));
  const second = openChannel(a)!;
  assert.equal(await second.channel.opened(), true);
  assert.equal(a.isIdle, false);
});

test("mux: a callback may take its time, messages wait for it", async () => {
  const { a, b } = muxPair();
  const gate = Promise.withResolvers<void>();
  let atB!: TestChannel;
  b.pair({ protocol: "test" }, async () => {
    await gate.promise;
    atB = openChannel(b, { greeting: "at last" })!;
  });
  const atA = openChannel(a, { greeting: "early" })!;
  for (const word of ["one", "two"]) atA.text.send(word);
  assert.deepEqual(atA.log, []);
  gate.resolve();
  assert.equal(await atA.channel.opened(), true);
  assert.deepEqual(atB.log, ["open early", "one", "two"]);
  assert.deepEqual(atA.log, ["open at last"]);
});

test("mux: of several openings under way, those left over are rejected when the last callback is done", async () => {
  const { a, b } = muxPair();
  const gates = [Promise.withResolvers<boolean>(), Promise.withResolvers<boolean>()];
  let calls = 0;
  b.pair({ protocol: "test" }, async () => {
    if (await gates[calls++]!.promise) openChannel(b, { unique: false });
  });
  const [one, two] = [openChannel(a, { unique: false })!, openChannel(a, { unique: false })!];
  gates[1]!.resolve(true);
  assert.equal(await one.channel.opened(), true, "the oldest opening gets the channel");
  assert.equal(two.channel.state, "opening");
  gates[0]!.resolve(false);
  assert.equal(await two.channel.opened(), false);
});

test("mux: an opening that was closed again before it paired still delivers what came with it", async () => {
  const { a, b } = muxPair();
  const gate = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<TestChannel>();
  b.pair({ protocol: "test" }, async () => {
    await gate.promise;
    opened.resolve(openChannel(b)!);
  });
  const atA = openChannel(a)!;
  atA.text.send("fire");
  atA.channel.close();
  assert.equal(a.isIdle, false, "the number is taken until the answer");
  gate.resolve();
  const atB = await opened.promise;
  assert.deepEqual(atB.log, ["open", "fire", "close remote", "destroy"]);
  assert.equal(a.isIdle, true);
  assert.equal(b.isIdle, true);
  const again = openChannel(a)!;
  await again.channel.opened();
  assert.equal(again.channel.state, "open");
});

test("mux: closing before the other side has answered, in either order, leaves nothing behind", () => {
  const { a, b, near, far } = muxPair();
  near.pause();
  far.pause();
  const [atA, atB] = [openChannel(a)!, openChannel(b)!];
  atA.channel.close();
  const again = openChannel(a)!;
  far.resume();
  near.resume();
  assert.deepEqual(atB.log, ["open", "close remote", "destroy"]);
  assert.deepEqual(again.log, ["close remote", "destroy"], "the second had no partner left");
  assert.equal(a.isIdle, true);
  assert.equal(b.isIdle, true);
});

test("mux: both sides closing at once is no error", () => {
  const { a, b, near, far, atA, atB } = openPair();
  near.pause();
  far.pause();
  atA.channel.close();
  atB.channel.close();
  near.resume();
  far.resume();
  assert.deepEqual(atA.log.slice(1), ["close local", "destroy"]);
  assert.deepEqual(atB.log.slice(1), ["close local", "destroy"]);
  const next = openChannel(a)!;
  assert.equal(next.channel.state, "open");
  assert.equal(b.isIdle, false);
});

test("mux: messages on their way to a channel that was just closed are dropped silently", () => {
  const { b, near, atA, atB } = openPair();
  near.pause();
  atB.text.send("too late");
  atA.channel.close();
  near.resume();
  assert.deepEqual(atA.log.slice(1), ["close local", "destroy"]);
  assert.equal(b.isDestroyed, false);
  assert.equal(atB.text.send("closed"), false);
});

test("mux: closing twice, and after the mux, is harmless", () => {
  const { a, atA, atB } = openPair();
  atA.channel.close();
  atA.channel.close();
  assert.deepEqual(atB.log.slice(1), ["close remote", "destroy"]);
  const unopened = makeChannel(a)!;
  unopened.channel.close();
  assert.deepEqual(unopened.log, ["close local", "destroy"]);
  assert.throws(() => unopened.channel.open(""), TypeError);
  const late = makeChannel(a, { protocol: "late" })!;
  a.destroy();
  assert.equal(openChannel(a), undefined);
  late.channel.open("");
  assert.deepEqual(late.log, ["close remote", "destroy"]);
});

test("mux: sending before opening is a mistake of the caller", () => {
  const { a } = muxPair();
  const unopened = makeChannel(a)!;
  assert.throws(() => unopened.text.send("x"), TypeError);
});

test("mux: one channel of a name is the rule, more are had by asking", () => {
  const { a, b } = muxPair();
  b.pair({ protocol: "test" }, () => void openChannel(b, { unique: false }));
  const first = openChannel(a)!;
  assert.equal(a.has({ protocol: "test" }), true);
  assert.equal(a.lastChannel({ protocol: "test" }), first.channel);
  assert.equal(openChannel(a), undefined);
  const second = openChannel(a, { unique: false })!;
  assert.equal(a.lastChannel({ protocol: "test" }), second.channel);
  assert.deepEqual([...a], [first.channel, second.channel]);
  second.channel.close();
  assert.equal(a.lastChannel({ protocol: "test" }), undefined);
  first.channel.close();
  assert.equal(a.has({ protocol: "test" }), false);
  assert.ok(openChannel(a));
});

test("mux: a channel is found under its aliases, whoever opens first", () => {
  const { a, b } = muxPair();
  b.pair(
    { protocol: "old" },
    () => void openChannel(b, { protocol: "new", aliases: ["old"], greeting: "alias" }),
  );
  const atA = openChannel(a, { protocol: "old", aliases: ["new"] })!;
  assert.deepEqual(atA.log, ["open alias"]);
  const other = muxPair();
  const waiting = openChannel(other.b, { protocol: "new", aliases: ["old"] });
  assert.deepEqual(waiting!.log, ["close remote", "destroy"]);
  assert.equal(other.a.isIdle && other.b.isIdle, true);
});

test("mux: the peer's numbers must grow one by one", () => {
  for (const id of [0, 2, 1000, 2 ** 40]) {
    const { peer, sink } = muxAlone();
    peer.write(openFrame(id));
    assert.equal((sink.closed?.error as HyphaError).code, "INVALID_CHANNEL", `${id}`);
  }
  const { mux, peer, sink } = muxAlone();
  mux.pair({ protocol: "test" }, () => void openChannel(mux));
  peer.write(openFrame(1));
  peer.write(openFrame(1));
  assert.equal((sink.closed?.error as HyphaError).code, "INVALID_CHANNEL");
});

test("mux: rejecting what is not opening is refused, closing what is not open is ignored", () => {
  const { peer, sink, mux } = muxAlone();
  peer.write(frame(0, 3, 5));
  peer.write(frame(0, 3, 0));
  peer.write(frame(0, 77, 5));
  peer.write(frame(9, 0, "nobody"));
  peer.write(new Uint8Array(0));
  assert.equal(sink.closed, undefined);
  assert.equal(mux.dropped, 4);
  peer.write(frame(0, 2, 5));
  assert.equal((sink.closed!.error as HyphaError).code, "INVALID_CHANNEL");
});

test("mux: bytes that cannot be decoded end the mux with DECODING_ERROR", () => {
  for (const bad of [Uint8Array.of(1), Uint8Array.of(0xfd, 1), frame(0, 1, 1, 200), frame(1, 0, 250)]) {
    const { mux, peer, sink } = muxAlone();
    const { log } = openChannel(mux)!;
    peer.write(openFrame(1));
    peer.write(bad.slice());
    const error = sink.closed?.error;
    assert.ok(error instanceof ProtocolError, `${bad}`);
    assert.equal(error.code, "DECODING_ERROR");
    assert.deepEqual(log.slice(1), [`close remote ${error.message}`, "destroy"]);
  }
});

test("mux: unknown types of messages and skipped ones are ignored", () => {
  const { atA, atB, near } = openPair();
  near.write(frame(1, 2, "skipped"));
  near.write(frame(1, 50, "later version"));
  atA.text.send("still here");
  assert.deepEqual(atB.log, ["open from a", "still here"]);
});

test("mux: a handler that throws or rejects ends the mux, after the close of its channel it does not", async () => {
  for (const asynchronous of [false, true]) {
    const { mux, peer, sink } = muxAlone();
    const { channel } = makeChannel(mux)!;
    channel.addMessage({
      codec: string,
      onMessage: () => {
        if (asynchronous) return Promise.reject(new Error("handler"));
        throw new Error("handler");
      },
    });
    channel.open("");
    peer.write(openFrame(1));
    peer.write(frame(1, 4, "go"));
    if (asynchronous) await channel.destroyed();
    assert.equal(sink.closed?.error?.message, "handler");
  }
  const { mux, peer, sink } = muxAlone();
  const { channel } = makeChannel(mux)!;
  channel.addMessage({
    codec: string,
    onMessage: async () => {
      channel.close();
      await Promise.resolve();
      throw new Error("late");
    },
  });
  channel.open("");
  peer.write(openFrame(1));
  peer.write(frame(1, 4, "go"));
  await channel.destroyed();
  assert.equal(sink.closed, undefined);
  assert.equal(mux.dropped, 1);
});

test("mux: a channel is destroyed only after the promises of its handlers", async () => {
  const { mux, peer } = muxAlone();
  const gate = Promise.withResolvers<void>();
  const made = makeChannel(mux)!;
  made.channel.addMessage({ codec: string, onMessage: () => gate.promise });
  made.channel.open("");
  peer.write(openFrame(1));
  peer.write(frame(1, 4, "go"));
  made.channel.close();
  await Promise.resolve();
  assert.deepEqual(made.log, ["open", "close local"]);
  gate.resolve();
  await made.channel.destroyed();
  assert.deepEqual(made.log, ["open", "close local", "destroy"]);
});

test("mux: when the pipe goes, each channel is closed once, with the error", () => {
  const { a, near, atA, atB } = openPair();
  const waiting = openChannel(a, { protocol: "other" });
  assert.ok(waiting);
  near.destroy(new ConnectError("CONNECTION_RESET", "cable"));
  near.destroy();
  assert.deepEqual(atA.log.slice(1), ["close remote cable", "destroy"]);
  assert.deepEqual(atB.log.slice(1), ["close remote cable", "destroy"]);
  assert.equal(atA.text.send("x"), false);
});

test("mux: when the peer ends the pipe, this side does too", () => {
  const { mux, peer, sink } = muxAlone();
  const { log } = openChannel(mux)!;
  peer.end();
  assert.equal(sink.ended, true);
  assert.equal(sink.closed!.error, undefined);
  assert.deepEqual(log, ["close remote", "destroy"]);
});

test("mux: send says when the pipe is full, and onDrain when it is not any more", () => {
  const { a, far, atA, atB } = openPair({ pair: { maxBufferedBytes: 10_000 } });
  far.pause();
  let sent = 0;
  while (atA.bytes.send(new Uint8Array(1000))) sent++;
  assert.ok(sent < 12);
  assert.equal(a.isDrained, false);
  assert.equal(atA.channel.isDrained, false);
  far.resume();
  assert.equal(atA.log.at(-1), "drain");
  assert.equal(a.isDrained, true);
  assert.equal(atB.log.length, 1 + sent + 1);
});

test("mux: early messages pause the pipe above 32 KiB and let it go when they are taken", async () => {
  const { a, b } = muxPair({ pair: { maxBufferedBytes: 1000 } });
  const gate = Promise.withResolvers<void>();
  let atB!: TestChannel;
  b.pair({ protocol: "test" }, async () => {
    await gate.promise;
    atB = openChannel(b)!;
  });
  const atA = openChannel(a)!;
  let sent = 0;
  while (atA.bytes.send(new Uint8Array(1000))) sent++;
  sent++;
  assert.ok(sent > 20 && sent < 40, `${sent}`);
  gate.resolve();
  await atA.channel.opened();
  assert.equal(atB.log.length, 1 + sent);
  assert.equal(a.isDrained, true);
});

test("mux: early messages of a rejected opening are forgotten and the pipe goes on", async () => {
  const { a, b } = muxPair();
  const gate = Promise.withResolvers<void>();
  b.pair({ protocol: "test" }, () => gate.promise);
  const atA = openChannel(a)!;
  for (let i = 0; i < 100; i++) atA.bytes.send(new Uint8Array(1000));
  gate.resolve();
  assert.equal(await atA.channel.opened(), false);
  b.pair({ protocol: "next" }, () => void openChannel(b, { protocol: "next" }));
  assert.equal(openChannel(a, { protocol: "next" })!.channel.state, "open");
});

test("mux: LIMIT_EXCEEDED for openings that wait, channels, early bytes and unread rejections (D6)", () => {
  const forever = new Promise<void>(() => {});
  const codeOf = (sink: Recorder) => (sink.closed?.error as HyphaError | undefined)?.code;

  const pending = muxAlone();
  pending.mux.pair({ protocol: "test" }, () => forever);
  for (let id = 1; id <= 1025; id++) {
    assert.equal(codeOf(pending.sink), undefined);
    pending.peer.write(openFrame(id));
    pending.mux.isIdle;
  }
  // 1024 openings weigh more than 32 KiB, so that the pipe is paused long before: a patient peer does no harm
  assert.equal(codeOf(pending.sink), undefined);

  const batched = muxAlone();
  batched.mux.pair({ protocol: "test" }, () => forever);
  const opens = Array.from({ length: 1025 }, (_, i) => openFrame(i + 1).slice(1));
  batched.peer.write(batchFrame(0, ...opens));
  assert.equal(codeOf(batched.sink), "LIMIT_EXCEEDED");

  const channels = muxAlone({ maxChannels: 10 });
  channels.mux.pair({ protocol: "test" }, () => void openChannel(channels.mux, { unique: false }));
  for (let id = 1; id <= 11; id++) channels.peer.write(openFrame(id));
  assert.equal(codeOf(channels.sink), "LIMIT_EXCEEDED");

  const early = muxAlone();
  early.mux.pair({ protocol: "test" }, () => forever);
  early.peer.write(openFrame(1));
  early.peer.write(batchFrame(1, ...Array.from({ length: 40_000 }, () => Uint8Array.of(0))));
  assert.equal(codeOf(early.sink), "LIMIT_EXCEEDED");

  const unread = muxAlone();
  unread.peer.pause();
  let id = 0;
  while (codeOf(unread.sink) === undefined && id < 200_000) {
    unread.peer.write(batchFrame(0, ...Array.from({ length: 1000 }, () => openFrame(++id).slice(1))));
  }
  assert.equal(codeOf(unread.sink), "LIMIT_EXCEEDED");
  assert.ok(id < 80_000, `${id}`);
});

test("mux: a million openings that are rejected take no memory that stays", () => {
  const { mux, peer, sink } = muxAlone();
  for (let id = 1; id <= 100_000; id++) {
    peer.write(openFrame(id));
    sink.chunks.length = sink.log.length = 0;
  }
  assert.equal(sink.closed, undefined);
  assert.equal(mux.isIdle, true);
});

test("mux: a pipe of bytes is refused", () => {
  assert.throws(() => new Mux(duplexPair()[0]), TypeError);
});

test("mux: over a secret stream, messages are sealed where they were written", () => {
  const runtime = testRuntime();
  const [near, far] = duplexPair();
  const handedOut = new Set<Uint8Array>();
  const written: Uint8Array[] = [];
  const watched = tap(near, (chunk) => {
    written.push(chunk);
    return [chunk];
  });
  const lower: Duplex = {
    ...watched,
    alloc(size) {
      const body = near.alloc(size);
      handedOut.add(body);
      return body;
    },
  };
  const server = new SecretStream(far, runtime, { isInitiator: false, keyPair: keyPair(2) });
  const client = new SecretStream(lower, runtime, { isInitiator: true, keyPair: keyPair(1) });
  const [a, b] = [new Mux(client), new Mux(server)];
  server.start();
  client.start();
  let atB!: TestChannel;
  b.pair({ protocol: "test" }, () => void (atB = openChannel(b)!));
  const atA = openChannel(a)!;
  written.length = 0;
  atA.text.send("plain");
  a.cork();
  atA.text.send("in a batch");
  a.uncork();
  assert.deepEqual(atB.log, ["open", "plain", "in a batch"]);
  assert.equal(written.length, 2);
  for (const frame of written) assert.ok(handedOut.has(frame), "the frame is what the pipe handed out");
  a.destroy();
  runtime.clock.run();
});

test("mux: any order of openings, closings and messages leaves both sides in agreement", () => {
  for (let seed = 0; seed < 200; seed++) {
    const random = new SeededRandom(`mux ${seed}`);
    const { a, b, near, far } = muxPair();
    const sides = [a, b].map((mux) => ({ mux, open: [] as TestChannel[] }));
    for (const side of sides) {
      side.mux.pair({ protocol: "test" }, () => {
        if (random.chance(1, 2)) side.open.push(openChannel(side.mux, { unique: false })!);
      });
    }
    for (let step = 0; step < 100; step++) {
      const side = sides[random.below(2)]!;
      const pipe = random.chance(1, 2) ? near : far;
      switch (random.below(6)) {
        case 0:
          side.open.push(openChannel(side.mux, { unique: false })!);
          break;
        case 1:
          side.open.splice(random.below(side.open.length + 1), 1)[0]?.channel.close();
          break;
        case 2:
          side.open[random.below(side.open.length + 1)]?.text.send("word");
          break;
        case 3:
          pipe.pause();
          break;
        case 4:
          pipe.resume();
          break;
        case 5:
          side.mux.cork();
          side.open[random.below(side.open.length + 1)]?.text.send("corked");
          side.mux.uncork();
          break;
      }
    }
    near.resume();
    far.resume();
    assert.equal(a.isDestroyed || b.isDestroyed, false, `seed ${seed}`);
    const [openA, openB] = [a, b].map((mux) => [...mux].filter((channel) => channel.state === "open").length);
    assert.equal(openA, openB, `seed ${seed}`);
    for (const side of sides) for (const { channel } of side.open) channel.close();
    assert.equal(a.isIdle && b.isIdle, true, `seed ${seed}`);
  }
});
