/**
 * The demonstration: a private DHT in this process, and two more processes that know nothing of each other but a topic. One real
 * file goes from one to the other, through the DHT's nodes, Noise, UDX and secret stream, on loopback.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { loadSystemRuntime } from "../core/system_runtime.ts";
import { Dht } from "../dht/mod.ts";
import { udpNetwork } from "../transports/udp/mod.ts";
import { formatBytes, formatRate, type Report, Reporter } from "./reporter.ts";

const REPOSITORY = fileURLToPath(new URL("..", import.meta.url));
const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../deno.json", import.meta.url));
const HOST = "127.0.0.1";
/** Nodes of the private DHT. */
const NODES = 10;
/** Folders that hold source files. */
const SOURCES = ["cli", "core", "dht", "encoding", "swarm", "transports"];

/** The largest source file of this repository: what there is to send on any machine. */
async function largestSource(): Promise<string> {
  let largest = { path: MAIN, size: 0 };
  for (const folder of SOURCES) {
    const root = join(REPOSITORY, folder);
    for (const name of await readdir(root, { recursive: true }).catch(() => [])) {
      const path = join(root, name);
      const { size } = await stat(path);
      if (name.endsWith(".ts") && size > largest.size) largest = { path, size };
    }
  }
  return largest.path;
}

/** One `hypha` command in a process of its own, heard through its JSON lines. */
class HyphaProcess {
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;
  readonly #onReport: (report: Report) => void;

  constructor(args: readonly string[], onReport: (report: Report) => void) {
    const denoArgs = ["run", "-A", "--quiet", "--config", CONFIG, MAIN, ...args, "--json"];
    this.#child = spawn(process.execPath, denoArgs, { stdio: ["ignore", "pipe", "inherit"] });
    this.#onReport = onReport;
    this.#exit = new Promise((resolve) => this.#child.once("exit", resolve));
    const lines = createInterface({ input: this.#child.stdout! });
    lines.on("line", (line) => this.#onReport(JSON.parse(line) as Report));
  }

  /** Resolves with the exit code, or null if it was killed. */
  get ended(): Promise<number | null> {
    return this.#exit;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill();
    await this.#exit;
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest("hex");
}

/** A DHT of nodes in this process, on ports that are free. */
class PrivateDht implements AsyncDisposable {
  /** Where others can start from. */
  readonly bootstrap: string;
  readonly #nodes: readonly Dht[];

  private constructor(bootstrap: string, nodes: readonly Dht[]) {
    this.bootstrap = bootstrap;
    this.#nodes = nodes;
  }

  static async open(): Promise<PrivateDht> {
    const runtime = await loadSystemRuntime();
    const network = udpNetwork({ needTtl: true });
    const probe = await network.bind({ host: HOST }, { onDatagram: () => {} });
    const { port } = probe.address;
    await probe.close();
    const first = Dht.bootstrapper(runtime, network, { host: HOST, port }, { host: HOST });
    await first.open();
    const bootstrap = `${HOST}:${port}`;
    const options = { bootstrap: [bootstrap], host: HOST, port: 0, ephemeral: false, firewalled: false };
    const others = Array.from({ length: NODES - 1 }, () => new Dht(runtime, network, options));
    await Promise.all(others.map((node) => node.ready()));
    return new PrivateDht(bootstrap, [first, ...others]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.close({ force: true })));
  }
}

/** How a transfer went, as the receiver tells it. */
interface Outcome {
  readonly connected: Extract<Report, { event: "connected" }>;
  readonly done: Extract<Report, { event: "done" }>;
}

/** Sends `path` from one process to another that knows only `topic`. */
async function transfer(
  path: string,
  topic: string,
  bootstrap: string,
  folder: string,
  reporter: Reporter,
): Promise<Outcome> {
  const outcome = Promise.withResolvers<Outcome>();
  outcome.promise.catch(() => {});
  const processes: HyphaProcess[] = [];
  const start = (who: string, args: readonly string[], onReport: (report: Report) => void) => {
    const fail = (message: string) => outcome.reject(new Error(`The ${who} failed: ${message}`));
    const network = ["--topic", topic, "--bootstrap", bootstrap, "--host", HOST, "--no-cache"];
    const child = new HyphaProcess([...args, ...network], (report) => {
      if (report.event === "error") fail(report.message);
      else onReport(report);
    });
    processes.push(child);
    // One that ends without a word must not leave the other, and us, waiting.
    void child.ended.then((code) => code === 0 || fail(`it ended with code ${code}`));
  };
  try {
    let connected: Outcome["connected"] | undefined;
    start("sender", ["send", path], () => {});
    start("receiver", ["receive", "--out", folder], (report) => {
      if (report.event === "connected") connected = report;
      if (report.event === "progress") reporter.report(report);
      if (report.event === "done") outcome.resolve({ connected: connected!, done: report });
    });
    return await outcome.promise;
  } finally {
    await Promise.all(processes.map((child) => child.end()));
  }
}

async function demonstrate(path: string, folder: string, reporter: Reporter): Promise<void> {
  const expected = await sha256Of(path);
  await using dht = await PrivateDht.open();
  reporter.note(`a private DHT of ${NODES} nodes runs here, at ${dht.bootstrap}`);
  const topic = `hypha demo ${randomUUID().slice(0, 8)}`;
  const { size } = await stat(path);
  reporter.note(`a sender and a receiver start; all they know of each other is the topic "${topic}"`);
  reporter.note(`sending ${path} (${formatBytes(size)})`);
  const { connected, done } = await transfer(path, topic, dht.bootstrap, folder, reporter);
  const received = await sha256Of(join(folder, basename(path)));
  if (received !== expected || done.sha256 !== expected) {
    throw new Error("The received file differs from the sent one");
  }
  reporter.note(`sha256 ${received} on both sides`);
  reporter.note(
    `path: ${done.path} (${done.address}), connected ${connected.ms} ms after the receiver began`,
  );
  const rate = formatRate(done.bytes * 1000 / Math.max(done.ms, 1));
  reporter.note(`demo ok: ${done.bytes} bytes, ${rate}`);
}

const reporter = new Reporter({ isJson: false });
const folder = await mkdtemp(join(tmpdir(), "hypha-demo-"));
try {
  await demonstrate(process.argv[2] ?? await largestSource(), folder, reporter);
} catch (error) {
  reporter.report({ event: "error", code: "DEMO_FAILED", message: (error as Error).message });
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
