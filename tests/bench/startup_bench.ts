/**
 * What it costs to start: time from the shell to the first result, memory then, and the Deno permissions without which the
 * program fails. `interop/reference/bench_startup.mjs` does the same with the reference.
 *
 *     deno run -A tests/bench/startup_bench.ts [--quick]
 *
 * With `--program NAME` the file is the program that is measured, so that nothing else is loaded. Node gets a copy without types,
 * as users of the npm package have JavaScript too: loading the part that strips types takes longer than all the rest.
 */
import process from "node:process";

const PROGRAMS: Readonly<Record<string, () => Promise<Uint8Array>>> = {
  async "encode a number"(): Promise<Uint8Array> {
    const { Cursor, uint } = await import("../../encoding/mod.ts");
    const cursor = new Cursor(new Uint8Array(uint.size(1234)));
    uint.encode(cursor, 1234);
    return cursor.buffer;
  },
  async "make a key pair"(): Promise<Uint8Array> {
    const { loadCryptoProvider } = await import("../../core/crypto/provider.ts");
    return (await loadCryptoProvider()).keyPair(new Uint8Array(32).fill(7)).publicKey;
  },
};

const isDeno = process.versions["deno"] !== undefined;
const program = isDeno ? new URL(import.meta.url) : new URL("startup_program.mjs", import.meta.url);

const hex = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

async function runProgram(name: string): Promise<void> {
  const result = hex(await PROGRAMS[name]!());
  console.log(JSON.stringify({ result, rss: process.memoryUsage().rss }));
}

/** What is measured at one start of a program. */
interface Start {
  readonly milliseconds: number;
  readonly rss: number;
  readonly result: string;
}

/** Starts the program in a process of its own; undefined if it fails. */
async function start(name: string, permissions: readonly string[]): Promise<Start | undefined> {
  const { spawnSync } = await import("node:child_process");
  const runtime = isDeno ? ["run", "--quiet", "--no-prompt", ...permissions] : [];
  const args = [...runtime, program.pathname, "--program", name];
  const before = performance.now();
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const milliseconds = performance.now() - before;
  return status === 0 ? { milliseconds, ...JSON.parse(stdout) } : undefined;
}

const PERMISSIONS = ["read", "net", "env", "sys", "ffi", "write", "run", "import"].map((name) =>
  `--allow-${name}`
);

/** The permissions that cannot be left out, found by leaving out one after the other. */
async function neededPermissions(name: string): Promise<string[]> {
  let needed = PERMISSIONS;
  for (const permission of PERMISSIONS) {
    const fewer = needed.filter((one) => one !== permission);
    if (await start(name, fewer) !== undefined) needed = fewer;
  }
  return needed;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

async function measure(name: string, quick: boolean): Promise<void> {
  const starts: Start[] = [];
  for (let i = 0; i < (quick ? 1 : 11); i++) starts.push((await start(name, ["-A"]))!);
  const hash = starts[0]!.result;
  const print = (what: string, unit: string, value: number) =>
    console.log(JSON.stringify({ case: `${name}: ${what}`, unit, value: Math.round(value), hash }));
  print("time", "ms", median(starts.map(({ milliseconds }) => milliseconds)));
  print("memory", "kB", median(starts.map(({ rss }) => rss)) / 1000);
  if (!isDeno || quick) return;
  print("permissions", "permissions", (await neededPermissions(name)).length);
}

async function measureAll(quick: boolean): Promise<void> {
  const { readFileSync, rmSync, writeFileSync } = await import("node:fs");
  const { stripTypeScriptTypes } = await import("node:module");
  if (!isDeno) writeFileSync(program, stripTypeScriptTypes(readFileSync(new URL(import.meta.url), "utf8")));
  try {
    for (const name of Object.keys(PROGRAMS)) await measure(name, quick);
  } finally {
    if (!isDeno) rmSync(program);
  }
}

const [flag, name] = process.argv.slice(2);
if (flag === "--program") await runProgram(name!);
else await measureAll(flag === "--quick");
