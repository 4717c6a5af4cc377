/**
 * Network namespaces of Linux, each a host or a router of its own, and the programs on them. Needs root, `ip` and `nft`.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Why tests with namespaces cannot run here, if so. */
export function netnsProblem(): string | undefined {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "needs root, to make network namespaces";
  if (!works("ip", "-V") || !works("nft", "--version")) {
    return "needs the commands ip and nft: apt-get install iproute2 nftables";
  }
  const name = `hypha-try-${randomUUID().slice(0, 8)}`;
  if (!works("ip", "netns", "add", name)) return "the system allows no network namespaces";
  const hasNat = works("ip", "netns", "exec", name, "nft", "add table ip try");
  run(["ip", "netns", "del", name]);
  return hasNat ? undefined : "the system allows no rules of nftables";
}

/** Whether a command exists and works. */
function works(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "ignore" }).status === 0;
}

function run([command, ...args]: readonly string[], input = ""): string {
  const { status, stdout, stderr } = spawnSync(command!, args, { encoding: "utf8", input });
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

  constructor([command, ...args]: readonly string[]) {
    this.#process = spawn(command!, args, { stdio: ["pipe", "pipe", "inherit"] });
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

/** What a program in Deno may do: hypha needs no more. */
const PERMISSIONS = ["--allow-net", "--allow-sys=networkInterfaces", "--no-prompt"];

/** Namespaces that are taken away together, with all that runs in them. */
export class Namespaces {
  /** Test files that run side by side share a process. */
  readonly #label = randomUUID().slice(0, 8);
  readonly #names = new Map<string, string>();
  readonly #programs: Program[] = [];

  /** Adds one. Loopback is up, and addresses of IPv6 can be used at once. */
  add(role: string): void {
    const name = `hypha-${this.#label}-${role}`;
    run(["ip", "netns", "add", name]);
    this.#names.set(role, name);
    this.set(role, "ipv6/conf/default/accept_dad", 0);
    this.ip(role, "link set lo up");
  }

  /** Lays a cable between two of them. Both ends are up. */
  connect(a: string, aDevice: string, b: string, bDevice: string): void {
    const [from, to] = [this.#name(a), this.#name(b)];
    const pair = `type veth peer name ${bDevice} netns ${to}`;
    run(["ip", "link", "add", aDevice, "netns", from, ...pair.split(" ")]);
    this.ip(a, `link set ${aDevice} up`);
    this.ip(b, `link set ${bDevice} up`);
  }

  /** Runs lines of `ip`, such as `addr add 10.0.0.1/8 dev eth0`. */
  ip(role: string, ...lines: readonly string[]): void {
    run(["ip", "-n", this.#name(role), "-batch", "-"], `${lines.join("\n")}\n`);
  }

  /** Runs lines of `nft`. */
  nft(role: string, ...lines: readonly string[]): void {
    run(this.#in(role, ["nft", "-f", "-"]), `${lines.join("\n")}\n`);
  }

  /** Sets a value below `/proc/sys/net`. */
  set(role: string, key: string, value: number): void {
    this.exec(role, "sh", "-c", `echo ${value} > /proc/sys/net/${key}`);
  }

  /** Runs any command to its end. @returns what it prints. */
  exec(role: string, ...command: readonly string[]): string {
    return run(this.#in(role, command));
  }

  /** Starts a program of this repository. */
  start(role: string, file: URL, ...args: readonly string[]): Program {
    return this.spawn(role, process.execPath, "run", "--quiet", ...PERMISSIONS, fileURLToPath(file), ...args);
  }

  /** Starts a program of this repository that may do anything. */
  startTrusted(role: string, file: URL, ...args: readonly string[]): Program {
    const permissions = ["--allow-all", "--no-prompt"];
    return this.spawn(role, process.execPath, "run", "--quiet", ...permissions, fileURLToPath(file), ...args);
  }

  /** Starts any program. */
  spawn(role: string, ...command: readonly string[]): Program {
    const program = new Program(this.#in(role, command));
    this.#programs.push(program);
    return program;
  }

  /** Ends all programs and takes everything away. */
  async close(): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.stop()));
    for (const name of this.#names.values()) run(["ip", "netns", "del", name]);
  }

  #in(role: string, command: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.#name(role), ...command];
  }

  #name(role: string): string {
    const name = this.#names.get(role);
    if (name === undefined) throw new Error(`There is no namespace ${role}`);
    return name;
  }
}
