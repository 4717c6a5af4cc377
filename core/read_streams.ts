/** Reading many blocks, in order. */
import type { LogView } from "./log_views.ts";
import { checkBlockRange } from "./session_checks.ts";

/** Bytes that are read from the store at once. */
const READ_BYTES = 256 * 1024;
/** Blocks that are asked of peers ahead of the reader, so that it does not wait a round trip for each. */
const AHEAD = 64;

/** Which blocks are read, and how. */
export interface ReadStreamOptions {
  /** The first block; 0 by default. */
  readonly start?: number | undefined;
  /** The block behind the last; by default the length when reading begins, or none if `live`. */
  readonly end?: number | undefined;
  /** Whether to go on as the log grows; false by default. */
  readonly live?: boolean | undefined;
  /** Whether to begin with the last block; false by default. Not together with `live`. */
  readonly reverse?: boolean | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** What reading needs of a session. */
export interface BlockSource<T> {
  /** What it reads. */
  readonly view: LogView;
  /** The value of a block as it is stored. */
  decodeStored(index: number, stored: Uint8Array): T;
  /** One block, from wherever it is; undefined if it is not waited for. */
  get(index: number, options: { readonly signal?: AbortSignal | undefined }): Promise<T | undefined>;
  /** Resolves when the log has another length. */
  changed(signal: AbortSignal | undefined): Promise<void>;
  /** Asks peers for blocks; returns how to stop that. */
  prefetch(start: number, end: number): () => void;
}

/** Reads blocks in their order, or backwards. Ends early before a block that is not at hand and not waited for. */
export async function* readBlocks<T>(
  source: BlockSource<T>,
  options: ReadStreamOptions,
): AsyncGenerator<T, void> {
  const { start = 0, live = false, reverse = false, signal } = options;
  if (live && reverse) throw new TypeError("What goes on as the log grows cannot begin with its last block");
  const { view } = source;
  const end = options.end ?? (live ? Infinity : view.tree.length);
  checkBlockRange(start, end);
  if (reverse) yield* readBackwards(source, start, Math.min(end, view.tree.length), signal);
  else yield* readForwards(source, start, end, signal);
}

async function* readForwards<T>(
  source: BlockSource<T>,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void> {
  const { view } = source;
  for (let at = start; at < end;) {
    signal?.throwIfAborted();
    if (at >= view.tree.length && end === Infinity) {
      await source.changed(signal);
      continue;
    }
    const stored = await view.readBlocks(at, Math.min(end, view.tree.length), READ_BYTES);
    if (stored[0]?.index === at) {
      for (const { index, value } of stored) {
        if (index !== at) break;
        yield source.decodeStored(index, value);
        at++;
      }
      continue;
    }
    const stop = source.prefetch(at, Math.min(end, at + AHEAD, Math.max(view.tree.length, at + 1)));
    try {
      const value = await source.get(at, { signal });
      if (value === undefined) return;
      yield value;
      at++;
    } finally {
      stop();
    }
  }
}

async function* readBackwards<T>(
  source: BlockSource<T>,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void> {
  for (let at = end - 1; at >= start; at--) {
    signal?.throwIfAborted();
    const value = await source.get(at, { signal });
    if (value === undefined) return;
    yield value;
  }
}

/** Which bytes of a log are read. */
export interface ByteStreamOptions {
  /** The first byte; 0 by default. */
  readonly byteOffset?: number | undefined;
  /** How many; all by default. */
  readonly byteLength?: number | undefined;
  /** Gives up. */
  readonly signal?: AbortSignal | undefined;
}

/** What reading bytes needs of a session. */
export interface ByteSource extends BlockSource<Uint8Array> {
  /** How many bytes the log has, padding excluded. */
  readonly byteLength: number;
  /** Where a byte is; undefined if it is not waited for. */
  seek(
    bytes: number,
    options: { readonly signal?: AbortSignal | undefined },
  ): Promise<[number, number] | undefined>;
}

/** Reads bytes in their order, in chunks that are blocks or parts of them. */
export async function* readBytes(
  source: ByteSource,
  options: ByteStreamOptions,
): AsyncGenerator<Uint8Array, void> {
  const { byteOffset = 0, signal } = options;
  checkBlockRange(byteOffset, byteOffset);
  let left = options.byteLength ?? Math.max(0, source.byteLength - byteOffset);
  if (left === 0) return;
  const place = await source.seek(byteOffset, { signal });
  if (place === undefined) return;
  const [start] = place;
  let [, skip] = place;
  const live = options.byteLength !== undefined;
  for await (const block of readBlocks(source, live ? { start, end: Infinity, signal } : { start, signal })) {
    const chunk = block.subarray(skip, skip + left);
    skip = 0;
    left -= chunk.length;
    if (chunk.length > 0) yield chunk;
    if (left === 0) return;
  }
}
