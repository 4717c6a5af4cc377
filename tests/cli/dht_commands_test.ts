/**
 * The commands of the DHT, in a network of their own on loopback:
 *
 *     hypha bootstrap  <--  hypha listen, connect, dht put, get, lookup, announce
 */
import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { formatKey } from "../../encoding/mod.ts";
import { test } from "../harness.ts";
import { freePort, HyphaProcess, skip, withFolder, withNetwork } from "./hypha_process.ts";

test("a key is enough to reach a program, both ways, in a network of one node", async () => {
  await withNetwork(async (options) => {
    const listener = new HyphaProcess(["listen", "--echo", "--seed", "01".repeat(32), ...options]);
    try {
      const { key } = await listener.report("listening");
      const { code, stdout, stderr } = await new HyphaProcess(["connect", key, ...options], {
        input: "hello\nthere\n",
      })
        .ended;
      assert.equal(code, 0, stderr);
      assert.equal(stdout, "hello\nthere");
      const connected = JSON.parse(stderr.split("\n")[0]!);
      assert.equal(connected.event, "connected");
      assert.equal(connected.peer, key);
      assert.equal(connected.path, "direct");
      await listener.report("connection");
      await listener.report("closed");
      listener.interrupt();
      assert.equal((await listener.ended).code, 130);
    } finally {
      await listener.kill();
    }
  });
}, { skip });

test("a key that nobody listens under ends in an error that says so", async () => {
  await withNetwork(async (options) => {
    const { publicKey } = (await loadCryptoProvider()).keyPair(new Uint8Array(32).fill(9));
    const { code, stderr } = await new HyphaProcess(["connect", formatKey(publicKey), ...options], {
      input: "",
    }).ended;
    assert.equal(code, 1);
    const error = JSON.parse(stderr.trim().split("\n").at(-1)!);
    assert.equal(error.event, "error");
    assert.equal(error.code, "PEER_NOT_FOUND");
  });
}, { skip });

test("values and announcements go through the network, and its node tells how it is", async () => {
  await withNetwork(async (options, healthPort) => {
    const announcer = new HyphaProcess(["dht", "announce", "some words", ...options]);
    try {
      const { peer } = await announcer.report("announced");
      const immutable = await new HyphaProcess(["dht", "put", "a text", ...options]).report("stored");
      assert.equal(
        (await new HyphaProcess(["dht", "get", immutable.key, ...options]).report("value")).value,
        "a text",
      );
      const seed = ["--seed", "02".repeat(32)];
      for (const seq of ["1", "2"]) {
        await new HyphaProcess(["dht", "put", `text ${seq}`, "--seq", seq, ...seed, ...options]).report(
          "stored",
        );
      }
      const { key } = await new HyphaProcess(["dht", "put", "text 3", "--seq", "3", ...seed, ...options])
        .report("stored");
      assert.equal((await new HyphaProcess(["dht", "get", key, ...options]).report("value")).value, "text 3");
      assert.equal(
        (await new HyphaProcess(["dht", "lookup", "some words", ...options]).report("peer")).peer,
        peer,
      );
      const health = await (await fetch(`http://127.0.0.1:${healthPort}/`)).json();
      assert.equal(health.isPersistent, true);
      assert.equal(health.state, "open");
      const missing = await new HyphaProcess(["dht", "get", "cd".repeat(32), ...options]).ended;
      assert.equal(missing.code, 1);
    } finally {
      announcer.interrupt();
      await announcer.kill();
    }
  });
}, { skip });

test("what a command knew is enough for the next one, when the bootstrap node is gone", async () => {
  await withFolder(async (cache) => {
    const [first, second] = [await freePort(), await freePort()];
    const bootstrap = ["--bootstrap", `127.0.0.1:${first}`];
    const node = (port: number, ...args: string[]) =>
      new HyphaProcess(["bootstrap", "--host", "127.0.0.1", "--port", `${port}`, "--json", ...args]);
    const nodes = [node(first)];
    try {
      await nodes[0]!.report("bootstrap");
      nodes.push(node(second, ...bootstrap));
      assert.equal((await nodes[1]!.report("bootstrap")).nodes, 1);
      const options = [...bootstrap, "--host", "127.0.0.1", "--json"];
      const put = new HyphaProcess(["dht", "put", "kept", ...options], { cache });
      const { key } = await put.report("stored");
      assert.equal((await put.ended).code, 0);
      await nodes[0]!.kill();
      const get = ["dht", "get", key, ...options];
      assert.equal((await new HyphaProcess(get, { cache }).report("value")).value, "kept");
      const cold = await new HyphaProcess([...get, "--no-cache"], { cache }).ended;
      assert.equal(cold.code, 1);
      assert.deepEqual(cold.reports.map(({ event }) => event), ["error"]);
    } finally {
      await Promise.all(nodes.map((node) => node.kill()));
    }
  });
}, { skip });

test(
  "a listener joins its streams with one peer after the other, and both end when the other side does",
  async () => {
    await withNetwork(async (options) => {
      const input = new PassThrough();
      const listener = new HyphaProcess(["listen", ...options], { input });
      try {
        const { key } = await listener.report("listening");
        for (const name of ["one", "two"]) {
          input.write(`for ${name}`);
          // Its own input stays open until it has heard something.
          const open = new PassThrough();
          const peer = new HyphaProcess(["connect", key, ...options], { input: open });
          open.write(`from ${name}\n`);
          await listener.report("connection");
          await peer.output(`for ${name}`);
          await listener.output(`from ${name}`);
          (name === "one" ? peer : listener).interrupt();
          const { code, stderr } = await peer.ended;
          assert.equal(code, name === "one" ? 130 : 1);
          assert.match(stderr, name === "one" ? /INTERRUPTED/ : /CONNECTION_/);
          open.end();
        }
        const { code, stdout } = await listener.ended;
        assert.equal(code, 130);
        assert.deepEqual(stdout.split("\n").slice(1), ["from one", "from two"]);
      } finally {
        input.end();
        await listener.kill();
      }
    });
  },
  { skip },
);

test("a relay tells its key, its quotas and what it did", async () => {
  await withNetwork(async (options) => {
    const port = await freePort();
    const quotas = ["--max-pairs", "7", "--max-rate", "1.5M", "--max-bytes-per-key", "2G", "--period", "60"];
    const seed = ["--seed", "03".repeat(32), "--health-port", `${port}`];
    const relay = new HyphaProcess(["relay", ...quotas, ...seed, ...options]);
    try {
      const { publicKey } = (await loadCryptoProvider()).keyPair(new Uint8Array(32).fill(3));
      assert.equal((await relay.report("relay")).key, formatKey(publicKey));
      const health = await (await fetch(`http://127.0.0.1:${port}/`)).json();
      const { maxLinks, maxBytesPerSecond, maxBytesPerKey, periodMs, maxLinksPerKey } = health.relay.quotas;
      assert.deepEqual([maxLinks, maxBytesPerSecond, maxBytesPerKey, periodMs], [7, 1.5e6, 2e9, 60_000]);
      assert.equal(maxLinksPerKey, 64);
      relay.interrupt();
      const { code } = await relay.ended;
      assert.equal(code, 130);
      assert.equal((await relay.report("stats")).stats.pairings.matched, 0);
    } finally {
      await relay.kill();
    }
  });
}, { skip });

test("a bootstrap node or a seed of the wrong form is refused before anything is opened", async () => {
  for (
    const args of [["dht", "lookup", "x", "--bootstrap", "nowhere"], [
      "listen",
      "--bootstrap",
      "1.2.3.4:99999",
    ]]
  ) {
    const { code, stderr } = await new HyphaProcess(args).ended;
    assert.equal(code, 2);
    assert.match(stderr, /host:port/);
  }
  const bad = await new HyphaProcess(["listen", "--seed", "xyz", "--bootstrap", "127.0.0.1:1", "--json"])
    .ended;
  assert.equal(bad.code, 2);
  assert.match(bad.stdout, /64 hexadecimal/);
}, { skip });
