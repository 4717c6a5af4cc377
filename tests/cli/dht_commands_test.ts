/**
 * The commands of the DHT, in a network of their own on loopback:
 *
 *     hypha bootstrap  <--  hypha listen, connect, dht put, get, lookup, announce
 */
import assert from "node:assert/strict";
import { loadCryptoProvider } from "../../core/crypto/provider.ts";
import { formatKey } from "../../encoding/mod.ts";
import { test } from "../harness.ts";
import { HyphaProcess, skip, withNetwork } from "./hypha_process.ts";

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
