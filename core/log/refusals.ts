/** Why nothing is signed. */
import { HyphaError, type StorageError } from "../runtime/errors.ts";
import type { TreeState } from "./merkle_tree.ts";

/** What the writer is told whose store has less than it signed before. */
export function rolledBack(shown: { fork: number; length: number }, { fork, length }: TreeState): HyphaError {
  return new HyphaError(
    "ROLLED_BACK",
    `The log here has ${length} blocks of fork ${fork}, and peers have ${shown.length} of fork ${shown.fork} with the same ` +
      "signer: the store is an older copy, or has lost something. Nothing was written: call update(), look at what came, " +
      "and write again",
  );
}

/** What the writer of a log is told that is damaged. */
export function isDamaged(damage: StorageError | undefined): HyphaError {
  const what = damage === undefined
    ? "The head of the log was lost, and peers may have more of it than was found again"
    : damage.message;
  const text =
    `${what}. Nothing is written until it is whole: connect to peers that have it, and call recover()`;
  return new HyphaError("LOG_DAMAGED", text, { cause: damage });
}
