/** How NATs are judged and LAN addresses chosen, against the verdicts of the reference. */
import assert from "node:assert/strict";
import { Firewall, MAX_SAMPLES } from "../../dht/punch/constants.ts";
import { matchLanAddress } from "../../dht/punch/lan.ts";
import { NatClassifier } from "../../dht/punch/nat.ts";
import { SocketAddress } from "../../encoding/address.ts";
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

test("H15: 140 sequences of samples are judged as the reference judges them, step by step", () => {
  const verdicts = new Set<number>();
  for (const { isFirewalled, samples, steps } of sequences) {
    const nat = new NatClassifier({ isFirewalled });
    for (const [i, [host, port, node]] of samples.entries()) {
      nat.add(SocketAddress.of(`11.0.0.${host}`, port), SocketAddress.of("12.0.0.1", node));
      const { firewall, addresses } = steps[i]!;
      assert.equal(nat.firewall, firewall, JSON.stringify({ samples, i }));
      verdicts.add(firewall);
      // The reference names no address of an open socket; here it is named, as it does no harm.
      if (isFirewalled) assert.deepEqual(nat.addresses?.map(String) ?? null, addresses);
    }
  }
  assert.deepEqual([...verdicts].sort(), [0, 1, 2, 3]);
});

const seen = (nat: NatClassifier, ports: readonly number[]) => {
  for (const [i, port] of ports.entries()) {
    nat.add(SocketAddress.of("11.1.1.1", port), SocketAddress.of("12.0.0.1", nat.sampleCount + i + 1));
  }
};

test("H15: what the peer has been told does not change any more", () => {
  const nat = new NatClassifier({ isFirewalled: true });
  seen(nat, [1000, 1000, 1000]);
  nat.freeze();
  seen(nat, [1, 2, 3, 4, 5]);
  assert.equal(nat.firewall, Firewall.Consistent);
  assert.deepEqual(nat.addresses?.map(String), ["11.1.1.1:1000"]);
});

test("H15: a node counts once, and there is an end to the samples that are kept", () => {
  const nat = new NatClassifier({ isFirewalled: true });
  const node = SocketAddress.parse("12.0.0.1:1");
  for (let i = 0; i < 10; i++) nat.add(SocketAddress.of("11.1.1.1", 1000), node);
  assert.equal(nat.sampleCount, 1);
  assert.ok(!nat.isDecided);
  for (let i = 0; i < 100; i++) seen(nat, [2000 + i]);
  assert.equal(nat.sampleCount, MAX_SAMPLES);
});

test("H15: a NAT with another port each time is plainly random, one with two hosts is not", () => {
  const plain = new NatClassifier({ isFirewalled: true });
  seen(plain, [1, 2, 3]);
  assert.ok(plain.isPlainlyRandom);
  const torn = new NatClassifier({ isFirewalled: true });
  seen(torn, [1, 2]);
  torn.add(SocketAddress.parse("11.2.2.2:7"), SocketAddress.parse("12.0.0.9:9"));
  assert.equal(torn.firewall, Firewall.Random);
  assert.ok(!torn.isPlainlyRandom);
});

test("H16: the local address that looks most like ours is the reference's choice", () => {
  const of = (hosts: readonly string[]) => hosts.map((host, i) => SocketAddress.of(host, 1000 + i));
  for (const { mine, theirs, match } of matches) {
    const expected = match === null ? undefined : of(theirs)[match]!.host;
    assert.equal(matchLanAddress(of(mine), of(theirs))?.host, expected, `${mine} and ${theirs}`);
  }
});

test("H16: three equal bytes are as good as can be, and of equals the first is chosen", () => {
  const choose = (...theirs: string[]) =>
    matchLanAddress(
      [SocketAddress.of("192.168.7.5", 1)],
      theirs.map((host) => SocketAddress.of(host, 2)),
    )?.host;
  assert.equal(choose("192.168.9.9", "192.168.7.9"), "192.168.7.9");
  assert.equal(choose("192.168.7.9", "192.168.7.5"), "192.168.7.9");
  assert.equal(choose("192.1.1.1", "192.168.1.1", "192.168.2.2"), "192.168.1.1");
  assert.equal(choose("10.0.0.1"), undefined);
});

test("H16: reserved and IPv6 addresses are not chosen", () => {
  const mine = [SocketAddress.parse("203.0.113.1:1"), SocketAddress.parse("[fe80::1]:1")];
  const theirs = [SocketAddress.parse("203.0.113.2:1"), SocketAddress.parse("[fe80::2]:1")];
  assert.equal(matchLanAddress(mine, theirs), undefined);
});
