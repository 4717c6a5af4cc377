/**
 * Protomux with a live reference peer, on a secret stream:
 *
 *     Mux  <-- SecretStream over TCP on loopback -->  protomux in Node  <-- JSON lines
 */
import assert from "node:assert/strict";
import { openConnection } from "../../core/stream/connection.ts";
import type { Mux } from "../../core/stream/mux.ts";
import { toHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { frame, openChannel, type TestChannel } from "../stream/mux_rig.ts";
import { keyPair, runtime, skip, StreamPeer } from "./stream_peer.ts";

interface Rig extends AsyncDisposable {
  readonly peer: StreamPeer;
  readonly mux: Mux;
  readonly closed: Promise<void>;
  /** Waits until `condition` holds for our side. */
  until(condition: () => boolean): Promise<void>;
}

async function start(isInitiator: boolean): Promise<Rig> {
  const peer = await StreamPeer.start({ listen: isInitiator, isInitiator: !isInitiator, seed: 2, mux: true });
  const connection = await openConnection(peer.pipe, runtime, { isInitiator, keyPair: keyPair(1) });
  const { mux } = connection;
  await peer.next("open");
  return {
    peer,
    mux,
    closed: connection.closed,
    async until(condition) {
      while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
    },
    async [Symbol.asyncDispose]() {
      mux.destroy();
      await connection.closed.catch(() => {});
      await peer[Symbol.asyncDispose]();
    },
  };
}

for (const isInitiator of [true, false]) {
  const role = isInitiator ? "initiator" : "responder";

  test(`protomux with the reference: we open first, its callback answers, we are the ${role}`, async () => {
    await using rig = await start(isInitiator);
    const { peer, mux, until } = rig;
    peer.tell("pair", { protocol: "chat", name: "c", greeting: "from theirs" });
    peer.tell("ids");
    await peer.next("ids");
    const ours = openChannel(mux, { protocol: "chat", id: Uint8Array.of(1, 2), greeting: "from ours" })!;
    ours.text.send("early");
    assert.deepEqual((await peer.next("pairing"))["id"], "0102");
    assert.equal((await peer.next("channelOpen"))["greeting"], "from ours");
    assert.equal((await peer.next("channelMessage"))["value"], "early");
    await ours.channel.opened();
    ours.number.send(70_000);
    ours.bytes.send(Uint8Array.of(0, 255));
    assert.equal((await peer.next("channelMessage", ({ type }) => type === 3))["value"], 70_000);
    assert.equal((await peer.next("channelMessage", ({ type }) => type === 1))["value"], "00ff");
    peer.tell("say", { name: "c", type: 0, value: "hello" });
    peer.tell("say", { name: "c", type: 3, value: 5 });
    await until(() => ours.log.includes("#5"));
    assert.deepEqual(ours.log, ["open from theirs", "hello", "#5"]);
    peer.tell("closeChannel", { name: "c" });
    await ours.channel.destroyed();
    assert.deepEqual(ours.log.slice(3), ["close remote", "destroy"]);
    const again = openChannel(mux, { protocol: "chat", greeting: "again" })!;
    assert.equal(await again.channel.opened(), true);
    again.channel.close();
    assert.equal((await peer.next("channelClose", ({ isRemote }) => isRemote))["name"], "c");
    peer.tell("ids");
    assert.deepEqual(await peer.next("ids"), { event: "ids", local: 1, free: 1, remote: 1 });
  }, { skip });

  test(`protomux with the reference: it opens first, our callback answers, we are the ${role}`, async () => {
    await using rig = await start(isInitiator);
    const { peer, mux, until } = rig;
    let ours!: TestChannel;
    mux.pair({ protocol: "chat" }, async (id) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      ours = openChannel(mux, { protocol: "chat", id, greeting: "from ours" })!;
    });
    peer.tell("channel", { name: "c", protocol: "chat", id: "ff", greeting: "from theirs" });
    for (const value of ["one", "two", "three"]) peer.tell("say", { name: "c", type: 0, value });
    await until(() => ours?.log.length === 4);
    assert.deepEqual(ours.log, ["open from theirs", "one", "two", "three"]);
    assert.equal((await peer.next("channelOpen"))["greeting"], "from ours");
    ours.channel.close();
    assert.equal((await peer.next("channelClose"))["isRemote"], true);
    await peer.next("channelDestroy");
  }, { skip });
}

test("protomux with the reference: nobody wants the channel, either way", async () => {
  await using rig = await start(true);
  const { peer, mux } = rig;
  for (let i = 0; i < 3; i++) {
    const ours = openChannel(mux, { protocol: "unknown" })!;
    ours.text.send("pipelined");
    assert.equal(await ours.channel.opened(), false);
    peer.tell("channel", { name: "c", protocol: "unheard" });
    peer.tell("say", { name: "c", type: 0, value: "pipelined" });
    assert.equal((await peer.next("channelClose"))["isRemote"], true);
  }
  assert.equal(mux.isIdle, true);
  peer.tell("ids");
  assert.deepEqual(await peer.next("ids"), { event: "ids", local: 1, free: 1, remote: 1 });
}, { skip });

test("protomux with the reference: batches both ways, over several channels", async () => {
  await using rig = await start(false);
  const { peer, mux, until } = rig;
  peer.tell("pair", { protocol: "a", name: "a" });
  peer.tell("pair", { protocol: "b", name: "b" });
  peer.tell("ids");
  await peer.next("ids");
  const [a, b] = ["a", "b"].map((protocol) => openChannel(mux, { protocol, handshake: undefined })!);
  await Promise.all([a!.channel.opened(), b!.channel.opened()]);
  mux.cork();
  for (let i = 0; i < 50; i++) (i % 3 === 0 ? a! : b!).number.send(i);
  mux.uncork();
  for (let i = 0; i < 50; i++) {
    const { name, value } = await peer.next("channelMessage");
    assert.deepEqual([name, value], [i % 3 === 0 ? "a" : "b", i]);
  }
  peer.tell("cork");
  for (let i = 0; i < 50; i++) peer.tell("say", { name: i % 3 === 0 ? "a" : "b", type: 3, value: i });
  peer.tell("closeChannel", { name: "a" });
  peer.tell("uncork");
  await until(() => a!.channel.state === "closed");
  assert.equal(a!.log.filter((line) => line.startsWith("#")).length, 17);
  assert.deepEqual(
    b!.log.slice(1),
    Array.from({ length: 50 }, (_, i) => i).filter((i) => i % 3).map((i) => `#${i}`),
  );
}, { skip });

test("protomux with the reference: a channel is found under its alias", async () => {
  await using rig = await start(true);
  const { peer, mux, until } = rig;
  let ours!: TestChannel;
  mux.pair({ protocol: "old" }, () => {
    ours = openChannel(mux, { protocol: "old", aliases: ["older"], greeting: "y" })!;
  });
  peer.tell("channel", { name: "c", protocol: "old", aliases: ["new"], greeting: "x" });
  assert.equal((await peer.next("channelOpen"))["greeting"], "y");
  peer.tell("say", { name: "c", type: 0, value: "found" });
  await until(() => ours.log.includes("found"));
  assert.equal(mux.has({ protocol: "older" }), true);
}, { skip });

test("protomux with the reference: crossing closes and openings keep both sides in agreement", async () => {
  await using rig = await start(true);
  const { peer, mux, until } = rig;
  peer.tell("pair", { protocol: "x", name: "theirs", unique: false });
  peer.tell("ids");
  await peer.next("ids");
  for (let round = 0; round < 30; round++) {
    const ours = openChannel(mux, { protocol: "x", handshake: undefined })!;
    if (round % 3 > 0) await ours.channel.opened();
    ours.text.send(`round ${round}`);
    assert.equal((await peer.next("channelMessage"))["value"], `round ${round}`);
    if (round % 2 === 0) ours.channel.close();
    peer.tell("closeChannel", { name: "theirs" });
    if (round % 2 === 1) await until(() => ours.channel.state === "closed");
    await peer.next("channelDestroy");
  }
  await until(() => mux.isIdle);
  peer.tell("ids");
  const { local, free } = await peer.next("ids");
  assert.equal(local, free);
}, { skip });

test("protomux with the reference: the end of one side closes the channels of both", async () => {
  await using rig = await start(true);
  const { peer, mux } = rig;
  peer.tell("pair", { protocol: "x", name: "theirs" });
  peer.tell("ids");
  await peer.next("ids");
  const ours = openChannel(mux, { protocol: "x", handshake: undefined })!;
  await ours.channel.opened();
  peer.tell("end");
  await ours.channel.destroyed();
  assert.equal((await peer.next("channelClose"))["isRemote"], true);
  await rig.closed;
}, { skip });

test("protomux with the reference: a frame that breaks the rules ends the stream on both sides", async () => {
  for (const bad of [frame(0, 2, 9), frame(0, 1, 7, "x", 0)]) {
    await using rig = await start(true);
    rig.peer.tell("raw", { hex: toHex(bad) });
    await assert.rejects(rig.closed, { code: "INVALID_CHANNEL" });
  }
}, { skip });
