/**
 * Starts `sqlite_child.ts`, on the runtime that runs the tests, and kills it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const CHILD = fileURLToPath(new URL("./sqlite_child.ts", import.meta.url));
const isDeno = process.versions["deno"] !== undefined;

/** What the child is to do: on which store, with which workload, and what. */
export type ChildTask = [path: string, seed: number, action: string];

/** The command that runs the child; without a task for one that waits for {@linkcode SqliteChild.begin}. */
export function childCommand(...task: ChildTask | []): [string, string[]] {
  const flags = isDeno
    ? ["run", "-A", "--quiet", "--no-check"]
    : process.execArgv.filter((flag) => !/^--test/.test(flag));
  return [process.execPath, [...flags, CHILD, ...task.map(String)]];
}

/** A process that works on a store. */
export class SqliteChild {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  /** What it has said. */
  readonly lines: string[] = [];
  #onLine: () => void = () => {};

  /** Starts it. `command` is that of {@linkcode childCommand}, by default as it is. */
  constructor([program, args]: [string, string[]]) {
    this.#process = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#process.stdin!.on("error", () => {}); // it may be gone
    const lines = createInterface({ input: this.#process.stdout! });
    lines.on("line", (line) => {
      this.lines.push(line);
      this.#onLine();
    });
    const ends = [
      new Promise((resolve) => lines.once("close", resolve)),
      new Promise((resolve) => this.#process.once("exit", resolve)),
    ];
    this.#ended = Promise.all(ends).then(() => this.#onLine());
  }

  /** Tells one that was started without a task what to do. */
  begin(...task: ChildTask): void {
    this.#process.stdin!.end(`${JSON.stringify(task)}\n`);
  }

  /** Waits for that many lines, or the end of the process. */
  async read(count: number): Promise<void> {
    let isOver = false;
    void this.#ended.then(() => isOver = true);
    while (this.lines.length < count && !isOver) {
      await new Promise<void>((resolve) => this.#onLine = resolve);
    }
  }

  /** Kills it as nothing can be helped against; waits until it is gone. */
  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }

  /** Waits until it has ended on its own. */
  ended(): Promise<void> {
    return this.#ended;
  }

  /** The last batch that it has acknowledged. */
  get acknowledged(): number {
    return Number(this.lines.filter((line) => /^\d+$/.test(line)).at(-1) ?? -1);
  }
}
