/** Sections 6.1 and 6.5 of `docs/spec/hyperdht.md` suffice: what was written from them judges as the reference did. */
import assert from "node:assert/strict";
import { readVectors } from "../crypto/support.ts";
import { test } from "../harness.ts";

interface PunchVectors {
  readonly sequences: readonly {
    readonly isFirewalled: boolean;
    readonly samples: readonly (readonly [host: number, port: number, node: number])[];
    readonly steps: readonly { readonly firewall: number; readonly addresses: readonly string[] | null }[];
  }[];
  readonly matches: readonly {
    readonly mine: readonly string[];
    readonly theirs: readonly string[];
    readonly match: number | null;
  }[];
}

const { sequences, matches } = readVectors<PunchVectors>("dht_punch.json");
const [UNKNOWN, OPEN, CONSISTENT, RANDOM] = [0, 1, 2, 3];

/** How often each was seen, the most frequent first; of equals the one that was as frequent first. */
class Sightings {
  readonly list: { readonly what: string; hits: number }[] = [];

  see(what: string): void {
    const known = this.list.find((one) => one.what === what);
    if (known === undefined) this.list.push({ what, hits: 1 });
    else known.hits++;
    this.list.sort((a, b) => b.hits - a.hits);
  }
}

/** The table of section 6.1. */
function judge(samples: number, hosts: Sightings, addresses: Sightings, before: number): number {
  const hits = addresses.list[0]!.hits;
  const second = addresses.list[1]?.hits;
  if (samples < 3) return before;
  if (hits >= 3) return CONSISTENT;
  if (hits === 1) return RANDOM;
  if (hosts.list.length === 1 && samples > 3) return RANDOM;
  if (hosts.list.length > 1 && second === 2) return CONSISTENT;
  return samples > 4 ? RANDOM : before;
}

test("hyperdht.md: the table of NATs gives the reference's verdict for every sequence of samples", () => {
  for (const { isFirewalled, samples, steps } of sequences) {
    const [hosts, addresses] = [new Sightings(), new Sightings()];
    const nodes = new Set<number>();
    let firewall = isFirewalled ? UNKNOWN : OPEN;
    for (const [i, [host, port, node]] of samples.entries()) {
      if (!nodes.has(node)) {
        nodes.add(node);
        hosts.see(`11.0.0.${host}:0`);
        addresses.see(`11.0.0.${host}:${port}`);
        if (isFirewalled) firewall = judge(nodes.size, hosts, addresses, firewall);
      }
      const { firewall: expected, addresses: told } = steps[i]!;
      assert.equal(firewall, expected);
      if (firewall === RANDOM) assert.deepEqual(told, [hosts.list[0]!.what]);
      if (firewall !== CONSISTENT) continue;
      assert.deepEqual(
        told,
        addresses.list.filter(({ hits }, i) => hits >= 2 || i < 2).map(({ what }) => what),
      );
    }
  }
});

test("hyperdht.md: the local address that is tried is the reference's choice", () => {
  const common = (a: string, b: string) => {
    const [mine, theirs] = [a.split("."), b.split(".")];
    const differs = mine.findIndex((byte, i) => byte !== theirs[i]);
    return differs === -1 ? 3 : Math.min(3, differs);
  };
  for (const { mine, theirs, match } of matches) {
    let [best, most]: [number | null, number] = [null, 0];
    for (const own of mine) {
      for (const [i, other] of theirs.entries()) {
        if (common(own, other) > most) [best, most] = [i, common(own, other)];
      }
    }
    assert.equal(best, match, `${mine} and ${theirs}`);
  }
});
