/** Branches of a log that nobody signs, and how they become the log. */
import { equals } from "../../encoding/bytes.ts";
import { treeHash } from "../crypto/hash.ts";
import { HyphaError } from "../runtime/errors.ts";
import { WriteBatch } from "../storage/write_batch.ts";
import type { Appended, AppendOptions } from "./append_queue.ts";
import { LogBranch } from "./log_branch.ts";
import { rootsOf } from "./merkle_tree.ts";

/** Bytes of blocks that are read at once. */
const READ_BYTES = 4 * 1024 * 1024;

/** How a draft begins. */
export interface DraftOptions {
  /** Whether one of that name begins anew. */
  readonly overwrite?: boolean | undefined;
  /** With how many of the blocks; by default all. An existing draft is cut to it. */
  readonly checkout?: number | undefined;
}

/** The branch of `parent` called `name`, which is made if need be. @throws {RangeError} if it is not that long. */
export async function openDraft(
  parent: LogBranch,
  name: string,
  options: DraftOptions = {},
): Promise<LogBranch> {
  const { runtime, target } = parent;
  const storage = parent.storage.overlay(name);
  const { overwrite = false, checkout } = options;
  let exists = await storage.exists();
  if (exists && overwrite) {
    const batch = new WriteBatch();
    batch.log(storage).removeOverlay();
    await target.write(batch);
    exists = false;
  }
  if (!exists) await parent.branchOff(name, checkout ?? parent.length);
  const draft = new LogBranch({ runtime, storage, target });
  await draft.load();
  if (checkout !== undefined && checkout < draft.length) await draft.truncate(checkout, draft.tree.fork);
  if (checkout === undefined || checkout === draft.length) return draft;
  throw new RangeError(`The draft ${name} has ${draft.length} blocks, not ${checkout}`);
}

/**
 * Appends to `log` the blocks that `draft`, which began as `log` is, has behind its end, up to `length`.
 *
 * @returns undefined if the draft does not begin with all of the log.
 * @throws {HyphaError} `BLOCK_NOT_AVAILABLE` if a block is not at hand; else as `LogBranch.append`.
 */
export async function commitDraft(
  log: LogBranch,
  draft: LogBranch,
  length: number,
  options: AppendOptions,
): Promise<Appended | undefined> {
  const base = log.tree;
  if (base.length > Math.min(length, draft.length)) return undefined;
  if (length > draft.length) throw new RangeError(`the draft has ${draft.length} blocks, not ${length}`);
  const roots = await rootsOf(draft.nodes, draft.tree, base.length);
  const { crypto } = log.runtime;
  if (roots === undefined || !equals(treeHash(crypto, roots), treeHash(crypto, base.roots))) return undefined;
  const blocks = await readAll(draft, base.length, length);
  return await log.append(blocks, { ...options, base });
}

async function readAll(draft: LogBranch, start: number, end: number): Promise<Uint8Array[]> {
  const blocks: Uint8Array[] = [];
  while (start + blocks.length < end) {
    const at = start + blocks.length;
    const read = await draft.storage.blocks(at, end, READ_BYTES);
    if (read[0]?.index !== at) {
      throw new HyphaError("BLOCK_NOT_AVAILABLE", `Block ${at} of the draft is not here`);
    }
    for (const { index, value } of read) if (index === start + blocks.length) blocks.push(value);
  }
  return blocks;
}
