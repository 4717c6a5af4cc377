/** A log of ours that a test drives as it drives those of the reference. It runs under Node too: see `our_log_peer.ts`. */
import { createHash } from "node:crypto";
import type { Hypercore } from "../../core/hypercore.ts";
import {
  assembleSignature,
  EMPTY_TREE,
  logData,
  manifest as manifestCodec,
  signaturePart,
  TreeBatch,
  type TreeNode,
  Verifier,
} from "../../core/log/mod.ts";
import type { Extension, ReplicationPeer } from "../../core/replication/mod.ts";
import { encode } from "../../encoding/codec.ts";
import { raw } from "../../encoding/raw.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import type {
  Block,
  Digest,
  DownloadRange,
  DrivenLog,
  LogInfo,
  SeenConflict,
  SignaturePart,
  SignedState,
  SignerPart,
} from "./driven_logs.ts";
import { keyPair, pattern, runtime } from "./stream_peer.ts";

/** How long anything may take. */
const LIMIT_MS = 20_000;

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes);
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const bytesOf = (block: Block) => typeof block === "string" ? fromHex(block) : pattern(...block);

/** Rejects when `work` is not done in time. */
export async function within<V>(what: string, work: Promise<V>): Promise<V> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hypha, ${what}: not done after ${LIMIT_MS} ms`)), LIMIT_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What an application on a log says, and hears. */
class Talk {
  readonly #log: Hypercore;
  readonly #extension: Extension<string>;
  readonly #heard: string[] = [];
  readonly #waiting: ((text: string) => void)[] = [];

  constructor(log: Hypercore, name: string, onMessage = (text: string) => this.#hear(text)) {
    this.#log = log;
    this.#extension = log.registerExtension(name, { encoding: raw.string, onmessage: onMessage });
  }

  #hear(text: string): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#heard.push(text);
    else next(text);
  }

  say(text: string, isToOne: boolean): void {
    if (isToOne) this.#extension.send(text, this.#log.peers[0] as ReplicationPeer);
    else this.#extension.broadcast(text);
  }

  async next(): Promise<string> {
    return this.#heard.shift() ?? await new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** A log of ours. */
export class OurLog implements DrivenLog {
  readonly core: Hypercore;
  /** Two logs that differ, when they are found to be signed. */
  readonly seenConflict: Promise<SeenConflict>;
  readonly #talks = new Map<string, Talk>();

  /** Made by {@linkcode OurPeer.open}. */
  constructor(core: Hypercore) {
    this.core = core;
    this.seenConflict = new Promise((resolve) =>
      core.on(
        "conflict",
        ({ detail: { proof: { length, fork, theirs } } }) =>
          resolve({ length, fork, proof: toHex(encode(logData, { request: 0, ...theirs })) }),
      )
    );
  }

  get key(): string {
    return toHex(this.core.key);
  }

  get discoveryKey(): string {
    return toHex(this.core.discoveryKey);
  }

  async info(): Promise<LogInfo> {
    const { core } = this;
    const { length, fork, byteLength, contiguousLength, writable, manifest } = core;
    return {
      ...{ key: this.key, discoveryKey: this.discoveryKey },
      manifest: manifest ? toHex(encode(manifestCodec, manifest)) : null,
      ...{ length, fork, byteLength, contiguousLength, writable, peers: core.peers.length },
      treeHash: toHex(await within("tree hash", core.treeHash())),
    };
  }

  async digest(): Promise<Digest> {
    const hash = createHash("sha256");
    let held = 0;
    for (let i = 0; i < this.core.length; i++) {
      const block = await this.core.get(i, { wait: false });
      hash.update(block === undefined ? "-" : "+");
      if (block === undefined) continue;
      held++;
      hash.update(sha256(block).digest());
    }
    const { length, fork, byteLength, treeHash } = await this.info();
    return { length, fork, byteLength, treeHash, held, hash: hash.digest("hex") };
  }

  async append(blocks: readonly Block[], signature?: string): Promise<LogInfo> {
    const options = signature === undefined ? {} : { signature: fromHex(signature) };
    await within("append", this.core.append(blocks.map(bytesOf), options));
    return await this.info();
  }

  async truncate(length: number, options: { fork?: number; signature?: string } = {}): Promise<LogInfo> {
    const { fork, signature } = options;
    const signing = signature === undefined ? {} : { signature: fromHex(signature) };
    await within("truncate", this.core.truncate(length, { fork, ...signing }));
    return await this.info();
  }

  async clear(start: number, end: number): Promise<LogInfo> {
    await within("clear", this.core.clear(start, end));
    return await this.info();
  }

  async get(index: number, options: { wait?: boolean; timeout?: number } = {}): Promise<string | null> {
    const { wait, timeout: timeoutMs } = options;
    const block = await within(`get ${index}`, this.core.get(index, { wait, timeoutMs }));
    return block === undefined ? null : sha256(block).digest("hex");
  }

  async has(start: number, end?: number): Promise<boolean> {
    return await within("has", this.core.has(start, end));
  }

  async seek(bytes: number): Promise<readonly [number, number]> {
    return (await within(`seek ${bytes}`, this.core.seek(bytes)))!;
  }

  async update(wait: boolean): Promise<boolean> {
    return await within("update", this.core.update({ wait }));
  }

  async until({ length, fork = this.core.fork }: { length: number; fork?: number }): Promise<LogInfo> {
    const { core } = this;
    const isThere = () => core.length >= length && core.fork >= fork;
    const wait = async () => {
      for (const start = performance.now(); !isThere() && performance.now() - start < LIMIT_MS;) {
        await core.update({ timeoutMs: 100 }).catch(() => {});
        if (!isThere()) await pause(10);
      }
      if (isThere()) return;
      const { length: own, fork: at } = core;
      throw new Error(`hypha, until ${length} in fork ${fork}: still ${own} in fork ${at}; ${this.state()}`);
    };
    await wait();
    return await this.info();
  }

  async download(range: DownloadRange): Promise<LogInfo> {
    const download = this.core.download(range);
    await within("download", download.done()).catch((error) => {
      throw new Error(`${error.message}; ${this.state()}`);
    });
    return await this.info();
  }

  follow(): Promise<void> {
    this.core.download();
    return Promise.resolve();
  }

  async sign({ seed, blocks = [], more = [], truncate }: SignedState): Promise<SignaturePart> {
    const tree = new TreeBatch(runtime.crypto, EMPTY_TREE);
    const { length, fork } = truncate ?? this.core;
    for (let i = 0; i < length; i++) tree.append((await this.core.get(i, { raw: true }))!);
    for (const block of [...blocks, ...more]) tree.append(bytesOf(block));
    tree.fork = fork;
    const signature = new Verifier(runtime.crypto, this.core.key, this.core.manifest).sign(
      tree,
      keyPair(seed),
    );
    const nodes = new Map<number, TreeNode>(tree.nodes.map((node) => [node.index, node]));
    const joint = tree.length - more.length;
    const part = (await signaturePart((index) => nodes.get(index), 0, signature, tree.length, joint))!;
    return {
      signature: toHex(part.signature),
      patch: part.patch,
      nodes: (part.nodes ?? []).map((node) => ({ ...node, hash: toHex(node.hash) })),
    };
  }

  assemble(parts: readonly SignerPart[]): Promise<string> {
    const inputs = parts.map(({ signature, nodes, ...rest }) => ({
      ...rest,
      signature: fromHex(signature),
      nodes: nodes.map((node) => ({ ...node, hash: fromHex(node.hash) })),
    }));
    return Promise.resolve(toHex(assembleSignature(this.core.manifest!.version, inputs)));
  }

  async push(index: number): Promise<void> {
    await within("push", this.core.push(index));
  }

  extend(extension: string, onMessage?: (text: string) => void): Promise<void> {
    this.#talks.set(extension, new Talk(this.core, extension, onMessage));
    return Promise.resolve();
  }

  say(extension: string, text: string, isToOne = false): Promise<void> {
    this.#talks.get(extension)!.say(text, isToOne);
    return Promise.resolve();
  }

  async heard(extension: string): Promise<string> {
    return await within(`heard ${extension}`, this.#talks.get(extension)!.next());
  }

  async conflict(): Promise<SeenConflict> {
    return await within("conflict", this.seenConflict);
  }

  async close(): Promise<void> {
    await within("close", this.core.close());
  }

  /** What it believes of its peers, to find out why it stalls. */
  state(): string {
    return JSON.stringify(
      this.core.syncState(),
      (_key, value) => value instanceof Uint8Array ? toHex(value) : value,
    );
  }
}
