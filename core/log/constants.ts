/** Numbers and constants of logs. */
import { fromHex } from "../../encoding/text.ts";

// --- Wire (hypercore 11.37.1: lib/caps.js, lib/messages.js, lib/bitfield.js, lib/default-encryption.js)

/**
 * What separates the uses of keys and hashes: the namespaces 0 to 5 of "hypercore". Written out because they never change,
 * and so that nothing has to be computed before a log is opened.
 */
export const LOG_NAMESPACES: Readonly<Record<LogNamespace, Uint8Array>> = {
  tree: fromHex("9fac70b50ca14efc4e91c833b204e75b8b5aad8b5881bfc0adb5ef38a3275b9c"),
  replicateInitiator: fromHex("51812a2a359b50369536775df89e18e47740f3db72ac0ae70b29594c194dc316"),
  replicateResponder: fromHex("0438492d02970cc13528ac0262bca0074e0926260256865accc0bf15bd79127d"),
  manifest: fromHex("e64b7108eacce47cfc61ac850568f55f8b15b82ec5ed78c4ec597b036e2a1498"),
  defaultNamespace: fromHex("4144eea531e483d54e0c14f4ca68e0644f355343ff6fcb0f005200e12cd747cb"),
  defaultEncryption: fromHex("9aedb6f1dea8487cc1e1698f97eb2f063f6db4c649695622e7b675e2ceafa6e9"),
};

/** The uses, by the order of their ids. */
export type LogNamespace =
  | "tree"
  | "replicateInitiator"
  | "replicateResponder"
  | "manifest"
  | "defaultNamespace"
  | "defaultEncryption";

/** Bytes that encryption puts before each block. */
export const BLOCK_PADDING = 8;
/** Bits of a page of a bitfield. */
export const PAGE_BITS = 32768;

// --- Tuning

/**
 * Most nodes in one list of a proof. A tree has at most 52 levels and as many roots, so the longest honest list, an upgrade,
 * has 104.
 */
export const MAX_PROOF_NODES = 128;
/** Most signers of a manifest: each may cost a verification of 50 us and more. The reference has no limit. */
export const MAX_SIGNERS = 1024;
/** Most keys that a manifest links to: 128 KiB of them. The reference has no limit. */
export const MAX_LINKED = 4096;
/** Most nodes that the signers of one signature add to prove longer trees than the one they sign for together. */
export const MAX_PATCH_NODES = 4096;
