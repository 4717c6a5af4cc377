/**
 * Does with hypercore 10 what it is told on standard input, `{folders, seed, isManifest, encryptionKey, steps}`, or `key` in place
 * of `seed` for a log of somebody else, and says on standard output what came of it: for each folder a list, with one element for
 * each step `state`, and one for an error, the last.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const b4a = require("b4a");
const crypto = require("hypercore-crypto");
const c = require("compact-encoding");
const Hypercore = require("hypercore-10");
const { wire } = require("hypercore-10/lib/messages.js");

/** The block that tests call (size, n). */
const pattern = (size, n) =>
  Buffer.from(Uint8Array.from({ length: size }, (_, i) => (i * 7 + n * 13 + (i >> 8)) & 255));

let text = "";
for await (const chunk of process.stdin) text += chunk;
const { folders, seed, isManifest = false, encryptionKey, key, steps } = JSON.parse(text);

const keyPair = crypto.keyPair(Buffer.alloc(32, seed));
const options = key ? {} : { keyPair, compat: !isManifest };
if (isManifest && !key) options.manifest = { quorum: 1, signers: [{ publicKey: keyPair.publicKey }] };
if (encryptionKey) options.encryptionKey = Buffer.from(encryptionKey, "hex");

const open = async (folder) => {
  const core = key ? new Hypercore(folder, Buffer.from(key, "hex"), options) : new Hypercore(folder, options);
  await core.ready();
  return core;
};

const state = async (core) => {
  const blocks = [];
  for (let i = 0; i < core.length; i++) {
    if (await core.has(i)) blocks.push(b4a.toString(crypto.data(await core.get(i)), "hex").slice(0, 16));
    else blocks.push(null);
  }
  const userData = Object.fromEntries(
    core.core.header.userData.map(({ key, value }) => [key, value.toString("hex")]),
  );
  return {
    length: core.length,
    fork: core.fork,
    byteLength: core.core.tree.byteLength,
    treeHash: b4a.toString(await core.treeHash(), "hex"),
    contiguousLength: core.core.header.hints.contiguousLength,
    blocks,
    userData,
  };
};

const run = async (folder) => {
  const results = [];
  let core;
  try {
    for (const step of steps) {
      core ??= await open(folder);
      if (step.append) await core.append(step.append.map(([size, n]) => pattern(size, n)));
      if (step.truncate) await core.truncate(...step.truncate);
      if (step.clear) await core.clear(...step.clear);
      if (step.userData) {
        const [name, value] = step.userData;
        await core.setUserData(name, value === null ? null : Buffer.from(value, "hex"));
      }
      if (step.proof) await core.core.verify(c.decode(wire.data, Buffer.from(step.proof, "hex")), null);
      if (step.state) results.push(await state(core));
      if (!step.reopen) continue;
      await core.close();
      core = undefined;
    }
  } catch (error) {
    results.push({ error: error.code ?? error.message });
  }
  await core?.close().catch(() => {});
  return results;
};

const all = [];
for (const folder of folders) all.push(await run(folder));
process.stdout.write(JSON.stringify(all));
