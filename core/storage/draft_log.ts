/** A log with changes that are not in its store yet. */
import type { LogOperation } from "./write_batch.ts";
import { lastLeaf, nodesAcross } from "./layers.ts";
import type {
  LogAuth,
  LogHead,
  LogHints,
  LogReader,
  LogSnapshot,
  LogStorage,
  MaybePromise,
  StoredBlock,
  TreeNode,
} from "./storage.ts";

/** What was changed. `undefined` in a map is what was taken away. */
interface Changes {
  readonly blocks: Map<number, Uint8Array | undefined>;
  readonly nodes: Map<number, TreeNode | undefined>;
  readonly pages: Map<number, Uint8Array | undefined>;
  readonly userData: Map<string, Uint8Array | undefined>;
  /** Ranges of blocks and nodes that are gone below. */
  readonly cleared: [kind: "block" | "node", start: number, end: number][];
  /** Before this block, what is below is still there. */
  shared: number;
  head: LogHead | undefined;
  hints: LogHints | undefined;
  auth: LogAuth | undefined;
}

/** Reads through changes. */
class ChangedLog implements LogReader {
  protected readonly base: LogReader;
  protected readonly changes: Changes;

  constructor(base: LogReader, changes: Changes) {
    this.base = base;
    this.changes = changes;
  }

  head(): MaybePromise<LogHead | undefined> {
    return this.changes.head ?? this.base.head();
  }

  hints(): MaybePromise<LogHints | undefined> {
    return this.changes.hints ?? this.base.hints();
  }

  block(index: number): MaybePromise<Uint8Array | undefined> {
    const { blocks } = this.changes;
    if (blocks.has(index)) return blocks.get(index);
    return this.#isBelow("block", index) ? this.base.block(index) : undefined;
  }

  async blocks(start: number, end: number, maxBytes: number): Promise<readonly StoredBlock[]> {
    const below = await this.base.blocks(
      start,
      Math.max(start, Math.min(end, this.changes.shared)),
      maxBytes,
    );
    // Behind the last of these there may be more below.
    const reach = below.length === 0 ? end : below.at(-1)!.index + 1;
    const all = new Map(below.map(({ index, value }) => [index, value]));
    for (const { index } of below) if (!this.#isBelow("block", index)) all.delete(index);
    for (const [index, value] of this.changes.blocks) {
      if (index < start || index >= Math.min(end, reach)) continue;
      if (value === undefined) all.delete(index);
      else all.set(index, value);
    }
    const sorted = [...all].sort(([a], [b]) => a - b).map(([index, value]) => ({ index, value }));
    if (sorted.length === 0 && below.length > 0 && reach < end) {
      return await this.blocks(reach, end, maxBytes);
    }
    let bytes = 0;
    const over = sorted.findIndex(({ value }, i) => (bytes += value.length) > maxBytes && i > 0);
    return over === -1 ? sorted : sorted.slice(0, over);
  }

  node(index: number): MaybePromise<TreeNode | undefined> {
    const { nodes, shared } = this.changes;
    if (nodes.has(index)) return nodes.get(index);
    return lastLeaf(index) < 2 * shared && this.#isBelow("node", index) ? this.base.node(index) : undefined;
  }

  async nodes(indexes: readonly number[]): Promise<readonly (TreeNode | undefined)[]> {
    return await Promise.all(indexes.map((index) => this.node(index)));
  }

  bitfieldPage(page: number): MaybePromise<Uint8Array | undefined> {
    const { pages } = this.changes;
    return pages.has(page) ? pages.get(page) : this.base.bitfieldPage(page);
  }

  async bitfieldPages(start: number, end: number): Promise<readonly { page: number; value: Uint8Array }[]> {
    const all = new Map((await this.base.bitfieldPages(start, end)).map(({ page, value }) => [page, value]));
    for (const [page, value] of this.changes.pages) {
      if (page < start || page >= end) continue;
      if (value === undefined) all.delete(page);
      else all.set(page, value);
    }
    return [...all].sort(([a], [b]) => a - b).map(([page, value]) => ({ page, value }));
  }

  userData(key: string): MaybePromise<Uint8Array | undefined> {
    const { userData } = this.changes;
    return userData.has(key) ? userData.get(key) : this.base.userData(key);
  }

  async userDataKeys(prefix: string): Promise<readonly string[]> {
    const keys = new Set(await this.base.userDataKeys(prefix));
    for (const [key, value] of this.changes.userData) {
      if (!key.startsWith(prefix)) continue;
      if (value === undefined) keys.delete(key);
      else keys.add(key);
    }
    return [...keys];
  }

  #isBelow(kind: "block" | "node", index: number): boolean {
    const { cleared, shared } = this.changes;
    if (kind === "block" && index >= shared) return false;
    return !cleared.some(([of, start, end]) => of === kind && index >= start && index < end);
  }
}

class ChangedSnapshot extends ChangedLog implements LogSnapshot {
  readonly #snapshot: LogSnapshot;

  constructor(snapshot: LogSnapshot, changes: Changes) {
    super(snapshot, changes);
    this.#snapshot = snapshot;
  }

  [Symbol.dispose](): void {
    this.#snapshot[Symbol.dispose]();
  }
}

/** A log or overlay with changes that are kept in memory until they are written to its store, all at once. */
export class DraftLog extends ChangedLog implements LogStorage {
  /** What was changed, in order, to be written to the log. */
  readonly operations: LogOperation[] = [];
  readonly #log: LogStorage;

  /** `log` must not change while there is a draft of it. */
  constructor(log: LogStorage) {
    super(log, noChanges());
    this.#log = log;
  }

  /** That of the log. */
  get discoveryKey(): Uint8Array {
    return this.#log.discoveryKey;
  }

  /** That of the log. */
  get overlayName(): string | undefined {
    return this.#log.overlayName;
  }

  auth(): MaybePromise<LogAuth | undefined> {
    return this.changes.auth ?? this.#log.auth();
  }

  overlay(name: string): LogStorage {
    return this.#log.overlay(name);
  }

  overlays(): MaybePromise<readonly string[]> {
    return this.#log.overlays();
  }

  exists(): MaybePromise<boolean> {
    return this.operations.length > 0 || this.#log.exists();
  }

  async snapshot(): Promise<LogSnapshot> {
    const { blocks, nodes, pages, userData, cleared } = this.changes;
    const copy = {
      ...this.changes,
      ...{
        blocks: new Map(blocks),
        nodes: new Map(nodes),
        pages: new Map(pages),
        userData: new Map(userData),
      },
      cleared: [...cleared],
    };
    return new ChangedSnapshot(await this.#log.snapshot(), copy);
  }

  /** Makes changes. Bytes are kept: the caller gives them away. @throws {TypeError} for overlays of it. */
  apply(operations: readonly LogOperation[]): void {
    for (const operation of operations) {
      this.#applyOne(operation);
      this.operations.push(operation);
    }
  }

  #applyOne(operation: LogOperation): void {
    const { changes } = this;
    switch (operation.type) {
      case "auth":
        changes.auth = operation.auth;
        return;
      case "head":
        changes.head = operation.head;
        return;
      case "hints":
        changes.hints = operation.hints;
        return;
      case "block":
        changes.blocks.set(operation.index, operation.value);
        return;
      case "node":
        changes.nodes.set(operation.node.index, operation.node);
        return;
      case "bitfieldPage":
        changes.pages.set(operation.page, operation.value.length > 0 ? operation.value : undefined);
        return;
      case "userData":
        changes.userData.set(operation.key, operation.value);
        return;
      case "clear":
        return this.#clear("block", changes.blocks, operation.start, operation.end);
      case "clearNodes":
        return this.#clear("node", changes.nodes, operation.start, operation.end);
      case "truncate":
        return this.#truncate(operation.length);
      default:
        throw new TypeError("What is not written yet has no branches: write it first");
    }
  }

  #clear(kind: "block" | "node", values: Map<number, unknown>, start: number, end: number): void {
    for (const index of [...values.keys()]) if (index >= start && index < end) values.delete(index);
    this.changes.cleared.push([kind, start, end]);
  }

  #truncate(length: number): void {
    const { blocks, nodes } = this.changes;
    for (const index of [...blocks.keys()]) if (index >= length) blocks.delete(index);
    for (const index of [...nodes.keys()]) if (index >= 2 * length) nodes.delete(index);
    for (const index of nodesAcross(length)) nodes.delete(index);
    this.changes.shared = Math.min(this.changes.shared, length);
  }
}

function noChanges(): Changes {
  return {
    ...{ blocks: new Map(), nodes: new Map(), pages: new Map(), userData: new Map(), cleared: [] },
    ...{ shared: Infinity, head: undefined, hints: undefined, auth: undefined },
  };
}
