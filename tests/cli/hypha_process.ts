/**
 * Runs `hypha` commands as processes, as a user would, and listens to their JSON lines.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Report } from "../../cli/reporter.ts";

/** The command is not part of the npm package. */
export const skip: string | undefined = "Deno" in globalThis ? undefined : "the command runs on Deno";

const MAIN = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** How a command ended. */
export interface Ended {
  readonly code: number | null;
  readonly reports: readonly Report[];
  readonly stdout: string;
  readonly stderr: string;
}

/** A running command. */
export class HyphaProcess {
  /** Resolves when it has ended and said all. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #reports: Report[] = [];
  readonly #lines: string[] = [];
  readonly #waiting: { event: string; resolve: (report: never) => void }[] = [];
  #stderr = "";

  /** Starts `hypha ARGS`, with `input` on its standard input. */
  constructor(args: readonly string[], options: { readonly cwd?: string; readonly input?: string } = {}) {
    const denoArgs = ["run", "-A", "--quiet", "--no-prompt", "--config", CONFIG, MAIN, ...args];
    const { input, ...spawnOptions } = options;
    const stdin = input === undefined ? "ignore" : "pipe";
    this.#child = spawn(process.execPath, denoArgs, { stdio: [stdin, "pipe", "pipe"], ...spawnOptions });
    this.#child.stdin?.end(input);
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

/** Starts `hypha send FILE` on loopback and calls `body` with it and its ticket; it is gone afterwards. */
export async function withSender(
  file: string,
  args: readonly string[],
  body: (sender: HyphaProcess, ticket: string) => Promise<void>,
): Promise<void> {
  const sender = new HyphaProcess(["send", file, "--host", "127.0.0.1", "--json", ...args]);
  try {
    const { ticket } = await sender.report("ticket");
    await body(sender, ticket);
  } finally {
    await sender.kill();
  }
}
