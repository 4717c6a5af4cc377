/** Appends that wait for each other, so that they share one signature, one write and one sync. */
import type { MaybePromise } from "../runtime/async.ts";
import type { KeyPair } from "../runtime/crypto_provider.ts";
import type { BlockCipher } from "./encryption.ts";
import type { TreeState } from "./merkle_tree.ts";

/** How blocks are appended. */
export interface AppendOptions {
  /** Who signs; by default the writer of the log. */
  readonly keyPair?: KeyPair | undefined;
  /** The signature over the log with these blocks, instead of one by a key pair. */
  readonly signature?: Uint8Array | undefined;
  /** What encrypts them; by default they are stored as they are. */
  readonly cipher?: Pick<BlockCipher, "encrypt"> | undefined;
  /** How long the log may get by it. */
  readonly maxLength?: number | undefined;
  /** Is called when they are stored, with what was appended; until it is done, nothing else changes the log. */
  readonly postappend?: ((blocks: readonly Uint8Array[]) => MaybePromise<void>) | undefined;
  /** What the log must still be. */
  readonly base?: TreeState | undefined;
}

/** What a log is after an append. */
export interface Appended {
  /** How many blocks it has. */
  readonly length: number;
  /** How many bytes these have as they are stored. */
  readonly byteLength: number;
}

/** Appends that are made as one. */
export interface AppendGroup {
  /** The blocks of each. */
  readonly lists: readonly (readonly Uint8Array[])[];
  /** How all of them are to be appended. */
  readonly options: AppendOptions;
}

/** Blocks and bytes from which on an append joins the next group. */
const [MAX_GROUP_BLOCKS, MAX_GROUP_BYTES] = [4096, 8 * 1024 * 1024];

interface Job extends PromiseWithResolvers<Appended> {
  readonly blocks: readonly Uint8Array[];
  readonly options: AppendOptions;
}

/** The appends of one log that are not done. */
export class AppendQueue {
  readonly #exclusive: (work: () => Promise<void>) => Promise<void>;
  readonly #append: (group: AppendGroup) => Promise<Appended[]>;
  readonly #jobs: Job[] = [];
  #isScheduled = false;

  /** `exclusive` runs work when the log is free; `append` makes the appends of a group, all or none. */
  constructor(
    exclusive: (work: () => Promise<void>) => Promise<void>,
    append: (group: AppendGroup) => Promise<Appended[]>,
  ) {
    this.#exclusive = exclusive;
    this.#append = append;
  }

  /** Appends `blocks` behind those that wait. */
  add(blocks: readonly Uint8Array[], options: AppendOptions): Promise<Appended> {
    const job = { blocks, options, ...Promise.withResolvers<Appended>() };
    this.#jobs.push(job);
    this.#schedule();
    return job.promise;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    void this.#exclusive(() => this.#run());
  }

  async #run(): Promise<void> {
    await undefined; // so that appends that are called in one go are one
    const group = this.#take();
    this.#isScheduled = false;
    if (this.#jobs.length > 0) this.#schedule(); // behind whoever waits now
    try {
      const appended = await this.#append({
        lists: group.map(({ blocks }) => blocks),
        options: group[0]!.options,
      });
      for (const { blocks, options } of group) await options.postappend?.(blocks);
      group.forEach(({ resolve }, i) => resolve(appended[i]!));
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  #take(): Job[] {
    let [count, blocks, bytes] = [0, 0, 0];
    for (const job of this.#jobs) {
      if (count > 0 && (blocks > MAX_GROUP_BLOCKS || bytes > MAX_GROUP_BYTES)) break;
      if (count > 0 && !canJoin(this.#jobs[0]!.options, job.options)) break;
      count++;
      blocks += job.blocks.length;
      for (const block of job.blocks) bytes += block.length;
    }
    return this.#jobs.splice(0, count);
  }
}

function canJoin(first: AppendOptions, second: AppendOptions): boolean {
  const isAlone = ({ signature, maxLength, base }: AppendOptions) =>
    (signature ?? maxLength ?? base) !== undefined;
  return !isAlone(first) && !isAlone(second) && first.keyPair === second.keyPair &&
    first.cipher === second.cipher;
}
