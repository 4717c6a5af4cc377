/** A thousand peers that are as slow as they can be (D6): what they cost, and when they are let go. */
import assert from "node:assert/strict";
import type { Duplex } from "../../core/stream/duplex.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import { test } from "../harness.ts";
import { heldBytes } from "../heap.ts";
import { type End, keyPair, makeEnd, Recorder, testRuntime } from "./rig.ts";

const PEERS = 1000;
/** A peer that costs more could not be had by the thousand. */
const MAX_BYTES_PER_PEER = 65_536;
const DRIP_MS = 10_000;

/** One byte every ten seconds from each of `pipes`, for `ms`. */
function drip(runtime: ReturnType<typeof testRuntime>, pipes: readonly Duplex[], ms: number): void {
  for (let elapsed = 0; elapsed < ms; elapsed += DRIP_MS) {
    for (const pipe of pipes) pipe.write(Uint8Array.of(0));
    runtime.clock.run({ until: runtime.clock.now() + DRIP_MS });
  }
}

test("D6: peers that drip a handshake in are let go after fifteen seconds, and cost little until then", () => {
  const runtime = testRuntime();
  const before = heldBytes();
  const [ends, pipes]: [End[], Duplex[]] = [[], []];
  for (let i = 0; i < PEERS; i++) {
    const [near, far] = duplexPair();
    near.attach(new Recorder());
    const end = makeEnd(far, runtime, { isInitiator: false, keyPair: keyPair(2), pattern: "IK" });
    end.stream.start();
    ends.push(end);
    pipes.push(near);
  }
  drip(runtime, pipes, DRIP_MS);
  const each = (heldBytes() - before) / PEERS;
  assert.ok(each <= MAX_BYTES_PER_PEER, `${Math.round(each)} bytes for each`);
  assert.ok(ends.every(({ sink }) => sink.closed === undefined));
  drip(runtime, pipes, DRIP_MS);
  assert.ok(ends.every(({ sink }) => sink.closed?.error !== undefined), "all are let go");
  assert.equal(runtime.clock.pending, 0);
});

test("D6: peers that claim frames of 16 MiB and drip them in get the memory of what has come", () => {
  const runtime = testRuntime();
  const before = heldBytes();
  const [ends, pipes]: [End[], Duplex[]] = [[], []];
  for (let i = 0; i < PEERS; i++) {
    const [near, far] = duplexPair();
    const client = makeEnd(near, runtime, {
      ...{ isInitiator: true, keyPair: keyPair(1), pattern: "IK" },
      remotePublicKey: keyPair(2).publicKey,
    });
    const server = makeEnd(far, runtime, { isInitiator: false, keyPair: keyPair(2), pattern: "IK" });
    client.stream.start();
    server.stream.start();
    runtime.clock.run({ until: runtime.clock.now() + 1 });
    near.write(Uint8Array.of(0xff, 0xff, 0xff));
    ends.push(server);
    pipes.push(near);
  }
  assert.ok(ends.every(({ hooks }) => hooks.includes("open")), "all have proven themselves");
  drip(runtime, pipes, 10 * DRIP_MS);
  const each = (heldBytes() - before) / PEERS;
  assert.ok(
    each <= 2 * MAX_BYTES_PER_PEER,
    `${Math.round(each)} bytes for each, with its own side and the pipe`,
  );
  for (const { stream } of ends) stream.destroy();
});
