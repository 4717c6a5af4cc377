/**
 * Requests for proofs, and proofs, as peers send them: the messages `request` and `data` of hypercore's protocol. An answer
 * carries the id of its request, or 0 if nobody asked.
 */
import { buffer, optionalBuffer } from "../../encoding/buffers.ts";
import type { Codec, Cursor } from "../../encoding/codec.ts";
import { array } from "../../encoding/lists.ts";
import { uint } from "../../encoding/varint.ts";
import { MAX_PROOF_NODES } from "./constants.ts";
import { bounded, manifest } from "./manifest.ts";
import type { BlockProof, HashProof, Proof, ProofRequest, SeekProof, UpgradeProof } from "./proof.ts";
import { treeNode } from "../crypto/tree_node.ts";

/** A request for a proof, and for the manifest if wanted. */
export interface LogRequest extends ProofRequest {
  /** From 1; what the answer is recognized by. */
  readonly id: number;
  /** The fork that it is about. */
  readonly fork: number;
  /** Whether the manifest is wanted. */
  readonly manifest: boolean;
  /** More than 0 is answered before all that is 0. */
  readonly priority: number;
}

/** A proof, and the request that it answers. */
export interface LogData extends Proof {
  /** Its id, or 0. */
  readonly request: number;
}

/** Two numbers. */
function pair<A extends string, B extends string>(a: A, b: B): Codec<Record<A | B, number>> {
  return {
    size: (value: Record<A | B, number>) => uint.size(value[a]) + uint.size(value[b]),
    encode(cursor: Cursor, value: Record<A | B, number>): void {
      uint.encode(cursor, value[a]);
      uint.encode(cursor, value[b]);
    },
    decode(cursor: Cursor): Record<A | B, number> {
      const first = uint.decode(cursor);
      return { [a]: first, [b]: uint.decode(cursor) } as Record<A | B, number>;
    },
  };
}

const indexed = pair("index", "nodes");
const seekBytes = pair("bytes", "padding");
const upgradeRange = pair("start", "length");
const nodes = bounded(array(treeNode), MAX_PROOF_NODES, "nodes");

/** Size of `value`, which may be missing. */
function sizeOf<T>(codec: Codec<T>, value: T | undefined): number {
  return value === undefined ? 0 : codec.size(value);
}

function encodeIf<T>(cursor: Cursor, codec: Codec<T>, value: T | undefined): void {
  if (value !== undefined) codec.encode(cursor, value);
}

const [BLOCK, HASH, SEEK, UPGRADE, MANIFEST, PRIORITY] = [1, 2, 4, 8, 16, 32];

/** The message `request`. */
export const logRequest: Codec<LogRequest> = {
  size({ id, fork, block, hash, seek, upgrade, priority }: LogRequest): number {
    return 1 + uint.size(id) + uint.size(fork) + sizeOf(indexed, block) + sizeOf(indexed, hash) +
      sizeOf(seekBytes, seek) + sizeOf(upgradeRange, upgrade) + (priority > 0 ? uint.size(priority) : 0);
  },
  encode(cursor: Cursor, value: LogRequest): void {
    const { id, fork, block, hash, seek, upgrade, priority } = value;
    uint.encode(
      cursor,
      (block ? BLOCK : 0) + (hash ? HASH : 0) + (seek ? SEEK : 0) + (upgrade ? UPGRADE : 0) +
        (value.manifest ? MANIFEST : 0) + (priority > 0 ? PRIORITY : 0),
    );
    uint.encode(cursor, id);
    uint.encode(cursor, fork);
    encodeIf(cursor, indexed, block);
    encodeIf(cursor, indexed, hash);
    encodeIf(cursor, seekBytes, seek);
    encodeIf(cursor, upgradeRange, upgrade);
    if (priority > 0) uint.encode(cursor, priority);
  },
  decode(cursor: Cursor): LogRequest {
    const flags = uint.decode(cursor);
    return {
      id: uint.decode(cursor),
      fork: uint.decode(cursor),
      block: flags & BLOCK ? indexed.decode(cursor) : undefined,
      hash: flags & HASH ? indexed.decode(cursor) : undefined,
      seek: flags & SEEK ? seekBytes.decode(cursor) : undefined,
      upgrade: flags & UPGRADE ? upgradeRange.decode(cursor) : undefined,
      manifest: (flags & MANIFEST) !== 0,
      priority: flags & PRIORITY ? uint.decode(cursor) : 0,
    };
  },
};

const blockProof: Codec<BlockProof> = {
  size: (value: BlockProof) => uint.size(value.index) + buffer.size(value.value) + nodes.size(value.nodes),
  encode(cursor: Cursor, value: BlockProof): void {
    uint.encode(cursor, value.index);
    buffer.encode(cursor, value.value);
    nodes.encode(cursor, value.nodes);
  },
  decode: (cursor: Cursor): BlockProof => ({
    index: uint.decode(cursor),
    value: buffer.decode(cursor),
    nodes: nodes.decode(cursor),
  }),
};

const hashProof: Codec<HashProof> = {
  size: (value: HashProof) => uint.size(value.index) + nodes.size(value.nodes),
  encode(cursor: Cursor, value: HashProof): void {
    uint.encode(cursor, value.index);
    nodes.encode(cursor, value.nodes);
  },
  decode: (cursor: Cursor): HashProof => ({ index: uint.decode(cursor), nodes: nodes.decode(cursor) }),
};

const seekProof: Codec<SeekProof> = {
  size: (value: SeekProof) => uint.size(value.bytes) + nodes.size(value.nodes),
  encode(cursor: Cursor, value: SeekProof): void {
    uint.encode(cursor, value.bytes);
    nodes.encode(cursor, value.nodes);
  },
  decode: (cursor: Cursor): SeekProof => ({ bytes: uint.decode(cursor), nodes: nodes.decode(cursor) }),
};

const upgradeProof: Codec<UpgradeProof> = {
  size(value: UpgradeProof): number {
    return upgradeRange.size(value) + nodes.size(value.nodes) + nodes.size(value.additionalNodes) +
      optionalBuffer.size(value.signature);
  },
  encode(cursor: Cursor, value: UpgradeProof): void {
    upgradeRange.encode(cursor, value);
    nodes.encode(cursor, value.nodes);
    nodes.encode(cursor, value.additionalNodes);
    optionalBuffer.encode(cursor, value.signature);
  },
  decode(cursor: Cursor): UpgradeProof {
    const { start, length } = upgradeRange.decode(cursor);
    return {
      start,
      length,
      nodes: nodes.decode(cursor),
      additionalNodes: nodes.decode(cursor),
      signature: optionalBuffer.decode(cursor) ?? undefined,
    };
  },
};

/** The message `data`. */
export const logData: Codec<LogData> = {
  size({ request, fork, block, hash, seek, upgrade, manifest: of }: LogData): number {
    return 1 + uint.size(request) + uint.size(fork) + sizeOf(blockProof, block) + sizeOf(hashProof, hash) +
      sizeOf(seekProof, seek) + sizeOf(upgradeProof, upgrade) + sizeOf(manifest, of);
  },
  encode(cursor: Cursor, value: LogData): void {
    const { request, fork, block, hash, seek, upgrade } = value;
    uint.encode(
      cursor,
      (block ? BLOCK : 0) + (hash ? HASH : 0) + (seek ? SEEK : 0) + (upgrade ? UPGRADE : 0) +
        (value.manifest ? MANIFEST : 0),
    );
    uint.encode(cursor, request);
    uint.encode(cursor, fork);
    encodeIf(cursor, blockProof, block);
    encodeIf(cursor, hashProof, hash);
    encodeIf(cursor, seekProof, seek);
    encodeIf(cursor, upgradeProof, upgrade);
    encodeIf(cursor, manifest, value.manifest);
  },
  decode(cursor: Cursor): LogData {
    const flags = uint.decode(cursor);
    return {
      request: uint.decode(cursor),
      fork: uint.decode(cursor),
      block: flags & BLOCK ? blockProof.decode(cursor) : undefined,
      hash: flags & HASH ? hashProof.decode(cursor) : undefined,
      seek: flags & SEEK ? seekProof.decode(cursor) : undefined,
      upgrade: flags & UPGRADE ? upgradeProof.decode(cursor) : undefined,
      manifest: flags & MANIFEST ? manifest.decode(cursor) : undefined,
    };
  },
};
