/** What differs between hypercore 10 with corestore 6 and hypercore 11 with corestore 7, for `log_peer.mjs`. */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const c = require("compact-encoding");
const crypto = require("hypercore-crypto");

const hex = (text) => text === undefined || text === null ? null : Buffer.from(text, "hex");

/** The key pair whose seed is 32 times `n`. */
export const keyPairOf = (n) => crypto.keyPair(Buffer.alloc(32, n));

/** What `log_rig.ts` calls a manifest, as both generations want it. */
function manifestOf({ signers = [], prologue, userData, linked, ...rest }) {
  const options = {
    ...rest,
    signers: signers.map((n) => ({ publicKey: keyPairOf(n).publicKey })),
  };
  if (prologue) options.prologue = { hash: hex(prologue.hash), length: prologue.length };
  if (userData) options.userData = hex(userData);
  if (linked) options.linked = linked.map(hex);
  return options;
}

/** Options of a log; the encryption is put in by the generation. */
function logOptions({ compat = false, manifest, seed, ...rest }) {
  const { encryptionKey: _key, isBlockKey: _isBlockKey, ...plain } = rest;
  return {
    ...plain,
    compat,
    ...(manifest ? { manifest: manifestOf(manifest) } : {}),
    ...(seed === undefined ? {} : { keyPair: keyPairOf(seed) }),
  };
}

const generations = {
  10: () => {
    const messages = require("hypercore-10/lib/messages.js");
    const encryption = ({ encryptionKey, isBlockKey = false }) =>
      encryptionKey ? { encryptionKey: hex(encryptionKey), isBlockKey } : {};
    return {
      Hypercore: require("hypercore-10"),
      Corestore: require("corestore-6"),
      ...{ messages, encryption },
      multisig: require("hypercore-10/lib/multisig.js"),
      signedBy: (core) => core.core.tree,
      roots: (core) => core.core.tree.roots,
      grown(core, blocks) {
        const batch = core.core.tree.batch();
        for (const block of blocks) batch.append(block);
        return batch;
      },
      truncated: (core, length, fork) => core.core.tree.truncate(length, fork),
      manifest: (core) => core.core.header.manifest,
    };
  },
  11: () => {
    const messages = require("hypercore/lib/messages.js");
    const { MerkleTree, MerkleTreeBatch } = require("hypercore/lib/merkle-tree.js");
    const encryption = ({ encryptionKey, isBlockKey = false }) =>
      encryptionKey ? { encryption: { key: hex(encryptionKey), block: isBlockKey } } : {};
    return {
      Hypercore: require("hypercore"),
      Corestore: require("corestore"),
      ...{ messages, encryption },
      multisig: require("hypercore/lib/multisig.js"),
      signedBy: (core) => core.core,
      roots: (core) => core.core.state.roots,
      grown(core, blocks) {
        const batch = new MerkleTreeBatch(core.core.state);
        for (const block of blocks) batch.append(block);
        return batch;
      },
      truncated: (core, length, fork) =>
        MerkleTree.truncate(core.core.state, length, new MerkleTreeBatch(core.core.state), fork),
      manifest: (core) => core.core.header.manifest,
    };
  },
};

/** The packages of a generation, and what is done otherwise in each. */
export function loadGeneration(number) {
  const found = generations[number]();
  return {
    ...found,
    open: (storage, { key, ...options }) =>
      new found.Hypercore(storage, hex(key), { ...logOptions(options), ...found.encryption(options) }),
    get(store, { name, key, ...options }) {
      const which = key ? { key: hex(key) } : name ? { name } : {};
      const { compat: _compat, ...rest } = logOptions(options);
      return store.get({ ...which, ...rest, ...found.encryption(options) });
    },
    treeHash: (core) => crypto.tree(found.roots(core)),
    manifestBytes(core) {
      const manifest = found.manifest(core);
      return manifest ? c.encode(found.messages.manifest, manifest) : null;
    },
    /** A proof as it is in a `data` message. */
    dataBytes: (proof) => c.encode(found.messages.wire.data, { ...proof, request: 0 }),
    /**
     * What the signer whose seed is `seed` signs: the log with `blocks` and `more` behind it, of which the others sign `blocks`
     * alone, or the log cut to a length. What was signed beyond is taken from a log of its own, at `path`.
     */
    async sign(core, { seed, blocks, more, truncate }, path) {
      const batch = truncate
        ? await found.truncated(core, truncate.length, truncate.fork)
        : found.grown(core, [...blocks, ...more]);
      const signature = core.core.verifier.sign(batch, keyPairOf(seed));
      if (more.length === 0) return { signature: signature.toString("hex"), patch: 0, nodes: [] };
      const own = new found.Hypercore(path, { compat: true, keyPair: keyPairOf(99) });
      await own.ready();
      for (let i = 0; i < core.length; i++) await own.append(await core.get(i));
      await own.append([...blocks, ...more]);
      const { length } = own;
      const signer = found.signedBy(own);
      const part = await found.multisig.partialSignature(signer, 0, length - more.length, length, signature);
      await own.close();
      return {
        signature: part.signature.toString("hex"),
        patch: part.patch,
        nodes: part.nodes.map(({ index, size, hash }) => ({ index, size, hash: hash.toString("hex") })),
      };
    },
    assemble(core, parts) {
      const inputs = parts.map(({ signer, signature, patch, nodes }) => ({
        ...{ signer, signature: hex(signature), patch },
        nodes: patch === 0 ? null : nodes.map((node) => ({ ...node, hash: hex(node.hash) })),
      }));
      const { assemble, assemblev0 } = found.multisig;
      return (found.manifest(core).version === 0 ? assemblev0 : assemble)(inputs);
    },
  };
}
