/**
 * Each kind of line to the internet against each other: see `nat_pair.ts`. With `--write`, the table in `docs/nat.md` is made anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { combineHashes, median, type Outcome, type Scenario, type SimOptions } from "../scenario.ts";
import {
  LINE_NAMES,
  type LineName,
  LINES,
  type NatPair,
  type NatPairReport,
  runNatPair,
} from "./nat_pair.ts";

/** Mean length of a burst of lost packets, as in the laboratory with real routers. */
const BURST = 3;
/** Percent of loss up to which every pair must connect that does so without loss. */
const SURE_LOSS = 5;

interface NatOutcome extends Outcome {
  readonly reports: ReadonlyMap<string, NatPairReport>;
}

const pairName = (client: LineName, server: LineName) => `${client} x ${server}`;

function wanOf({ latency = "25", loss = "0" }: SimOptions): NatPair["wan"] {
  if (latency === "25" && loss === "0") return undefined;
  const enter = Math.round(10 * Number(loss));
  const bursts = { burstLoss: { enter: [enter, BURST * (1000 - enter)], leave: [1, BURST] } } as const;
  return { latencyMs: Number(latency), ...enter > 0 && bursts };
}

/** See the head of the file. */
export const nat: Scenario = {
  name: "nat",
  what:
    "every kind of NAT against every other, connecting by key: those who can meet do, the others learn why in 5 s",
  seeds: 1,
  options: {
    pair: 'a pair alone, as "open x symmetric"; part of a name takes in several',
    latency: "one-way milliseconds of a peer's link; 25",
    loss: "percent lost on a peer's link, in bursts; 0",
    hops: "routers in the core; 8",
    write: "yes: writes the table into docs/nat.md",
  },
  async run(seed: string, options: SimOptions): Promise<NatOutcome> {
    const reports = new Map<string, NatPairReport>();
    const wan = wanOf(options);
    const mayFail = Number(options["loss"] ?? 0) > SURE_LOSS;
    const conditions = {
      ...wan && { wan, mayFail },
      ...options["hops"] && { coreHops: Number(options["hops"]) },
    };
    for (const client of LINE_NAMES) {
      for (const server of LINE_NAMES) {
        const name = pairName(client, server);
        if (!name.includes(options["pair"] ?? "")) continue;
        reports.set(name, await runNatPair({ client, server, seed, ...conditions }));
      }
    }
    const all = [...reports.values()];
    const sum = (of: (report: NatPairReport) => number) =>
      all.reduce((total, report) => total + of(report), 0);
    const msOf = (way: string) => all.filter((report) => report.way === way).map(({ ms }) => ms);
    return {
      reports,
      complaints: [...reports].flatMap(([name, { complaints }]) =>
        complaints.map((text) => `${name}: ${text}`)
      ),
      hash: combineHashes(all.map(({ hash }) => hash)),
      elapsedMs: sum(({ elapsedMs }) => elapsedMs),
      datagrams: sum(({ datagrams }) => datagrams),
      figures: {
        "direct, ms": msOf("direct"),
        "punched, ms": msOf("punched"),
        "port guessed, ms": msOf("guessed"),
        "relayed, ms": msOf("relayed"),
        "no way, ms until that is known": all.filter(({ way }) => way === undefined).map(({ ms }) => ms),
      },
    };
  },
  conclude(outcomes: readonly Outcome[], options: SimOptions): void {
    const table = tableOf(outcomes as readonly NatOutcome[]);
    console.log(table);
    if (options["write"] !== undefined) writeTable(table);
  },
};

/** Letters for ways and failures. */
const LETTERS: Readonly<Record<string, string>> = {
  direct: "d",
  lan: "l",
  punched: "p",
  guessed: "g",
  relayed: "r",
  HOLEPUNCH_DOUBLE_RANDOMIZED_NATS: "**x**",
  PEER_NOT_FOUND: "**-**",
};

function cell(reports: readonly NatPairReport[]): string {
  const times = reports.map(({ ms }) => ms);
  const letters = new Set(reports.map(({ way, failure }) => LETTERS[way ?? failure!.code] ?? failure?.code));
  const connected = reports.filter(({ way }) => way !== undefined).length;
  const share = connected === 0 || connected === reports.length ? "" : ` ${connected}/${reports.length}`;
  const [middle, most] = [Math.round(median(times)), Math.round(Math.max(...times))];
  const time = connected === 0 || most - middle < 20 ? `${middle}` : `${middle}/${most}`;
  return `${[...letters].join("")} ${time}${share}`;
}

/** The table in Markdown: clients downwards, servers to the right. */
function tableOf(outcomes: readonly NatOutcome[]): string {
  const reportsOf = (client: LineName, server: LineName) =>
    outcomes.flatMap(({ reports }) => reports.get(pairName(client, server)) ?? []);
  const servers = LINE_NAMES.filter((server) =>
    LINE_NAMES.some((client) => reportsOf(client, server).length > 0)
  );
  const clients = LINE_NAMES.filter((client) =>
    servers.some((server) => reportsOf(client, server).length > 0)
  );
  const row = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [
    row(["from \\ to", ...servers.map((server) => LINES[server].short)]),
    row(["---", ...servers.map(() => "---")]),
    ...clients.map((client) =>
      row([
        `${client} (${LINES[client].short})`,
        ...servers.map((server) => {
          const reports = reportsOf(client, server);
          return reports.length === 0 ? "" : cell(reports);
        }),
      ])
    ),
  ].join("\n");
}

const [BEGIN, END] = ["<!-- made by deno task sim nat -->", "<!-- end of what is made -->"];

function writeTable(table: string): void {
  const file = new URL("../../../docs/nat.md", import.meta.url);
  const text = readFileSync(file, "utf8");
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin === -1 || end < begin) {
    throw new Error(`docs/nat.md has no place for the table: ${BEGIN} ... ${END}`);
  }
  writeFileSync(file, `${text.slice(0, begin + BEGIN.length)}\n\n${table}\n\n${text.slice(end)}`);
}
