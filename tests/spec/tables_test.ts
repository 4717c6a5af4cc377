/** The tables of `docs/spec/` that a program can try are true, cell by cell. */
import assert from "node:assert/strict";
import * as encoding from "../../encoding/mod.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { BACKOFFS_MS, RACE_MS } from "../../swarm/constants.ts";
import { judgeDuplicate } from "../../swarm/duplicates.ts";
import { Peer, type PeerPhase } from "../../swarm/peer.ts";
import { priorityOf, retryDelayMs } from "../../swarm/retry.ts";
import { seed } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { readTable } from "./document.ts";

const PAGE = "hyperswarm.md";

test("hyperswarm.md: a peer moves from phase to phase as the table says, and not otherwise", () => {
  const rows = readTable(PAGE, ["phase", "may become"]);
  const phases = rows.map(([phase]) => phase as PeerPhase);
  const next = new Map(rows.map(([phase, list]) => [phase!, list!.split(", ")]));
  const ways: Record<PeerPhase, PeerPhase[]> = {
    idle: [],
    queued: ["queued"],
    dialing: ["queued", "dialing"],
    connected: ["connected"],
    waiting: ["connected", "waiting"],
  };
  assert.deepEqual(phases.toSorted(), Object.keys(ways).toSorted());
  for (const from of phases) {
    for (const to of phases) {
      const peer = new Peer(seed(1));
      for (const phase of ways[from]) peer.move(phase);
      if (next.get(from)!.includes(to)) peer.move(to);
      else assert.throws(() => peer.move(to), /cannot become/, `${from} to ${to}`);
    }
  }
});

test("hyperswarm.md: peers are dialed in the order of the table", () => {
  const rows = readTable(PAGE, ["attempts", "priority"]);
  assert.equal(rows.length, 5);
  for (const [attempts, priority] of rows) {
    assert.equal(priorityOf(parseInt(attempts!)), Number(priority), attempts);
    if (attempts!.endsWith("more")) assert.equal(priorityOf(1000), Number(priority));
  }
});

/** Chance that is always the least or the most that it can be. */
function edge(isMost: boolean): SeededRandom {
  return Object.assign(new SeededRandom(1), { below: (bound: number) => isMost ? bound - 1 : 0 });
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, min: 60_000 };

/** Least and most milliseconds of a cell: a letter, or `20 s + up to 5 s`; undefined for "given up". */
function pauseOf(cell: string): [number, number] | undefined {
  if (cell === "given up") return undefined;
  const letters: Readonly<Record<string, string>> = {
    S: "1 s + up to 0.5 s",
    M: "5 s + up to 1 s",
    L: "15 s + up to 2 s",
    X: "10 min + up to 2 min",
  };
  const match = /^([\d.]+) (s|min) \+ up to ([\d.]+) (s|min)$/.exec(letters[cell] ?? cell);
  assert.ok(match !== null, `no pause: ${cell}`);
  const least = Number(match[1]) * UNITS[match[2]!]!;
  return [least, least + Number(match[3]) * UNITS[match[4]!]!];
}

test("hyperswarm.md: a peer is dialed again after the pauses of the table", () => {
  const rows = readTable(PAGE, ["attempts", "proven", "not proven"]);
  assert.ok(rows.length >= 8);
  for (const [attempts, ...cells] of rows) {
    for (const [i, cell] of cells.entries()) {
      const history = { attempts: Number(attempts), isProven: i === 0, isExplicit: i === 2 };
      const [least, most] = [false, true].map((isMost) => retryDelayMs(history, edge(isMost), BACKOFFS_MS));
      const expected = pauseOf(cell);
      assert.deepEqual([least, most], expected ?? [undefined, undefined], `${attempts}, column ${i}`);
    }
  }
});

test("hyperswarm.md: of two connections the one stays that the table says", () => {
  const rows = readTable(PAGE, ["there is already", "open for"]);
  assert.equal(rows.length, 6);
  for (const [what, age, bytes, larger, smaller] of rows) {
    const ages = age === "-" ? [0] : age!.startsWith("under") ? [0, RACE_MS - 1] : [RACE_MS, 10 * RACE_MS];
    const moved = bytes === "yes" ? [true] : bytes === "no" ? [false] : [true, false];
    for (const ageMs of ages) {
      for (const hasMovedBytes of moved) {
        const incumbent = {
          ...{ ageMs, hasMovedBytes },
          isDialing: what === "a dial of ours",
          isInitiator: what !== "a connection that it dialed",
        };
        assert.equal(judgeDuplicate(incumbent, true), larger, `${what} ${ageMs} ${hasMovedBytes}`);
        assert.equal(judgeDuplicate(incumbent, false), smaller, `${what} ${ageMs} ${hasMovedBytes}`);
      }
    }
  }
});

/** Codecs whose values JSON cannot express: how to make one, and how to show it. */
const FORMS: Readonly<Record<string, { make(json: never): unknown; show(value: never): unknown }>> = {
  buffer: { make: fromHex, show: toHex },
  fixed32: { make: fromHex, show: toHex },
  uint16Array: { make: (list: number[]) => Uint16Array.from(list), show: (list: Uint16Array) => [...list] },
  ipv4Address: { make: (text: string) => encoding.SocketAddress.parse(text), show: String },
  ipv6Address: { make: (text: string) => encoding.SocketAddress.parse(text), show: String },
};

/** A codec by its name on the page: `uint`, `array(uint)`. */
function codecOf(name: string): encoding.Codec<unknown> {
  const [, outer, inner] = /^(\w+)(?:\((\w+)\))?$/.exec(name)!;
  const found = (encoding as unknown as Record<string, unknown>)[outer!];
  const codec = inner === undefined ? found : (found as (of: unknown) => unknown)(codecOf(inner));
  return codec as encoding.Codec<unknown>;
}

test("encoding.md: the examples of the codecs are what they write and read", () => {
  const rows = readTable("encoding.md", ["codec", "value", "bytes"]);
  assert.ok(rows.length >= 25);
  for (const cells of rows) {
    const [name, json, hex] = cells.map((cell) => cell.slice(1, -1)) as [string, string, string];
    const { make, show } = FORMS[name] ??
      { make: (value: unknown) => value, show: (value: unknown) => value };
    const value = JSON.parse(json);
    assert.equal(toHex(encoding.encode(codecOf(name), make(value as never))), hex, `${name} ${json}`);
    const read = show(encoding.decode(codecOf(name), fromHex(hex)) as never);
    assert.equal(JSON.stringify(read), json, `${name} ${json}`);
  }
});
