/**
 * Runs `hypha` commands as processes, as a user would, and listens to their JSON lines.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Report } from "../../cli/reporter.ts";

/** The command is not part of the npm package. */
export const skip: string | undefined = "Deno" in globalThis ? undefined : "the command runs on Deno";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** Processes of a test must not learn from those of another: where nothing can be kept, nothing is. */
const NO_CACHE = "/dev/null";

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly reports: readonly Report[];
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is started. */
export interface ProcessOptions {
  /** Its working directory. */
  readonly cwd?: string;
  /** What is on its standard input. */
  readonly input?: string | Readable;
  /** Where it keeps what it knows of networks; nowhere by default. */
  readonly cache?: string;
}

/** A running command. */
export class HyphaProcess {
  /** Resolves when it has ended and said all. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #reports: Report[] = [];
  readonly #lines: string[] = [];
  readonly #waiting: { event: string; resolve: (report: never) => void }[] = [];
  #output = "";
  #stderr = "";

  /** Starts `hypha ARGS`, with `input` on its standard input. */
  constructor(args: readonly string[], options: ProcessOptions = {}) {
    const denoArgs = ["run", "-A", "--quiet", "--no-prompt", "--config", CONFIG, MAIN, ...args];
    const { input, cwd, cache } = options;
    this.#child = spawn(process.execPath, denoArgs, {
      stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
      env: { ...process.env, HYPHA_CACHE: cache ?? NO_CACHE },
      ...(cwd === undefined ? {} : { cwd }),
    });
    if (input instanceof Readable) input.pipe(this.#child.stdin!);
    else this.#child.stdin?.end(input);
    this.#child.stdout!.on("data", (chunk) => this.#output += chunk);
    const lines = createInterface({ input: this.#child.stdout! });
    lines.on("line", (line) => this.#onLine(line));
    const errorLines = createInterface({ input: this.#child.stderr! });
    errorLines.on("line", (line) => {
      this.#stderr += `${line}\n`;
      this.#onReport(line);
    });
    const read = new Promise<void>((resolve) => lines.once("close", resolve));
    const closed = new Promise<number | null>((resolve) => this.#child.once("close", resolve));
    this.ended = Promise.all([closed, read]).then(([code]) => ({
      code,
      reports: this.#reports,
      stdout: this.#lines.join("\n"),
      stderr: this.#stderr,
    }));
  }

  /** The first report of a kind, as soon as it comes; rejects if the command ends without. */
  async report<Event extends Report["event"]>(event: Event): Promise<Extract<Report, { event: Event }>> {
    type Wanted = Extract<Report, { event: Event }>;
    const known = this.#reports.find((report) => report.event === event);
    if (known !== undefined) return known as Wanted;
    const coming = new Promise<Wanted>((resolve) => this.#waiting.push({ event, resolve }));
    const none = this.ended.then(({ stdout, stderr }) => {
      throw new Error(`The command ended without ${event}: ${stdout}${stderr}`);
    });
    return await Promise.race([coming, none]);
  }

  /** Resolves when standard output contains `text`, outside of lines that have ended as well. */
  async output(text: string): Promise<void> {
    while (!this.#output.includes(text)) await once(this.#child.stdout!, "data");
  }

  /** Interrupts it as Ctrl-C would. */
  interrupt(): void {
    // Not `child.kill`: Deno then reports the signal instead of the exit code.
    process.kill(this.#child.pid!, "SIGINT");
  }

  /** Ends it if it still runs. */
  async kill(): Promise<void> {
    if (this.#child.exitCode === null) this.#child.kill("SIGKILL");
    await this.ended;
  }

  #onLine(line: string): void {
    this.#lines.push(line);
    this.#onReport(line);
  }

  #onReport(line: string): void {
    if (!line.startsWith("{")) return;
    const report = JSON.parse(line) as Report;
    this.#reports.push(report);
    for (const { event, resolve } of this.#waiting) if (event === report.event) resolve(report as never);
  }
}

/** Calls `body` with a fresh folder that is gone afterwards. */
export async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hypha-test-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Options of `send` and `receive` that keep them on loopback, without a DHT. */
export const ALONE: readonly string[] = ["--no-dht", "--host", "127.0.0.1", "--json"];

/** Starts `hypha send FILE` on loopback and calls `body` with it and its ticket; it is gone afterwards. */
export async function withSender(
  file: string,
  args: readonly string[],
  body: (sender: HyphaProcess, ticket: string) => Promise<void>,
): Promise<void> {
  const sender = new HyphaProcess(["send", file, ...ALONE, ...args]);
  try {
    const { ticket } = await sender.report("ticket");
    await body(sender, ticket);
  } finally {
    await sender.kill();
  }
}

/** A UDP port of loopback that is free for now. */
export async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

/** Starts a network of one node and calls `body` with the options that lead into it, and the node's health port. */
export async function withNetwork(
  body: (options: string[], healthPort: number) => Promise<void>,
): Promise<void> {
  const [port, healthPort] = [await freePort(), await freePort()];
  const args = ["--host", "127.0.0.1", "--port", `${port}`, "--health-port", `${healthPort}`, "--json"];
  const node = new HyphaProcess(["bootstrap", ...args]);
  try {
    const { address } = await node.report("bootstrap");
    if (address !== `127.0.0.1:${port}`) throw new Error(`The node says that it is at ${address}`);
    await body(["--bootstrap", address, "--host", "127.0.0.1", "--json"], healthPort);
    node.interrupt();
    const { code } = await node.ended;
    if (code !== 130) throw new Error(`The node ended with code ${code}`);
  } finally {
    await node.kill();
  }
}
