/** What is stored of a branch, and what of that is damaged. */
import { equals } from "../../encoding/bytes.ts";
import { treeHash } from "../crypto/hash.ts";
import type { MaybePromise } from "../runtime/async.ts";
import type { CryptoProvider } from "../runtime/crypto_provider.ts";
import { StorageError } from "../runtime/errors.ts";
import type { LogHead, LogHints, LogReader } from "../storage/storage.ts";
import { Bitfield } from "./bitfield.ts";
import { damaged } from "./branch_parts.ts";
import { fullRoots } from "./flat_tree.ts";
import { EMPTY_TREE, totalSize, type TreeState } from "./merkle_tree.ts";
import { readNodes } from "./node_reader.ts";
import { NO_HINTS, readBits } from "./stored_bits.ts";

/** What is stored of a branch. */
export interface StoredBranch {
  /** What it is; without roots if these are damaged, and empty if its head is. */
  readonly tree: TreeState;
  /** Its signature, if it has one. */
  readonly signature: Uint8Array | undefined;
  /** Which blocks are held. */
  readonly held: Bitfield;
  /** Its hints. */
  readonly hints: LogHints;
  /** What is wrong with its head or its roots. */
  readonly damage: StorageError | undefined;
}

/** Whether `error` says that something stored is not what was written. */
export function isDamage(error: unknown): error is StorageError {
  return error instanceof StorageError && error.code === "STORE_CORRUPT";
}

/** What `read` gives; if that is damaged, undefined, and `onDamage` is told. Waits only if `read` does. */
export function readOrReport<T>(
  read: () => MaybePromise<T | undefined>,
  onDamage: (error: StorageError) => void,
): MaybePromise<T | undefined> {
  const report = (error: unknown) => {
    if (!isDamage(error)) throw error;
    onDamage(error);
    return undefined;
  };
  try {
    const value = read();
    return value instanceof Promise ? value.catch(report) : value;
  } catch (error) {
    return report(error);
  }
}

/** Reads a branch. @throws {StorageError} if it cannot be read at all. */
export async function readBranch(crypto: CryptoProvider, reader: LogReader): Promise<StoredBranch> {
  let damage: StorageError | undefined;
  const note = (error: StorageError) => void (damage ??= error);
  const head = await readOrReport(() => reader.head(), note);
  const { tree, error } = damage === undefined ? await readTree(crypto, reader, head) : {
    tree: EMPTY_TREE,
    error: undefined,
  };
  damage ??= error;
  // Bits that are lost are blocks that are fetched again: no harm is done.
  const bits = await readOrReport(() => readBits(reader, tree.length), () => {}) ??
    { held: new Bitfield(), hints: NO_HINTS };
  if (head === undefined && bits.hints.recovering) damage ??= damaged("its head is lost");
  const signature = head !== undefined && head.signature.length > 0 ? head.signature : undefined;
  return { tree, signature, ...bits, damage };
}

async function readTree(
  crypto: CryptoProvider,
  reader: LogReader,
  head: LogHead | undefined,
): Promise<{ readonly tree: TreeState; readonly error: StorageError | undefined }> {
  const { fork = 0, length = 0 } = head ?? {};
  let error: StorageError | undefined;
  const node = (index: number) => readOrReport(() => reader.node(index), (damage) => void (error ??= damage));
  const roots = await readNodes(node, fullRoots(length));
  if (roots === undefined) error ??= damaged("the roots of its tree are missing");
  else if (head !== undefined && !equals(treeHash(crypto, roots), head.rootHash)) {
    error = damaged("the roots of its tree are others than those that were signed");
  }
  const sound = error === undefined ? roots! : [];
  return { tree: { fork, length, byteLength: totalSize(sound), roots: sound }, error };
}
