/**
 * Records how the reference judges NATs and chooses LAN addresses: `node record_dht_punch.mjs > ../../vectors/dht_punch.json`. The
 * sequences of samples come from a small generator, so that a second run gives the same file.
 */
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const Nat = require("hyperdht/lib/nat");
const Holepuncher = require("hyperdht/lib/holepuncher");

let state = 1;
/** Lehmer's generator with the multiplier of Park and Miller. */
function below(bound) {
  state = state * 48_271 % 0x7fffffff;
  return state % bound;
}

/** One sequence: samples as [host, port, node], and what is concluded after each. */
function judge(samples, isFirewalled) {
  const nat = new Nat({ firewalled: isFirewalled }, null, null);
  const steps = samples.map(([host, port, node]) => {
    nat.add({ host: `11.0.0.${host}`, port }, { host: "12.0.0.1", port: node });
    const addresses = nat.addresses && nat.addresses.map((one) => `${one.host}:${one.port}`);
    return { firewall: nat.firewall, addresses };
  });
  return { isFirewalled, samples, steps };
}

const sequences = [];
for (const [hosts, ports] of [[1, 1], [1, 2], [1, 3], [2, 2], [2, 4], [1, 100], [3, 3]]) {
  for (let i = 0; i < 20; i++) {
    const samples = Array.from({ length: 7 }, (_, node) => [
      1 + below(hosts),
      1000 + below(ports),
      1 + (below(8) === 0 ? below(7) : node),
    ]);
    sequences.push(judge(samples, i !== 0));
  }
}

const lists = [
  ["192.168.1.5"],
  ["10.0.0.5", "192.168.1.5"],
  ["172.17.0.2", "10.1.2.3"],
  ["192.168.7.7"],
  ["192.0.9.9", "10.1.9.9"],
  [],
];
const matches = lists.flatMap((mine) =>
  lists.map((theirs) => {
    const of = (list) => list.map((host, i) => ({ host, port: 1000 + i }));
    const match = Holepuncher.matchAddress(of(mine), of(theirs));
    return { mine, theirs, match: match && theirs.indexOf(match.host) };
  })
);

const versions = { hyperdht: require("hyperdht/package.json").version };
console.log(JSON.stringify({ versions, sequences, matches }));
