import assert from "node:assert/strict";
import { VirtualClock } from "../../core/runtime/virtual.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { test } from "../harness.ts";
import { Recorder, text } from "./rig.ts";

function attached(options: Parameters<typeof duplexPair>[0] = {}) {
  const [a, b] = duplexPair(options);
  const [atA, atB] = [new Recorder(), new Recorder()];
  a.attach(atA);
  b.attach(atB);
  return { a, b, atA, atB };
}

test("duplex pair: what is written at one end comes out at the other, with its boundaries", () => {
  const { a, b, atA, atB } = attached();
  assert.equal(a.write(text("one")), true);
  a.write(text("two"));
  b.write(text("three"));
  assert.deepEqual(atB.texts, ["one", "two"]);
  assert.deepEqual(atA.texts, ["three"]);
});

test("duplex pair: data waits until somebody is attached, and the writer is told to wait", () => {
  const [a, b] = duplexPair({ maxBufferedBytes: 1000 });
  const atA = new Recorder();
  a.attach(atA);
  assert.equal(a.write(new Uint8Array(2000)), false);
  const atB = new Recorder();
  b.attach(atB);
  assert.equal(atB.all.length, 2000);
  assert.equal(atA.drains, 1);
});

test("duplex pair: a pause holds data back and a resume lets it go", () => {
  const { a, b, atA, atB } = attached({ maxBufferedBytes: 1000 });
  b.pause();
  assert.equal(a.write(new Uint8Array(600)), true);
  assert.equal(a.write(new Uint8Array(600)), false);
  assert.equal(atB.chunks.length, 0);
  assert.equal(atA.drains, 0);
  b.resume();
  assert.equal(atB.chunks.length, 2);
  assert.equal(atA.drains, 1);
});

test("duplex pair: a pause within delivery takes effect at once", () => {
  const { a, b, atB } = attached();
  b.pause();
  a.write(text("1"));
  a.write(text("2"));
  atB.onChunk = () => b.pause();
  b.resume();
  assert.deepEqual(atB.texts, ["1"]);
  b.resume();
  assert.deepEqual(atB.texts, ["1", "2"]);
});

test("duplex pair: a conversation of a hundred thousand turns takes no stack", () => {
  const { a, b, atA, atB } = attached();
  let turns = 0;
  atA.onChunk = () => {
    atA.chunks.length = atA.log.length = 0;
    if (++turns < 100_000) a.write(Uint8Array.of(1));
  };
  atB.onChunk = () => {
    atB.chunks.length = atB.log.length = 0;
    b.write(Uint8Array.of(2));
  };
  a.write(Uint8Array.of(1));
  assert.equal(turns, 100_000);
});

test("duplex pair: each side ends its own direction, and then both are closed in order", () => {
  const { a, b, atA, atB } = attached();
  a.write(text("last"));
  a.end();
  assert.deepEqual(atB.log, ["data", "end"]);
  assert.equal(a.write(text("late")), false);
  b.write(text("answer"));
  b.end();
  assert.deepEqual(atA.log, ["data", "end", "close"]);
  assert.deepEqual(atB.log, ["data", "end", "close"]);
  assert.equal(atA.closed!.error, undefined);
  assert.deepEqual(atB.texts, ["last"]);
});

test("duplex pair: destroy closes both ends with the error and drops what waits", () => {
  const { a, b, atA, atB } = attached();
  b.pause();
  a.write(text("lost"));
  const error = new Error("broken");
  a.destroy(error);
  a.destroy();
  assert.equal(atA.closed!.error, error);
  assert.equal(atB.closed!.error, error);
  assert.equal(atB.chunks.length, 0);
});

test("duplex pair: an end that was destroyed before anybody attached tells it then", () => {
  const [a, b] = duplexPair();
  const error = new Error("early");
  a.destroy(error);
  const sink = new Recorder();
  b.attach(sink);
  assert.equal(sink.closed!.error, error);
});

test("duplex pair: latency is one way, keeps the order and fills the buffer", () => {
  const clock = new VirtualClock();
  const { a, b, atA, atB } = attached({ latency: { clock, ms: 50 }, maxBufferedBytes: 1000 });
  assert.equal(a.write(new Uint8Array(999)), true);
  assert.equal(a.write(text("x")), false);
  a.end();
  clock.run({ until: 49 });
  assert.equal(atB.chunks.length, 0);
  clock.run({ until: 50 });
  assert.deepEqual(atB.log, ["data", "data", "end"]);
  assert.equal(atA.drains, 1);
  b.end();
  clock.run();
  assert.equal(atA.closed!.error, undefined);
});

test("duplex pair: unordered messages have a size limit and no place in the order of bytes", () => {
  const { a, b, atB } = attached({ maxUnorderedBytes: 10 });
  b.pause();
  a.write(text("bytes"));
  assert.equal(a.unordered!.send(text("message")), true);
  assert.equal(a.unordered!.send(new Uint8Array(11)), false);
  assert.deepEqual(atB.messages.map((message) => new TextDecoder().decode(message)), ["message"]);
  assert.equal(atB.chunks.length, 0);
  assert.equal(duplexPair()[0].unordered, undefined);
});
