/** Nodes of trees as bytes. */
import { fixed32 } from "../../encoding/buffers.ts";
import type { Codec, Cursor } from "../../encoding/codec.ts";
import { uint } from "../../encoding/varint.ts";
import type { TreeNode } from "./hash.ts";

/** Number, size and hash of a node. What is decoded is a view of the input, and no claim is checked. */
export const treeNode: Codec<TreeNode> = {
  size: ({ index, size }: TreeNode) => uint.size(index) + uint.size(size) + 32,
  encode(cursor: Cursor, { index, size, hash }: TreeNode): void {
    uint.encode(cursor, index);
    uint.encode(cursor, size);
    fixed32.encode(cursor, hash);
  },
  decode: (cursor: Cursor): TreeNode => ({
    index: uint.decode(cursor),
    size: uint.decode(cursor),
    hash: fixed32.decode(cursor),
  }),
};
