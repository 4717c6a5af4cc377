/** Recovering a log that is open: what can be mended here is mended, and the rest is brought back by peers. */
import { equals } from "../encoding/bytes.ts";
import { type BlockSpan, type Mended, mendLog } from "./log_repair.ts";
import { readable } from "./lenient_reader.ts";
import type { LogState } from "./log/log_state.ts";
import { totalSize, TreeBatch } from "./log/merkle_tree.ts";
import type { Range } from "./replication/range_jobs.ts";
import type { Replicator, ReplicatorObserver } from "./replication/replicator.ts";
import { abortable } from "./runtime/async.ts";
import type { Store } from "./storage/storage.ts";
import { countOf } from "./store_repair.ts";

/** What comes of mending a log of which nothing is stored. */
const NOTHING: Mended = { nodes: 0, lost: [], found: 0, freed: 0, unproven: [], keys: [], isRootless: false };

/** How a log is recovered. */
export interface RecoverOptions {
  /**
   * The public keys of the peers that must have been asked for more of the log. By default any one will do, and none is waited
   * for if it is certain here how long the log is.
   */
  readonly peers?: readonly Uint8Array[] | undefined;
  /** Gives up; what was mended until then stays so. */
  readonly signal?: AbortSignal | undefined;
}

/** What came of recovering a log. */
export interface Recovered {
  /** Nodes of the tree that were computed again here, or taken away since they were wrong. */
  readonly nodes: number;
  /** Blocks that were gone, or without proof, and that peers have brought. */
  readonly blocks: number;
  /** Whether peers had more of the log than was here. */
  readonly isLonger: boolean;
}

/** A log that is open. */
export interface RecoveryHost {
  /** Where it is stored. */
  readonly store: Store;
  /** The log itself. */
  readonly state: LogState;
  /** Its peers. */
  readonly replicator: Replicator;
  /** Tells what happens with peers. */
  observe(observer: ReplicatorObserver): () => void;
}

/** Recovers one log. */
export class LogRecovery {
  readonly #host: RecoveryHost;
  #running = 0;
  /** Blocks that turned out to be gone since the log was opened, and were not fetched yet. */
  #lost: readonly BlockSpan[] = [];

  /** Recovers the log of `host`. */
  constructor(host: RecoveryHost) {
    this.#host = host;
  }

  /** Whether the log is damaged, or being recovered. */
  get isGoingOn(): boolean {
    const { damage, isRecovering } = this.#host.state;
    return this.#running > 0 || damage !== undefined || isRecovering;
  }

  /** See `Hypercore.recover`. */
  async run({ peers, signal }: RecoverOptions): Promise<Recovered> {
    const { state } = this.#host;
    // One that has lost its head may have signed more than is told here, and must not sign something else in its place.
    const isUncertain = state.damage !== undefined || state.isRecovering;
    this.#running++;
    try {
      let mended = await this.mend(signal);
      let [nodes, blocks] = [mended?.nodes ?? 0, 0];
      while (mended === undefined || mended.isRootless || this.#lost.length + mended.keys.length > 0) {
        if (state.damage !== undefined) await this.#untilWhole(signal);
        else blocks += await this.#fetch(mended!.keys, signal);
        mended = await this.mend(signal);
        nodes += mended?.nodes ?? 0;
      }
      const isLonger = await this.#catchUp(peers ?? (isUncertain ? [undefined] : []), signal);
      if (state.isRecovering) await state.endRecovering();
      return { nodes, blocks, isLonger };
    } finally {
      this.#running--;
    }
  }

  /** Mends what follows from what is here; undefined if the head is lost. */
  async mend(signal?: AbortSignal): Promise<Mended | undefined> {
    const { store, state } = this.#host;
    return await state.hold(async () => {
      const storage = await store.open(state.discoveryKey);
      const head = await readable(() => storage.head());
      if (head === undefined) return state.damage === undefined ? NOTHING : undefined;
      const { crypto } = state.runtime;
      const mended = await mendLog(storage, head, {
        crypto,
        signal,
        write: (batch) => store.write(batch),
        isSigned({ fork, length, signature }, roots) {
          const tree = new TreeBatch(crypto, { fork, length, byteLength: totalSize(roots), roots });
          return state.verifier?.verify(tree, signature) === true;
        },
      });
      this.#lost = [...this.#lost, ...mended.lost];
      await state.reload(mended.lost);
      return mended;
    });
  }

  #untilWhole(signal: AbortSignal | undefined): Promise<void> {
    const { state } = this.#host;
    const { promise, resolve } = Promise.withResolvers<void>();
    const unobserve = state.observe({ onUpgrade: () => state.damage === undefined && resolve() });
    return abortable(promise, signal).finally(unobserve);
  }

  /** Fetches blocks that are lost, and with their proofs those that close the gaps in the tree. */
  async #fetch(keys: readonly number[], signal: AbortSignal | undefined): Promise<number> {
    const { state: { held }, replicator } = this.#host;
    for (const key of keys) held.set(key, false);
    try {
      await this.#download(replicator.requestRange({ blocks: keys }), signal);
    } finally {
      for (const key of keys) held.set(key, true);
    }
    const lost = this.#lost;
    for (const span of lost) await this.#download(replicator.requestRange(span), signal);
    this.#lost = [];
    return countOf(lost) + keys.length;
  }

  async #download(range: Range, signal: AbortSignal | undefined): Promise<void> {
    try {
      await abortable(range.done(), signal);
    } finally {
      range.destroy();
    }
  }

  /** Asks peers for more until none has any, all that are `wanted` among them: undefined is any one. */
  async #catchUp(
    wanted: readonly (Uint8Array | undefined)[],
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const { state, replicator } = this.#host;
    const { length } = state;
    const isKnown = (key: Uint8Array | undefined) =>
      replicator.peers.some((peer) =>
        peer.isKnown && (key === undefined || equals(key, peer.remotePublicKey))
      );
    while (!wanted.every(isKnown)) await this.#peerNews(signal);
    while (await replicator.requestUpgrade({ signal }));
    return state.length !== length;
  }

  #peerNews(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    return abortable(promise, signal).finally(this.#host.observe({ onPeerState: () => resolve() }));
  }
}
