/**
 * Large hostile DHTs: `deno run -A tests/sim/dht.ts [--honest N] [--liars N] [--hosts N] [--churn N] [--lookups N] [--seed S]`.
 * By default 1,000 nodes, 200 of which lie, an attacker with one address around each key, and 5 nodes that come and go between
 * two lookups. Fails if less than 99 % of the lookups find the nearest honest node.
 */
import { parseArgs } from "node:util";
import { runLyingNetwork } from "./scenarios/lying_nodes.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    honest: { type: "string", default: "800" },
    liars: { type: "string", default: "200" },
    hosts: { type: "string", default: "1" },
    churn: { type: "string", default: "5" },
    lookups: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
  },
});

const start = performance.now();
const report = await runLyingNetwork({
  seed: values.seed,
  honest: Number(values.honest),
  liars: Number(values.liars),
  eclipseHosts: Number(values.hosts),
  churn: Number(values.churn),
  lookups: Number(values.lookups),
});
const seconds = ((performance.now() - start) / 1000).toFixed(1);
console.log(
  `${report.right} of ${report.lookups} lookups were right, with ${report.requests} requests, the slowest in ` +
    `${Math.round(report.slowestMs)} virtual ms; ${seconds} s`,
);
for (const complaint of report.complaints) console.log(complaint);
if (report.complaints.length > 0 || report.right < 0.99 * report.lookups) {
  console.log(`FAILED: seed ${values.seed}`);
  Deno.exit(1);
}
