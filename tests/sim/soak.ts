/**
 * Worlds one after the other: `deno task sim [--seeds N] [--seed S] [--hashes]`. With a seed, that one alone and in full; a
 * failure prints the seed that replays it. With `--hashes` only the trace hashes, as JSON: another runtime must find the same.
 */
import { parseArgs } from "node:util";
import { runWorld } from "./world.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    seeds: { type: "string", default: "250" },
    seed: { type: "string" },
    hashes: { type: "boolean", default: false },
  },
});

const start = performance.now();
const seeds = options.seed === undefined
  ? Array.from({ length: Number(options.seeds) }, (_, i) => String(i))
  : [options.seed];
let failed = 0;
let virtualMs = 0;
let datagrams = 0;
const hashes: Record<string, number> = {};
for (const seed of seeds) {
  const report = await runWorld(seed);
  hashes[seed] = report.hash;
  virtualMs += report.elapsedMs;
  datagrams += report.datagrams;
  if (options.seed !== undefined) console.log(report);
  if (report.complaints.length === 0) continue;
  failed++;
  console.log(
    `\nFAILED: deno task sim --seed ${seed}\n${report.description}\n${report.complaints.join("\n")}\n`,
  );
}
if (options.hashes) {
  console.log(JSON.stringify(hashes));
  Deno.exit(failed > 0 ? 1 : 0);
}
const seconds = (performance.now() - start) / 1000;
console.log(
  `simulated ${Math.round(virtualMs / 1000)} s and ${datagrams} datagrams in ${seconds.toFixed(1)} s: ` +
    `${seeds.length - failed} passed, ${failed} failed`,
);
if (failed > 0) Deno.exit(1);
