/**
 * Punches between all kinds of routers and prints what came of it:
 * `deno run -A tests/sim/punch_matrix.ts [--seeds N] [--types a,b] [--latency MS] [--loss PERCENT] [--hops N] [--no-ttl]`.
 *
 * Each cell: connected out of tried, median and worst milliseconds from dialing to the first bytes of the stream on both sides.
 */
import { parseArgs } from "node:util";
import { ROUTER_TYPES, type RouterType } from "../../transports/memory/mod.ts";
import { type PunchScenario, runPunch } from "./punch_world.ts";

const { values: options } = parseArgs({
  args: Deno.args,
  options: {
    seeds: { type: "string", default: "20" },
    types: { type: "string", default: Object.keys(ROUTER_TYPES).join() },
    latency: { type: "string", default: "25" },
    loss: { type: "string", default: "0" },
    hops: { type: "string", default: "8" },
    "no-ttl": { type: "boolean", default: false },
  },
});
const types = options.types.split(",") as RouterType[];
const loss = Number(options.loss);
/** Mean length of a burst of lost packets, as in the laboratory with real NATs. */
const BURST = 3;
const conditions: Omit<PunchScenario, "client" | "server" | "seed"> = {
  wan: {
    latencyMs: Number(options.latency),
    ...loss === 0 ? {} : {
      burstLoss: {
        enter: [Math.round(10 * loss), BURST * (1000 - Math.round(10 * loss))],
        leave: [1, BURST],
      },
    },
  },
  coreHops: Number(options.hops),
  canSetTtl: !options["no-ttl"],
};

async function cell(client: RouterType, server: RouterType): Promise<string> {
  const times: number[] = [];
  let failure = "";
  for (let seed = 0; seed < Number(options.seeds); seed++) {
    const report = await runPunch({ client, server, seed, ...conditions });
    if (report.connectedMs !== undefined) times.push(report.connectedMs);
    else failure = `${report.failure} after ${Math.round(report.failedMs!)} ms`;
  }
  times.sort((a, b) => a - b);
  const ms = (at: number) => String(Math.round(times[at]!)).padStart(6);
  const counts = `${times.length}/${options.seeds}`.padStart(6);
  return counts + (times.length === 0 ? "" : ms(times.length >> 1) + ms(times.length - 1)) +
    (failure === "" ? "" : `  ${failure}`);
}

console.log(`${"client".padEnd(25)}${"server".padEnd(25)}  tried  median  max`);
for (const client of types) {
  for (const server of types) {
    console.log(`${client.padEnd(25)}${server.padEnd(25)}${await cell(client, server)}`);
  }
}
