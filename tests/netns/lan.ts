/**
 * A LAN of real kernels: hosts as network namespaces of Linux, on one bridge, without a way out. Needs root and `ip`.
 *
 *     host 0 (10.99.0.1) --+
 *     host 1 (10.99.0.2) --+-- bridge, in a namespace of its own
 *     ...                --+
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Whether a command exists and works. */
function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

/** Why tests with namespaces cannot run here, if so. */
export function netnsProblem(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "needs root, to make network namespaces";
  if (!works("ip", "-V") || !works("nft", "--version")) {
    return "needs the commands ip and nft: apt-get install iproute2 nftables";
  }
  const name = `hypha-try-${process.pid}`;
  if (!works("ip", "netns", "add", name)) return "the system allows no network namespaces";
  run("ip", "netns", "del", name);
  return undefined;
}

function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

/** What a {@linkcode Program} tells, one JSON line at a time. */
export interface Told {
  readonly event: string;
  // deno-lint-ignore no-explicit-any
  readonly [detail: string]: any;
}

/** A process on one of the hosts. */
export class Program {
  readonly #process: ChildProcess;
  readonly #told: Told[] = [];
  readonly #isDone: Promise<unknown>;
  #wake: (() => void) | undefined;
  #isGone = false;

  constructor(namespace: string, permissions: readonly string[], file: URL, ...args: string[]) {
    const command = ["ip", "netns", "exec", namespace, process.execPath, "run", "--quiet", "--no-prompt"];
    const [name, ...rest] = [...command, ...permissions, fileURLToPath(file), ...args];
    this.#process = spawn(name!, rest, { stdio: ["pipe", "pipe", "inherit"] });
    const closed = once(this.#process, "close").then(() => {
      this.#isGone = true;
      this.#wake?.();
    });
    this.#isDone = Promise.all([closed, this.#listen()]);
  }

  async #listen(): Promise<void> {
    for await (const line of createInterface({ input: this.#process.stdout! })) {
      this.#told.push(JSON.parse(line));
      this.#wake?.();
    }
  }

  /** The next event called `name`. */
  async next(name: string): Promise<Told> {
    while (true) {
      const index = this.#told.findIndex(({ event }) => event === name);
      if (index >= 0) return this.#told.splice(index, 1)[0]!;
      if (this.#isGone) {
        throw new Error(`The program ended before ${name}; it said ${JSON.stringify(this.#told)}`);
      }
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** Ends the process. */
  async stop(): Promise<void> {
    this.#process.kill("SIGKILL");
    this.#process.stdin!.destroy();
    await this.#isDone;
  }
}

/** See the head of the file. */
export class Lan {
  readonly #namespaces: string[] = [];
  readonly #programs: Program[] = [];

  /** A LAN of `size` hosts. */
  constructor(size: number) {
    const bridge = this.#add("bridge");
    run("ip", "-n", bridge, "link", "add", "br0", "type", "bridge");
    run("ip", "-n", bridge, "link", "set", "br0", "up");
    for (let i = 0; i < size; i++) {
      const host = this.#add(`h${i}`);
      const peer = ["type", "veth", "peer", "name", "eth0", "netns", host];
      run("ip", "link", "add", `p${i}`, "netns", bridge, ...peer);
      run("ip", "-n", bridge, "link", "set", `p${i}`, "master", "br0", "up");
      this.#ip(i, "addr", "add", `10.99.0.${i + 1}/24`, "dev", "eth0");
      this.#ip(i, "link", "set", "lo", "up");
      this.#ip(i, "link", "set", "eth0", "up");
    }
  }

  /** Gives a host a second interface, as a VPN does: up, with an address, and leading to nobody on the LAN. */
  addVpn(host: number, address: string): void {
    const peer = ["type", "veth", "peer", "name", "far", "netns", this.#namespaces[0]!];
    this.#ip(host, "link", "add", "wg0", ...peer);
    this.#ip(host, "addr", "add", address, "dev", "wg0");
    this.#ip(host, "link", "set", "wg0", "up");
    run("ip", "-n", this.#namespaces[0]!, "link", "set", "far", "up");
  }

  /** Runs any command on a host. @returns what it prints. */
  exec(host: number, ...args: string[]): string {
    return run("ip", "netns", "exec", this.#name(host), ...args);
  }

  /** Starts a program on a host, with no more rights than the network takes. */
  start(host: number, file: URL, ...args: string[]): Program {
    return this.#start(host, ["--allow-net", "--allow-sys=networkInterfaces"], file, ...args);
  }

  /** Starts a program that may do anything. */
  startTrusted(host: number, file: URL, ...args: string[]): Program {
    return this.#start(host, ["--allow-all"], file, ...args);
  }

  #start(host: number, permissions: readonly string[], file: URL, ...args: string[]): Program {
    const program = new Program(this.#name(host), permissions, file, ...args);
    this.#programs.push(program);
    return program;
  }

  /** Ends all programs and takes everything away. */
  async close(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
    for (const namespace of this.#namespaces) run("ip", "netns", "del", namespace);
  }

  #ip(host: number, ...args: string[]): void {
    run("ip", "-n", this.#name(host), ...args);
  }

  #name(host: number): string {
    return this.#namespaces[host + 1]!;
  }

  #add(name: string): string {
    const namespace = `hypha-${process.pid}-${name}`;
    run("ip", "netns", "add", namespace);
    this.#namespaces.push(namespace);
    return namespace;
  }
}
