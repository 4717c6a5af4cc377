/** A query as applications see it: replies to iterate over, then the nearest nodes. */
import { ConnectError } from "../../core/runtime/errors.ts";
import type { SocketAddress } from "../../encoding/address.ts";
import { MAX_UNREAD_REPLIES } from "./constants.ts";
import type { Reply } from "./outgoing_request.ts";

/** Does something with each of the nearest nodes when a query has found them; it failed if the promise is rejected. */
export type Commit<T> = (reply: Reply, query: Query<T>) => Promise<unknown>;

/** How to query. */
export interface QueryOptions<T = Reply> {
  /** What to make of a reply; `undefined` and `null` leave it out of the iteration, not out of {@linkcode Query.closestReplies}. */
  readonly map?: (reply: Reply) => T | undefined | null;
  /** What to do with the nearest nodes. `true` sends them the same command and value with their token. */
  readonly commit?: true | Commit<T>;
  /** Nodes to begin with instead of those of the table, such as {@linkcode Query.closestNodes} of an earlier query. */
  readonly nodes?: readonly SocketAddress[];
  /** Whether `nodes` alone are asked. */
  readonly onlyNodes?: boolean;
  /** Requests out at once; those of the node by default. */
  readonly concurrency?: number;
  /** Resends of each request; 5 by default. */
  readonly retries?: number;
  /** Whether the requests are sent once and ignore the window, as for a farewell. */
  readonly force?: boolean;
  /** Ends the query. */
  readonly signal?: AbortSignal;
}

/** What a query needs of its node. Made by `Rpc`. */
export interface QueryDriver {
  /** The nearest replies until now. */
  closestReplies(): readonly Reply[];
  /** Counts of answers with and without an error. */
  counts(): { readonly successes: number; readonly errors: number };
  /** Stops asking, or goes on. */
  setPaused(isPaused: boolean): void;
  /** Ends it. */
  cancel(): void;
}

/**
 * A query under way. It begins at once. Iterate over it for the replies as they come, or call {@linkcode Query.finished} to wait
 * for the end alone; leaving the loop early ends the query. If nobody does either, it pauses after 64 replies.
 */
export class Query<T = Reply> implements AsyncIterable<T> {
  readonly #driver: QueryDriver;
  readonly #map: ((reply: Reply) => T | undefined | null) | undefined;
  readonly #commit: Commit<T> | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => this.#driver.cancel();
  #unread: T[] = [];
  #isPaused = false;
  /** Whether replies are of no interest: somebody waits for the end alone. */
  #isDiscarding = false;
  #isDone = false;
  #error: unknown;
  #waiting: (() => void)[] = [];

  /** Made by `Rpc`. */
  constructor(driver: QueryDriver, commit: Commit<T> | undefined, options: QueryOptions<T>) {
    this.#driver = driver;
    this.#map = options.map;
    this.#commit = commit;
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Replies of the nodes nearest to the target, nearest first, at most 20; of nodes with an id and without errors only. */
  get closestReplies(): readonly Reply[] {
    return this.#driver.closestReplies();
  }

  /** The addresses of these nodes: what a later query may begin with. */
  get closestNodes(): SocketAddress[] {
    return this.closestReplies.map(({ from }) => from);
  }

  /** What requests that belong to the query should be made with: they end with it. */
  get requestOptions(): { readonly signal?: AbortSignal } {
    return this.#signal === undefined ? {} : { signal: this.#signal };
  }

  /** Answers without an error. */
  get successes(): number {
    return this.#driver.counts().successes;
  }

  /** Answers with an error, and requests without an answer. */
  get errors(): number {
    return this.#driver.counts().errors;
  }

  /**
   * Waits for the end, with the commit if there is one; replies that nobody has read are dropped.
   *
   * @throws {ConnectError} `TOO_FEW_NODES` if there was nobody to commit to, the last error if all commits failed, `IO_SUSPENDED`
   * or `REQUEST_DESTROYED` if the node was suspended or closed; the reason of the signal.
   */
  async finished(): Promise<void> {
    this.#isDiscarding = true;
    this.#unread = [];
    this.#resume();
    while (!this.#isDone) await this.#change();
    if (this.#error !== undefined) throw this.#error;
  }

  /** Ends it now. */
  destroy(): void {
    this.#driver.cancel();
  }

  /** The replies as they come. Throws what {@linkcode finished} throws. */
  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    try {
      while (true) {
        while (this.#unread.length > 0) {
          const next = this.#unread.shift()!;
          this.#resume();
          yield next;
        }
        if (this.#isDone) break;
        await this.#change();
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      this.#driver.cancel();
    }
  }

  /** Used by `Rpc`: a reply came. */
  handleReply(reply: Reply): void {
    const item = this.#map === undefined ? reply as T : this.#map(reply);
    if (item === undefined || item === null || this.#isDiscarding || this.#isDone) return;
    this.#unread.push(item);
    if (this.#unread.length >= MAX_UNREAD_REPLIES && !this.#isPaused) {
      this.#isPaused = true;
      this.#driver.setPaused(true);
    }
    this.#notify();
  }

  /** Used by `Rpc`: all nodes were asked, or it was cancelled, or `error` ended it. */
  handleEnd(error: Error | "cancelled" | undefined): void {
    if (this.#signal?.aborted === true) this.#finish(this.#signal.reason);
    else if (error === "cancelled") this.#finish(undefined);
    else if (error !== undefined || this.#commit === undefined) this.#finish(error);
    else void this.#commitAll(this.#commit).then((failure) => this.#finish(failure));
  }

  /** Commits to all nearest nodes; returns why none has worked. */
  async #commitAll(commit: Commit<T>): Promise<unknown> {
    const replies = this.closestReplies;
    if (replies.length === 0) {
      return new ConnectError(
        "TOO_FEW_NODES",
        "No node has answered: check the connection and the bootstrap nodes",
      );
    }
    // In a promise of its own, so that what is thrown at once is a failure like any other.
    const results = await Promise.allSettled(replies.map(async (reply) => await commit(reply, this)));
    if (this.#signal?.aborted === true) return this.#signal.reason;
    if (results.some(({ status }) => status === "fulfilled")) return undefined;
    return results.findLast((result) => result.status === "rejected")?.reason;
  }

  #finish(error: unknown): void {
    this.#isDone = true;
    this.#error = error;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#notify();
  }

  #resume(): void {
    if (!this.#isPaused || this.#unread.length > MAX_UNREAD_REPLIES / 2) return;
    this.#isPaused = false;
    this.#driver.setPaused(false);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #notify(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
