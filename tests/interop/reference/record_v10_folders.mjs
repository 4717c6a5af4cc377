/**
 * Records `tests/vectors/v10_folders.json`: folders as hypercore 10.4.1, with headers of version 0, and corestore 6 leave them.
 * Neither is among the packages that are installed for the tests, so that its argument is a folder in which
 * `npm install hypercore@10.4.1 corestore@6.18.4` was run.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const require = createRequire(resolve(process.argv[2], "index.js"));
const Hypercore = require("hypercore");
const Corestore = require("corestore");
const crypto = require("hypercore-crypto");

const pattern = (size, n) =>
  Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255));
const keyPair = crypto.keyPair(Buffer.alloc(32, 1));

const filesOf = (folder, path = "") =>
  readdirSync(join(folder, path)).flatMap((name) => {
    const inner = path === "" ? name : `${path}/${name}`;
    if (statSync(join(folder, inner)).isDirectory()) return filesOf(folder, inner);
    return [[inner, readFileSync(join(folder, inner)).toString("base64")]];
  });

const stateOf = async (core) => ({
  key: core.key.toString("hex"),
  discoveryKey: core.discoveryKey.toString("hex"),
  length: core.length,
  fork: core.fork,
  byteLength: core.byteLength,
  treeHash: core.core.tree.hash().toString("hex"),
  blocks: await Promise.all(
    Array.from(
      { length: core.length },
      async (_, i) => (await core.has(i)) ? (await core.get(i)).toString("hex") : null,
    ),
  ),
});

const folders = [];
const record = async (name, work) => {
  const folder = mkdtempSync(join(tmpdir(), "record-"));
  const logs = await work(folder);
  folders.push({ name, files: Object.fromEntries(filesOf(folder)), logs });
  rmSync(folder, { recursive: true });
};

for (const isFlushed of [true, false]) {
  await record(`hypercore 10.4.1, ${isFlushed ? "" : "not "}all of it in the header`, async (folder) => {
    const core = new Hypercore(folder, { keyPair });
    await core.ready();
    for (let i = 0; i < 5; i++) await core.append(pattern(10 + i, i));
    await core.truncate(3);
    await core.append([pattern(0, 1), pattern(70, 2)]);
    await core.setUserData("name", Buffer.from("old"));
    for (let i = 0; i < (isFlushed ? 2 : 4); i++) await core.append(pattern(5, 90 + i));
    const state = await stateOf(core);
    await core.close();
    return [state];
  });
}
await record("corestore 6.18.4", async (folder) => {
  const store = new Corestore(folder, { primaryKey: Buffer.alloc(32, 7) });
  const states = [];
  for (const name of ["a", "b"]) {
    const core = store.namespace("space").get({ name });
    await core.ready();
    for (let i = 0; i < 3; i++) await core.append(pattern(20 + i, i));
    if (name === "b") await core.clear(1, 2);
    states.push({ name, ...await stateOf(core) });
  }
  await store.close();
  return states;
});

const versions = { hypercore: "10.4.1", corestore: "6.18.4" };
const out = new URL("../../vectors/v10_folders.json", import.meta.url);
writeFileSync(out, JSON.stringify({ versions, folders }, undefined, 1) + "\n");
