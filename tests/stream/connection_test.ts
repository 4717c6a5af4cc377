import assert from "node:assert/strict";
import { macrotask } from "../../core/runtime/system.ts";
import type { HyphaError } from "../../core/runtime/errors.ts";
import { Connection, type ConnectionOptions, openConnection } from "../../core/stream/connection.ts";
import type { Duplex } from "../../core/stream/duplex.ts";
import { duplexPair, type DuplexPairOptions } from "../../core/stream/duplex_pair.ts";
import { test } from "../harness.ts";
import { bytes, keyPair, Recorder, testRuntime, text } from "./rig.ts";

function makePair(
  options: {
    readonly pair?: DuplexPairOptions;
    readonly client?: Partial<ConnectionOptions>;
    readonly server?: Partial<ConnectionOptions>;
  } = {},
) {
  const runtime = testRuntime();
  const [near, far] = duplexPair(options.pair);
  const server = new Connection(far, runtime, { isInitiator: false, keyPair: keyPair(2), ...options.server });
  const client = new Connection(near, runtime, { isInitiator: true, keyPair: keyPair(1), ...options.client });
  return { client, server, runtime, near, far };
}

const decode = (chunk: Uint8Array) => new TextDecoder().decode(chunk);

test("connection: words go both ways, and each side knows the other", async () => {
  const { client, server } = makePair();
  await Promise.all([client.opened, server.opened]);
  assert.deepEqual(client.remotePublicKey, keyPair(2).publicKey);
  assert.deepEqual(server.remotePublicKey, keyPair(1).publicKey);
  assert.deepEqual(client.handshakeHash, server.handshakeHash);
  assert.equal(client.handshakeHash.length, 64);
  assert.deepEqual([client.isInitiator, server.isInitiator], [true, false]);
  await client.write(text("hello"));
  await server.write(text("world"));
  for await (const chunk of server) {
    assert.equal(decode(chunk), "hello");
    break;
  }
  for await (const chunk of client) {
    assert.equal(decode(chunk), "world");
    break;
  }
  assert.equal(client.rawBytesWritten, server.rawBytesRead);
  await Promise.all([client.close(), server.close()]);
  await Promise.all([client.closed, server.closed]);
});

test("connection: chunks belong to the reader and keep the boundaries of writes", async () => {
  const { client, server } = makePair();
  const sent = [bytes(1, "a"), bytes(50_000, "b"), bytes(3, "c")];
  const kept: Uint8Array[] = [];
  const reading = (async () => {
    for await (const chunk of server) kept.push(chunk);
  })();
  for (const chunk of sent) await client.write(chunk.slice());
  const closing = client.close();
  await reading;
  await server.close();
  await closing;
  assert.deepEqual(kept, sent);
});

test("connection: leaving a loop keeps the connection, the next loop goes on", async () => {
  const { client, server } = makePair();
  for (const word of ["one", "two", "three"]) await client.write(text(word));
  const heard: string[] = [];
  for (let i = 0; i < 3; i++) {
    for await (const chunk of server) {
      heard.push(decode(chunk));
      break;
    }
  }
  assert.deepEqual(heard, ["one", "two", "three"]);
  client.abort();
});

test("connection: a write waits for room, and a slow reader makes it wait", async () => {
  const { client, server } = makePair({
    pair: { maxBufferedBytes: 10_000 },
    server: { maxBufferedBytes: 10_000 },
  });
  await client.opened;
  const reader = server[Symbol.asyncIterator]();
  let written = 0;
  let settled = false;
  while (!settled && written < 100) {
    settled = true;
    const writing = client.write(new Uint8Array(1000));
    written++;
    void writing.then(() => settled = false);
    await macrotask();
  }
  assert.ok(written > 10 && written < 40, `${written}`);
  let received = 0;
  while (received < written) {
    await reader.next();
    received++;
  }
  await macrotask();
  assert.equal(settled, false, "the last write has resolved");
  client.abort();
});

test("connection: writes before it is open wait and arrive", async () => {
  const runtime = testRuntime();
  const [near, far] = duplexPair({ latency: { clock: runtime.clock, ms: 10 } });
  const client = new Connection(near, runtime, { isInitiator: true, keyPair: keyPair(1) });
  const server = new Connection(far, runtime, { isInitiator: false, keyPair: keyPair(2) });
  const writing = client.write(text("early"));
  const reading = server[Symbol.asyncIterator]().next();
  await runtime.clock.runAsync(macrotask, { until: 1000 });
  await writing;
  assert.equal(decode((await reading).value), "early");
  client.abort();
});

test("connection: reading ends when the peer has ended, and writing may go on", async () => {
  const { client, server } = makePair();
  await client.write(text("question"));
  const closing = client.close();
  const heard: string[] = [];
  for await (const chunk of server) heard.push(decode(chunk));
  assert.deepEqual(heard, ["question"]);
  await server.write(text("answer to nobody"));
  await server.close();
  await closing;
  await assert.rejects(client.write(text("late")), { code: "CONNECTION_CLOSED" });
  await assert.rejects(server.write(text("late")), { code: "CONNECTION_CLOSED" });
  assert.equal((await server[Symbol.asyncIterator]().next()).done, true);
});

test("connection: close cuts off a peer that does not end, and never rejects", async () => {
  const { client, server, runtime } = makePair({ client: { closeTimeoutMs: 1000 } });
  await client.opened;
  const closing = client.close();
  await runtime.clock.runAsync(macrotask, { until: 999 });
  let done = false;
  void closing.then(() => done = true);
  await macrotask();
  assert.equal(done, false);
  await runtime.clock.runAsync(macrotask);
  await closing;
  await client.closed;
  assert.equal(runtime.clock.pending, 0);
  assert.ok(server);
});

test("connection: abort rejects reads, writes and closed with its reason", async () => {
  const { client, server } = makePair({ pair: { maxBufferedBytes: 1000 } });
  await client.opened;
  const reading = client[Symbol.asyncIterator]().next();
  const writing = client.write(new Uint8Array(5000));
  const reason = new Error("enough");
  client.abort(reason);
  await assert.rejects(reading, reason);
  await assert.rejects(client.closed, reason);
  await assert.rejects(client.write(text("x")), reason);
  await assert.rejects(writing, reason);
  await assert.rejects(server.closed);
  const plain = makePair().client;
  plain.abort();
  await assert.rejects(plain.closed, { code: "ABORTED" });
});

test("connection: what came before a break is still read, then the error", async () => {
  const { client, server, near } = makePair();
  const reader = server[Symbol.asyncIterator]();
  await client.write(text("before"));
  const first = reader.next();
  await client.write(text("queued"));
  near.destroy(new Error("cable"));
  assert.equal(decode((await first).value), "before");
  assert.equal(decode((await reader.next()).value), "queued");
  await assert.rejects(reader.next(), /cable/);
});

test("connection: nobody has to look at opened and closed", async () => {
  const { client } = makePair();
  client.abort(new Error("ignored"));
  const [near] = duplexPair();
  const unopened = new Connection(near, testRuntime(), { isInitiator: true, keyPair: keyPair(1) });
  unopened.abort(new Error("ignored too"));
  await macrotask();
  await macrotask();
});

test("connection: openConnection rejects with what went wrong and destroys the pipe", async () => {
  const runtime = testRuntime();
  const [near, far] = duplexPair();
  const atFar = new Recorder();
  far.attach(atFar);
  const opening = openConnection(near, runtime, { isInitiator: true, keyPair: keyPair(1) });
  const rejected = assert.rejects(opening, { code: "TIMEOUT" });
  await runtime.clock.runAsync(macrotask);
  await rejected;
  assert.equal((atFar.closed!.error as HyphaError).code, "TIMEOUT");
});

test("connection: a signal gives up the opening, and means nothing afterwards", async () => {
  const runtime = testRuntime();
  for (const early of [true, false]) {
    const [near, far] = duplexPair();
    const atFar = new Recorder();
    far.attach(atFar);
    const controller = new AbortController();
    const reason = new Error("changed my mind");
    if (early) controller.abort(reason);
    const options = { isInitiator: true, keyPair: keyPair(1), signal: controller.signal };
    const opening = openConnection(near, runtime, options);
    controller.abort(reason);
    await assert.rejects(opening, reason);
    assert.equal(atFar.closed?.error, reason);
  }
  const [near, far] = duplexPair();
  const controller = new AbortController();
  const [client] = await Promise.all([
    openConnection(near, runtime, { isInitiator: true, keyPair: keyPair(1), signal: controller.signal }),
    openConnection(far, runtime, { isInitiator: false, keyPair: keyPair(2) }),
  ]);
  controller.abort();
  await client.write(text("still here"));
  client.abort();
});

test("connection: each direction is used in one way only", async () => {
  const { client, server } = makePair();
  client[Symbol.asyncIterator]();
  assert.throws(() => client.readable, /for await/);
  assert.throws(() => client.duplex, TypeError);
  await client.write(text("x"));
  assert.throws(() => client.writable, /write\(\)/);
  assert.throws(() => client.mux, TypeError);
  const { duplex } = server;
  assert.equal(server.duplex, duplex);
  assert.throws(() => server[Symbol.asyncIterator](), /duplex/);
  await assert.rejects(server.write(text("x")), TypeError);
  assert.throws(() => server.onUnordered(() => {}), TypeError);
  const other = makePair();
  await other.client.write(text("x"));
  assert.throws(() => other.client.duplex, TypeError);
  other.client[Symbol.asyncIterator]();
  for (const connection of [client, other.client]) connection.abort();
});

test("connection: the duplex face is the stream itself, without a promise in between", () => {
  const { client, server } = makePair();
  const sink = new Recorder();
  server.duplex.attach(sink);
  client.duplex.write(text("now"));
  assert.deepEqual(sink.texts, ["now"]);
  client.abort();
  assert.ok(sink.closed);
});

test("connection: the mux is one for all who ask, and what came before waits until they have asked", () => {
  const { client, server, runtime } = makePair();
  const channel = client.mux.createChannel({ protocol: "p" })!;
  channel.open();
  assert.equal(client.mux, client.mux);
  runtime.clock.run({ until: 1 });
  server.mux.pair({ protocol: "p" }, () => server.mux.createChannel({ protocol: "p" })!.open());
  assert.equal(channel.state, "opening");
  runtime.clock.run({ until: 2 });
  assert.equal(channel.state, "open");
  client.abort();
  assert.equal(channel.state, "closed");
});

test("connection: web streams carry the same chunks, with backpressure", async () => {
  const { client, server } = makePair({
    pair: { maxBufferedBytes: 5000 },
    server: { maxBufferedBytes: 5000 },
  });
  const sent = Array.from({ length: 50 }, (_, i) => bytes(1000, i));
  const writing = (async () => {
    const writer = client.writable.getWriter();
    for (const chunk of sent) await writer.write(chunk);
    await writer.close();
  })();
  const received: Uint8Array[] = [];
  for await (const chunk of server.readable) received.push(chunk);
  assert.deepEqual(received, sent);
  await writing;
  await server.writable.close();
  assert.equal((await client.readable.getReader().read()).done, true);
  await Promise.all([client.closed, server.closed]);
});

test("connection: cancelling the readable drops what comes, aborting the writable aborts", async () => {
  const { client, server } = makePair({ server: { maxBufferedBytes: 1000 } });
  await server.readable.cancel();
  for (let i = 0; i < 100; i++) await client.write(new Uint8Array(10_000));
  assert.equal(client.rawBytesWritten > 1_000_000, true);
  const other = makePair();
  await other.client.writable.abort(new Error("no more"));
  await assert.rejects(other.client.closed, /no more/);
  client.abort();
});

test("connection: leaving its scope closes it", async () => {
  const { client, server } = makePair();
  await client.write(text("bye"));
  void (async () => {
    for await (const _ of server);
    await server.close();
  })();
  await client[Symbol.asyncDispose](); // what await using calls, which Node cannot parse yet
  await Promise.all([client.closed, server.closed]);
});

test("connection: unordered messages go beside the others", async () => {
  const { client, server } = makePair({ pair: { maxUnorderedBytes: 1000 } });
  await Promise.all([client.opened, server.opened]);
  const heard: string[] = [];
  server.onUnordered((message) => heard.push(decode(message)));
  assert.equal(client.sendUnordered(text("beside")), true);
  assert.deepEqual(heard, ["beside"]);
  assert.equal(makePair().client.sendUnordered(text("no such thing")), false);
  client.abort();
});

test("connection: a message that is too long rejects and harms nothing", async () => {
  const { client, server } = makePair();
  await assert.rejects(client.write(new Uint8Array(2 ** 24)), RangeError);
  await client.write(text("fine"));
  assert.equal(decode((await server[Symbol.asyncIterator]().next()).value), "fine");
  client.abort();
});

test("connection: before the handshake there is no peer, unless one is expected", () => {
  const [near] = duplexPair() as [Duplex, Duplex];
  const anyone = new Connection(near, testRuntime(), { isInitiator: true, keyPair: keyPair(1) });
  assert.throws(() => anyone.remotePublicKey, TypeError);
  assert.throws(() => anyone.handshakeHash, TypeError);
  const [other] = duplexPair();
  const someone = new Connection(other, testRuntime(), {
    isInitiator: true,
    keyPair: keyPair(1),
    remotePublicKey: keyPair(2).publicKey,
  });
  assert.deepEqual(someone.remotePublicKey, keyPair(2).publicKey);
  anyone.abort();
  someone.abort();
});
