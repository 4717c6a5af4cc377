/** Large DHTs with churn, with nodes that lie (E2), with attackers around the keys that are looked for (E1). */
import type { Outcome, Scenario, SimOptions } from "../scenario.ts";
import { type LyingNetworkOptions, runLyingNetwork } from "./lying_nodes.ts";

type Size = Omit<LyingNetworkOptions, "seed">;

/** Lookups that must find the nearest honest node. */
const RIGHT = 0.99;

function scenario(name: string, what: string, seeds: number, size: Size): Scenario {
  const options = {
    honest: `nodes that follow the protocol; ${size.honest}`,
    liars: `nodes that do not; ${size.liars}`,
    hosts: `hosts of an attacker around each key; ${size.eclipseHosts}`,
    churn: `nodes that leave and come between two lookups; ${size.churn ?? 0}`,
    lookups: `keys to look for; ${size.lookups}`,
    interval: "virtual ms between two lookups",
  };
  const run = async (seed: string, said: SimOptions): Promise<Outcome> => {
    const number = (name: keyof typeof options, usual: number) => Number(said[name] ?? usual);
    const report = await runLyingNetwork({
      seed,
      honest: number("honest", size.honest),
      liars: number("liars", size.liars),
      eclipseHosts: number("hosts", size.eclipseHosts),
      churn: number("churn", size.churn ?? 0),
      lookups: number("lookups", size.lookups),
      intervalMs: number("interval", size.intervalMs ?? 0),
    });
    const { complaints, right, lookups, requests, lookupMs, hash, elapsedMs, datagrams } = report;
    const missed = right >= RIGHT * lookups ? [] : [`only ${right} of ${lookups} lookups were right`];
    return {
      complaints: [...complaints, ...missed],
      hash,
      elapsedMs,
      datagrams,
      figures: {
        "lookups that were right, %": [100 * right / lookups],
        "lookup, ms": lookupMs,
        "requests of a lookup": [requests / lookups],
        "memory of the process, MB": [Math.round(Deno.memoryUsage().rss / 2 ** 20)],
      },
    };
  };
  return { name, what, seeds, options, run };
}

/** Nodes that come and go, and a fifth of them lie. */
export const dht: Scenario = scenario(
  "dht",
  "1,000 nodes of a DHT that come and go, of which 200 lie: 99 % of lookups find the nearest honest node",
  1,
  { honest: 800, liars: 200, eclipseHosts: 0, churn: 5, lookups: 30, intervalMs: 5000 },
);

/** One attacker with all the ports of a few addresses. */
export const eclipse: Scenario = scenario(
  "eclipse",
  "an attacker with 16 addresses and all their ports around each key: 99 % of lookups find the nearest honest node",
  1,
  { honest: 300, liars: 0, eclipseHosts: 16, lookups: 20 },
);

/** Ten thousand nodes for an hour. */
export const scale: Scenario = scenario(
  "scale",
  "10,000 nodes for an hour, of which five leave and five come every half minute; needs --v8-flags=--max-old-space-size=12000",
  0,
  { honest: 10_000, liars: 0, eclipseHosts: 0, churn: 5, lookups: 120, intervalMs: 30_000 },
);
