/**
 * The demonstration: two processes, one real file, from one to the other over UDX, Noise and secret stream on loopback.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { formatRate, type Report, Reporter } from "./reporter.ts";

const REPOSITORY = fileURLToPath(new URL("..", import.meta.url));
const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../deno.json", import.meta.url));
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

/** Sends `path` from one process to another, and returns how the receiver says it went. */
async function transfer(
  path: string,
  folder: string,
  reporter: Reporter,
): Promise<Extract<Report, { event: "done" }>> {
  const ticket = Promise.withResolvers<string>();
  const done = Promise.withResolvers<Extract<Report, { event: "done" }>>();
  const processes: HyphaProcess[] = [];
  done.promise.catch(() => {});
  const fail = (who: string, message: string) => {
    const error = new Error(`The ${who} failed: ${message}`);
    ticket.reject(error);
    done.reject(error);
  };
  try {
    processes.push(
      new HyphaProcess(["send", path, "--host", "127.0.0.1"], (report) => {
        if (report.event === "ticket") ticket.resolve(report.ticket);
        else if (report.event === "error") fail("sender", report.message);
      }),
    );
    // One that ends without a word must not leave the other, and us, waiting.
    void processes[0]!.ended.then((code) => code === 0 || fail("sender", `it ended with code ${code}`));
    const text = await ticket.promise;
    reporter.note(`sender is ready, ticket ${text}`);
    processes.push(
      new HyphaProcess(["receive", text, "--out", folder], (report) => {
        if (report.event === "progress") reporter.report(report);
        else if (report.event === "done") done.resolve(report);
        else if (report.event === "error") fail("receiver", report.message);
      }),
    );
    void processes[1]!.ended.then((code) => code === 0 || fail("receiver", `it ended with code ${code}`));
    return await done.promise;
  } finally {
    await Promise.all(processes.map((child) => child.end()));
  }
}

const reporter = new Reporter({ isJson: false });
const folder = await mkdtemp(join(tmpdir(), "hypha-demo-"));
try {
  const path = process.argv[2] ?? await largestSource();
  const expected = await sha256Of(path);
  reporter.note(`sending ${path} from one process to another, over UDX + Noise + secret stream on loopback`);
  const result = await transfer(path, folder, reporter);
  const received = await sha256Of(join(folder, basename(path)));
  if (received !== expected || result.sha256 !== expected) {
    throw new Error("The received file differs from the sent one");
  }
  reporter.note(`sha256 ${received} on both sides`);
  reporter.note(
    `demo ok: ${result.bytes} bytes, ${formatRate(result.bytes * 1000 / Math.max(result.ms, 1))}`,
  );
} catch (error) {
  reporter.report({ event: "error", code: "DEMO_FAILED", message: (error as Error).message });
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
