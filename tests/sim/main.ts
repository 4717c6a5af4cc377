/**
 * Simulated networks: `deno task sim [NAME...] [--seeds N | --seed S] [--twice] [--hashes] [--list]` and options of scenarios.
 *
 * Without a name, all of them in their short form. `--seed` runs that one alone and prints all about it. `--twice` runs each seed
 * again and compares what happened, datagram by datagram. With `--hashes` only the hashes, as JSON: another runtime must find the
 * same. What fails is printed with the command that shows it again.
 */
import { parseArgs } from "node:util";
import { median, type Outcome, type Scenario, type SimOptions } from "./scenario.ts";
import { SCENARIOS } from "./scenarios/mod.ts";

const own = SCENARIOS.flatMap(({ options = {} }) => Object.keys(options));
const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    seeds: { type: "string" },
    seed: { type: "string" },
    twice: { type: "boolean", default: false },
    hashes: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    ...Object.fromEntries(own.map((name) => [name, { type: "string" } as const])),
  },
});
const options: SimOptions = Object.fromEntries(
  own.map((name) => [name, (values as Record<string, string | undefined | boolean>)[name]?.toString()]),
);
const unknown = positionals.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
if (unknown.length > 0) {
  console.error(`There is no scenario ${unknown.join(", ")}: --list shows those that there are`);
  Deno.exit(2);
}
if (values.list) {
  for (const scenario of SCENARIOS) {
    console.log(`${scenario.name.padEnd(12)} ${scenario.what} (${scenario.seeds} seeds)`);
    for (const [name, what] of Object.entries(scenario.options ?? {})) {
      console.log(`    --${name.padEnd(14)} ${what}`);
    }
  }
  Deno.exit(0);
}

/** What was said on the command line besides the seed: what it takes to see a run again. */
function said({ options: known = {} }: Scenario): string {
  return Object.keys(known).flatMap((name) =>
    options[name] === undefined ? [] : ` --${name} "${options[name]}"`
  )
    .join("");
}

async function runSeed(scenario: Scenario, seed: string): Promise<Outcome> {
  let outcome: Outcome;
  try {
    outcome = await scenario.run(seed, options);
  } catch (error) {
    const text = error instanceof Error ? error.stack ?? String(error) : String(error);
    return { complaints: [text], hash: 0, elapsedMs: 0, datagrams: 0 };
  }
  if (!values.twice) return outcome;
  const again = await scenario.run(seed, options);
  if (again.hash === outcome.hash) return outcome;
  const complaint = `the second run was another one: hash ${again.hash} instead of ${outcome.hash}`;
  return { ...outcome, complaints: [...outcome.complaints, complaint] };
}

/** Prints the figures of all runs together. */
function printFigures(outcomes: readonly Outcome[]): void {
  const all = new Map<string, number[]>();
  for (const { figures = {} } of outcomes) {
    for (const [name, list] of Object.entries(figures)) {
      if (!all.has(name)) all.set(name, []);
      all.get(name)!.push(...list);
    }
  }
  const round = (value: number) => Math.round(value * 100) / 100;
  for (const [name, list] of all) {
    if (list.length === 0) continue;
    const most = list.reduce((a, b) => Math.max(a, b), -Infinity);
    console.log(`  ${name}: ${list.length} values, median ${round(median(list))}, most ${round(most)}`);
  }
}

/** Runs all seeds; returns how many failed. */
async function runScenario(scenario: Scenario): Promise<number> {
  const start = performance.now();
  const seeds = values.seed === undefined
    ? Array.from({ length: Number(values.seeds ?? scenario.seeds) }, (_, i) => String(i))
    : [values.seed];
  const outcomes: Outcome[] = [];
  let failed = 0;
  for (const seed of seeds) {
    const outcome = await runSeed(scenario, seed);
    outcomes.push(outcome);
    if (values.seed !== undefined && !values.hashes) console.log(outcome);
    if (outcome.complaints.length === 0) continue;
    failed++;
    console.log(`\nFAILED: deno task sim ${scenario.name} --seed ${seed}${said(scenario)}`);
    if (outcome.description !== undefined) console.log(outcome.description);
    console.log(`${outcome.complaints.join("\n")}\n`);
  }
  if (values.hashes) {
    console.log(JSON.stringify(Object.fromEntries(outcomes.map(({ hash }, i) => [seeds[i], hash]))));
    return failed;
  }
  const sum = (of: (outcome: Outcome) => number) =>
    outcomes.reduce((total, outcome) => total + of(outcome), 0);
  console.log(
    `${scenario.name}: ${seeds.length} seeds, ${
      Math.round(sum(({ elapsedMs }) => elapsedMs) / 1000)
    } virtual s and ` +
      `${sum(({ datagrams }) => datagrams)} datagrams in ${
        ((performance.now() - start) / 1000).toFixed(1)
      } s, ${failed} failed`,
  );
  printFigures(outcomes);
  scenario.conclude?.(outcomes, options);
  return failed;
}

const wanted = SCENARIOS.filter(({ name, seeds }) =>
  positionals.length === 0 ? seeds > 0 : positionals.includes(name)
);
let failed = 0;
for (const scenario of wanted) failed += await runScenario(scenario) > 0 ? 1 : 0;
if (!values.hashes) console.log(`simulated networks: ${wanted.length - failed} passed, ${failed} failed`);
if (failed > 0) Deno.exit(1);
