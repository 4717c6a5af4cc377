/**
 * Runs the peers of `peer.ts` through a laboratory of real NATs: hosts and routers in network namespaces, translation by nftables.
 * Needs root, `ip`, `nft`, `conntrack`, a C compiler, Node, and hyperdht in `tests/interop/reference` (`tests/interop/install.ts`).
 *
 *     deno run -A tests/natlab/run.ts LAB ROW... [--server WHO] [--client WHO] [--relay WHO] [--runs N] [--out FOLDER] [--beside]
 *
 * LAB is the folder of the laboratory, a ROW one of those in the table below, or `all`; WHO is `hypha`, the default, or
 * `reference`. Results are one JSON object a line in `FOLDER/<server>-<client>-<row>.jsonl`, appended. They are compared with what
 * the laboratory recorded of the reference on an idle machine; with `--beside`, with runs of the reference in between.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Against a home router, and a home router against them: what is not in the matrix. */
const KINDS = ["public-fw", "eim-addr", "eim-shift", "linux-poison", "cgnat", "cgnat-sym"];
const ACCESS = ["--latency", "25"];
const HOME = "eim-restricted/eim-restricted";
const CROSSED = ["eim-restricted/symmetric", "symmetric/eim-restricted"];
const LOSSY = ["--latency", "50", "--jitter", "10", "--loss", "5", "--burst", "3"];
const POOR = ["--latency", "150", "--jitter", "20", "--loss", "10", "--burst", "5"];

/** What the laboratory is told for each row. */
const ROWS: Readonly<Record<string, readonly string[]>> = {
  matrix: ACCESS,
  kinds: [
    ...ACCESS,
    ...pairs(
      ...KINDS.flatMap((kind) => [`${kind}/eim-restricted`, `eim-restricted/${kind}`]),
      ...["linux-poison/linux-poison", "cgnat/cgnat", "public-fw/symmetric", "symmetric/public-fw"],
    ),
  ],
  quick: [...ACCESS, ...pairs("open/open", HOME, ...CROSSED, "symmetric/symmetric", "udp-blocked/open")],
  overlap: [...ACCESS, "--overlap", ...pairs(HOME)],
  lan: [...ACCESS, "--same-lan", ...pairs(HOME, "symmetric/symmetric")],
  near: [
    ...ACCESS,
    "--hops",
    "1",
    ...pairs("linux-poison/linux-poison", "linux-poison/eim-restricted", HOME),
  ],
  loss: [...LOSSY, ...pairs("open/open", HOME)],
  "loss-symmetric": [...LOSSY, ...pairs(...CROSSED)],
  "heavy-loss": [...POOR, ...pairs("open/open", HOME)],
  flush: [...ACCESS, "--hold", "30", "--event", "right:flush@8", ...pairs("open/eim-restricted", HOME)],
  down: [
    ...ACCESS,
    ...["--hold", "45", "--event", "right:down@8", "--event", "right:up@18"],
    ...pairs("open/eim-restricted", HOME),
  ],
  outage: [
    ...ACCESS,
    ...["--hold", "60", "--event", "right:down@8", "--event", "right:up@33"],
    ...pairs("open/eim-restricted", HOME),
  ],
  renumber: [...ACCESS, "--hold", "45", "--event", "right:renumber@8", ...pairs("open/eim-restricted", HOME)],
  "renumber-server": [...ACCESS, "--hold", "45", "--event", "left:renumber@8", ...pairs(HOME)],
  tcp: [...ACCESS, ...pairs("open/udp-blocked", "open/open", HOME)],
  relay: [...ACCESS, ...pairs("symmetric/symmetric", HOME, "udp-blocked/open")],
};

function pairs(...list: string[]): string[] {
  return ["--pairs", list.join()];
}

async function node(
  file: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<number> {
  const child = spawn("node", [file, ...args], { stdio: "inherit", env: { ...process.env, ...env } });
  // What ends this program ends the laboratory first, which then takes its namespaces away.
  const end = () => {
    child.once("close", () => process.exit(1));
    child.kill("SIGTERM");
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, end);
  const [code] = await once(child, "close");
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, end);
  return code ?? 1;
}

const { values, positionals: [lab, ...wanted] } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: {
    server: { type: "string", default: "hypha" },
    client: { type: "string", default: "hypha" },
    relay: { type: "string", default: "hypha" },
    runs: { type: "string", default: "3" },
    out: { type: "string", default: "" },
    beside: { type: "boolean", default: false },
  },
});
const names = wanted.includes("all") ? Object.keys(ROWS).filter((name) => name !== "quick") : wanted;
const unknown = names.filter((name) => !(name in ROWS));
if (lab === undefined || names.length === 0 || unknown.length > 0) {
  console.error(`Expected the laboratory's folder and rows: all, ${Object.keys(ROWS).join(", ")}`);
  process.exit(2);
}
const modules = here("../interop/reference/node_modules");
if (!existsSync(join(modules, "hyperdht"))) {
  console.error("hyperdht is missing: deno run -A tests/interop/install.ts");
  process.exit(2);
}

/** Who plays which part. */
interface Cast {
  readonly relay: string;
  readonly server: string;
  readonly client: string;
}
/** More than a row has pairs: each of them takes a seed. */
const SEEDS_PER_ROW = 100;
const REFERENCE: Cast = { relay: "reference", server: "reference", client: "reference" };

const state = mkdtempSync(join(tmpdir(), "hypha-natlab-"));
const out = values.out === "" ? state : values.out;
mkdirSync(out, { recursive: true });

/** What the laboratory is to run for a part: its own script of the reference, or ours. */
function command(cast: Cast, part: keyof Cast, args: string): string[] {
  const program = cast[part] === "reference"
    ? `node ${join(lab!, `ref-${part}.mjs`)}`
    : `${process.execPath} run -A --quiet ${here("peer.ts")} ${part}`;
  return [`--${part}`, `${program} --bootstrap {bootstrap} ${args}`];
}

const fileOf = ({ server, client }: Cast, row: string) => join(out, `${server}-${client}-${row}.jsonl`);

/** `seed` is that of the loss: the same for all who are to be compared. */
async function runRow(cast: Cast, row: string, runs: string, seed = 1): Promise<void> {
  console.error(`--- ${row}: server ${cast.server}, client ${cast.client}`);
  const tcp = row === "tcp" ? " --tcp" : "";
  const args = [
    ...ROWS[row]!,
    ...["--runs", runs, "--seed", String(seed), "--out", fileOf(cast, row)],
    ...command(cast, "server", `{relayflag}${tcp}`),
    ...command(cast, "client", `--key {key} --timeout {timeout} --hold {hold} {relayflag}${tcp}`),
    ...row === "relay" ? command(cast, "relay", "--host {host}") : [],
  ];
  const env = { NATLAB_STATE: state, NATLAB_REF_MODULES: modules };
  await node(join(lab!, "natlab.mjs"), ["matrix", ...args], env);
}

let known = join(lab, "reference.json");
for (const row of names) {
  if (!values.beside) await runRow(values, row, values.runs);
  for (let i = 0; values.beside && i < Number(values.runs); i++) {
    await runRow(values, row, "1", 1 + SEEDS_PER_ROW * i);
    await runRow(REFERENCE, row, "1", 1 + SEEDS_PER_ROW * i);
  }
}
const report = join(lab, "report.mjs");
if (values.beside) {
  known = join(state, "reference.json");
  await node(report, ["--json", known, ...names.map((row) => fileOf(REFERENCE, row))]);
}
process.exitCode = await node(report, ["--against", known, ...names.map((row) => fileOf(values, row))]);
if (out !== state) rmSync(state, { recursive: true });
