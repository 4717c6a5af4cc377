/** Finds out whether the writer of a log has signed two different logs of the same fork. */
import { equals } from "../../encoding/bytes.ts";
import { rootsOf, TreeBatch } from "../log/merkle_tree.ts";
import type { Proof, UpgradeProof } from "../log/proof.ts";
import { verifyFromStart } from "../log/verify_proof.ts";
import type { ReplicatedLog } from "./replicated_log.ts";

/** Two signed logs that differ: what convinces anyone who knows the key. */
export interface ConflictProof {
  /** The fork of both. */
  readonly fork: number;
  /** How many first blocks were compared. */
  readonly length: number;
  /** What this side has, from 0 blocks up to that length and to what was signed. */
  readonly own: Proof;
  /** What the peer has. */
  readonly theirs: Proof;
}

/** The outcome of a comparison. */
export type Comparison =
  /** The proof is of another fork, of more than is here, or the manifest is not known. */
  | { readonly outcome: "unknown" }
  /** The peer has the same log, as far as can be told. */
  | { readonly outcome: "same" }
  /** It has not. */
  | { readonly outcome: "conflict"; readonly proof: ConflictProof };

/**
 * Compares the log with a peer's proof from 0 blocks.
 *
 * @throws {ProtocolError} if the proof is none.
 */
export async function compareLogs(
  log: ReplicatedLog,
  theirs: Proof & { readonly upgrade: UpgradeProof },
): Promise<Comparison> {
  const { runtime: { crypto }, tree, verifier } = log;
  const { fork, upgrade: { start, length, nodes } } = theirs;
  if (verifier === undefined || fork !== tree.fork || start !== 0 || length > tree.length) {
    return { outcome: "unknown" };
  }
  verifyFromStart(crypto, verifier, theirs);
  const batch = new TreeBatch(crypto, { fork, length: 0, byteLength: 0, roots: [] });
  // With a block along, a root may be missing here: such a proof is not what was asked for.
  if (theirs.block || theirs.hash || theirs.seek) return { outcome: "unknown" };
  for (const node of nodes) batch.appendNode(node);
  const roots = await rootsOf(log.nodes, tree, length);
  if (roots === undefined || log.tree.fork !== fork) return { outcome: "unknown" };
  // By their hashes, which the sizes are part of: those at hand may be wrong, where only a sum of them was proven.
  if (roots.every(({ hash }, i) => equals(hash, batch.roots[i]!.hash))) return { outcome: "same" };
  const own = await log.prove({ upgrade: { start: 0, length } });
  if (own === undefined) return { outcome: "unknown" };
  return { outcome: "conflict", proof: { fork, length, own, theirs } };
}
