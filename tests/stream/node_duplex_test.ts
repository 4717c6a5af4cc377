import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { Buffer } from "node:buffer";
import { type Duplex, PassThrough, Readable } from "node:stream";
import { Connection } from "../../core/stream/connection.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { fromNodeDuplex, toNodeDuplex } from "../../core/stream/node_duplex.ts";
import { test } from "../harness.ts";
import { bytes, keyPair, Recorder, testRuntime, text } from "./rig.ts";

/** All that comes until the end; iterating would destroy the other direction as well. */
async function collect(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk) => chunks.push(chunk)).resume();
  await once(stream, "end");
  return Buffer.concat(chunks);
}

function nodePair(maxBufferedBytes = 65536) {
  const [near, far] = duplexPair({ maxBufferedBytes });
  return { a: toNodeDuplex(near), b: toNodeDuplex(far) };
}

test("node duplex: a stream of Node over a connection carries data, ends and closes", async () => {
  const runtime = testRuntime();
  const [near, far] = duplexPair();
  const server = new Connection(far, runtime, { isInitiator: false, keyPair: keyPair(2) });
  const client = new Connection(near, runtime, { isInitiator: true, keyPair: keyPair(1) });
  const [a, b] = [toNodeDuplex(client), toNodeDuplex(server)];
  const received = collect(b);
  const sent = bytes(1_000_000);
  Readable.from([sent.slice(0, 300_000), sent.slice(300_000)]).pipe(a);
  a.resume();
  b.end("answer");
  assert.deepEqual(new Uint8Array(await received), sent);
  await Promise.all([client.closed, server.closed]);
});

test("node duplex: half-open until both sides end, then closed without an error", async () => {
  const { a, b } = nodePair();
  const closed = Promise.all([once(a, "close"), once(b, "close")]);
  a.end("question");
  assert.equal(String(await collect(b)), "question");
  assert.equal(b.writable, true);
  b.end("answer");
  assert.equal(String(await collect(a)), "answer");
  await closed;
});

test("node duplex: backpressure works both ways", async () => {
  const { a, b } = nodePair(10_000);
  let written = 0;
  while (a.write(new Uint8Array(1000)) && written < 1000) written++;
  assert.ok(written < 200, `${written}`);
  let received = 0;
  b.on("data", (chunk: Uint8Array) => received += chunk.length);
  await once(a, "drain");
  a.end();
  await once(b, "end");
  assert.equal(received, (written + 1) * 1000);
  b.destroy();
  a.destroy();
});

test("node duplex: memory may be reused after the callback of a write", async () => {
  const { a, b } = nodePair();
  b.pause();
  const chunk = new Uint8Array(text("first"));
  await new Promise<void>((resolve) => a.write(chunk, () => resolve()));
  chunk.fill(0);
  a.end();
  assert.equal(String(await collect(b)), "first");
  b.destroy();
});

test("node duplex: destroying one end destroys the other, with the error", async () => {
  const { a, b } = nodePair();
  const failed = [once(a, "error"), once(b, "error")];
  a.destroy(new Error("broken"));
  for (const failure of failed) assert.equal((await failure)[0].message, "broken");
  const calm = nodePair();
  const closed = once(calm.b, "close");
  calm.a.destroy();
  await closed;
});

test("node duplex: a failing write reports to the writer", async () => {
  const { a, b } = nodePair(1000);
  b.on("error", () => {});
  a.on("error", () => {});
  a.write(new Uint8Array(200_000));
  a.write(new Uint8Array(200_000));
  const failed = new Promise((resolve) => a.write(new Uint8Array(5000), resolve));
  b.destroy(new Error("gone"));
  assert.ok(await failed instanceof Error);
});

test("node duplex: a socket as a pipe carries data, ends in order and reports a reset", async () => {
  for (const end of ["order", "reset"] as const) {
    const server = net.createServer({ allowHalfOpen: true });
    const accepted = once(server, "connection");
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as net.AddressInfo;
    const near = fromNodeDuplex(net.connect({ port, host: "127.0.0.1", allowHalfOpen: true }));
    const [socket] = await accepted as [net.Socket];
    const far = fromNodeDuplex(socket);
    server.close();
    const [atNear, atFar] = [new Recorder(), new Recorder()];
    const closed = [atNear, atFar].map((sink) =>
      new Promise<void>((resolve) => {
        const onClose = sink.onClose.bind(sink);
        sink.onClose = (error) => (onClose(error), resolve());
      })
    );
    near.attach(atNear);
    far.attach(atFar);
    const body = near.alloc(5);
    body.set(text("hello"));
    near.write(body);
    await new Promise<void>((resolve) => atFar.onChunk = () => resolve());
    assert.deepEqual(atFar.texts, ["hello"]);
    assert.equal(atFar.chunks[0]!.constructor, Uint8Array);
    if (end === "order") {
      near.end();
      assert.equal(near.write(text("late")), false);
      far.end();
    } else {
      near.destroy(new Error("mine"));
      near.destroy();
      far.end();
    }
    await Promise.all(closed);
    if (end === "order") {
      assert.deepEqual([atNear.closed!.error, atFar.closed!.error], [undefined, undefined]);
      assert.deepEqual([atNear.ended, atFar.ended], [true, true]);
    } else {
      assert.equal(atNear.closed!.error?.message, "mine");
    }
    assert.equal(near.write(text("late")), false);
  }
});

test("node duplex: chunks on their way up are no Buffers, whose slice does not copy", async () => {
  const stream = new PassThrough();
  const pipe = fromNodeDuplex(stream);
  const chunks: Uint8Array[] = [];
  const got = new Promise<void>((resolve) =>
    pipe.attach({
      onData(chunk) {
        chunks.push(chunk.slice());
        chunk.fill(0);
        resolve();
      },
      onDrain() {},
      onEnd() {},
      onClose() {},
    })
  );
  pipe.write(text("kept"));
  await got;
  assert.deepEqual(chunks, [text("kept")]);
  pipe.destroy();
});

test("node duplex: a refused connection is a ConnectError", async () => {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const pipe = fromNodeDuplex(net.connect({ port, host: "127.0.0.1" }));
  const error = await new Promise<Error | undefined>((resolve) =>
    pipe.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: resolve })
  );
  assert.equal((error as Error & { code: string }).code, "CONNECTION_REFUSED");
});
