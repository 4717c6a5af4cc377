// The work of tests/bench/startup_bench.ts, done by compact-encoding and hypercore-crypto. Prints the same JSON lines.
//
//     node tests/interop/reference/bench_startup.mjs [--quick]       deno run -A ... as well
import process from "node:process";

const PROGRAMS = {
  async "encode a number"() {
    const { default: c } = await import("compact-encoding");
    return c.encode(c.uint, 1234);
  },
  async "make a key pair"() {
    const { default: crypto } = await import("hypercore-crypto");
    return crypto.keyPair(new Uint8Array(32).fill(7)).publicKey;
  },
};

const isDeno = process.versions.deno !== undefined;

async function start(name, permissions) {
  const { spawnSync } = await import("node:child_process");
  const runtime = isDeno ? ["run", "--quiet", "--no-prompt", ...permissions] : [];
  const args = [...runtime, new URL(import.meta.url).pathname, "--program", name];
  const before = performance.now();
  const { status, stdout } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const milliseconds = performance.now() - before;
  return status === 0 ? { milliseconds, ...JSON.parse(stdout) } : undefined;
}

async function neededPermissions(name) {
  const all = ["read", "net", "env", "sys", "ffi", "write", "run", "import"].map((name) => `--allow-${name}`);
  let needed = all;
  for (const permission of all) {
    const fewer = needed.filter((one) => one !== permission);
    if (await start(name, fewer)) needed = fewer;
  }
  return needed;
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

async function measure(name, quick) {
  const starts = [];
  for (let i = 0; i < (quick ? 1 : 11); i++) starts.push(await start(name, ["-A"]));
  const hash = starts[0].result;
  const print = (what, unit, value) =>
    console.log(JSON.stringify({ case: `${name}: ${what}`, unit, value: Math.round(value), hash }));
  print("time", "ms", median(starts.map(({ milliseconds }) => milliseconds)));
  print("memory", "kB", median(starts.map(({ rss }) => rss)) / 1000);
  if (!isDeno || quick) return;
  print("permissions", "permissions", (await neededPermissions(name)).length);
}

const [flag, name] = process.argv.slice(2);
if (flag === "--program") {
  const result = Array.from(await PROGRAMS[name](), (byte) => byte.toString(16).padStart(2, "0")).join("");
  console.log(JSON.stringify({ result, rss: process.memoryUsage().rss }));
} else for (const program of Object.keys(PROGRAMS)) await measure(program, flag === "--quick");
