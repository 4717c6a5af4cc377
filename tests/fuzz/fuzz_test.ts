/**
 * Fuzzing as part of the tests: what once failed, a few hundred inputs of a fixed seed for each target, the fuzzer itself on
 * targets that are broken on purpose, and the completeness of the list of targets.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { DecodeError } from "../../encoding/codec.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";
import { fromHex, loadRegressions, loadTargets, toHex } from "./corpus.ts";
import { examine, type Failure, shrink, TargetFuzzer } from "./fuzzer.ts";
import { makeInput } from "./inputs.ts";
import { fuzzableExports, listFuzzable } from "./registry.ts";
import type { FuzzTarget } from "./target.ts";

/** Inputs for each target in a normal test run. */
const INPUTS = 300;

const targets = await loadTargets();
const root = new URL("../../", import.meta.url);

function say({ target, kind, message, input }: Failure): string {
  return `${target}: ${kind} on ${toHex(input)}\n${message}`;
}

/** The first failure of `target` within `runs` inputs. */
function firstFailure(target: FuzzTarget, runs: number): Failure | undefined {
  const fuzzer = new TargetFuzzer(target, "in every test run");
  for (let run = 0; run < runs; run++) {
    const failure = fuzzer.step();
    if (failure !== undefined) return failure;
  }
  return undefined;
}

for (const target of targets) {
  test(`fuzz: ${target.name} accepts its seeds and survives ${INPUTS} inputs`, () => {
    assert.ok(target.seeds.length > 0, "a target needs a valid input to start from");
    for (const seed of target.seeds) target.run(seed.slice());
    const failure = firstFailure(target, INPUTS);
    assert.equal(failure, undefined, failure && say(failure));
  });
}

test("fuzz: what once failed does not fail again", () => {
  for (const { target: name, why, input } of loadRegressions()) {
    const target = targets.find((one) => one.name === name);
    assert.ok(target, `regressions name the target ${name}, which is gone: rename it there as well`);
    const failure = examine(target, fromHex(input));
    assert.equal(failure, undefined, failure && `${why}\n${say(failure)}`);
  }
});

test("fuzz: target names are unique", () => {
  const names = targets.map(({ name }) => name);
  assert.deepEqual(names, [...new Set(names)]);
});

test("fuzz: every export that reads a stranger's bytes has a target", () => {
  const covered = new Set(targets.flatMap(({ name, covers }) => [name.split(":")[0]!, ...covers ?? []]));
  const missing = [...listFuzzable(root)].filter(([name]) => !covered.has(name));
  assert.equal(
    missing.length,
    0,
    `\n${missing.map(([name, path]) => `${path}: ${name} has no fuzz target`).join("\n")}`,
  );
}, { skip: existsSync(new URL("deno.json", root)) ? undefined : "needs the source tree" });

test("fuzz: the registry sees codecs, their makers, decoders and machines, and nothing else", () => {
  const text = [
    "export const uint: Codec<number> = {};",
    "export function array<T>(inner: Codec<T>): Codec<T[]> {",
    "export function decodeThing(bytes: Uint8Array): Thing {",
    "export class Machine implements X {",
    "  handleDatagram(now: number): void {}",
    "}",
    "export class Clock {",
    "  now(): number {}",
    "}",
    "export const LIMIT: number = 1;",
    "export function encodeThing(thing: Thing): Uint8Array {",
    "const hidden: Codec<number> = {};",
  ].join("\n");
  assert.deepEqual(fuzzableExports(text), ["uint", "array", "decodeThing", "Machine"]);
});

/** A target that goes wrong in `run`, which gets the first byte. */
function broken(run: (first: number) => void): FuzzTarget {
  return { name: "broken", seeds: [Uint8Array.of(1, 2, 3, 4)], run: (input) => run(input[0] ?? 0) };
}

test("fuzz: an error that no stranger may cause is a crash, and its input is made short", () => {
  const target = broken((first) => {
    if (first > 127) throw new TypeError("oops");
    if (first > 64) throw new DecodeError("not so", 0);
  });
  const failure = firstFailure(target, 1000);
  assert.equal(failure?.kind, "crash");
  assert.match(failure.message, /oops/);
  assert.equal(shrink(target, failure).input.length, 1);
  assert.equal(firstFailure({ ...target, expected: (error) => error instanceof Error }, 1000), undefined);
});

test("fuzz: an input that takes far too long is a hang", () => {
  const target = broken((first) => {
    const end = performance.now() + (first > 127 ? 150 : 0);
    while (performance.now() < end);
  });
  assert.equal(examine(target, Uint8Array.of(1)), undefined);
  assert.equal(examine(target, Uint8Array.of(255))?.kind, "hang");
});

test("fuzz: an input that takes far too much memory is an allocation", () => {
  const held: Uint8Array[] = [];
  const target = broken((first) => void (first > 127 && held.push(new Uint8Array(128 << 20))));
  assert.equal(examine(target, Uint8Array.of(1)), undefined);
  assert.equal(examine(target, Uint8Array.of(255))?.kind, "allocation");
});

test("fuzz: the same seed gives the same inputs, of many lengths and forms", () => {
  const seeds = [Uint8Array.of(1, 2, 3), new Uint8Array(100).fill(7)];
  const make = (seed: string) => {
    const random = new SeededRandom(seed);
    return Array.from({ length: 500 }, () => toHex(makeInput(random, seeds)));
  };
  const inputs = make("a");
  assert.deepEqual(inputs, make("a"));
  assert.notDeepEqual(inputs, make("b"));
  assert.ok(new Set(inputs).size > 400);
  assert.ok(inputs.includes("") && inputs.some((hex) => hex.length > 400));
});
