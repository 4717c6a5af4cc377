/**
 * Benchmarks do not rot: each runs here, so small that its figures mean nothing, and must print what the runner understands.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { test } from "../harness.ts";
import { compare, isHigherBetter, median, parseSamples, type Sample, toTable } from "./compare.ts";

const runtime = "Deno" in globalThis
  ? ["run", "-A", "--quiet"]
  : process.execArgv.filter((flag) => !/^--test/.test(flag));

for (
  const file of readdirSync(new URL("./", import.meta.url)).filter((name) => name.endsWith("_bench.ts"))
    .toSorted()
) {
  test(`bench: ${file} runs and prints samples`, () => {
    const args = [...runtime, fileURLToPath(new URL(file, import.meta.url)), "--quick"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      encoding: "utf8",
      timeout: 60_000,
    });
    assert.equal(status, 0, stderr);
    const samples = parseSamples(stdout);
    const cases = samples.map((sample) => sample.case);
    assert.equal(new Set(cases).size, cases.length, "each case has a name of its own");
    for (const { hash } of samples) {
      assert.match(hash ?? "", /^[0-9a-f]+$/, "a sample proves its work by a hash");
    }
  });
}

const sample = (value: number, unit = "op/s", hash = "00"): Sample => ({ case: "a", unit, value, hash });

test("bench: a ratio above 1 means that ours is better, whichever way the unit goes", () => {
  assert.equal(isHigherBetter("MB/s"), true);
  assert.equal(isHigherBetter("CPU s/GB"), false);
  assert.equal(compare("b", "deno", [sample(30)], [sample(10)])[0]!.ratio, 3);
  assert.equal(compare("b", "deno", [sample(30, "ms")], [sample(10, "ms")])[0]!.ratio, 0.333);
  assert.equal(compare("b", "deno", [sample(0, "permissions")], [sample(2, "permissions")])[0]!.ratio, null);
  assert.equal(compare("b", "deno", [sample(0, "permissions")], [sample(0, "permissions")])[0]!.ratio, 1);
});

test("bench: rounds are summed up by their median, and a missing reference leaves a gap", () => {
  assert.equal(median([5, 1, 100]), 5);
  assert.equal(median([1, 3]), 2);
  const [only] = compare("b", "deno", [sample(5), sample(1), sample(100)], []);
  assert.deepEqual(only, {
    bench: "b",
    case: "a",
    runtime: "deno",
    ours: 5,
    reference: null,
    unit: "op/s",
    ratio: null,
  });
  assert.match(toTable([only!]), /^bench .*\nb .* 5 .* -/);
});

test("bench: sides that did different work are not compared", () => {
  assert.throws(() => compare("b", "deno", [sample(1)], [sample(1, "op/s", "01")]), /ours did 00/);
  assert.throws(() => compare("b", "deno", [sample(1)], [sample(1, "ms")]), /in op\/s/);
});

test("bench: what is no sample is refused", () => {
  for (
    const line of [
      "hello",
      "{}",
      `{"case":"a","unit":"ms","value":"1"}`,
      `{"case":"a","unit":"ms","value":-1}`,
    ]
  ) {
    assert.throws(() => parseSamples(line), line);
  }
});
