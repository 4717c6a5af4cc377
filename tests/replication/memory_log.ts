/** A log in memory, as much of one as replication needs. */
import { discoveryKey } from "../../core/crypto/hash.ts";
import { Bitfield } from "../../core/log/bitfield.ts";
import { clearableNodes } from "../../core/log/clearable_nodes.ts";
import { ForkSearch } from "../../core/log/fork_search.ts";
import { defaultManifest, type Manifest, manifestKey } from "../../core/log/manifest.ts";
import {
  EMPTY_TREE,
  TreeBatch,
  type TreeNode,
  type TreeState,
  truncateTree,
} from "../../core/log/merkle_tree.ts";
import type { NodeReader } from "../../core/log/node_reader.ts";
import { makeProof, planProof, type Proof, type ProofRequest, questionOf } from "../../core/log/proof.ts";
import { Verifier } from "../../core/log/verifier.ts";
import { checkKnown, type VerifiedProof, verifyAgainst, verifyProof } from "../../core/log/verify_proof.ts";
import { ProtocolError, StorageError } from "../../core/runtime/errors.ts";
import type { KeyPair } from "../../core/runtime/crypto_provider.ts";
import type { MaybePromise } from "../../core/runtime/async.ts";
import type { Runtime } from "../../core/runtime/runtime.ts";
import type { LogObserver } from "../../core/log/branch_parts.ts";
import type { Applied } from "../../core/log/log_state.ts";
import type { ReplicatedLog } from "../../core/replication/replicated_log.ts";

/** Options of a {@linkcode MemoryReplica}. */
export interface ReplicaOptions {
  /** The key of the log; by default that of its writer. */
  readonly key?: Uint8Array;
  /** Who writes. */
  readonly keyPair?: KeyPair;
  /** Whether the key is that of the writer. */
  readonly isCompat?: boolean;
  /** What the log is. */
  readonly manifest?: Manifest;
  /** Whether nodes and proofs come later. */
  readonly isSlow?: boolean;
}

/** A log that answers at once, or later. */
export class MemoryReplica implements ReplicatedLog {
  readonly damage = undefined;
  readonly runtime: Runtime;
  readonly key: Uint8Array;
  readonly discoveryKey: Uint8Array;
  readonly held = new Bitfield();
  readonly blocks = new Map<number, Uint8Array>();
  readonly stored = new Map<number, TreeNode>();
  readonly nodes: NodeReader;
  verifier: Verifier | undefined;
  tree: TreeState = EMPTY_TREE;
  signature: Uint8Array | undefined;
  isFrozen = false;
  remoteContiguousLength = 0;
  /** What was stored, as a count of calls. */
  writes = 0;
  /** Set to let the disk fail. */
  isDiskBroken = false;
  readonly #keyPair: KeyPair | undefined;
  readonly #isSlow: boolean;
  readonly #observers = new Set<LogObserver>();

  constructor(runtime: Runtime, options: ReplicaOptions) {
    const { crypto } = runtime;
    this.runtime = runtime;
    this.#keyPair = options.keyPair;
    this.#isSlow = options.isSlow ?? false;
    const manifest = options.manifest ?? (options.keyPair && defaultManifest(options.keyPair.publicKey));
    const ownKey = options.isCompat ? options.keyPair?.publicKey : manifest && manifestKey(crypto, manifest);
    this.key = options.key ?? ownKey!;
    this.discoveryKey = discoveryKey(crypto, this.key);
    if (manifest !== undefined) this.verifier = new Verifier(crypto, this.key, manifest);
    this.nodes = (index) => {
      const node = this.stored.get(index);
      return this.#isSlow ? Promise.resolve().then(() => node) : node;
    };
  }

  get contiguousLength(): number {
    return this.held.firstUnset(0);
  }

  // Writing

  append(blocks: readonly Uint8Array[]): void {
    const { length } = this.tree;
    const batch = new TreeBatch(this.runtime.crypto, this.tree);
    for (const block of blocks) batch.append(block);
    this.#commit(batch, this.verifier!.sign(batch, this.#keyPair!));
    blocks.forEach((block, i) => this.blocks.set(length + i, block));
    this.#setHeld(length, length + blocks.length, true);
  }

  async truncate(length: number): Promise<void> {
    const batch = await truncateTree(
      this.runtime.crypto,
      (index) => this.stored.get(index),
      this.tree,
      length,
    );
    this.#commit(batch!, this.verifier!.sign(batch!, this.#keyPair!));
  }

  /** Drops blocks, and nodes that only a writer would have to keep. */
  clear(start: number, end: number): void {
    for (let i = start; i < end; i++) this.blocks.delete(i);
    this.held.setRange(start, end, false);
    if (this.#keyPair === undefined) {
      for (const [from, to] of clearableNodes(this.held, this.tree.length, start, end)) {
        for (let index = from; index < to; index++) this.stored.delete(index);
      }
    }
    this.#setHeld(start, end, false);
  }

  // Replication

  adoptManifest(manifest: Manifest): void {
    this.verifier = new Verifier(this.runtime.crypto, this.key, manifest);
  }

  prove(request: ProofRequest): MaybePromise<Proof | undefined> {
    if (!this.#isSlow && request.seek === undefined) return this.#proveNow(request);
    const { tree, signature } = this;
    const signed = { ...tree, signature, prologue: this.verifier?.prologue };
    return makeProof(this.nodes, signed, request).then((proof) => {
      if (proof === undefined) return undefined;
      const { block, ...rest } = proof;
      const value = block && this.blocks.get(block.index);
      if (block === undefined) return rest;
      return value && { ...rest, block: { ...block, value } };
    });
  }

  /** As `makeProof`, but for seeks and without waiting. */
  #proveNow(request: ProofRequest): Proof | undefined {
    const { tree, signature } = this;
    const question = questionOf({ ...tree, prologue: this.verifier?.prologue }, request);
    const { node = [], upgrade, additional } = planProof(tree, question, undefined);
    const read = (indexes: readonly number[]) => indexes.map((index) => this.stored.get(index)!);
    const [nodes, upgradeNodes, additionalNodes] = [node, upgrade, additional].map(read);
    if ([nodes, upgradeNodes, additionalNodes].some((list) => list!.includes(undefined!))) return undefined;
    const value = request.block && this.blocks.get(request.block.index);
    if (request.block && value === undefined) return undefined;
    return {
      fork: tree.fork,
      block: request.block && { index: request.block.index, value: value!, nodes: nodes! },
      hash: request.hash && { index: request.hash.index, nodes: nodes! },
      seek: undefined,
      upgrade: question.upgrade && {
        ...question.upgrade,
        nodes: upgradeNodes!,
        additionalNodes: additionalNodes!,
        signature,
      },
    };
  }

  apply(proof: Proof): MaybePromise<Applied> {
    if (this.isDiskBroken) throw new StorageError("DISK_FULL", "the disk is full");
    const verifier = this.verifier ?? new Verifier(this.runtime.crypto, this.key);
    const known = { crypto: this.runtime.crypto, tree: this.tree, verifier, reader: this.nodes };
    if (this.#isSlow) return verifyProof(known, proof).then((proven) => this.#store(proven, verifier));
    const { proven, loose } = verifyAgainst(known, proof);
    if (loose !== undefined) void checkKnown(this.nodes, this.tree, loose);
    return this.#store(proven, verifier);
  }

  readBlock(index: number): MaybePromise<Uint8Array | undefined> {
    return this.#isSlow ? Promise.resolve(this.blocks.get(index)) : this.blocks.get(index);
  }

  beginReorg(proof: VerifiedProof): Promise<ForkSearch> {
    return ForkSearch.begin(this.runtime.crypto, (index) => this.stored.get(index), this.tree, proof);
  }

  async commitReorg(search: ForkSearch): Promise<void> {
    const batch = await search.finish();
    if (batch === undefined) throw new ProtocolError("INVALID_OPERATION", "no roots");
    this.#commit(batch, search.signature);
  }

  restore(): Promise<boolean> {
    return Promise.resolve(true);
  }

  async freeze(): Promise<void> {
    this.isFrozen = true;
  }

  observe(observer: LogObserver): () => void {
    this.#observers.add(observer);
    return () => this.#observers.delete(observer);
  }

  #store({ tree, signature, block }: VerifiedProof, verifier: Verifier): Applied {
    if (tree.base !== this.tree) {
      if (tree.isUpgrade || tree.fork !== this.tree.fork) {
        throw new ProtocolError("INVALID_OPERATION", "the log has changed");
      }
    }
    this.verifier ??= verifier;
    this.writes++;
    for (const node of tree.nodes) this.stored.set(node.index, node);
    if (tree.isUpgrade) this.#commit(tree, signature);
    if (block === undefined) return { isUpgrade: tree.isUpgrade, block, isNew: false };
    const isNew = !this.held.get(block.index);
    this.blocks.set(block.index, block.value);
    if (isNew) this.#setHeld(block.index, block.index + 1, true);
    return { isUpgrade: tree.isUpgrade, block, isNew };
  }

  #commit(batch: TreeBatch, signature: Uint8Array | undefined): void {
    const { fork: oldFork, length: oldLength } = this.tree;
    const { fork, length, byteLength, ancestors } = batch;
    if (ancestors < oldLength) {
      for (const index of [...this.stored.keys()]) if (index >= 2 * ancestors) this.stored.delete(index);
      for (const index of [...this.blocks.keys()]) if (index >= ancestors) this.blocks.delete(index);
      this.held.setRange(ancestors, oldLength, false);
    }
    for (const node of batch.nodes) this.stored.set(node.index, node);
    for (const root of batch.roots) this.stored.set(root.index, root);
    this.tree = { fork, length, byteLength, roots: [...batch.roots] };
    this.signature = signature;
    for (const observer of this.#observers) observer.onUpgrade?.({ ancestors, oldLength, oldFork });
  }

  #setHeld(start: number, end: number, isHeld: boolean): void {
    this.held.setRange(start, end, isHeld);
    for (const observer of this.#observers) observer.onBlocks?.(start, end, isHeld);
  }
}
