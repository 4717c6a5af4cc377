/**
 * Logs of either generation of hypercore in Node processes, and what logs of ours must do as well to stand in their place:
 *
 *     driver  -- JSON lines -->  hypercore 10 or 11 in Node  <-- secret stream over TCP -->  another, or one of ours
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const folder = new URL("./reference/", import.meta.url);
const isInstalled = existsSync(new URL("node_modules/corestore-6/package.json", folder));
/** Why interop tests cannot run here, if so. */
export const skip: string | undefined = isInstalled
  ? undefined
  : "the reference is not installed: deno task interop";

/** Generations of hypercore: 10.38.2 with corestore 6.18.4, 11.37.1 with corestore 7.11.1. */
export const GENERATIONS = [10, 11] as const;
export type Generation = typeof GENERATIONS[number];

/** A block: so many bytes of the pattern of a number, or its bytes in hex. */
export type Block = readonly [size: number, n: number] | string;

/** A manifest; a signer is the number whose 32 times is the seed of its key pair. */
export interface ManifestSettings {
  readonly version?: number;
  readonly quorum?: number;
  readonly allowPatch?: boolean;
  readonly signers?: readonly number[];
  readonly prologue?: { readonly hash: string; readonly length: number };
  readonly linked?: readonly string[];
  readonly userData?: string;
}

/** How a log is opened. Bytes are in hex. */
export interface LogSettings {
  /** Whether the key is that of the signer. */
  readonly compat?: boolean;
  readonly manifest?: ManifestSettings;
  /** The number whose 32 times is the seed of the key pair. */
  readonly seed?: number;
  /** The key of a log that is read. */
  readonly key?: string;
  readonly encryptionKey?: string;
  readonly isBlockKey?: boolean;
  /** Where it lies; in a folder that goes away, if nothing is said. */
  readonly directory?: string;
}

/** What a log says about itself. Bytes are in hex. */
export interface LogInfo {
  readonly key: string;
  readonly discoveryKey: string;
  readonly manifest: string | null;
  readonly length: number;
  readonly fork: number;
  readonly byteLength: number;
  readonly contiguousLength: number;
  readonly writable: boolean;
  readonly peers: number;
  readonly treeHash: string;
}

/** What of a log is held: equal digests mean equal logs and the same blocks. */
export interface Digest {
  readonly length: number;
  readonly fork: number;
  readonly byteLength: number;
  readonly treeHash: string;
  /** How many blocks are held. */
  readonly held: number;
  /** Of all blocks that are held, in order. */
  readonly hash: string;
}

/** Blocks that are wanted. */
export interface DownloadRange {
  readonly start?: number;
  readonly end?: number;
  readonly blocks?: readonly number[];
  readonly linear?: boolean;
}

/** A log that a test drives, of whatever kind. Nothing that it does lasts for ever. */
export interface DrivenLog {
  readonly key: string;
  readonly discoveryKey: string;
  info(): Promise<LogInfo>;
  digest(): Promise<Digest>;
  append(blocks: readonly Block[], signature?: string): Promise<LogInfo>;
  truncate(length: number, options?: { fork?: number; signature?: string }): Promise<LogInfo>;
  clear(start: number, end: number): Promise<LogInfo>;
  /** The hash of a block; null if it is not here and may not be waited for. */
  get(index: number, options?: { wait?: boolean; timeout?: number }): Promise<string | null>;
  has(start: number, end?: number): Promise<boolean>;
  seek(bytes: number): Promise<readonly [index: number, offset: number]>;
  update(wait: boolean): Promise<boolean>;
  /** Waits until the log has a length, in a fork. */
  until(wanted: { length: number; fork?: number }): Promise<LogInfo>;
  download(range: DownloadRange): Promise<LogInfo>;
  /** Fetches whatever there is from now on. */
  follow(): Promise<void>;
  /** A part of a signature by a signer of the manifest. */
  sign(signed: SignedState): Promise<string>;
  /** Puts parts together. */
  assemble(parts: readonly SignaturePart[]): Promise<string>;
  close(): Promise<void>;
}

/** What is signed: the log with blocks behind it, or cut. */
export interface SignedState {
  readonly seed: number;
  readonly blocks?: readonly Block[];
  readonly truncate?: { readonly length: number; readonly fork: number };
}

/** The part of a signer, by its place in the manifest. */
export interface SignaturePart {
  readonly signer: number;
  readonly signature: string;
}

/** Whoever has logs and connections. */
export interface DrivenPeer extends AsyncDisposable {
  readonly title: string;
  open(settings: LogSettings): Promise<DrivenLog>;
  /** Listens for peers that get to see `logs`; returns the port. */
  listen(logs: readonly DrivenLog[], isInitiator?: boolean): Promise<number>;
  /** Connects to a peer; returns what ends the connection. */
  connect(port: number, logs: readonly DrivenLog[], isInitiator?: boolean): Promise<() => Promise<void>>;
}

/** Something that a peer told. */
export interface LogEvent {
  readonly event: string;
  readonly log?: string;
  // deno-lint-ignore no-explicit-any
  readonly [detail: string]: any;
}

/** A process with logs of the reference. */
export class LogPeer implements DrivenPeer {
  readonly generation: Generation;
  readonly title: string;
  readonly #process: ChildProcess;
  readonly #isDone: Promise<unknown>;
  // deno-lint-ignore no-explicit-any
  readonly #answers = new Map<number, (answer: any) => void>();
  readonly #events: LogEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #nextId = 1;
  #names = 0;
  #exited = false;

  /** Starts the process. */
  constructor(generation: Generation) {
    this.generation = generation;
    this.title = `hypercore ${generation}`;
    const file = fileURLToPath(new URL("log_peer.mjs", folder));
    this.#process = spawn("node", [file, String(generation)], { stdio: ["pipe", "pipe", "inherit"] });
    this.#process.stdin!.on("error", () => {});
    const closed = once(this.#process, "close").then(() => {
      this.#exited = true;
      this.#wake();
    });
    this.#isDone = Promise.all([closed, this.#listen()]);
  }

  async #listen(): Promise<void> {
    for await (const line of createInterface({ input: this.#process.stdout! })) {
      const { id, ...rest } = JSON.parse(line);
      if (id === undefined) {
        this.#events.push(rest);
        this.#wake();
      } else {
        this.#answers.get(id)?.(rest);
        this.#answers.delete(id);
      }
    }
    for (const fail of this.#answers.values()) fail({ failure: "the process has ended" });
    this.#answers.clear();
  }

  /** Has it do something. */
  // deno-lint-ignore no-explicit-any
  async ask(op: string, details: object = {}): Promise<any> {
    const answer = await this.attempt(op, details);
    const { failure, detail } = answer;
    assert.equal(failure, undefined, `${this.title}, ${op}: ${detail ?? failure}`);
    return answer;
  }

  /** Has it do something that may fail: then the answer has a `failure`. */
  // deno-lint-ignore no-explicit-any
  attempt(op: string, details: object = {}): Promise<any> {
    if (this.#exited) return Promise.resolve({ failure: "the process has ended" });
    const id = this.#nextId++;
    const answer = new Promise((resolve) => this.#answers.set(id, resolve));
    this.#process.stdin!.write(`${JSON.stringify({ id, op, ...details })}\n`);
    return answer;
  }

  /** The next event called `name` that fits; others before it stay for later. */
  async next(
    name: string,
    fits: (event: LogEvent) => boolean = () => true,
    timeoutMs = 20_000,
  ): Promise<LogEvent> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, timeoutMs);
    try {
      while (true) {
        const index = this.#events.findIndex((event) => event.event === name && fits(event));
        if (index >= 0) return this.#events.splice(index, 1)[0]!;
        assert.ok(!this.#exited && !isLate, `no ${name} came; there was ${JSON.stringify(this.#events)}`);
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** What was told and has not been asked for. */
  get untold(): readonly LogEvent[] {
    return this.#events;
  }

  /** A name that nothing has yet. */
  name(kind: string): string {
    return `${kind}${this.#names++}`;
  }

  async open(settings: LogSettings): Promise<TheirLog> {
    const log = this.name("log");
    return new TheirLog(this, log, await this.ask("open", { log, ...settings }));
  }

  /** A corestore. */
  async store(settings: Record<string, unknown> = {}): Promise<TheirStore> {
    const store = this.name("store");
    await this.ask("store", { store, ...settings });
    return new TheirStore(this, store);
  }

  async listen(logs: readonly DrivenLog[], isInitiator = false): Promise<number> {
    return (await this.ask("listen", { stream: this.name("server"), logs: namesOf(logs), isInitiator })).port;
  }

  async connect(
    port: number,
    logs: readonly DrivenLog[],
    isInitiator = true,
  ): Promise<() => Promise<void>> {
    const stream = this.name("stream");
    await this.ask("connect", { stream, port, logs: namesOf(logs), isInitiator });
    return async () => void await this.ask("disconnect", { stream });
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  /** Ends the process in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin!.end();
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 8000);
    await this.#isDone;
    clearTimeout(timer);
  }
}

/** A log in a {@linkcode LogPeer}. */
export class TheirLog implements DrivenLog {
  readonly #peer: LogPeer;
  /** What it is called in its process. */
  readonly name: string;
  /** What it said about itself when it was opened. */
  readonly first: LogInfo;

  /** Made by {@linkcode LogPeer.open} and {@linkcode TheirStore.get}. */
  constructor(peer: LogPeer, name: string, first: LogInfo) {
    this.#peer = peer;
    this.name = name;
    this.first = first;
  }

  get key(): string {
    return this.first.key;
  }

  get discoveryKey(): string {
    return this.first.discoveryKey;
  }

  /** Has it do something of which this class knows nothing. */
  // deno-lint-ignore no-explicit-any
  ask(op: string, details: object = {}): Promise<any> {
    return this.#peer.ask(op, { log: this.name, ...details });
  }

  info(): Promise<LogInfo> {
    return this.ask("info");
  }

  digest(): Promise<Digest> {
    return this.ask("digest", { timeoutMs: 60_000 });
  }

  append(blocks: readonly Block[], signature?: string): Promise<LogInfo> {
    return this.ask("append", { blocks, signature });
  }

  truncate(length: number, options: { fork?: number; signature?: string } = {}): Promise<LogInfo> {
    return this.ask("truncate", { length, ...options });
  }

  clear(start: number, end: number): Promise<LogInfo> {
    return this.ask("clear", { start, end });
  }

  async get(index: number, options: { wait?: boolean; timeout?: number } = {}): Promise<string | null> {
    return (await this.ask("get", { index, ...options })).sha256 ?? null;
  }

  async has(start: number, end?: number): Promise<boolean> {
    return (await this.ask("has", { start, end })).has;
  }

  async seek(bytes: number): Promise<readonly [number, number]> {
    const { index, offset } = await this.ask("seek", { bytes });
    return [index, offset];
  }

  async update(wait: boolean): Promise<boolean> {
    return (await this.ask("update", { wait })).updated;
  }

  until(wanted: { length: number; fork?: number }): Promise<LogInfo> {
    return this.ask("until", wanted);
  }

  download(range: DownloadRange): Promise<LogInfo> {
    return this.ask("download", range);
  }

  async follow(): Promise<void> {
    await this.ask("follow");
  }

  async sign(signed: SignedState): Promise<string> {
    return (await this.ask("sign", signed)).signature;
  }

  async assemble(parts: readonly SignaturePart[]): Promise<string> {
    return (await this.ask("assemble", { parts })).signature;
  }

  async close(): Promise<void> {
    await this.ask("close");
  }
}

/** A corestore in a {@linkcode LogPeer}. */
export class TheirStore {
  readonly #peer: LogPeer;
  readonly #name: string;

  /** Made by {@linkcode LogPeer.store}. */
  constructor(peer: LogPeer, name: string) {
    this.#peer = peer;
    this.#name = name;
  }

  /** A log of it, by name or key. */
  async get(settings: LogSettings & { readonly name?: string }): Promise<TheirLog> {
    const log = this.#peer.name("log");
    return new TheirLog(
      this.#peer,
      log,
      await this.#peer.ask("get_from_store", { store: this.#name, log, ...settings }),
    );
  }

  /** Listens for peers to which all of the store is shown that they know of; returns the port. */
  async listen(isInitiator = false): Promise<number> {
    const stream = this.#peer.name("server");
    return (await this.#peer.ask("listen", { stream, store: this.#name, isInitiator })).port;
  }

  /** Connects to a peer; returns what ends the connection. */
  async connect(port: number, isInitiator = true): Promise<() => Promise<void>> {
    const stream = this.#peer.name("stream");
    await this.#peer.ask("connect", { stream, port, store: this.#name, isInitiator });
    return async () => void await this.#peer.ask("disconnect", { stream });
  }

  /** Shows it to the peers of a swarm; returns what the swarm is called. */
  async swarm(port: number): Promise<string> {
    const swarm = this.#peer.name("swarm");
    await this.#peer.ask("swarm", { swarm, port, store: this.#name });
    return swarm;
  }

  async close(): Promise<void> {
    await this.#peer.ask("close_store", { store: this.#name });
  }
}

const namesOf = (logs: readonly DrivenLog[]): string[] => logs.map((log) => (log as TheirLog).name);

/** Peers that are closed together. */
export class LogRig implements AsyncDisposable {
  readonly #peers: DrivenPeer[] = [];

  /** A process with logs of the reference. */
  theirs(generation: Generation): LogPeer {
    return this.add(new LogPeer(generation));
  }

  /** Takes a peer in, which is closed with the others. */
  add<P extends DrivenPeer>(peer: P): P {
    this.#peers.push(peer);
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer[Symbol.asyncDispose]()));
  }
}
