/**
 * Copying an overlay of a log that was copied.
 */
import { equals } from "../encoding/bytes.ts";
import { LogWalk, treeOf } from "./log_walk.ts";
import { treeHash } from "./crypto/hash.ts";
import { HeldBits } from "./held_bits.ts";
import { PAGE_BITS } from "./log/constants.ts";
import { fullRoots, rightSpan } from "./log/flat_tree.ts";
import type { TreeNode, TreeState } from "./log/merkle_tree.ts";
import type { CryptoProvider } from "./runtime/crypto_provider.ts";
import type { LogReader, LogStorage, StoredBlock } from "./storage/storage.ts";
import type { WriteBatch } from "./storage/write_batch.ts";

/** Most bytes of blocks of an overlay's own: it is written in one batch, since there is no telling half an overlay from a whole. */
const MAX_OVERLAY_BYTES = 32 * 2 ** 20;

/** What an overlay has that its log has not. */
interface OwnData {
  readonly nodes: TreeNode[];
  readonly blocks: StoredBlock[];
}

/**
 * What is to be written so that `to` has the overlay `name` of `from`. Both are logs.
 *
 * @returns what adds it to a batch; undefined if it is there; or why it cannot be copied.
 * @throws {StorageError} STORE_CORRUPT if it is not what its head says; what the stores throw.
 */
export async function overlayChange(
  crypto: CryptoProvider,
  from: LogStorage,
  to: LogStorage,
  name: string,
): Promise<((batch: WriteBatch) => void) | string | undefined> {
  const [source, target] = [from.overlay(name), to.overlay(name)];
  const head = await source.head();
  if (await target.exists()) {
    const there = await target.head();
    const isSame = head?.length === there?.length && head?.fork === there?.fork &&
      (head === undefined || equals(head.rootHash, there!.rootHash));
    return isSame ? undefined : "the target has another one of that name, which stays";
  }
  const tree = await treeOf(crypto, source, head);
  const shared = await sharedLength(crypto, from, source, tree.length);
  const own = await ownData(crypto, source, tree, shared);
  if (own === undefined) return `it has more than ${MAX_OVERLAY_BYTES} bytes of its own`;
  const pages = await pagesOf(to, shared, own);
  const userData = await userDataOf(source, to);
  const contiguousLength = await contiguousOf(to, shared, own);
  return (batch) => {
    batch.log(to).createOverlay(name, shared);
    const writer = batch.log(target);
    for (const node of [...tree.roots.filter(isBeyond(shared)), ...own.nodes]) writer.putNode(node);
    for (const { index, value } of own.blocks) writer.putBlock(index, value);
    for (const [page, bytes] of pages) writer.putBitfieldPage(page, bytes);
    for (const [key, value] of userData) writer.setUserData(key, value);
    if (head === undefined) return;
    writer.setHead(head).setHints({ contiguousLength, remoteContiguousLength: 0, recovering: false });
  };
}

const isBeyond = (shared: number) => ({ index }: { readonly index: number }) =>
  rightSpan(index) >= 2 * shared;

/** Up to which length a log and its overlay are known to have the same tree. */
async function sharedLength(
  crypto: CryptoProvider,
  log: LogReader,
  overlay: LogReader,
  length: number,
): Promise<number> {
  const hashOf = async (reader: LogReader, length: number) => {
    const roots = await reader.nodes(fullRoots(length));
    return roots.includes(undefined) ? undefined : treeHash(crypto, roots as TreeNode[]);
  };
  let low = 0;
  let high = Math.min((await log.head())?.length ?? 0, length);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const [a, b] = [await hashOf(log, middle), await hashOf(overlay, middle)];
    if (a !== undefined && b !== undefined && equals(a, b)) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The nodes and blocks from `shared` on, all of them proven; undefined if there are too many. */
async function ownData(
  crypto: CryptoProvider,
  overlay: LogReader,
  tree: TreeState,
  shared: number,
): Promise<OwnData | undefined> {
  const own: OwnData = { nodes: [], blocks: [] };
  let bytes = 0;
  const skip = async (_start: number, held: readonly number[]) => held.at(-1)! < shared;
  for await (const { nodes, blocks } of new LogWalk(crypto, overlay, tree, skip).pieces()) {
    own.nodes.push(...nodes.filter(isBeyond(shared)));
    for (const block of blocks) {
      if (block.index < shared) continue;
      own.blocks.push(block);
      bytes += block.value.length;
    }
    if (bytes > MAX_OVERLAY_BYTES) return undefined;
  }
  return own;
}

/** The pages of an overlay that may differ from those with which it begins, those of its log; empty where it has none. */
async function pagesOf(
  log: LogReader,
  shared: number,
  { blocks }: OwnData,
): Promise<Map<number, Uint8Array>> {
  const first = Math.floor(shared / PAGE_BITS);
  const pages = new Map<number, Uint8Array>();
  for (const { page } of await log.bitfieldPages(first, Infinity)) pages.set(page, new Uint8Array(0));
  pages.set(first, cutPage(await new HeldBits(log).page(first), shared - first * PAGE_BITS));
  for (const { index } of blocks) {
    const page = Math.floor(index / PAGE_BITS);
    if ((pages.get(page)?.length ?? 0) === 0) pages.set(page, new Uint8Array(PAGE_BITS / 8));
    pages.get(page)![(index % PAGE_BITS) >>> 3]! |= 1 << (index % 8);
  }
  return pages;
}

async function contiguousOf(log: LogReader, shared: number, { blocks }: OwnData): Promise<number> {
  let length = await new HeldBits(log).contiguousLength(shared);
  if (length === shared) { for (const { index } of blocks) if (index === length) length++; }
  return length;
}

/** The page with its first `bits` bits alone. */
function cutPage(page: Uint8Array, bits: number): Uint8Array {
  const cut = page.slice();
  if (bits >= 8 * cut.length) return cut;
  cut.fill(0, Math.ceil(bits / 8));
  if (bits % 8 !== 0) cut[bits >>> 3]! &= (1 << (bits % 8)) - 1;
  return cut;
}

/** The user data of an overlay, and undefined for those of its log that it does not have. */
async function userDataOf(overlay: LogReader, log: LogReader): Promise<Map<string, Uint8Array | undefined>> {
  const userData = new Map<string, Uint8Array | undefined>();
  for (const key of await log.userDataKeys("")) userData.set(key, undefined);
  for (const key of await overlay.userDataKeys("")) userData.set(key, await overlay.userData(key));
  return userData;
}
