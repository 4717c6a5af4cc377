/** A log in any store, written in the small batches of the reference: one for each of its operations. */
import { BlockCipher } from "../../../core/log/encryption.ts";
import {
  createManifest,
  defaultManifest,
  type Manifest,
  manifest as manifestCodec,
  manifestKey,
} from "../../../core/log/manifest.ts";
import { TreeBatch, type TreeState, truncateTree } from "../../../core/log/merkle_tree.ts";
import { Verifier } from "../../../core/log/verifier.ts";
import { discoveryKey } from "../../../core/crypto/hash.ts";
import type { KeyPair } from "../../../core/runtime/crypto_provider.ts";
import { type LogStorage, type Store, WriteBatch } from "../../../core/storage/mod.ts";
import { encode } from "../../../encoding/codec.ts";
import { hex, pattern, seed, unhex, wasm } from "../../crypto/support.ts";
import { fullRoots } from "../../../core/log/flat_tree.ts";

/** What a log is written with. */
export interface WriterOptions {
  /** Of the key pair. */
  readonly seed: number;
  /** Whether its key is the hash of a manifest; else it is that of the signer. */
  readonly isManifest?: boolean | undefined;
  /** In hexadecimal digits. */
  readonly encryptionKey?: string | undefined;
}

/** What is done to a log; as the reference's script has it. */
export interface Step {
  readonly append?: readonly (readonly [size: number, n: number])[];
  readonly truncate?: readonly [length: number, fork?: number];
  readonly clear?: readonly [start: number, end: number];
  readonly userData?: readonly [key: string, value: string | null];
  readonly reopen?: true;
  readonly state?: true;
}

/** What there is, as the reference's script says it. */
export interface State {
  readonly length: number;
  readonly fork: number;
  readonly byteLength: number;
  readonly treeHash: string;
  readonly contiguousLength: number;
  readonly blocks: readonly (string | null)[];
  readonly userData: Readonly<Record<string, string>>;
}

/** Writes one log. */
export class LogWriterForTests {
  readonly store: Store;
  readonly log: LogStorage;
  readonly keyPair: KeyPair;
  readonly verifier: Verifier;
  readonly #isManifest: boolean;
  readonly #cipher: BlockCipher | undefined;

  private constructor(
    store: Store,
    log: LogStorage,
    options: WriterOptions,
    manifest: Manifest,
    key: Uint8Array,
  ) {
    this.store = store;
    this.log = log;
    this.keyPair = wasm.keyPair(seed(options.seed));
    this.verifier = new Verifier(wasm, key, manifest);
    this.#isManifest = options.isManifest ?? false;
    this.#cipher = options.encryptionKey === undefined ? undefined : new BlockCipher(wasm, {
      encryptionKey: unhex(options.encryptionKey),
      key,
      isCompat: !this.#isManifest,
    });
  }

  /** The key of the log with these options. */
  static keyOf({ seed: n, isManifest = false }: WriterOptions): { key: Uint8Array; manifest: Manifest } {
    const { publicKey } = wasm.keyPair(seed(n));
    const manifest = isManifest ? createManifest({ signers: [{ publicKey }] }) : defaultManifest(publicKey);
    return { manifest, key: isManifest ? manifestKey(wasm, manifest) : publicKey };
  }

  /** Opens the log, and creates it if it is not there. */
  static async open(store: Store, options: WriterOptions): Promise<LogWriterForTests> {
    const { key, manifest } = LogWriterForTests.keyOf(options);
    const log = await store.open(discoveryKey(wasm, key));
    const writer = new LogWriterForTests(store, log, options, manifest, key);
    if (!await log.exists()) {
      await writer.write((batch) => {
        batch.log(log).setAuth({
          key,
          flags: 0,
          manifest: encode(manifestCodec, manifest),
          keyPair: writer.keyPair,
        });
      });
    }
    return writer;
  }

  /** What the log is now. */
  async tree(): Promise<TreeState> {
    const head = await this.log.head();
    if (head === undefined) return { fork: 0, length: 0, byteLength: 0, roots: [] };
    const roots = await Promise.all(
      fullRoots(head.length).map(async (index) => (await this.log.node(index))!),
    );
    const byteLength = roots.reduce((sum, { size }) => sum + size, 0);
    return { fork: head.fork, length: head.length, byteLength, roots };
  }

  /** Appends blocks as they are, in one batch, to which `more` may add. */
  async append(blocks: readonly Uint8Array[], more: (batch: WriteBatch) => void = () => {}): Promise<void> {
    const tree = await this.tree();
    const stored = blocks.map((block, i) => this.#seal(tree.length + i, tree.fork, block));
    const next = new TreeBatch(wasm, tree);
    for (const block of stored) next.append(block);
    await this.write((batch) => {
      const writer = batch.log(this.log);
      for (const [i, block] of stored.entries()) writer.putBlock(tree.length + i, block);
      for (const node of next.nodes) writer.putNode(node);
      writer.setHead(this.head(next)).setHints({
        contiguousLength: next.length,
        remoteContiguousLength: 0,
        recovering: false,
      });
      more(batch);
    });
  }

  /** Cuts the log. */
  async truncate(length: number, fork?: number): Promise<void> {
    const tree = await this.tree();
    const next = await truncateTree(wasm, (index) => this.log.node(index), tree, length, fork);
    await this.write((batch) => void batch.log(this.log).truncate(length).setHead(this.head(next!)));
  }

  /** Does a step of the reference's script. */
  async do(step: Step): Promise<void> {
    if (step.append) await this.append(step.append.map(([size, n]) => pattern(size, n)));
    if (step.truncate) await this.truncate(...step.truncate);
    const { clear, userData } = step;
    if (clear) await this.write((batch) => void batch.log(this.log).clear(...clear));
    if (userData) {
      const [key, value] = userData;
      await this.write((batch) =>
        void batch.log(this.log).setUserData(key, value === null ? undefined : unhex(value))
      );
    }
  }

  /** What there is. */
  async state(): Promise<State> {
    const tree = await this.tree();
    const blocks: (string | null)[] = [];
    for (let i = 0; i < tree.length; i++) {
      const block = await this.log.block(i);
      blocks.push(block === undefined ? null : hex(leafOf(this.#open(i, block))).slice(0, 16));
    }
    const userData: Record<string, string> = {};
    for (const key of await this.log.userDataKeys("")) userData[key] = hex((await this.log.userData(key))!);
    return {
      length: tree.length,
      fork: tree.fork,
      byteLength: tree.byteLength,
      treeHash: hex(new TreeBatch(wasm, tree).hash()),
      contiguousLength: (await this.log.hints())!.contiguousLength,
      blocks,
      userData,
    };
  }

  /** The signed head of a tree; of nothing there is no signature. */
  head(tree: TreeBatch) {
    return {
      fork: tree.fork,
      length: tree.length,
      rootHash: tree.hash(),
      signature: tree.length === 0 ? new Uint8Array(0) : this.verifier.sign(tree, this.keyPair),
      flags: 0,
      timestamp: 0,
    };
  }

  /** Writes what `fill` says. */
  async write(fill: (batch: WriteBatch) => void): Promise<void> {
    const batch = new WriteBatch();
    fill(batch);
    await this.store.write(batch);
  }

  #seal(index: number, fork: number, block: Uint8Array): Uint8Array {
    return this.#cipher === undefined ? block : this.#cipher.encrypt(index, fork, block);
  }

  #open(index: number, stored: Uint8Array): Uint8Array {
    return this.#cipher === undefined ? stored : this.#cipher.decrypt(index, stored);
  }
}

function leafOf(block: Uint8Array): Uint8Array {
  const tree = new TreeBatch(wasm, { fork: 0, length: 0, byteLength: 0, roots: [] });
  tree.append(block);
  return tree.nodes[0]!.hash;
}
