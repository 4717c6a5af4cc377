/** How many of the first blocks of a branch are those of the log that it is of, and so are signed, while both change. */
import { equals } from "../../encoding/bytes.ts";
import type { LogBranch } from "./log_branch.ts";

/**
 * How many of their first blocks two branches have in common; maybe less, where nodes are not at hand. Looks at about as many
 * lengths as the number of blocks has bits.
 */
export async function commonLength(one: LogBranch, other: LogBranch): Promise<number> {
  const isSame = async (length: number) => {
    const [first, second] = [await one.treeHash(length), await other.treeHash(length)];
    return first !== undefined && second !== undefined && equals(first, second);
  };
  const most = Math.min(one.length, other.length);
  if (await isSame(most)) return most;
  let [same, differs] = [0, most];
  while (differs - same > 1) {
    const middle = Math.floor((same + differs) / 2);
    if (await isSame(middle)) same = middle;
    else differs = middle;
  }
  return same;
}

/** What a branch has in common with its log. */
export class SharedPrefix {
  readonly #log: LogBranch;
  readonly #branch: LogBranch;
  readonly #unobserve: readonly (() => void)[];
  #length = 0;
  /** Whether the blocks behind those are others in both, and not just missing in one. */
  #isParted = false;
  #checking: Promise<void> | undefined;

  private constructor(log: LogBranch, branch: LogBranch) {
    this.#log = log;
    this.#branch = branch;
    const onUpgrade = ({ ancestors }: { readonly ancestors: number }) => this.#onChange(ancestors);
    this.#unobserve = [log.observe({ onUpgrade }), branch.observe({ onUpgrade })];
  }

  /** Follows both until {@linkcode stop}. */
  static async follow(log: LogBranch, branch: LogBranch): Promise<SharedPrefix> {
    const prefix = new SharedPrefix(log, branch);
    prefix.#onChange(0);
    await prefix.settled();
    return prefix;
  }

  /** How many blocks; less than that for a moment when both have become longer. */
  get length(): number {
    return this.#length;
  }

  /** Resolves when what has changed was looked at. */
  async settled(): Promise<void> {
    await this.#checking;
  }

  /** Follows them no longer. */
  stop(): void {
    this.#isParted = true;
    for (const unobserve of this.#unobserve) unobserve();
  }

  #onChange(ancestors: number): void {
    if (ancestors <= this.#length) {
      this.#length = ancestors;
      this.#isParted = false;
    }
    if (this.#isParted || Math.min(this.#log.length, this.#branch.length) <= this.#length) return;
    this.#checking ??= this.#check().finally(() => this.#checking = undefined);
  }

  /** Nodes that cannot be read leave it as it is: the next one who needs them is told. */
  async #check(): Promise<void> {
    for (;;) {
      const [log, branch] = [this.#log.tree, this.#branch.tree];
      const length = await commonLength(this.#log, this.#branch).catch(() => undefined);
      if (length === undefined || this.#isParted) return;
      if (log !== this.#log.tree || branch !== this.#branch.tree) continue;
      this.#length = length;
      this.#isParted = length < Math.min(log.length, branch.length);
      return;
    }
  }
}
