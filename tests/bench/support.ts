/**
 * What the benchmarks of the network share; `interop/reference/bench_support.mjs` is the same for the reference.
 */
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { loadSystemRuntime } from "../../core/system_runtime.ts";
import { Dht } from "../../dht/mod.ts";
import type { DhtOptions } from "../../dht/mod.ts";
import { udpNetwork } from "../../transports/udp/mod.ts";

/** Whether the figures do not matter, only that the benchmark works. */
export const quick: boolean = process.argv.includes("--quick");
/** Where all nodes are. */
export const HOST = "127.0.0.1";
/** The UDP of the host, which all nodes of a process share. */
const network = udpNetwork({ needTtl: true });
/** The clock, chance and cryptography of the host. */
export const runtime = await loadSystemRuntime();

const isDeno = process.versions["deno"] !== undefined;

/** The value behind `flag`; undefined without. */
export function flagValue(flag: string): string | undefined {
  const index = process.argv.indexOf(flag);
  return index === -1 ? undefined : process.argv[index + 1] ?? "";
}

/** The hash of `text`, FNV-1a: it names the work that was done. */
export function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/** Prints a sample. `work` says what was done and what came of it: equal text means equal work. */
export function print(name: string, unit: string, value: number, work: string): void {
  console.log(JSON.stringify({ case: name, unit, value: Number(value.toPrecision(4)), hash: hashOf(work) }));
}

/** The value below which `share` percent of `values` lie. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share / 100))]!;
}

/** Prints the middle and the 99th percentile of `values`. */
export function printTimes(name: string, values: readonly number[], work: string): void {
  print(`${name}, p50`, "ms", percentile(values, 50), work);
  print(`${name}, p99`, "ms", percentile(values, 99), work);
}

/** Calls `work` `count` times, `parallel` of them under way at once; resolves with the milliseconds of each. */
export async function timeEach(
  count: number,
  parallel: number,
  work: (index: number) => Promise<unknown>,
): Promise<number[]> {
  const times: number[] = [];
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const index = next++;
      const start = performance.now();
      await work(index);
      times.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return times;
}

/** Whether `work` is done within `ms`. */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), ms));
  const isInTime = await Promise.race([work.then(() => true, () => false), late]);
  clearTimeout(timer);
  return isInTime;
}

/** Microseconds of processor time since `start`. */
export function cpuSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return user + system;
}

/** A key or topic that depends on `label` and `n` and nothing else. */
export function bytesOf(label: number, n: number): Uint8Array {
  return new Uint8Array(32).map((_, i) => Math.imul(Math.imul(n + 1, label) + i, 0x9e3779b1 + 2 * i) >>> 13);
}

/** Resident bytes, after as much as possible was given back. */
export async function residentBytes(): Promise<number> {
  const { gc } = globalThis as { gc?: (options: Record<string, string>) => void };
  for (let i = 0; i < 3; i++) {
    gc!({ type: "major", execution: "sync", flavor: "last-resort" });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return process.memoryUsage().rss;
}

/** A node in the network at `port`, which has looked around unless `isReady` is false. */
export async function openDht(port: number, options: DhtOptions = {}, isReady = true): Promise<Dht> {
  const bootstrap = [`${HOST}:${port}`];
  const dht = new Dht(runtime, network, { host: HOST, port: 0, bootstrap, ...options });
  await dht.open();
  if (isReady) await dht.ready();
  return dht;
}

/** A network of `count` persistent nodes of which the first is at the port that is returned. */
export async function openNetwork(count: number): Promise<{ port: number; nodes: Dht[] }> {
  const port = 20_000 + runtime.random.below(20_000);
  const first = Dht.bootstrapper(runtime, network, { host: HOST, port }, { host: HOST });
  await first.open();
  await first.ready();
  const nodes = [first];
  while (nodes.length < count) nodes.push(await openDht(port, { ephemeral: false, firewalled: false }));
  return { port, nodes };
}

/** Another process that runs the same benchmark in another role. */
export class Helper {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** Starts the file at `url` with `args`, and with the garbage collector in reach. */
  constructor(url: string, ...args: string[]) {
    const flags = isDeno
      ? ["run", "-A", "--quiet", "--v8-flags=--expose-gc"]
      : [...process.execArgv.filter((flag) => !/^--test/.test(flag)), "--expose-gc"];
    const all = [...flags, fileURLToPath(url), ...args, ...(quick ? ["--quick"] : [])];
    this.#process = spawn(process.execPath, all, { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
  }

  /** What it prints next, taken for JSON. @throws {Error} if it has ended. */
  async read<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error("A helper of the benchmark has ended too early");
    return JSON.parse(value);
  }

  /** Sends a line, and waits for the answer. */
  ask<T>(line: string): Promise<T> {
    this.#process.stdin!.write(`${line}\n`);
    return this.read();
  }

  /** Lets it end. */
  end(): void {
    this.#process.stdin!.end();
  }
}

/** The other end of a {@linkcode Helper}: says `hello`, answers each line, and ends the process when there are no more. */
export async function serve(
  hello: unknown,
  answer: (line: string) => unknown = () => null,
): Promise<never> {
  console.log(JSON.stringify(hello));
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(line)));
  }
  process.exit(0);
}

/** A place below `length` that follows from `n` and looks like chance: 32-bit mixing as in MurmurHash3. */
export function placeOf(n: number, length: number): number {
  let x = Math.imul(n + 1, 0x9e3779b1);
  x = Math.imul(x ^ x >>> 16, 0x85ebca6b);
  x = Math.imul(x ^ x >>> 13, 0xc2b2ae35);
  return ((x ^ x >>> 16) >>> 0) % length;
}
