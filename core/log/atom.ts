/** Changes of several logs that are made at once, or not at all. */
import { toHex } from "../../encoding/text.ts";
import { HyphaError } from "../runtime/errors.ts";
import { DraftLog } from "../storage/draft_log.ts";
import { WriteBatch } from "../storage/write_batch.ts";
import type { BatchTarget } from "./branch_parts.ts";
import type { LogBranch } from "./log_branch.ts";
import type { TreeState } from "./merkle_tree.ts";

interface Draft {
  /** What it becomes. */
  readonly branch: LogBranch;
  /** What it became of. */
  readonly base: TreeState;
  readonly storage: DraftLog;
  readonly opened: Promise<LogBranch>;
  /** Before this block the two are the same. */
  ancestors: number;
}

/**
 * Collects what is written to logs of one store, however many. It is seen by those who hold the drafts, and by nobody else until
 * {@linkcode Atom.flush}.
 */
export class Atom implements BatchTarget {
  readonly #target: BatchTarget;
  readonly #drafts = new Map<LogBranch, Draft>();

  /** `target` is where all goes in the end. */
  constructor(target: BatchTarget) {
    this.#target = target;
  }

  /** The draft of a branch, which is the same one however often it is asked for. @throws {TypeError} for another store's. */
  open(branch: LogBranch): Promise<LogBranch> {
    const known = this.#drafts.get(branch);
    if (known !== undefined) return known.opened;
    if (branch.target !== this.#target) throw new TypeError("An atom is of logs of one store");
    const storage = new DraftLog(branch.storage);
    const opened = branch.hold(() => branch.reopen({ runtime: branch.runtime, storage, target: this }));
    const { tree: base } = branch;
    const draft: Draft = { branch, base, storage, opened, ancestors: base.length };
    this.#drafts.set(branch, draft);
    return opened.then((of) => {
      of.observe({
        onUpgrade: ({ ancestors }) => void (draft.ancestors = Math.min(draft.ancestors, ancestors)),
      });
      return of;
    });
  }

  /** Takes a batch of changes of drafts. Its bytes are kept. */
  write(batch: WriteBatch): void {
    for (const { address, operations } of batch.logs) {
      if (!(address instanceof DraftLog)) throw new TypeError("Only drafts are written to by way of an atom");
      address.apply(operations);
    }
  }

  /** There is nothing to wait for before {@linkcode Atom.flush}. */
  sync(): Promise<void> {
    return Promise.resolve();
  }

  /**
   * Makes all changes at once, and waits until they are as safe as the store promises. The drafts are gone then.
   *
   * @throws {HyphaError} `INVALID_OPERATION` if a log has changed since its draft was opened: nothing is written then.
   * {StorageError} as every write.
   */
  async flush(): Promise<void> {
    const drafts = [...this.#drafts.values()].filter(({ storage }) => storage.operations.length > 0);
    // In a certain order, so that two who hold several logs never wait for each other.
    const nameOf = ({ storage }: Draft) => `${toHex(storage.discoveryKey)} ${storage.overlayName ?? ""}`;
    drafts.sort((a, b) => nameOf(a) < nameOf(b) ? -1 : 1);
    this.#drafts.clear();
    await Promise.all(drafts.map(async ({ opened }) => (await opened).hold(() => Promise.resolve())));
    if (drafts.length > 0) await holdAll(drafts.map(({ branch }) => branch), () => this.#write(drafts));
  }

  /** Forgets all changes. */
  drop(): void {
    this.#drafts.clear();
  }

  async #write(drafts: readonly Draft[]): Promise<void> {
    const batch = new WriteBatch();
    for (const { branch, base, storage } of drafts) {
      if (branch.tree !== base) {
        const text = "A log has changed since its draft was opened, so that nothing was written: begin again";
        throw new HyphaError("INVALID_OPERATION", text);
      }
      batch.log(branch.storage).operations.push(...storage.operations);
    }
    await this.#target.write(batch);
    await this.#target.sync();
    for (const { branch, ancestors } of drafts) await branch.refresh(ancestors);
  }
}

/** Runs `work` while nothing else changes any of the branches. */
function holdAll(branches: readonly LogBranch[], work: () => Promise<void>): Promise<void> {
  const [first, ...rest] = branches;
  return first === undefined ? work() : first.hold(() => holdAll(rest, work));
}
