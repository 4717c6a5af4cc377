/**
 * The demonstration: a real folder goes from one process to two others, all of which know nothing of each other but the key of a
 * log. One of them is killed half-way and goes on from what it has, and they fetch from each other what the sender does not give.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { DemoReport, DemoTask } from "./demo_peer.ts";
import { type FolderHeader, hashFolder } from "./folder_log.ts";
import { HOST, NODES, PrivateDht } from "./private_dht.ts";
import { formatBytes, formatRate, Progress, Reporter } from "./reporter.ts";

/** A folder that there is on any machine. */
const DEFAULT_FOLDER = fileURLToPath(new URL("../core", import.meta.url));
const PEER = fileURLToPath(new URL("demo_peer.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../deno.json", import.meta.url));
/** For how long all of it may take, on a machine that has much else to do, in milliseconds. */
const LIMIT_MS = 90_000;
/** What the sender gives to each peer, so that there is something to see and to interrupt, and peers need each other. */
const RATION = { seconds: 4, share: 0.75 };
/** Folders of fewer blocks are there before anything can be shown. */
const MIN_BLOCKS = 16;

/** A process of the demonstration. */
class DemoProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;

  constructor(task: DemoTask, onReport: (report: DemoReport) => void) {
    const args = ["run", "-A", "--quiet", "--config", CONFIG, PEER, JSON.stringify(task)];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#exit = new Promise((resolve) => this.#child.once("exit", resolve));
    const lines = createInterface({ input: this.#child.stdout! });
    lines.on("line", (line) => onReport(JSON.parse(line) as DemoReport));
  }

  /** Resolves with the exit code, or null if it was killed. */
  get ended(): Promise<number | null> {
    return this.#exit;
  }

  async end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal);
    await this.#exit;
  }
}

/** A receiver, in all its lives. */
class Receiver {
  readonly title: string;
  readonly folder: string;
  readonly #start: (onReport: (report: DemoReport) => void) => DemoProcess;
  /** Blocks that it has, and those of them that it had when it was started last. */
  held = 0;
  had = 0;
  /** Blocks that came in its present life, by the key of who sent them. */
  readonly from = new Map<string, number>();
  /** Its keys, one for each life. */
  readonly keys: string[] = [];
  /** How it reached others: their keys and the ways. */
  readonly ways = new Map<string, string>();
  ms = 0;
  #process: DemoProcess | undefined;

  constructor(title: string, folder: string, start: (onReport: (report: DemoReport) => void) => DemoProcess) {
    this.title = title;
    this.folder = folder;
    this.#start = start;
  }

  /** Starts it; resolves when it has `share` of the blocks, or with 1 all files as well. */
  run(share: number, onBytes: (bytes: number) => void, onReady?: () => void): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.from.clear();
    let total = Infinity;
    this.#process = this.#start((report) => {
      if (report.event === "connection") this.ways.set(report.peer, `${report.path} (${report.address})`);
      if (report.event === "fetched") {
        this.ms = report.ms;
        resolve();
      }
      if (report.event === "ready") {
        this.keys.push(report.peer);
        this.held = this.had = report.held;
        total = report.header.blocks;
        onReady?.();
      }
      if (report.event !== "block") return;
      this.held = report.held;
      this.from.set(report.peer, (this.from.get(report.peer) ?? 0) + 1);
      onBytes(report.bytes);
      if (share < 1 && this.held >= share * total) resolve();
    });
    return promise;
  }

  /** Kills it without a warning. */
  async kill(): Promise<void> {
    await this.#process!.end("SIGKILL");
  }

  /** How many blocks came from whoever has one of `keys`. */
  blocksFrom(keys: readonly string[]): number {
    return keys.reduce((sum, key) => sum + (this.from.get(key) ?? 0), 0);
  }
}

/** See the head of the file. */
class Demonstration implements AsyncDisposable {
  readonly #reporter: Reporter;
  readonly #workspace: string;
  readonly #bootstrap: string;
  readonly #processes: DemoProcess[] = [];
  readonly #failed = Promise.withResolvers<never>();

  constructor(reporter: Reporter, workspace: string, bootstrap: string) {
    this.#reporter = reporter;
    this.#workspace = workspace;
    this.#bootstrap = bootstrap;
    this.#failed.promise.catch(() => {});
  }

  /** Shares `folder`; throws if anything is not as it should be. */
  async run(folder: string): Promise<void> {
    const source = await hashFolder(folder);
    if (source.files === 0) throw new Error(`There are no files in ${folder}`);
    const { peer: sender, key, header } = await this.#within(this.#share(folder));
    const { files, bytes, blocks } = header;
    this.#reporter.note(
      `the sender stored ${relative(process.cwd(), folder) || folder} as two logs: ${files} files, ${
        formatBytes(bytes)
      }, ${blocks} blocks; ` +
        `to each peer it gives ${formatRate(bytes / RATION.seconds)}, and ${RATION.share * 100} % at most`,
    );
    this.#reporter.note(`two receivers start; all they know is the key ${key}`);
    const [first, second] = ["first", "second"].map((title) => this.#receiver(title, key));
    const startedAt = performance.now();
    const progress = new Progress(this.#reporter, 2 * bytes);
    const onBytes = (count: number) => progress.add(count);
    const both = Promise.all([this.#runTwice(first!, onBytes), second!.run(1, onBytes)]);
    await this.#within(both);
    const ms = performance.now() - startedAt;
    this.#tell(first!, sender, second!);
    this.#tell(second!, sender, first!);
    this.#check(first!, second!, header);
    for (const receiver of [first!, second!]) {
      const { sha256 } = await hashFolder(receiver.folder);
      if (sha256 !== source.sha256) throw new Error(`What the ${receiver.title} receiver has differs`);
    }
    this.#reporter.note(`sha256 ${source.sha256} over all ${files} files, at the sender and both receivers`);
    this.#reporter.note(
      `path: ${first!.ways.get(sender)}, both done ${(ms / 1000).toFixed(1)} s after they began`,
    );
    this.#reporter.note(`demo ok: ${2 * bytes} bytes, ${formatRate(2 * bytes * 1000 / ms)}`);
  }

  async #runTwice(receiver: Receiver, onBytes: (bytes: number) => void): Promise<void> {
    await receiver.run(0.5, onBytes);
    await receiver.kill();
    this.#reporter.note(
      `the first receiver was killed when it had received ${receiver.held} blocks, and starts again`,
    );
    await receiver.run(1, onBytes, () => {
      this.#reporter.note(`the first receiver goes on from the ${receiver.had} blocks on its disk`);
    });
  }

  /** Says whence a receiver has its blocks. */
  #tell(receiver: Receiver, sender: string, other: Receiver): void {
    const { title, had, ms } = receiver;
    const parts = [
      ...(had > 0 ? [`${had} from its disk`] : []),
      `${receiver.blocksFrom([sender])} from the sender`,
      `${receiver.blocksFrom(other.keys)} from the ${other.title} receiver`,
    ];
    this.#reporter.note(
      `the ${title} receiver has its blocks in ${(ms / 1000).toFixed(1)} s: ${parts.join(", ")}`,
    );
  }

  /** Whether what was to be shown has happened. */
  #check(first: Receiver, second: Receiver, { blocks }: FolderHeader): void {
    for (const { title, had, from } of [first, second]) {
      const fetched = [...from.values()].reduce((sum, count) => sum + count, 0);
      if (had + fetched === blocks) continue;
      throw new Error(`The ${title} receiver had ${had} blocks and fetched ${fetched} of ${blocks}`);
    }
    if (blocks < MIN_BLOCKS) return;
    if (first.had === 0) throw new Error("The first receiver had nothing left when it was started again");
    if (second.blocksFrom(first.keys) === 0) {
      throw new Error("The second receiver had nothing from the first");
    }
  }

  async #share(folder: string): Promise<Extract<DemoReport, { event: "shared" }>> {
    const { promise, resolve } = Promise.withResolvers<Extract<DemoReport, { event: "shared" }>>();
    const store = join(this.#workspace, "sender");
    this.#start({ role: "share", folder, store, network: this.#network(), ration: RATION }, (report) => {
      if (report.event === "shared") resolve(report);
    });
    return await promise;
  }

  #receiver(title: string, key: string): Receiver {
    const folder = join(this.#workspace, `${title} folder`);
    const store = join(this.#workspace, title);
    return new Receiver(
      title,
      folder,
      (onReport) => this.#start({ role: "fetch", folder, store, key, network: this.#network() }, onReport),
    );
  }

  #network(): DemoTask["network"] {
    return { bootstrap: [this.#bootstrap], host: HOST, dht: true, cache: false };
  }

  #start(task: DemoTask, onReport: (report: DemoReport) => void): DemoProcess {
    const child = new DemoProcess(task, (report) => {
      if (report.event === "error") this.#failed.reject(new Error(report.message));
      else onReport(report);
    });
    this.#processes.push(child);
    // One that ends by itself must not leave the others, and us, waiting. One that is killed has no code.
    void child.ended.then((code) => {
      if (code !== null) this.#failed.reject(new Error(`A process ended with code ${code}`));
    });
    return child;
  }

  async #within<T>(work: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.#failed.reject(new Error(`It was not done within ${LIMIT_MS / 1000} s`));
    }, LIMIT_MS);
    try {
      return await Promise.race([work, this.#failed.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends all processes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((child) => child.end("SIGKILL")));
  }
}

async function demonstrate(folder: string, workspace: string, reporter: Reporter): Promise<void> {
  const isFolder = await stat(folder).then((found) => found.isDirectory(), () => false);
  if (!isFolder) throw new Error(`${folder} is not a folder: name one to share`);
  await using dht = await PrivateDht.open();
  reporter.note(`a private DHT of ${NODES} nodes runs here, at ${dht.bootstrap}`);
  await using demonstration = new Demonstration(reporter, workspace, dht.bootstrap);
  await demonstration.run(folder);
}

const reporter = new Reporter({ isJson: false });
const workspace = await mkdtemp(join(tmpdir(), "hypha-demo-"));
try {
  await demonstrate(resolve(process.argv[2] ?? DEFAULT_FOLDER), workspace, reporter);
} catch (error) {
  reporter.report({ event: "error", code: "DEMO_FAILED", message: (error as Error).message });
  process.exitCode = 1;
} finally {
  await rm(workspace, { recursive: true, force: true });
}
