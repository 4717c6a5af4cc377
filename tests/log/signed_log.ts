/** A log with a writer, and another one that learns of it by proofs. */
import { Verifier } from "../../core/log/verifier.ts";
import { defaultManifest, type Manifest, manifestKey } from "../../core/log/manifest.ts";
import { TreeBatch } from "../../core/log/merkle_tree.ts";
import {
  makeProof,
  type Proof,
  type ProofRequest,
  type ProofWithoutValue,
  type SignedTree,
} from "../../core/log/proof.ts";
import { type LogData, logData } from "../../core/log/proof_messages.ts";
import type { KnownLog, VerifiedProof } from "../../core/log/verify_proof.ts";
import { decodeExact, encode } from "../../encoding/codec.ts";
import { seed, wasm } from "../crypto/support.ts";
import { blockOf, MemoryLog } from "./support.ts";

/** Key pairs of tests. */
export const keyPairOf = (n: number) => wasm.keyPair(seed(n));

/** `proof` with its block. */
export function withValue(proof: ProofWithoutValue, block: (index: number) => Uint8Array): Proof {
  const { block: without, ...rest } = proof;
  return without ? { ...rest, block: { ...without, value: block(without.index) } } : rest;
}

/** A log with all its blocks and a writer. */
export class Writer extends MemoryLog {
  /** Who may sign. */
  readonly verifier: Verifier;
  /** Its blocks. */
  readonly blocks: Uint8Array[] = [];
  /** Over all of it. */
  signature: Uint8Array | undefined;

  constructor(manifest: Manifest = defaultManifest(keyPairOf(1).publicKey), fork = 0) {
    super();
    this.verifier = new Verifier(wasm, manifestKey(wasm, manifest), manifest);
    this.tree = { ...this.tree, fork };
  }

  /** Appends the next `count` blocks, and signs. */
  write(count: number, block: (index: number) => Uint8Array = blockOf): void {
    const added = Array.from({ length: count }, (_, i) => block(this.blocks.length + i));
    this.blocks.push(...added);
    this.append(added);
    this.signature = this.verifier.sign(new TreeBatch(wasm, this.tree), keyPairOf(1));
  }

  /** An answer, as it comes out of its message. */
  async answer(request: ProofRequest): Promise<LogData> {
    const tree: SignedTree = { ...this.tree, signature: this.signature, prologue: this.verifier.prologue };
    const proof = await makeProof(this.reader, tree, request);
    if (proof === undefined) throw new Error("the writer has all of its nodes");
    const message = { request: 1, ...withValue(proof, (index) => this.blocks[index]!) };
    return decodeExact(logData, encode(logData, message));
  }
}

/** A log that is fetched. */
export class Reader extends MemoryLog {
  /** Who may sign. */
  readonly verifier: Verifier;
  /** What was fetched. */
  readonly blocks: Map<number, Uint8Array> = new Map();
  /** Over all of it. */
  signature: Uint8Array | undefined;

  constructor(verifier: Verifier, fork = 0) {
    super();
    this.verifier = verifier;
    this.tree = { ...this.tree, fork };
  }

  /** As the verifying side wants it. */
  get known(): KnownLog {
    return { crypto: wasm, reader: this.reader, tree: this.tree, verifier: this.verifier };
  }

  /** Stores what was proven. */
  apply({ tree, signature, block }: VerifiedProof): void {
    this.store(tree);
    if (signature) this.signature = signature.slice();
    if (block) this.blocks.set(block.index, block.value.slice());
  }
}
