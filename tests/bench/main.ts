/**
 * Ours against the reference: `deno task bench [--json] [--quick] [--rounds N] [--runtime deno|node] [NAME...]`.
 *
 * `dht` stands for all benchmarks whose names begin with `dht_`, and so on. `log` is compared with hypercore 11 and, in rows of
 * its own, with hypercore 10.
 *
 * A benchmark NAME is a pair of programs that do the same work and print the same lines: `NAME_bench.ts` here and
 * `bench_NAME.mjs` beside the reference peers. Each runs under Deno and under the oldest supported Node, where ours is the
 * built npm package. All sides take turns within a round, so that a busy minute of the machine hits them alike; what counts is
 * the median over the rounds. A reference that does not run under Deno is compared as it runs under Node.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { run, tryRun } from "../../scripts/run.ts";
import { copyTests, installPackage, NODE_FLAGS } from "../../scripts/test_npm.ts";
import { compare, type Comparison, parseSamples, type Sample, toTable } from "./compare.ts";

const OLDEST_NODE = "22.13.0";

const { values: options, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    rounds: { type: "string", default: "3" },
    runtime: { type: "string", default: "" },
  },
});

const root = fileURLToPath(new URL("../../", import.meta.url));
const temporary = Deno.makeTempDirSync({ prefix: "hypha-bench-" });
const node = join(temporary, "node_modules/.bin/node");

/** One program on one runtime, and what it has printed so far. */
interface Side {
  readonly command: string;
  readonly args: readonly string[];
  readonly samples: Sample[];
}

/** Installs the built package and the wanted Node in the temporary folder. */
function prepareNode(): void {
  const subject = {
    ...JSON.parse(Deno.readTextFileSync(join(root, "deno.json"))),
    entries: [],
    root,
    node: OLDEST_NODE,
    folder: temporary,
  };
  run(Deno.execPath(), ["task", "--quiet", "npm", "--build-only"], { cwd: root });
  installPackage({ ...subject, tarball: join(root, `npm/hypha-hypha-${subject.version}.tgz`) });
  copyTests(subject, "bench");
}

/** Runs one side once more; false if it fails, which only a reference under Deno may. */
function sample({ command, args, samples }: Side): boolean {
  const { success, stdout, output } = tryRun(command, [...args, ...(options.quick ? ["--quick"] : [])], {
    cwd: root,
  });
  if (success) samples.push(...parseSamples(stdout));
  else if (command === node || args.at(-1)!.endsWith(".ts")) {
    throw new Error(`${args.join(" ")} failed:\n${output}`);
  }
  return success;
}

function runBench(name: string): Comparison[] {
  const side = (command: string, ...args: string[]): Side => ({ command, args, samples: [] });
  const deno = ["run", "-A", "--quiet"];
  const [ourFile, referenceFile] = [
    `tests/bench/${name}_bench.ts`,
    `tests/interop/reference/bench_${name}.mjs`,
  ];
  const onDeno = side(Deno.execPath(), ...deno, join(root, ourFile));
  const onNode = side(node, ...NODE_FLAGS, join(temporary, ourFile));
  const referenceOnDeno = side(Deno.execPath(), ...deno, join(root, referenceFile));
  const referenceOnNode = side(node, join(root, referenceFile));
  const older = name === "log" ? [side(node, join(root, referenceFile), "--generation", "10")] : [];
  const ours = [
    ...(options.runtime === "node" ? [] : [onDeno]),
    ...(options.runtime === "deno" ? [] : [onNode]),
  ];
  const references = [...(options.runtime === "node" ? [] : [referenceOnDeno]), referenceOnNode, ...older];
  let sides = existsSync(join(root, referenceFile)) ? [...ours, ...references] : ours;
  for (let round = 0; round < (options.quick ? 1 : Number(options.rounds)); round++) {
    sides = sides.filter((side, index) => {
      say(`${name}: round ${round + 1}, program ${index + 1} of ${sides.length}`);
      return sample(side);
    });
  }
  const denoReference = sides.includes(referenceOnDeno) ? referenceOnDeno : referenceOnNode;
  const denoLabel = denoReference === referenceOnNode && sides.includes(referenceOnNode)
    ? "deno, node"
    : "deno";
  return [
    ...compare(name, denoLabel, onDeno.samples, denoReference.samples),
    ...compare(name, "node", onNode.samples, referenceOnNode.samples),
    ...older.flatMap(({ samples }) => [
      ...compare(`${name}, generation 10`, "deno, node", onDeno.samples, samples),
      ...compare(`${name}, generation 10`, "node", onNode.samples, samples),
    ]),
  ];
}

/** Shows what is going on, to a person who waits. */
function say(text: string): void {
  if (Deno.stderr.isTerminal()) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

const known = readdirSync(new URL("./", import.meta.url))
  .flatMap((file) => /^(.+)_bench\.ts$/.exec(file)?.[1] ?? []).toSorted();
const named = (wanted: string) => known.filter((name) => name === wanted || name.startsWith(`${wanted}_`));
const unknown = positionals.filter((wanted) => named(wanted).length === 0);
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(", ")}; there are ${known.join(", ")}`);
  Deno.exit(1);
}
const comparisons: Comparison[] = [];
try {
  say("building the npm package");
  prepareNode();
  for (const name of positionals.length > 0 ? positionals.flatMap(named) : known) {
    comparisons.push(...runBench(name));
  }
} finally {
  say("");
  Deno.removeSync(temporary, { recursive: true });
}
console.log(options.json ? comparisons.map((one) => JSON.stringify(one)).join("\n") : toTable(comparisons));
