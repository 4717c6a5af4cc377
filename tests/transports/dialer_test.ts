import assert from "node:assert/strict";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { ConnectError } from "../../core/runtime/errors.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import { macrotask } from "../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../core/runtime/virtual.ts";
import { duplexPair } from "../../core/stream/duplex_pair.ts";
import type { Connection } from "../../core/stream/connection.ts";
import { equals } from "../../encoding/mod.ts";
import { Dialer } from "../../transports/dialer.ts";
import type { Link, Listener, Transport } from "../../transports/transport.ts";
import { test } from "../harness.ts";

/** A transport whose addresses say what becomes of a dial: `ok`, `slow`, `silent`, `refuse`, `stranger`. */
class ScriptedTransport implements Transport {
  readonly scheme = "script";
  readonly dialed: string[] = [];
  readonly #clock: VirtualClock;
  #onLink: ((link: Link) => void) | undefined;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  async dial(address: string, options: { readonly signal?: AbortSignal } = {}): Promise<Link> {
    this.dialed.push(address);
    const kind = address.split(":")[1]!;
    if (kind === "refuse") throw new ConnectError("CONNECTION_REFUSED", "nobody there");
    if (kind === "slow") {
      await new Promise<void>((resolve) => this.#clock.schedule(this.#clock.now() + 100, resolve));
    }
    if (kind === "silent") {
      await new Promise((_, reject) => options.signal?.addEventListener("abort", reject));
    }
    const [near, far] = duplexPair();
    if (kind === "stranger") {
      far.attach({ onData: () => far.destroy(), onDrain() {}, onEnd() {}, onClose() {} });
    } else this.#onLink!({ duplex: far, remoteAddress: "script:dialer" });
    return { duplex: near, remoteAddress: address };
  }

  listen(onLink: (link: Link) => void): Promise<Listener> {
    this.#onLink = onLink;
    return Promise.resolve({ addresses: ["script:ok"], [Symbol.asyncDispose]: () => Promise.resolve() });
  }
}

async function rig() {
  const clock = new VirtualClock();
  const runtime: Runtime = {
    clock,
    random: new SeededRandom(3),
    crypto: await loadCryptoProvider({ prefer: "wasm" }),
  };
  const transport = new ScriptedTransport(clock);
  const keyPair = (n: number) => runtime.crypto.keyPair(new Uint8Array(32).fill(n));
  const server = new Dialer(runtime, { transports: [transport], keyPair: keyPair(1) });
  const client = new Dialer(runtime, { transports: [transport], keyPair: keyPair(2) });
  const accepted: Connection[] = [];
  const listener = await server.listen((connection) => accepted.push(connection));
  const run = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    const settled = promise.finally(() => isSettled = true);
    settled.catch(() => {});
    await clock.runAsync(macrotask, { until: clock.now() + 60_000, stop: () => isSettled });
    return await settled;
  };
  const connect = (...kinds: string[]) =>
    run(client.connect({ publicKey: server.publicKey, addresses: kinds.map((kind) => `script:${kind}`) }));
  return { clock, transport, server, client, accepted, listener, run, connect };
}

async function closeAll(connections: readonly Connection[]): Promise<void> {
  for (const connection of connections) connection.abort();
  await Promise.all(connections.map((connection) => connection.closed.catch(() => {})));
}

test("a connection to a peer's record proves both keys, and says where the peer is", async () => {
  const { client, server, accepted, listener, connect, clock } = await rig();
  assert.deepEqual(listener.record, { publicKey: server.publicKey, addresses: ["script:ok"] });
  const connection = await connect("ok");
  await clock.runAsync(macrotask, { until: clock.now() + 10 });
  assert.ok(equals(connection.remotePublicKey, server.publicKey));
  assert.ok(equals(accepted[0]!.remotePublicKey, client.publicKey));
  assert.equal(connection.remoteAddress, "script:ok");
  assert.equal(accepted[0]!.remoteAddress, "script:dialer");
  await closeAll([connection, ...accepted]);
});

test("the next address is tried as soon as one fails, and a little later if one is silent", async () => {
  const { clock, connect, accepted } = await rig();
  const afterFailure = await connect("refuse", "ok");
  assert.ok(clock.now() < 250, `${clock.now()} ms`);
  const before = clock.now();
  const afterSilence = await connect("silent", "ok");
  assert.equal(clock.now() - before, 250);
  await closeAll([afterFailure, afterSilence, ...accepted]);
});

test("of several that succeed only the first is kept", async () => {
  const { transport, connect, accepted, clock } = await rig();
  const connection = await connect("silent", "slow", "slow");
  await clock.runAsync(macrotask, { until: clock.now() + 1000 });
  assert.ok(transport.dialed.length >= 2);
  const open = [];
  for (const other of accepted) {
    let isOpen = true;
    void other.closed.catch(() => {}).finally(() => isOpen = false);
    await macrotask();
    if (isOpen) open.push(other);
  }
  assert.equal(open.length, 1);
  await closeAll([connection, ...accepted]);
});

test("somebody else at the address is WRONG_PEER, whatever the other addresses say", async () => {
  const { connect } = await rig();
  await assert.rejects(connect("stranger", "refuse"), { name: "ConnectError", code: "WRONG_PEER" });
});

test("when nothing works the error lists each reason", async () => {
  const { connect } = await rig();
  await assert.rejects(connect("refuse"), { code: "CONNECTION_REFUSED" });
  await assert.rejects(connect("refuse", "refuse"), {
    code: "PEER_CONNECTION_FAILED",
    message: /nobody there\n.*nobody there/,
  });
});

test("a record without an address that can be dialed says what can", async () => {
  const { client, server, run } = await rig();
  const record = { publicKey: server.publicKey, addresses: ["tor:abc"] };
  await assert.rejects(run(client.connect(record)), { code: "PEER_NOT_FOUND", message: /tor:abc.*script:/ });
  await assert.rejects(run(client.connect({ ...record, addresses: [] })), { code: "PEER_NOT_FOUND" });
});

test("a record with very many addresses is not dialed at all of them", async () => {
  const { transport, connect } = await rig();
  await assert.rejects(connect(...new Array(1000).fill("refuse")), { code: "PEER_CONNECTION_FAILED" });
  assert.equal(transport.dialed.length, 16);
});

test("transports take turns in their order, and so do IPv4 and IPv6, whatever the record says first", async () => {
  const { client } = await rig();
  const dialed: string[] = [];
  const transportOf = (scheme: string): Transport => ({
    scheme,
    dial: (address) => {
      dialed.push(address);
      return Promise.reject(new ConnectError("CONNECTION_REFUSED", "nobody there"));
    },
    listen: () => Promise.reject(new Error("not needed")),
  });
  const crypto = await loadCryptoProvider({ prefer: "wasm" });
  const runtime: Runtime = { clock: new VirtualClock(), random: new SeededRandom(3), crypto };
  const dialer = new Dialer(runtime, {
    transports: ["udx", "tcp", "dht"].map(transportOf),
    keyPair: crypto.keyPair(new Uint8Array(32).fill(2)),
  });
  const udx = Array.from({ length: 20 }, (_, i) => `udx:10.0.0.${i}:1`);
  const addresses = ["dht:key", "tcp:[::1]:1", "tor:abc", ...udx, "udx:[::1]:1", "tcp:10.0.0.1:1"];
  await assert.rejects(dialer.connect({ publicKey: client.publicKey, addresses }));
  assert.deepEqual(dialed.slice(0, 6), [
    ...["udx:10.0.0.0:1", "tcp:[::1]:1", "dht:key"],
    ...["udx:[::1]:1", "tcp:10.0.0.1:1"],
    "udx:10.0.0.1:1",
  ]);
  assert.equal(dialed.length, 16);
});

test("an aborted attempt rejects with the reason", async () => {
  const { client, server, run, clock } = await rig();
  const abort = new AbortController();
  const connecting = client.connect(
    { publicKey: server.publicKey, addresses: ["script:silent"] },
    { signal: abort.signal },
  );
  clock.schedule(50, () => abort.abort(new Error("changed my mind")));
  await assert.rejects(run(connecting), /changed my mind/);
});

test("strangers who never prove themselves do not pile up", async () => {
  const { transport, accepted, clock, connect } = await rig();
  const links = [];
  for (let i = 0; i < 300; i++) links.push(await transport.dial("script:ok"));
  let refused = 0;
  for (const { duplex } of links) {
    duplex.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose: () => void refused++ });
  }
  clock.run({ until: 1000 });
  assert.equal(refused, 300 - 256);
  await clock.runAsync(macrotask, { until: 60_000 });
  assert.equal(refused, 300, "those who do not speak are dropped in time");
  const connection = await connect("ok");
  await closeAll([connection, ...accepted]);
});
