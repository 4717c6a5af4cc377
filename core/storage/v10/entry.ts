/**
 * Entries of an oplog: what changed in a log since its header was written.
 */
import { buffer, optionalBuffer } from "../../../encoding/buffers.ts";
import type { Codec, Cursor } from "../../../encoding/codec.ts";
import { array } from "../../../encoding/lists.ts";
import { string } from "../../../encoding/strings.ts";
import { uint } from "../../../encoding/varint.ts";
import type { TreeNode } from "../../crypto/hash.ts";
import { treeNode } from "../../crypto/tree_node.ts";

/** A value of user data, or that there is none any more. Empty values cannot be told from none. */
export interface UserDatum {
  /** Its name. */
  readonly key: string;
  /** Its bytes. */
  readonly value: Uint8Array | undefined;
}

/** The tree became another: longer, or cut to `ancestors` blocks and from there on anew. */
export interface TreeUpgrade {
  /** The fork. */
  readonly fork: number;
  /** How many blocks are as they were. */
  readonly ancestors: number;
  /** How many blocks there are. */
  readonly length: number;
  /** Over all of them; empty for none. */
  readonly signature: Uint8Array;
}

/** Blocks came or went. */
export interface BitfieldUpdate {
  /** Whether they went. */
  readonly isDrop: boolean;
  /** The first of them. */
  readonly start: number;
  /** How many. */
  readonly length: number;
}

/** One change of a log. What is undefined did not change. */
export interface OplogEntry {
  /** User data. */
  readonly userData: UserDatum | undefined;
  /** New nodes; one of no bytes with a hash of zeros is gone. */
  readonly treeNodes: readonly TreeNode[] | undefined;
  /** The signed tree. */
  readonly treeUpgrade: TreeUpgrade | undefined;
  /** Which blocks are held. */
  readonly bitfield: BitfieldUpdate | undefined;
}

const HAS_USER_DATA = 1;
const HAS_NODES = 2;
const HAS_UPGRADE = 4;
const HAS_BITFIELD = 8;

const IS_DROP = 1;

/** A name and a value. */
export const userDatum: Codec<UserDatum> = {
  size: ({ key, value }) => string.size(key) + optionalBuffer.size(value),
  encode(cursor: Cursor, { key, value }: UserDatum): void {
    string.encode(cursor, key);
    optionalBuffer.encode(cursor, value);
  },
  decode: (cursor: Cursor): UserDatum => ({
    key: string.decode(cursor),
    value: optionalBuffer.decode(cursor) ?? undefined,
  }),
};

const nodeList = array(treeNode);

const upgrade: Codec<TreeUpgrade> = {
  size: ({ fork, ancestors, length, signature }) =>
    uint.size(fork) + uint.size(ancestors) + uint.size(length) + buffer.size(signature),
  encode(cursor: Cursor, { fork, ancestors, length, signature }: TreeUpgrade): void {
    uint.encode(cursor, fork);
    uint.encode(cursor, ancestors);
    uint.encode(cursor, length);
    buffer.encode(cursor, signature);
  },
  decode: (cursor: Cursor): TreeUpgrade => ({
    fork: uint.decode(cursor),
    ancestors: uint.decode(cursor),
    length: uint.decode(cursor),
    signature: buffer.decode(cursor),
  }),
};

const bitfieldUpdate: Codec<BitfieldUpdate> = {
  size: ({ start, length }) => 1 + uint.size(start) + uint.size(length),
  encode(cursor: Cursor, { isDrop, start, length }: BitfieldUpdate): void {
    uint.encode(cursor, isDrop ? IS_DROP : 0);
    uint.encode(cursor, start);
    uint.encode(cursor, length);
  },
  decode: (cursor: Cursor): BitfieldUpdate => ({
    isDrop: (uint.decode(cursor) & IS_DROP) !== 0,
    start: uint.decode(cursor),
    length: uint.decode(cursor),
  }),
};

/** An entry, as it is within its frame. Source: hypercore 10.38.2, `lib/messages.js`. */
export const oplogEntry: Codec<OplogEntry> = {
  size({ userData, treeNodes, treeUpgrade, bitfield }): number {
    return 1 + (userData ? userDatum.size(userData) : 0) + (treeNodes ? nodeList.size(treeNodes) : 0) +
      (treeUpgrade ? upgrade.size(treeUpgrade) : 0) + (bitfield ? bitfieldUpdate.size(bitfield) : 0);
  },
  encode(cursor: Cursor, { userData, treeNodes, treeUpgrade, bitfield }: OplogEntry): void {
    uint.encode(
      cursor,
      (userData ? HAS_USER_DATA : 0) | (treeNodes ? HAS_NODES : 0) | (treeUpgrade ? HAS_UPGRADE : 0) |
        (bitfield ? HAS_BITFIELD : 0),
    );
    if (userData) userDatum.encode(cursor, userData);
    if (treeNodes) nodeList.encode(cursor, treeNodes);
    if (treeUpgrade) upgrade.encode(cursor, treeUpgrade);
    if (bitfield) bitfieldUpdate.encode(cursor, bitfield);
  },
  decode(cursor: Cursor): OplogEntry {
    const flags = uint.decode(cursor);
    return {
      userData: flags & HAS_USER_DATA ? userDatum.decode(cursor) : undefined,
      treeNodes: flags & HAS_NODES ? nodeList.decode(cursor) : undefined,
      treeUpgrade: flags & HAS_UPGRADE ? upgrade.decode(cursor) : undefined,
      bitfield: flags & HAS_BITFIELD ? bitfieldUpdate.decode(cursor) : undefined,
    };
  },
};
