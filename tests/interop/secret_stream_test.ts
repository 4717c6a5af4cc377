/**
 * Secret streams with a live reference peer:
 *
 *     Connection / SecretStream  <-- TCP or UDX on loopback -->  @hyperswarm/secret-stream in Node  <-- JSON lines
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { NoiseHandshake } from "../../core/crypto/noise.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { openConnection, type OpenConnectionOptions } from "../../core/stream/connection.ts";
import type { Duplex } from "../../core/stream/duplex.ts";
import { toHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { cut, makeEnd, tap, text } from "../stream/rig.ts";
import { keyPair, pattern, type PeerSettings, runtime, skip, StreamPeer } from "./stream_peer.ts";

const OUR_KEY = keyPair(1);
const THEIR_KEY = keyPair(2);

interface Case {
  readonly name: string;
  readonly ours: OpenConnectionOptions;
  readonly theirs: PeerSettings;
}

function cases(): Case[] {
  const list: Case[] = [];
  for (const kind of ["XX", "IK", "session"] as const) {
    for (const isInitiator of [true, false]) {
      const [near, far] = sessions(isInitiator);
      const pattern = kind === "IK" ? "IK" : "XX";
      list.push({
        name: `${kind}, we are the ${isInitiator ? "initiator" : "responder"}`,
        ours: {
          isInitiator,
          keyPair: OUR_KEY,
          pattern,
          remotePublicKey: THEIR_KEY.publicKey,
          session: kind === "session" ? near : undefined,
        },
        theirs: {
          listen: isInitiator,
          isInitiator: !isInitiator,
          seed: 2,
          pattern,
          ...(!isInitiator && { remotePublicKey: toHex(OUR_KEY.publicKey) }),
          ...(kind === "session" && {
            session: Object.fromEntries(
              Object.entries(far).map((
                [name, value],
              ) => [name, value instanceof Uint8Array ? toHex(value) : ""]),
            ),
          }),
        },
      });
    }
  }
  return list;
}

/** A handshake that took place elsewhere: ours, then the reference's. */
function sessions(weInitiate: boolean) {
  const random = new SeededRandom(weInitiate ? 1 : 2);
  const [from, to] = weInitiate ? [OUR_KEY, THEIR_KEY] : [THEIR_KEY, OUR_KEY];
  const { crypto } = runtime;
  const a = new NoiseHandshake(crypto, {
    pattern: "IK",
    initiator: true,
    staticKeyPair: from,
    remotePublicKey: to.publicKey,
    random,
  });
  const b = new NoiseHandshake(crypto, { pattern: "IK", initiator: false, staticKeyPair: to, random });
  b.recv(a.send());
  a.recv(b.send());
  const [near, far] = weInitiate ? [a, b] : [b, a];
  return [
    { ...near.session!, publicKey: OUR_KEY.publicKey },
    { ...far.session!, publicKey: THEIR_KEY.publicKey },
  ] as const;
}

/** Cuts what goes out and what comes in into pieces of `size` bytes. */
function choppy(lower: Duplex, size: number): Duplex {
  const cutting = tap(lower, (chunk) => cut(chunk, size));
  return {
    ...cutting,
    attach: (sink) =>
      lower.attach({
        onData: (chunk) => cut(chunk, size).forEach((piece) => sink.onData(piece)),
        onDrain: () => sink.onDrain(),
        onEnd: () => sink.onEnd(),
        onClose: (error) => sink.onClose(error),
      }),
  };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Each of {@linkcode cases} over each carrier. */
function* carriedCases(): Generator<Case> {
  for (const { name, ours, theirs } of cases()) {
    for (const carrier of ["tcp", "udx"] as const) {
      yield { name: `${name}, over ${carrier.toUpperCase()}`, ours, theirs: { ...theirs, carrier } };
    }
  }
}

for (const { name, ours, theirs } of carriedCases()) {
  test(`secret stream with the reference: ${name}, words and large messages both ways (S1-S5)`, async () => {
    await using peer = await StreamPeer.start(theirs);
    if (!ours.isInitiator) peer.tell("write", { hex: toHex(text("first")) });
    const connection = await openConnection(peer.pipe, runtime, ours);
    assert.deepEqual(connection.remotePublicKey, THEIR_KEY.publicKey);
    const open = await peer.next("open");
    assert.equal(open["remotePublicKey"], toHex(OUR_KEY.publicKey));
    assert.equal(open["handshakeHash"], toHex(connection.handshakeHash));
    const reader = connection[Symbol.asyncIterator]();
    if (!ours.isInitiator) assert.deepEqual((await reader.next()).value, text("first"));
    for (const size of [1, 65, 1000, 65536, 3_000_000]) {
      await connection.write(pattern(size, 1));
      const data = await peer.next("data", (event) => event["size"] > 0);
      assert.equal(data["size"], size);
      assert.equal(data["sha256"] ?? sha256(pattern(size, 1)), sha256(pattern(size, 1)));
      peer.tell("writePattern", { size, n: 2 });
      assert.deepEqual((await reader.next()).value, pattern(size, 2));
    }
    await Promise.all([connection.close(), peer.next("end").then(() => peer.tell("end"))]);
    await connection.closed;
    await peer.next("close");
    assert.deepEqual(peer.untold.filter(({ event }) => event === "error"), []);
  }, { skip });
}

for (const isInitiator of [true, false]) {
  const role = isInitiator ? "initiator" : "responder";
  test(`secret stream with the reference: unordered messages over UDX, we are the ${role} (S8)`, async () => {
    await using peer = await StreamPeer.start({
      carrier: "udx",
      listen: true,
      isInitiator: !isInitiator,
      seed: 2,
    });
    const connection = await openConnection(peer.pipe, runtime, { isInitiator, keyPair: OUR_KEY });
    await peer.next("open");
    const heard = Promise.withResolvers<Uint8Array>();
    connection.onUnordered((message) => heard.resolve(message.slice()));
    assert.ok(connection.sendUnordered(text("by the way")));
    assert.equal((await peer.next("message"))["hex"], toHex(text("by the way")));
    peer.tell("send", { hex: toHex(text("likewise")) });
    assert.deepEqual(await heard.promise, text("likewise"));
    peer.tell("end");
    await connection.close();
  }, { skip });
}

for (const size of [1, 3, 50]) {
  test(`secret stream with the reference: bytes in pieces of ${size} (S1)`, async () => {
    await using peer = await StreamPeer.start({ listen: true, isInitiator: false, seed: 2, echo: true });
    const connection = await openConnection(choppy(peer.pipe, size), runtime, {
      isInitiator: true,
      keyPair: OUR_KEY,
    });
    const reader = connection[Symbol.asyncIterator]();
    for (let i = 0; i < 20; i++) {
      await connection.write(pattern(i * 13 + 1, i));
      assert.deepEqual((await reader.next()).value, pattern(i * 13 + 1, i));
    }
    await connection.close();
    await connection.closed;
  }, { skip });
}

test(
  "secret stream with the reference: many messages echoed keep their order and boundaries (S5)",
  async () => {
    await using peer = await StreamPeer.start({ listen: false, isInitiator: true, seed: 2, echo: true });
    const connection = await openConnection(peer.pipe, runtime, { isInitiator: false, keyPair: OUR_KEY });
    const random = new SeededRandom("echo");
    const sizes = Array.from({ length: 2000 }, () => 1 + random.below(random.chance(1, 50) ? 100_000 : 500));
    const writing = (async () => {
      for (const [i, size] of sizes.entries()) await connection.write(pattern(size, i));
    })();
    let i = 0;
    for await (const chunk of connection) {
      assert.equal(chunk.length, sizes[i]);
      if (i % 100 === 0) assert.deepEqual(chunk, pattern(sizes[i]!, i));
      if (++i === sizes.length) break;
    }
    await writing;
    await connection.close();
    await connection.closed;
  },
  { skip },
);

test("secret stream with the reference: keepalives of either side are not delivered (S6)", async () => {
  await using peer = await StreamPeer.start({ listen: true, isInitiator: false, seed: 2, keepAlive: 20 });
  const end = makeEnd(peer.pipe, runtime, {
    isInitiator: true,
    keyPair: OUR_KEY,
    keepAliveMs: 20,
    idleTimeoutMs: 5000,
  });
  end.stream.start();
  await peer.next("open");
  while (end.stream.rawBytesRead < 60) await new Promise((resolve) => setTimeout(resolve, 5));
  peer.tell("counters");
  const { read } = await peer.next("counters");
  assert.ok(read > 0, "ours were heard");
  assert.equal(end.sink.chunks.length, 0);
  assert.equal(peer.untold.filter(({ event }) => event === "data").length, 0);
  const closed = new Promise((resolve) => end.sink.onClose = resolve);
  end.stream.destroy();
  await closed;
}, { skip });

test("secret stream with the reference: it goes away, and we hear of it", async () => {
  for (
    const [command, expected] of [["destroy", /CONNECTION_RESET/], [
      "destroyRaw",
      /CONNECTION_RESET/,
    ]] as const
  ) {
    await using peer = await StreamPeer.start({ listen: true, isInitiator: false, seed: 2 });
    const connection = await openConnection(peer.pipe, runtime, { isInitiator: true, keyPair: OUR_KEY });
    await peer.next("open");
    peer.tell(command);
    // a socket that is destroyed with nothing unread sends a FIN first: the end of the pipe, which looks like an end
    const reason = await Promise.race([
      connection.closed.then(() => "CONNECTION_RESET in order", (error) => error.code),
      (async () => {
        for await (const _ of connection);
        return "CONNECTION_RESET by an end";
      })(),
    ]);
    assert.match(reason, expected);
    connection.abort();
    await connection.closed.catch(() => {});
  }
}, { skip });

test("secret stream with the reference: we go away, and it hears of it", async () => {
  await using peer = await StreamPeer.start({ listen: true, isInitiator: false, seed: 2 });
  const connection = await openConnection(peer.pipe, runtime, { isInitiator: true, keyPair: OUR_KEY });
  await peer.next("open");
  connection.abort(new Error("gone"));
  await assert.rejects(connection.closed, /gone/);
  await Promise.any([peer.next("close"), peer.next("end")]);
}, { skip });

test("secret stream with the reference: a responder with another key is the wrong peer (S2)", async () => {
  for (const kind of ["XX", "IK"] as const) {
    await using peer = await StreamPeer.start({ listen: true, isInitiator: false, seed: 3, pattern: kind });
    const opening = openConnection(peer.pipe, runtime, {
      isInitiator: true,
      keyPair: OUR_KEY,
      pattern: kind,
      remotePublicKey: THEIR_KEY.publicKey,
    });
    await assert.rejects(opening, { code: kind === "XX" ? "WRONG_PEER" : "HANDSHAKE_UNFINISHED" });
    if (kind === "IK") assert.equal((await peer.next("error"))["message"], "Noise handshake failed");
  }
}, { skip });

test("secret stream with the reference: a message forged on its way is refused by it too (S5)", async () => {
  await using peer = await StreamPeer.start({ listen: true, isInitiator: false, seed: 2 });
  const forge = tap(peer.pipe, (chunk) => {
    if (chunk.length === 28) chunk[20]! ^= 1;
    return [chunk];
  });
  const end = makeEnd(forge, runtime, { isInitiator: true, keyPair: OUR_KEY });
  const gone = new Promise<Error | undefined>((resolve) => {
    end.sink.onEnd = () => end.stream.destroy();
    end.sink.onClose = resolve;
  });
  end.stream.start();
  await peer.next("open");
  end.stream.write(text("8 bytes."));
  await peer.next("error");
  await gone;
}, { skip });
