/**
 * Logs of either generation of hypercore, and of ours, in Node processes:
 *
 *     driver  -- JSON lines -->  hypercore 10 or 11, or hypha, in Node  <-- TCP, or a swarm -->  another, or one of ours
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import type {
  Block,
  Digest,
  DownloadRange,
  DrivenLog,
  DrivenPeer,
  Generation,
  LogInfo,
  LogSettings,
  Medium,
  SeenConflict,
  SignaturePart,
  SignedState,
  SignerPart,
  SwarmRole,
} from "./driven_logs.ts";

const folder = new URL("./reference/", import.meta.url);
const isInstalled = existsSync(new URL("node_modules/corestore-6/package.json", folder));
/** Why interop tests cannot run here, if so. */
export const skip: string | undefined = isInstalled
  ? undefined
  : "the reference is not installed: deno task interop";

/** The folder in which `deno task npm` has installed the package, with the Node that it is to run on. */
const installed = process.env["HYPHA_NPM"];
/** Why there is no hypha on Node to test with, if so. */
export const skipOnNode: string | undefined = skip ??
  (installed === undefined ? "runs in deno task npm" : undefined);

/** Whether all is played that can be. */
export const isLong: boolean = process.env["HYPHA_LONG"] === "1";

/** Something that a peer told. */
export interface LogEvent {
  readonly event: string;
  readonly log?: string;
  // deno-lint-ignore no-explicit-any
  readonly [detail: string]: any;
}

/** The arguments that make Node run the peer of ours: see `scripts/test_npm.ts`. */
const NODE_FLAGS = ["--experimental-strip-types", "--disable-warning=ExperimentalWarning"];

/** A process with logs of the reference, or of ours on Node. */
export class LogPeer implements DrivenPeer {
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

  private constructor(title: string, command: string, args: readonly string[]) {
    this.title = title;
    this.#process = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#process.stdin!.on("error", () => {});
    const closed = once(this.#process, "close").then(() => {
      this.#exited = true;
      this.#wake();
    });
    this.#isDone = Promise.all([closed, this.#listen()]);
  }

  /** Starts a process with logs of the reference. */
  static reference(generation: Generation): LogPeer {
    const file = fileURLToPath(new URL("log_peer.mjs", folder));
    return new LogPeer(`hypercore ${generation}`, "node", [file, String(generation)]);
  }

  /** Starts a process with logs of ours, on the Node and the package that {@linkcode skipOnNode} speaks of. */
  static onNode(medium: Medium): LogPeer {
    const node = `${installed}/node_modules/.bin/node`;
    const args = [...NODE_FLAGS, `${installed}/tests/interop/our_log_peer.ts`, medium];
    return new LogPeer("hypha on Node", node, args);
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

  async open(settings: LogSettings): Promise<ChildLog> {
    const log = this.name("log");
    return new ChildLog(this, log, await this.ask("open", { log, ...settings }));
  }

  /** A corestore. */
  async store(settings: Record<string, unknown> = {}): Promise<ChildStore> {
    const store = this.name("store");
    await this.ask("store", { store, ...settings });
    return new ChildStore(this, store);
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

  /** Serves a small network of the reference for swarms; returns the port of its bootstrap node. */
  async testnet(size = 4): Promise<number> {
    return (await this.ask("testnet", { size })).port;
  }

  async join(port: number, logs: readonly DrivenLog[], role: SwarmRole): Promise<() => Promise<void>> {
    const swarm = this.name("swarm");
    await this.ask("swarm", { swarm, port, logs: namesOf(logs) });
    const { discoveryKey } = logs[0]!;
    await this.ask("join", { swarm, discoveryKey, server: role !== "client", client: role !== "server" });
    return async () => void await this.ask("leave_swarm", { swarm });
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
export class ChildLog implements DrivenLog {
  readonly #peer: LogPeer;
  /** What it is called in its process. */
  readonly name: string;
  /** What it said about itself when it was opened. */
  readonly first: LogInfo;

  /** Made by {@linkcode LogPeer.open} and {@linkcode ChildStore.get}. */
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

  sign(signed: SignedState): Promise<SignaturePart> {
    return this.ask("sign", signed);
  }

  async assemble(parts: readonly SignerPart[]): Promise<string> {
    return (await this.ask("assemble", { parts })).signature;
  }

  async push(index: number): Promise<void> {
    await this.ask("push", { index });
  }

  async extend(extension: string): Promise<void> {
    await this.ask("extension", { extension });
  }

  async say(extension: string, text: string, isToOne = false): Promise<void> {
    await this.ask("say", { extension, text, isToOne });
  }

  async heard(extension: string): Promise<string> {
    return (await this.next("extension", (event) => event["extension"] === extension))["text"];
  }

  async conflict(): Promise<SeenConflict> {
    const { length, fork, proof } = await this.next("conflict");
    return { length, fork, proof } as SeenConflict;
  }

  /** The next event called `name` about this log that fits. */
  next(name: string, fits: (event: LogEvent) => boolean = () => true): Promise<LogEvent> {
    return this.#peer.next(name, (event) => event.log === this.name && fits(event));
  }

  async close(): Promise<void> {
    await this.ask("close");
  }
}

/** A corestore in a {@linkcode LogPeer}. */
export class ChildStore {
  readonly #peer: LogPeer;
  readonly #name: string;

  /** Made by {@linkcode LogPeer.store}. */
  constructor(peer: LogPeer, name: string) {
    this.#peer = peer;
    this.#name = name;
  }

  /** A log of it, by name or key. */
  async get(settings: LogSettings & { readonly name?: string }): Promise<ChildLog> {
    const log = this.#peer.name("log");
    return new ChildLog(
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

const namesOf = (logs: readonly DrivenLog[]): string[] => logs.map((log) => (log as ChildLog).name);

/** Peers that are closed together, the last one first: swarms take long to close when the network is gone before them. */
export class LogRig implements AsyncDisposable {
  readonly #peers: DrivenPeer[] = [];

  /** A process with logs of the reference. */
  theirs(generation: Generation): LogPeer {
    return this.add(LogPeer.reference(generation));
  }

  /** A process with logs of ours on Node. */
  onNode(medium: Medium = "memory"): LogPeer {
    return this.add(LogPeer.onNode(medium));
  }

  /** Takes a peer in, which is closed with the others. */
  add<P extends DrivenPeer>(peer: P): P {
    this.#peers.push(peer);
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers.reverse()) await peer[Symbol.asyncDispose]();
  }
}
