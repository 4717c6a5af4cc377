import assert from "node:assert/strict";
import { headerFrame } from "../../core/stream/secret_machine.ts";
import { NoiseHandshake } from "../../core/crypto/noise.ts";
import { streamId } from "../../core/crypto/secret_state.ts";
import { ConnectError, type ErrorCode, HyphaError, ProtocolError } from "../../core/runtime/errors.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { SecretStream } from "../../core/stream/secret_stream.ts";
import type { NoiseSession, SecretStreamOptions } from "../../core/stream/secret_options.ts";
import { concat } from "../../encoding/bytes.ts";
import { test } from "../harness.ts";
import {
  bytes,
  cut,
  type End,
  keyPair,
  makeEnd,
  Recorder,
  secretPair,
  tap,
  testRuntime,
  text,
} from "./rig.ts";

const IK = { pattern: "IK", remotePublicKey: keyPair(2).publicKey } as const;

function assertClosed(end: End, code: ErrorCode, kind: typeof HyphaError = HyphaError): void {
  const error = end.sink.closed?.error;
  assert.ok(error instanceof kind, `closed with ${error}`);
  assert.equal(error.code, code);
  assert.equal(end.hooks.at(-1), "close");
}

/** A handshake that took place elsewhere, as both sides have it. */
function sessions(seed = 1): [NoiseSession, NoiseSession] {
  const { crypto } = testRuntime();
  const random = new SeededRandom(seed);
  const [a, b] = [keyPair(1), keyPair(2)];
  const near = new NoiseHandshake(crypto, {
    pattern: "IK",
    initiator: true,
    staticKeyPair: a,
    remotePublicKey: b.publicKey,
    random,
  });
  const far = new NoiseHandshake(crypto, { pattern: "IK", initiator: false, staticKeyPair: b, random });
  far.recv(near.send());
  near.recv(far.send());
  return [{ ...near.session!, publicKey: a.publicKey }, { ...far.session!, publicKey: b.publicKey }];
}

for (const pattern of ["XX", "IK"] as const) {
  for (const framing of ["bytes", "message"] as const) {
    test(`secret stream: ${pattern} over a pipe of ${framing}, messages both ways keep their boundaries (S1, S2, S5)`, () => {
      const { client, server } = secretPair({
        pair: { framing },
        client: { pattern, remotePublicKey: keyPair(2).publicKey },
        server: { pattern },
      });
      assert.deepEqual(client.stream.session!.remotePublicKey, keyPair(2).publicKey);
      assert.deepEqual(server.stream.session!.remotePublicKey, keyPair(1).publicKey);
      assert.deepEqual(server.stream.session!.hash, client.stream.session!.hash);
      const messages = [text("hello"), bytes(100_000, "a"), text("x"), bytes(300, "b")];
      for (const message of messages) assert.equal(client.stream.write(message.slice()), true);
      for (const message of messages) server.stream.write(message.slice());
      assert.deepEqual(server.sink.chunks, messages);
      assert.deepEqual(client.sink.chunks, messages);
    });
  }
}

test("secret stream: tiny chunks make the same messages as large ones (S1)", () => {
  for (const size of [1, 2, 3, 7, 50]) {
    const { client, server } = secretPair({ wrap: (lower) => tap(lower, (chunk) => cut(chunk, size)) });
    client.stream.write(bytes(1000, size));
    server.stream.write(text("back"));
    assert.deepEqual(server.sink.chunks, [bytes(1000, size)]);
    assert.deepEqual(client.sink.texts, ["back"]);
  }
});

test("secret stream: frames merged and cut at random arrive whole (S1)", () => {
  for (let seed = 0; seed < 30; seed++) {
    const random = new SeededRandom(seed);
    let kept: Uint8Array[] = [];
    let merging = false;
    const merge = (chunk: Uint8Array) => {
      kept.push(chunk.slice());
      if (merging && random.chance(1, 2)) return [];
      const all = concat(kept);
      kept = [];
      return cut(all, 1 + random.below(3000));
    };
    const { client, server } = secretPair({
      wrap: (lower, side) => side === "client" ? tap(lower, merge) : lower,
    });
    merging = true;
    const sent: Uint8Array[] = [];
    for (let i = 0; i < 50; i++) {
      const message = bytes(1 + random.below(i % 10 === 0 ? 20_000 : 200), `${seed}/${i}`);
      sent.push(message);
      client.stream.write(message.slice());
    }
    merging = false;
    client.stream.write(text("flush"));
    assert.deepEqual(server.sink.chunks.slice(0, 50), sent, `seed ${seed}`);
  }
});

test("secret stream: what goes over the wire is framed and hides the text (S1, S4, S5)", () => {
  const written: Uint8Array[] = [];
  const { client, server } = secretPair({
    wrap: (lower, side) =>
      side === "server" ? lower : tap(lower, (chunk) => {
        written.push(chunk.slice());
        return [chunk];
      }),
  });
  client.stream.write(text("a secret"));
  assert.deepEqual(written.map((frame) => frame[0]! | frame[1]! << 8), [32, 64, 56, 8 + 17]);
  assert.deepEqual(written.map((frame) => frame.length - 3), [32, 64, 56, 25]);
  const { crypto } = testRuntime();
  assert.deepEqual(
    written[2]!.slice(3, 35),
    streamId(crypto, client.stream.session!.hash, true),
  );
  assert.equal(new TextDecoder().decode(written[3]).includes("secret"), false);
  assert.deepEqual(server.sink.texts, ["a secret"]);
});

test("secret stream: a body from alloc is sealed where it lies, with the room of the layer below (S5)", () => {
  const frames: Uint8Array[] = [];
  const { client, server } = secretPair({
    wrap: (lower) =>
      tap(lower, (chunk) => {
        frames.push(chunk);
        return [chunk.slice()];
      }),
  });
  frames.length = 0;
  const body = client.stream.alloc(5);
  body.set(text("hello"));
  client.stream.write(body);
  assert.equal(frames[0]!.buffer, body.buffer);
  assert.equal(frames[0]!.byteOffset, body.byteOffset - 4);
  assert.equal(frames[0]!.length, 3 + 17 + 5);
  const stale = client.stream.alloc(3);
  stale.set(text("old"));
  client.stream.alloc(9);
  client.stream.write(stale);
  assert.deepEqual(server.sink.texts, ["hello", "old"]);
});

test("secret stream: a message may have 16777198 bytes and not one more (S1)", () => {
  const { client, server } = secretPair();
  let received = 0;
  server.sink.onChunk = (chunk) => received = chunk.length;
  client.stream.write(new Uint8Array(2 ** 24 - 1 - 17));
  assert.equal(received, 2 ** 24 - 1 - 17);
  assert.throws(() => client.stream.write(new Uint8Array(2 ** 24 - 17)), RangeError);
  client.stream.write(text("still alive"));
  assert.equal(received, 11);
});

test("secret stream: frames longer than maxFrameBytes close the stream before their bytes come", () => {
  const { client, server } = secretPair({ server: { maxFrameBytes: 117 } });
  client.stream.write(new Uint8Array(100));
  assert.equal(server.sink.chunks.length, 1);
  client.stream.write(new Uint8Array(101));
  assertClosed(server, "INVALID_FRAME", ProtocolError);
});

test("secret stream: what is written before there are keys waits, and the writer is told when to go on", () => {
  const runtime = testRuntime();
  const { client, server } = secretPair({ runtime, pair: { latency: { clock: runtime.clock, ms: 10 } } });
  assert.equal(client.stream.write(text("early")), false);
  assert.equal(server.stream.write(text("bird")), false);
  assert.equal(client.sink.drains, 0);
  runtime.clock.run({ until: 1000 });
  assert.deepEqual([server.sink.texts, client.sink.texts], [["early"], ["bird"]]);
  assert.deepEqual([client.sink.drains, server.sink.drains], [1, 1]);
});

test("secret stream: what is written in the hook comes behind what waited", () => {
  const runtime = testRuntime();
  const [near, far] = duplexPair({ latency: { clock: runtime.clock, ms: 10 } });
  const server = makeEnd(far, runtime, { isInitiator: false, keyPair: keyPair(2) });
  const client: SecretStream = new SecretStream(near, runtime, { isInitiator: true, keyPair: keyPair(1) }, {
    onHandshake: () => void client.write(text("second")),
    onOpen: () => void client.write(text("third")),
  });
  server.stream.start();
  client.start();
  client.write(text("first"));
  runtime.clock.run({ until: 1000 });
  assert.deepEqual(server.sink.texts, ["first", "second", "third"]);
  client.destroy();
});

test("secret stream: a sink that throws does not make it lose its place in the bytes", () => {
  const { client, server } = secretPair();
  server.sink.onChunk = () => {
    server.sink.onChunk = undefined;
    throw new Error("a bug of the application");
  };
  assert.throws(() => client.stream.write(text("one")), /a bug/);
  client.stream.write(text("two"));
  assert.deepEqual(server.sink.texts, ["one", "two"]);
});

test("secret stream: ending before there are keys still sends what was written", () => {
  const runtime = testRuntime();
  const { client, server } = secretPair({
    runtime,
    pair: { latency: { clock: runtime.clock, ms: 10 } },
    client: IK,
    server: { pattern: "IK" },
  });
  client.stream.write(text("only this"));
  client.stream.end();
  assert.equal(client.stream.write(text("late")), false);
  runtime.clock.run({ until: 1000 });
  assert.deepEqual(server.sink.texts, ["only this"]);
  assert.equal(server.sink.ended, true);
  server.stream.end();
  runtime.clock.run();
  assert.equal(client.sink.closed!.error, undefined);
});

test("secret stream: with keys agreed elsewhere it starts with the header (S3)", () => {
  const [near, far] = sessions();
  const { client, server, runtime } = secretPair({ client: { session: near }, server: { session: far } });
  assert.deepEqual(client.stream.publicKey, keyPair(1).publicKey);
  assert.equal(client.stream.isOpen, true);
  runtime.clock.run({ until: 1 });
  assert.equal(server.stream.isOpen, true);
  client.stream.write(text("hi"));
  assert.deepEqual(server.sink.texts, ["hi"]);
});

test("secret stream: who knows the path from the handshake is open at once, and a header may be sent ahead (S4)", () => {
  const [session, other] = sessions();
  const [near, far] = duplexPair();
  const streamHeader = bytes(24);
  const { crypto } = testRuntime();
  const end = makeEnd(near, testRuntime(), {
    ...{ isInitiator: true, keyPair: keyPair(1) },
    session: { ...session, isPathProven: true, streamHeader },
  });
  end.stream.start();
  assert.equal(end.stream.isOpen, true);
  const seen: number[] = [];
  far.attach({ onData: (chunk) => void seen.push(...chunk), onDrain() {}, onEnd() {}, onClose() {} });
  const frame = headerFrame(crypto, session, streamHeader);
  assert.deepEqual(seen.slice(0, frame.length), [...frame]);
  assert.throws(() => headerFrame(crypto, session, bytes(23)), RangeError);

  // The same, if it turns out later.
  const [near3] = duplexPair();
  const late = makeEnd(near3, testRuntime(), { isInitiator: true, keyPair: keyPair(1), session });
  late.stream.start();
  assert.equal(late.stream.isOpen, false);
  late.stream.provePath();
  assert.equal(late.stream.isOpen, true);

  // The other side has only a message's word for it, whatever it is told.
  const [near2] = duplexPair();
  const answering = { ...other, isPathProven: true };
  const server = makeEnd(near2, testRuntime(), {
    isInitiator: false,
    keyPair: keyPair(2),
    session: answering,
  });
  server.stream.start();
  assert.equal(server.stream.isOpen, false);
});

test("secret stream: where only the peer can know the pipe, its header proves it, and it may end at once (S3)", () => {
  const [near, far] = sessions();
  for (const responderProof of ["message", "header"] as const) {
    const { client, server, runtime } = secretPair({
      // A client of the reference says nothing by itself.
      client: { session: near },
      server: { session: far, responderProof },
      wrap: (lower, side) =>
        side === "server" ? lower : tap(lower, (chunk) => chunk.length === 59 ? [chunk] : []),
    });
    client.stream.end();
    runtime.clock.run({ until: 1 });
    const isHeaderEnough = responderProof === "header";
    assert.equal(server.stream.isOpen, isHeaderEnough);
    assert.equal(server.sink.ended, isHeaderEnough);
    if (!isHeaderEnough) assertClosed(server, "HANDSHAKE_UNFINISHED");
  }
});

test("secret stream: a header of another handshake is refused (S4)", () => {
  const { client, server } = secretPair({
    client: { session: sessions(1)[0] },
    server: { session: sessions(2)[1] },
  });
  assertClosed(server, "INVALID_HEADER", ProtocolError);
  assertClosed(client, "INVALID_HEADER", ProtocolError);
});

test("secret stream: a header that reflects our own is refused (S4)", () => {
  const [session] = sessions();
  const runtime = testRuntime();
  const [near, far] = duplexPair();
  const end = makeEnd(near, runtime, { isInitiator: true, keyPair: keyPair(1), session });
  end.stream.start();
  far.attach({ onData: (chunk) => void far.write(chunk.slice()), onDrain() {}, onEnd() {}, onClose() {} });
  assertClosed(end, "INVALID_HEADER");
});

test("secret stream: a header of another length is refused as soon as the length is known (S4)", () => {
  const [session] = sessions();
  const [near, far] = duplexPair();
  const end = makeEnd(near, testRuntime(), { isInitiator: true, keyPair: keyPair(1), session });
  end.stream.start();
  far.write(Uint8Array.of(57, 0, 0));
  assertClosed(end, "INVALID_HEADER");
});

test("secret stream: garbage instead of a handshake closes with HANDSHAKE_INVALID (S2)", () => {
  for (const garbage of ["GET / HTTP/1.1\r\n\r\n", "\x20\0\0" + "\0".repeat(32), "\x05\0\0hello", "\0\0\0"]) {
    const [near, far] = duplexPair();
    const end = makeEnd(near, testRuntime(), { isInitiator: false, keyPair: keyPair(2) });
    end.stream.start();
    far.write(text(garbage));
    assertClosed(end, "HANDSHAKE_INVALID", ProtocolError);
  }
});

test("secret stream: a forged message closes with INVALID_MAC (S5)", () => {
  let flip = false;
  const { client, server } = secretPair({
    wrap: (lower, side) =>
      side === "server" ? lower : tap(lower, (chunk) => {
        if (flip) chunk[chunk.length - 1]! ^= 1;
        return [chunk];
      }),
  });
  client.stream.write(text("good"));
  flip = true;
  client.stream.write(text("evil"));
  assert.deepEqual(server.sink.texts, ["good"]);
  assertClosed(server, "INVALID_MAC", ProtocolError);
});

test("secret stream: repeated, swapped and dropped frames are noticed (S5)", () => {
  for (const trick of ["repeat", "swap", "drop"]) {
    const kept: Uint8Array[] = [];
    let hold = false;
    const { client, server } = secretPair({
      wrap: (lower, side) =>
        side === "server" ? lower : tap(lower, (chunk) => {
          if (!hold) return [chunk];
          kept.push(chunk.slice());
          if (kept.length < 2) return [];
          if (trick === "repeat") return [kept[0]!, kept[0]!.slice()];
          return trick === "swap" ? [kept[1]!, kept[0]!] : [kept[1]!];
        }),
    });
    hold = true;
    client.stream.write(text("one"));
    client.stream.write(text("two"));
    assertClosed(server, "INVALID_MAC");
  }
});

test("secret stream: a frame too short for a seal is refused (S5)", () => {
  const [session] = sessions();
  const [near, far] = duplexPair();
  const { crypto } = testRuntime();
  const end = makeEnd(near, testRuntime(), { isInitiator: true, keyPair: keyPair(1), session });
  end.stream.start();
  far.write(concat([Uint8Array.of(56, 0, 0), streamId(crypto, session.hash, false), bytes(24)]));
  assert.equal(end.stream.isOpen, true);
  far.write(Uint8Array.of(16, 0, 0));
  assertClosed(end, "INVALID_FRAME", ProtocolError);
});

test("secret stream: the wrong peer is refused before our key is shown to it (S2)", () => {
  const written: number[] = [];
  const { client, server } = secretPair({
    client: { remotePublicKey: keyPair(3).publicKey },
    wrap: (lower, side) =>
      side === "server" ? lower : tap(lower, (chunk) => {
        written.push(chunk.length);
        return [chunk];
      }),
  });
  assertClosed(client, "WRONG_PEER", ConnectError);
  assert.deepEqual(written, [3 + 32]);
  assert.ok(server.sink.closed);
  const [session] = sessions();
  const other = secretPair({ client: { session, remotePublicKey: keyPair(3).publicKey } });
  assertClosed(other.client, "WRONG_PEER", ConnectError);
});

test("secret stream: different prologues do not come together", () => {
  const { server } = secretPair({ client: { prologue: text("a") }, server: { prologue: text("b") } });
  assert.equal((server.sink.closed?.error as HyphaError).code, "HANDSHAKE_INVALID");
  const same = secretPair({ client: { prologue: text("a") }, server: { prologue: text("a") } });
  assert.equal(same.server.stream.isOpen, true);
});

test("secret stream: keepalives go out after silence of our own and are never delivered (S6)", () => {
  const sizes: number[] = [];
  const { client, server, runtime } = secretPair({
    client: { keepAliveMs: 1000 },
    wrap: (lower, side) =>
      side === "server" ? lower : tap(lower, (chunk) => {
        sizes.push(chunk.length);
        return [chunk];
      }),
  });
  sizes.length = 0;
  runtime.clock.run({ until: 3500 });
  assert.deepEqual(sizes, [20, 20, 20]);
  client.stream.write(text("word"));
  runtime.clock.run({ until: 4400 });
  assert.equal(sizes.length, 4, "a write puts the next one off");
  runtime.clock.run({ until: 4500 });
  assert.equal(sizes.length, 5);
  assert.deepEqual(server.sink.texts, ["word"]);
  client.stream.setKeepAlive(0);
  runtime.clock.run({ until: 60_000 });
  assert.equal(sizes.length, 5);
  assert.ok(server.stream.rawBytesRead > 0);
  assert.equal(server.stream.rawBytesRead, client.stream.rawBytesWritten);
});

test("secret stream: no keepalive piles up behind a pipe that is full, and none follows the end (S6)", () => {
  const { client, server, runtime } = secretPair({ client: { keepAliveMs: 1000 } });
  server.stream.pause();
  while (client.stream.write(new Uint8Array(10_000)));
  const before = client.stream.rawBytesWritten;
  runtime.clock.run({ until: 60_000 });
  assert.equal(client.stream.rawBytesWritten, before);
  server.stream.resume();
  runtime.clock.run({ until: 62_000 });
  assert.ok(client.stream.rawBytesWritten > before);
  client.stream.end();
  const ended = client.stream.rawBytesWritten;
  runtime.clock.run({ until: 90_000 });
  assert.equal(client.stream.rawBytesWritten, ended);
});

test("secret stream: silence of the peer closes with TIMEOUT, any byte of it puts that off (S7)", () => {
  const { client, server, runtime } = secretPair({ client: { idleTimeoutMs: 1000 } });
  runtime.clock.run({ until: 900 });
  server.stream.write(text("here"));
  runtime.clock.run({ until: 1899 });
  assert.equal(client.sink.closed, undefined);
  runtime.clock.run({ until: 1900 });
  assertClosed(client, "TIMEOUT", ConnectError);
  assert.equal(runtime.clock.now(), 1900);
});

test("secret stream: while it does not read, silence is nobody's fault (S7)", () => {
  const { client, server, runtime } = secretPair({ client: { idleTimeoutMs: 1000 } });
  client.stream.pause();
  server.stream.write(text("unread"));
  runtime.clock.run({ until: 10_000 });
  client.stream.resume();
  assert.deepEqual(client.sink.texts, ["unread"]);
  runtime.clock.run({ until: 10_999 });
  assert.equal(client.sink.closed, undefined);
  runtime.clock.run({ until: 11_000 });
  assertClosed(client, "TIMEOUT");
});

test("secret stream: a keepalive of the peer is enough against the timeout (S6, S7)", () => {
  const { client, runtime } = secretPair({
    client: { idleTimeoutMs: 2000 },
    server: { keepAliveMs: 1500 },
  });
  runtime.clock.run({ until: 60_000 });
  assert.equal(client.sink.closed, undefined);
});

test("secret stream: a handshake that does not end closes with TIMEOUT and leaves no timer (S2)", () => {
  const runtime = testRuntime();
  const [near] = duplexPair();
  const end = makeEnd(near, runtime, { isInitiator: true, keyPair: keyPair(1) });
  end.stream.start();
  runtime.clock.run({ until: 14_999 });
  assert.equal(end.sink.closed, undefined);
  runtime.clock.run();
  assertClosed(end, "TIMEOUT", ConnectError);
  assert.equal(runtime.clock.pending, 0);
});

test("secret stream: an open stream without deadlines arms no timer", () => {
  const { runtime } = secretPair();
  runtime.clock.run();
  assert.equal(runtime.clock.pending, 0);
  assert.ok(runtime.clock.now() <= 15_000);
});

test("secret stream: XX is open for both as soon as the handshake is (Q1)", () => {
  const { client, server } = secretPair();
  assert.deepEqual(client.hooks, ["handshake", "open"]);
  assert.deepEqual(server.hooks, ["handshake", "open"]);
});

test("secret stream: the responder of IK is open only after a message, and the initiator sends one (Q1)", () => {
  const { client, server, runtime } = secretPair({ client: IK, server: { pattern: "IK" } });
  assert.deepEqual(client.hooks, ["handshake", "open"]);
  assert.deepEqual(server.hooks, ["handshake"]);
  assert.equal(client.stream.rawBytesWritten, 0);
  runtime.clock.run({ until: 1 });
  assert.deepEqual(server.hooks, ["handshake", "open"]);
  assert.equal(client.stream.rawBytesWritten, 20);
  assert.equal(server.sink.chunks.length, 0);
});

test("secret stream: a message in the same turn is proof enough, and nothing empty is sent (Q1)", () => {
  const { client, server, runtime } = secretPair({ client: IK, server: { pattern: "IK" } });
  client.stream.write(text("hello"));
  assert.deepEqual(server.hooks, ["handshake", "open"]);
  assert.deepEqual(server.sink.texts, ["hello"]);
  runtime.clock.run({ until: 1 });
  assert.equal(client.stream.rawBytesWritten, 25);
});

test("secret stream: ending at once still proves us (Q1)", () => {
  const { client, server, runtime } = secretPair({ client: IK, server: { pattern: "IK" } });
  client.stream.end();
  assert.deepEqual(server.hooks, ["handshake", "open"]);
  assert.equal(server.sink.ended, true);
  server.stream.end();
  runtime.clock.run();
  assert.equal(client.sink.closed!.error, undefined);
});

test("secret stream: who replays an IK opening can forge a header but never open the stream (Q1, D5)", () => {
  const recorded: Uint8Array[] = [];
  secretPair({
    client: IK,
    server: { pattern: "IK" },
    wrap: (lower, side) =>
      side === "server" ? lower : tap(lower, (chunk) => {
        recorded.push(chunk.slice());
        return [chunk];
      }),
  });
  const runtime = testRuntime("later");
  const [attacker, pipe] = duplexPair();
  const victim = makeEnd(pipe, runtime, { isInitiator: false, keyPair: keyPair(2), pattern: "IK" });
  victim.stream.start();
  const answers: Uint8Array[] = [];
  attacker.attach({ onData: (chunk) => answers.push(chunk.slice()), onDrain() {}, onEnd() {}, onClose() {} });
  attacker.write(recorded[0]!.slice());
  assert.deepEqual(victim.hooks, ["handshake"], "the replay gives keys");
  const hash = publicHash("IK", recorded[0]!.subarray(3), answers[0]!.subarray(3));
  assert.deepEqual(hash, victim.stream.session!.hash, "the handshake hash is computed from the wire");
  attacker.write(concat([Uint8Array.of(56, 0, 0), streamId(runtime.crypto, hash, true), bytes(24)]));
  assert.deepEqual(victim.hooks, ["handshake"], "a header proves nothing");
  runtime.clock.run({ until: 14_999 });
  assert.equal(victim.sink.closed, undefined);
  runtime.clock.run();
  assert.deepEqual(victim.hooks, ["handshake", "close"]);
  assertClosed(victim, "TIMEOUT");
});

/** What any observer computes: BLAKE2b-512 over the name, the prologue, the responder's key and the messages. */
function publicHash(pattern: "IK", first: Uint8Array, second: Uint8Array): Uint8Array {
  const { crypto } = testRuntime();
  let hash = new Uint8Array(64);
  hash.set(text(`Noise_${pattern}_Ed25519_ChaChaPoly_BLAKE2b`));
  const parts = [
    new Uint8Array(0),
    keyPair(2).publicKey,
    first.subarray(0, 32),
    first.subarray(32, 80),
    first.subarray(80),
    second.subarray(0, 32),
    second.subarray(32),
  ];
  for (const part of parts) {
    const next = new Uint8Array(64);
    crypto.hash(next, [hash, part]);
    hash = next;
  }
  return hash;
}

test("secret stream: ends of both sides close in order, and half-open works meanwhile (S5)", () => {
  const { client, server } = secretPair();
  client.stream.write(text("bye"));
  client.stream.end();
  assert.deepEqual(server.sink.log, ["data", "end"]);
  server.stream.write(text("one more"));
  server.stream.end();
  assert.deepEqual(client.sink.log, ["data", "end", "close"]);
  assert.deepEqual([client.sink.closed!.error, server.sink.closed!.error], [undefined, undefined]);
  client.stream.destroy(new Error("too late"));
  client.stream.end();
});

test("secret stream: a pipe that ends inside a frame was cut (S5)", () => {
  let cutNow = false;
  const { client, server } = secretPair({
    wrap: (lower, side) =>
      side === "server" ? lower : tap(lower, (chunk) => [cutNow ? chunk.subarray(0, 10) : chunk]),
  });
  cutNow = true;
  client.stream.write(text("never whole"));
  client.stream.end();
  assertClosed(server, "CONNECTION_RESET", ConnectError);
  assert.equal(server.sink.ended, false);
});

test("secret stream: hanging up before the stream is open is an error (S2)", () => {
  for (const stage of [0, 1]) {
    const [near, far] = duplexPair();
    const end = makeEnd(near, testRuntime(), { isInitiator: stage === 1, keyPair: keyPair(1) });
    end.stream.start();
    far.attach(new Recorder());
    far.end();
    assertClosed(end, "HANDSHAKE_UNFINISHED", ConnectError);
  }
});

test("secret stream: destroy before, during and after the handshake is safe and told once (S2)", () => {
  const error = new ConnectError("ABORTED", "no");
  for (const moment of ["before start", "after start", "open"]) {
    const runtime = testRuntime();
    const [near, far] = duplexPair();
    const server = makeEnd(far, runtime, { isInitiator: false, keyPair: keyPair(2) });
    const client = makeEnd(near, runtime, { isInitiator: true, keyPair: keyPair(1) });
    if (moment === "before start") client.stream.destroy(error);
    if (moment === "open") server.stream.start();
    client.stream.start();
    if (moment !== "before start") client.stream.destroy(error);
    if (moment !== "open") server.stream.start();
    client.stream.destroy();
    assert.equal(client.sink.closed?.error, error, moment);
    assert.ok(server.sink.closed?.error, moment);
    runtime.clock.run();
    assert.equal(runtime.clock.pending, 0);
  }
});

test("secret stream: destroying from within onData, onOpen or onEnd stops everything", () => {
  const { client, server } = secretPair();
  server.sink.onChunk = () => server.stream.destroy();
  client.stream.write(text("1"));
  client.stream.write(text("2"));
  assert.deepEqual(server.sink.log, ["data", "close"]);
  const runtime = testRuntime();
  const [near, far] = duplexPair();
  const sink = new Recorder();
  const stream: SecretStream = new SecretStream(far, runtime, { isInitiator: false, keyPair: keyPair(2) }, {
    onOpen: () => stream.destroy(),
  });
  stream.attach(sink);
  stream.start();
  const peer = makeEnd(near, runtime, { isInitiator: true, keyPair: keyPair(1) });
  peer.stream.start();
  assert.deepEqual(sink.log, ["close"]);
  assert.ok(peer.sink.closed);
});

test("secret stream: a pause takes effect within a chunk of many frames, a resume goes on (backpressure)", () => {
  const kept: Uint8Array[] = [];
  let keeping = false;
  const { client, server } = secretPair({
    wrap: (lower, side) =>
      side === "server" ? lower : tap(lower, (chunk) => {
        if (!keeping) return [chunk];
        kept.push(chunk.slice());
        return kept.length === 10 ? [concat(kept)] : [];
      }),
  });
  keeping = true;
  server.sink.onChunk = () => server.stream.pause();
  for (let i = 0; i < 10; i++) client.stream.write(text(`${i}`));
  for (let i = 1; i <= 10; i++) {
    assert.equal(server.sink.chunks.length, i);
    server.stream.resume();
  }
  assert.equal(server.sink.texts.join(""), "0123456789");
});

test("secret stream: a reader that is paused slows the writer down to a bounded buffer (backpressure)", () => {
  const { client, server } = secretPair({ pair: { maxBufferedBytes: 10_000 } });
  server.stream.pause();
  let written = 0;
  while (client.stream.write(new Uint8Array(1000))) written++;
  assert.ok(written < 12, `${written}`);
  assert.equal(client.sink.drains, 0);
  server.stream.resume();
  assert.equal(client.sink.drains, 1);
  assert.equal(server.sink.chunks.length, written + 1);
});

test("secret stream: data, the end and the close wait for a sink", () => {
  const runtime = testRuntime();
  const [near, far] = duplexPair();
  const server = new SecretStream(far, runtime, { isInitiator: false, keyPair: keyPair(2) });
  server.start();
  const client = makeEnd(near, runtime, { isInitiator: true, keyPair: keyPair(1) });
  client.stream.start();
  client.stream.write(text("hello"));
  client.stream.end();
  server.end();
  const sink = new Recorder();
  server.attach(sink);
  assert.deepEqual(sink.log, ["data", "end", "close"]);
  assert.equal(sink.closed!.error, undefined);
});

test("secret stream: the message that proves the peer is not lost when there is no sink yet (Q1)", () => {
  const [near, far] = sessions();
  const runtime = testRuntime();
  const [a, b] = duplexPair();
  const server = new SecretStream(b, runtime, { isInitiator: false, keyPair: keyPair(2), session: far });
  server.start();
  const client = makeEnd(a, runtime, { isInitiator: true, keyPair: keyPair(1), session: near });
  client.stream.start();
  client.stream.write(text("first"));
  client.stream.write(text("second"));
  assert.equal(server.isOpen, true);
  const sink = new Recorder();
  server.attach(sink);
  assert.deepEqual(sink.texts, ["first", "second"]);
});

test("secret stream: unordered messages arrive once, sealed, in any order (S8)", () => {
  const { client, server } = secretPair({ pair: { maxUnorderedBytes: 1000 } });
  assert.equal(client.stream.unordered!.maxMessageBytes, 976);
  assert.equal(client.stream.unordered!.send(text("hello")), true);
  assert.equal(client.stream.unordered!.send(new Uint8Array(977)), false);
  server.stream.unordered!.send(text("back"));
  assert.deepEqual(server.sink.messages, [text("hello")]);
  assert.deepEqual(client.sink.messages, [text("back")]);
});

test("secret stream: repeated, forged, short and reflected unordered messages are counted and dropped (S8, Q6)", () => {
  const runtime = testRuntime();
  const [near, far] = duplexPair({ maxUnorderedBytes: 1000 });
  const sent: Uint8Array[] = [];
  const lower = tap(near, (chunk) => [chunk]);
  const client = makeEnd(
    {
      ...lower,
      unordered: {
        maxMessageBytes: 1000,
        send(message) {
          sent.push(message.slice());
          return near.unordered!.send(message);
        },
      },
    },
    runtime,
    { isInitiator: true, keyPair: keyPair(1) },
  );
  const server = makeEnd(far, runtime, { isInitiator: false, keyPair: keyPair(2) });
  server.stream.start();
  client.stream.start();
  for (let i = 0; i < 3; i++) client.stream.unordered!.send(text(`${i}`));
  assert.equal(server.sink.messages.length, 3);
  near.unordered!.send(sent[1]!.slice());
  const forged = sent[2]!.slice();
  forged[20]! ^= 1;
  near.unordered!.send(forged);
  near.unordered!.send(bytes(23));
  far.unordered!.send(sent[0]!.slice());
  assert.equal(server.sink.messages.length, 3);
  assert.equal(server.stream.unorderedDropped, 3);
  assert.equal(client.stream.unorderedDropped, 1);
  assert.equal(server.sink.closed, undefined);
});

test("secret stream: before it is open, unordered messages neither come nor go (S8)", () => {
  const [near, far] = sessions();
  const { client, server } = secretPair({
    pair: { maxUnorderedBytes: 1000 },
    client: { session: near },
    server: { session: far },
  });
  assert.equal(server.stream.isOpen, false);
  assert.equal(server.stream.unordered!.send(text("x")), false);
  client.stream.unordered!.send(text("y"));
  assert.equal(server.sink.messages.length, 0);
  assert.equal(server.stream.unorderedDropped, 1);
});

test("secret stream: options that make no sense are refused", () => {
  const [near] = duplexPair();
  const make = (options: Partial<SecretStreamOptions>) => () =>
    new SecretStream(near, testRuntime(), { isInitiator: true, keyPair: keyPair(1), ...options });
  assert.throws(make({ pattern: "IK" }), TypeError);
  assert.throws(make({ keepAliveMs: -1 }), RangeError);
  assert.throws(make({ idleTimeoutMs: NaN }), RangeError);
  assert.throws(make({ maxFrameBytes: 2 ** 24 }), RangeError);
});

test("secret stream: the same seed gives the same bytes", () => {
  const run = () => {
    const written: Uint8Array[] = [];
    const { client } = secretPair({
      runtime: testRuntime(7),
      pair: { maxUnorderedBytes: 100 },
      wrap: (lower) =>
        tap(lower, (chunk) => {
          written.push(chunk.slice());
          return [chunk];
        }),
    });
    client.stream.write(text("hello"));
    return concat(written);
  };
  assert.deepEqual(run(), run());
});
