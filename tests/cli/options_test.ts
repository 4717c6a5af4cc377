import assert from "node:assert/strict";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheFile, NodeCache } from "../../cli/node_cache.ts";
import {
  checkWays,
  parseBootstrap,
  parseBytes,
  parseCount,
  parseHost,
  parseIpv4Host,
  parseOpenPort,
  parsePort,
  parseRelays,
  parseSeed,
  parseTopic,
  type WayOptions,
} from "../../cli/options.ts";
import { SocketAddress } from "../../encoding/mod.ts";
import { test } from "../harness.ts";
import { skip, withFolder } from "./hypha_process.ts";

const WAYS: WayOptions = { host: "0.0.0.0", dht: true };

test("ways that exclude each other are refused, with the option to leave out", () => {
  const wrong: [Partial<WayOptions>, RegExp][] = [
    [{ lanOnly: true, dht: false }, /leave --no-dht out/],
    [{ lanOnly: true, bootstrap: ["a:1"] }, /--bootstrap leads into the DHT, and --lan-only does without/],
    [{ dht: false, bootstrap: ["a:1"] }, /and --no-dht does without/],
    [{ lanOnly: true, relay: [] }, /--relay is found by the DHT/],
    [{ dht: false, topic: "x" }, /with --topic, use --lan-only/],
    [{ lanOnly: true, host: "127.0.0.1" }, /which 127.0.0.1 is not part of/],
  ];
  for (const [options, message] of wrong) assert.throws(() => checkWays({ ...WAYS, ...options }), message);
  const right: Partial<WayOptions>[] = [
    {},
    { lanOnly: true },
    { dht: false },
    { lanOnly: true, topic: "x", host: "10.0.0.1" },
    { bootstrap: ["a:1"], topic: "x", relay: [], host: "127.0.0.1" },
  ];
  for (const options of right) checkWays({ ...WAYS, ...options });
}, { skip });

test("values of options are read as they are printed, and refused if they make no sense", () => {
  assert.deepEqual(["0", "65535"].map(parsePort), [0, 65535]);
  assert.deepEqual(["12", "1.5k", "20M", "3 GB", "1t"].map(parseBytes), [12, 1500, 20e6, 3e9, 1e12]);
  assert.deepEqual(parseBootstrap("a.example:1, 1.2.3.4:65535"), ["a.example:1", "1.2.3.4:65535"]);
  assert.deepEqual(parseSeed("0f".repeat(32)), new Uint8Array(32).fill(15));
  assert.deepEqual(parseRelays(`${"y".repeat(52)},${"00".repeat(32)}`), [
    new Uint8Array(32),
    new Uint8Array(32),
  ]);
  assert.deepEqual([parseHost("::1"), parseIpv4Host("10.0.0.1")], ["::1", "10.0.0.1"]);
  const wrong: [(text: string) => unknown, string[]][] = [
    [parsePort, ["", "-1", "65536", "1.5", "0x1", "80a"]],
    [parseOpenPort, ["0"]],
    [parseCount, ["", "-1", "many", "1e3"]],
    [parseBytes, ["", "-1", "5 m2", "1kk", "lots"]],
    [parseBootstrap, ["", "a", "a:0", "a:65536", "a:1,", "a:b", "[::1]:2"]],
    [parseSeed, ["", "0f", "zz".repeat(32)]],
    [parseTopic, ["", "  "]],
    [parseRelays, ["", "short", `${"y".repeat(52)},`]],
    [parseHost, ["", "localhost", "1.2.3", "300.1.1.1"]],
    [parseIpv4Host, ["::1"]],
  ];
  for (const [parse, texts] of wrong) {
    for (const text of texts) {
      assert.throws(() => parse(text), { code: "commander.invalidArgument" }, `${parse.name} ${text}`);
    }
  }
}, { skip });

test("each network has its own file of known nodes, in whatever order its bootstrap nodes are named", () => {
  assert.equal(cacheFile(undefined), "public.json");
  assert.equal(cacheFile(["a:1", "b:2"]), cacheFile(["b:2", "a:1"]));
  const names = new Set([cacheFile(undefined), cacheFile(["a:1"]), cacheFile(["a:2"]), cacheFile([])]);
  assert.equal(names.size, 4);
}, { skip });

test("known nodes are kept in a folder that need not exist, and what is damaged is reported", async () => {
  await withFolder(async (folder) => {
    const cache = new NodeCache(join(folder, "new"), "net.json");
    assert.deepEqual(await cache.load(), []);
    const nodes = [SocketAddress.of("10.0.0.1", 5), SocketAddress.of("10.0.0.2", 65535)];
    await cache.save(nodes);
    assert.deepEqual((await cache.load()).map(String), nodes.map(String));
    await cache.save(nodes.slice(1));
    assert.deepEqual((await cache.load()).map(String), ["10.0.0.2:65535"]);
    assert.deepEqual(await readdir(join(folder, "new")), ["net.json"]);
    await mkdir(join(folder, "damaged"));
    for (const text of ["", "{", "[1]", '["nonsense"]']) {
      await writeFile(join(folder, "damaged", "net.json"), text);
      await assert.rejects(new NodeCache(join(folder, "damaged"), "net.json").load());
    }
  });
}, { skip });
