/** Floods of handshakes against one server, of all kinds and both ways: see `handshake_flood.ts`. */
import { MAX_HALF_OPEN_SOCKETS } from "../../../dht/punch/constants.ts";
import { combineHashes, type Outcome, type Scenario, type SimOptions } from "../scenario.ts";
import { type FloodReport, type HandshakeFlood, runHandshakeFlood } from "./handshake_flood.ts";

/** Of the honest peers. */
const CONNECTED = 0.95;
/** Messages a second up to which so many must get through. */
const SURE_RATE = 2000;

/** See the head of the file. */
export const floods: Scenario = {
  name: "floods",
  what:
    "handshakes by the thousand, valid, garbage or replayed, direct or relayed: 95 % of honest peers connect",
  seeds: 1,
  options: {
    rate: "messages a second; 2000",
    seconds: "how long; 2",
    sources: "addresses that they come from; 400",
  },
  async run(seed: string, { rate = "2000", seconds = "2", sources = "400" }: SimOptions): Promise<Outcome> {
    const reports: FloodReport[] = [];
    const complaints: string[] = [];
    for (const way of ["direct", "relayed"] as const) {
      for (const kind of ["valid", "garbage", "replay"] as const) {
        const flood: HandshakeFlood = {
          ...{ seed, way, kind, honest: 20 },
          ...{ perSecond: Number(rate), seconds: Number(seconds), sources: Number(sources) },
        };
        const report = await runHandshakeFlood(flood);
        reports.push(report);
        complaints.push(...judge(flood, report).map((text) => `${kind}, ${way}: ${text}`));
      }
    }
    const sum = (of: (report: FloodReport) => number) =>
      reports.reduce((total, report) => total + of(report), 0);
    return {
      complaints,
      hash: combineHashes(reports.map(({ hash }) => hash)),
      elapsedMs: sum(({ elapsedMs }) => elapsedMs),
      datagrams: sum(({ datagrams }) => datagrams),
      figures: {
        "honest peers that connect, %": reports.map(({ connected, honest }) => 100 * connected / honest),
        "their time to connect, ms": reports.flatMap(({ ms }) => ms),
        "sockets of the server at once": reports.map(({ sockets }) => sockets),
        "bytes sent for each that came": reports.map(({ amplification }) => amplification),
      },
    };
  },
};

function judge({ perSecond }: HandshakeFlood, report: FloodReport): string[] {
  const { connected, honest, sockets, left, amplification } = report;
  const complaints: string[] = [];
  if (perSecond <= SURE_RATE && connected < CONNECTED * honest) {
    complaints.push(`${connected} of ${honest} connect`);
  }
  if (report.false !== 0) complaints.push(`${report.false} connections that nobody has proven`);
  if (sockets > 2 + MAX_HALF_OPEN_SOCKETS + connected) complaints.push(`${sockets} sockets`);
  if (left !== 0) complaints.push(`${left} sockets stay`);
  if (amplification > 3) complaints.push(`${amplification} bytes for one`);
  return complaints;
}
