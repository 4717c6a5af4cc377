/** Reading many blocks, in order. */
import type { WaitOptions } from "./hypercore_options.ts";
import type { LogView } from "./log_views.ts";
import { HyphaError } from "./runtime/errors.ts";
import { checkBlockRange } from "./session_checks.ts";

/** Blocks that follow each other are read from the store at once if they are as many, and as far as they have as many bytes. */
const [RUN_BLOCKS, READ_BYTES] = [16, 256 * 1024];
/**
 * Blocks that are asked of peers ahead of the reader, so that it does not wait a round trip for each: few at first, for those who
 * soon stop, and twice as many each time the reader goes on, up to as many as have so many bytes.
 */
const [MIN_AHEAD, MAX_AHEAD, MAX_AHEAD_BYTES] = [64, 4096, 8 * 1024 * 1024];

/** Which blocks are read, and how. */
export interface ReadStreamOptions {
  /** The first block; 0 by default. */
  readonly start?: number | undefined;
  /** The block behind the last; by default the length when reading begins, after an `update`, or none if `live`. */
  readonly end?: number | undefined;
  /** Whether to go on as the log grows; false by default. */
  readonly live?: boolean | undefined;
  /** Whether to begin with the last block; false by default. Not together with `live`. */
  readonly reverse?: boolean | undefined;
  /** Whether blocks that are not at hand are waited for; as the session has it by default. If not, reading ends before them. */
  readonly wait?: boolean | undefined;
  /** For how long each is waited for, in milliseconds; as the session has it by default. */
  readonly timeoutMs?: number | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** What reading needs of a session. */
export interface BlockSource<T> {
  /** What it reads now; another one when the session was moved. */
  readonly view: LogView;
  /** The value of a block as it is stored. */
  decodeStored(index: number, stored: Uint8Array): T;
  /** One block, from wherever it is; undefined if it is not waited for. */
  get(index: number, options: WaitOptions): Promise<T | undefined>;
  /** Brings the log up to date, as far as peers are there or being looked for. */
  update(options: WaitOptions): Promise<boolean>;
  /** Resolves when the log has another length. */
  changed(signal: AbortSignal | undefined): Promise<void>;
  /** Asks peers for blocks, unless they are not to be waited for; returns how to stop that. */
  prefetch(start: number, end: number, options: WaitOptions): () => void;
}

/**
 * Reads blocks in their order, or backwards. Ends early before a block that is not at hand and not waited for. When the log is cut
 * before the place where it reads, it goes on at that place when the log is that long again: what comes before it then is for who
 * listens to `truncate` to read.
 */
export async function* readBlocks<T>(
  source: BlockSource<T>,
  options: ReadStreamOptions,
): AsyncGenerator<T, void> {
  const { start = 0, live = false, reverse = false, wait, timeoutMs, signal } = options;
  if (live && reverse) throw new TypeError("What goes on as the log grows cannot begin with its last block");
  const how = { wait, timeoutMs, signal };
  checkBlockRange(start, options.end ?? Infinity);
  if (options.end === undefined && !live) await bringUpToDate(source, how);
  const { length } = source.view.tree;
  const end = options.end ?? (live ? Infinity : Math.max(start, length));
  if (reverse) {
    yield* readBackwards(source, start, Math.min(end, length), how);
    return;
  }
  const ahead = new ReadAhead(source, end, how);
  try {
    yield* readForwards(source, start, end, ahead, how);
  } finally {
    ahead.stop();
  }
}

/** What is here can be read even if nobody tells in time how long the log is now. */
async function bringUpToDate(source: Pick<BlockSource<unknown>, "update">, how: WaitOptions): Promise<void> {
  try {
    await source.update(how);
  } catch (error) {
    if (!(error instanceof HyphaError && error.code === "REQUEST_TIMEOUT")) throw error;
  }
}

async function* readForwards<T>(
  source: BlockSource<T>,
  start: number,
  end: number,
  ahead: ReadAhead<T>,
  how: WaitOptions,
): AsyncGenerator<T, void> {
  const { signal } = how;
  for (let at = start; at < end;) {
    signal?.throwIfAborted();
    const { view } = source;
    if (at >= view.tree.length && end === Infinity) {
      await source.changed(signal);
      continue;
    }
    const known = Math.min(end, view.tree.length);
    const runEnd = await endOfRun(view, at, known);
    if (runEnd > at) {
      const stored = await view.readBlocks(at, runEnd, READ_BYTES);
      ahead.goOn(at + stored.length);
      const isThere = stored[0]?.index === at;
      for (const { index, value } of stored) {
        if (index !== at) break;
        yield source.decodeStored(index, value);
        at++;
      }
      if (isThere) continue;
    }
    ahead.ask(at);
    const value = await source.get(at, how);
    if (value === undefined) return;
    yield value;
    at++;
  }
}

/** The block behind a run of blocks at hand that begins at `at`; `at` itself if it is too short to be read at once. */
async function endOfRun(view: LogView, at: number, end: number): Promise<number> {
  const { contiguousLength } = view;
  if (contiguousLength >= Math.min(end, at + RUN_BLOCKS)) return Math.min(end, contiguousLength);
  const stop = Math.min(end, at + RUN_BLOCKS);
  return stop > at && await view.has(at, stop) ? stop : at;
}

/** Asks peers for blocks ahead of a reader. */
class ReadAhead<T> {
  readonly #source: BlockSource<T>;
  readonly #end: number;
  readonly #how: WaitOptions;
  #size = MIN_AHEAD;
  #until = -1;
  #stop = () => {};

  /** Nothing before the first block that is not at hand, and never from `end` on. */
  constructor(source: BlockSource<T>, end: number, how: WaitOptions) {
    this.#source = source;
    this.#end = end;
    this.#how = how;
  }

  /** The reader lacks the block `at`. */
  ask(at: number): void {
    if (at + this.#size / 4 < this.#until) return;
    const { tree: { length, byteLength } } = this.#source.view;
    const until = Math.min(this.#end, at + this.#size, Math.max(length, at + 1));
    if (until <= this.#until) return;
    const stop = this.#source.prefetch(at, until, this.#how);
    this.#stop();
    [this.#stop, this.#until] = [stop, until];
    const most = Math.max(MIN_AHEAD, Math.min(MAX_AHEAD, MAX_AHEAD_BYTES * length / Math.max(1, byteLength)));
    this.#size = Math.min(2 * this.#size, most);
  }

  /** The reader will soon be at the block `at`, which may be at hand. */
  goOn(at: number): void {
    if (this.#until !== -1 && at < this.#end && at < this.#source.view.tree.length) this.ask(at);
  }

  /** Asks for nothing any more. */
  stop(): void {
    this.#stop();
  }
}

async function* readBackwards<T>(
  source: BlockSource<T>,
  start: number,
  end: number,
  how: WaitOptions,
): AsyncGenerator<T, void> {
  for (let at = end - 1; at >= start; at--) {
    how.signal?.throwIfAborted();
    const value = await source.get(at, how);
    if (value === undefined) return;
    yield value;
  }
}

/** Which bytes of a log are read. */
export interface ByteStreamOptions {
  /** The first byte; 0 by default. */
  readonly byteOffset?: number | undefined;
  /** How many; by default all that there are when reading begins, after an `update`. */
  readonly byteLength?: number | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** What reading bytes needs of a session beyond its blocks. */
export interface ByteSource {
  /** How many bytes the log has now, padding excluded. */
  byteLength(): number;
  /** Where a byte is; undefined if it is not waited for. */
  seek(
    bytes: number,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<[number, number] | undefined>;
}

/** Reads bytes in their order, in chunks that are blocks or parts of them. */
export async function* readBytes(
  source: BlockSource<Uint8Array>,
  bytes: ByteSource,
  options: ByteStreamOptions,
): AsyncGenerator<Uint8Array, void> {
  const { byteOffset = 0, signal } = options;
  checkBlockRange(byteOffset, byteOffset);
  if (options.byteLength === undefined) await bringUpToDate(source, { signal });
  let left = options.byteLength ?? Math.max(0, bytes.byteLength() - byteOffset);
  if (left === 0) return;
  const place = await bytes.seek(byteOffset, { signal });
  if (place === undefined) return;
  const [start] = place;
  let [, skip] = place;
  const end = options.byteLength === undefined ? source.view.tree.length : Infinity;
  for await (const block of readBlocks(source, { start, end, signal })) {
    const chunk = block.subarray(skip, skip + left);
    skip = 0;
    left -= chunk.length;
    if (chunk.length > 0) yield chunk;
    if (left === 0) return;
  }
}
