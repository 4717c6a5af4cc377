/** Numbers and constants of logs. */

// --- Wire (hypercore 11.37.1: lib/messages.js, lib/bitfield.js, lib/default-encryption.js)

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
