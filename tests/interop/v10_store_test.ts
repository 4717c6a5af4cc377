/**
 * The store of hypercore 10's files beside hypercore 10: the same operations leave the same bytes, either goes on where the other
 * has stopped, and what is cut is recovered alike.
 *
 *     openV10Store  -->  folder a          hypercore 10 in Node  -->  folder b          a = b
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { openV10Store } from "../../core/storage/mod.ts";
import { test } from "../harness.ts";
import { inFolder } from "../storage/support.ts";
import { LogWriterForTests, type State, type Step, type WriterOptions } from "../storage/v10/writer.ts";
import { skip } from "./udx_support.ts";

const script = fileURLToPath(new URL("./reference/v10_files.mjs", import.meta.url));
const FILES = ["oplog", "tree", "bitfield", "data", "header"];

type Result = State | { readonly error: string };

/** Does the steps with hypercore 10. */
function theirs(folder: string, options: WriterOptions, steps: readonly Step[]): Result[] {
  const input = JSON.stringify({ folder, ...options, steps });
  const { stdout, status } = spawnSync("node", [script], {
    input,
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    stdio: ["pipe", "pipe", "inherit"],
  });
  assert.equal(status, 0, "the reference failed");
  return JSON.parse(stdout);
}

/** Does the steps with ours. */
async function ours(folder: string, options: WriterOptions, steps: readonly Step[]): Promise<Result[]> {
  const results: Result[] = [];
  const open = () => openV10Store(folder, { layout: "single", durability: "normal" });
  let store = await open();
  try {
    let writer = await LogWriterForTests.open(store, options);
    for (const step of steps) {
      await writer.do(step);
      if (step.state) results.push(await writer.state());
      if (!step.reopen) continue;
      await store.close();
      store = await open();
      writer = await LogWriterForTests.open(store, options);
    }
  } finally {
    await store.close();
  }
  return results;
}

const read = (folder: string, name: string) =>
  existsSync(join(folder, name)) ? new Uint8Array(readFileSync(join(folder, name))) : new Uint8Array(0);

/** Where both have the same bytes; in the file data, where there is a block. */
function assertSameFiles(
  a: string,
  b: string,
  what: string,
  cleared: readonly (readonly [number, number])[] = [],
) {
  for (const name of FILES) {
    const [left, right] = [read(a, name), read(b, name)];
    if (name === "data") {
      for (const [start, end] of cleared) for (const one of [left, right]) one.fill(0, start, end);
    }
    const at = left.findIndex((byte, i) => byte !== right[i]);
    assert.equal(left.length, right.length, `${what}: ${name} has ${left.length} bytes, not ${right.length}`);
    assert.equal(at, -1, `${what}: ${name} differs from byte ${at} on`);
  }
}

const pick = <T>(random: SeededRandom, list: readonly T[]): T => list[random.below(list.length)]!;

/** Random steps. */
function randomSteps(seed: number, count: number): Step[] {
  const random = new SeededRandom(seed);
  const steps: Step[] = [];
  let [length, n] = [0, 0];
  for (let i = 0; i < count; i++) {
    const dice = random.below(20);
    if (dice < 12 || length === 0) {
      const blocks = random.chance(1, 4) ? 1 + random.below(20) : 1;
      const size = () => pick(random, [0, 1, 5, 100, 4096, random.below(9000)]);
      steps.push({ append: Array.from({ length: blocks }, () => [size(), n++]) });
      length += blocks;
    } else if (dice < 14) {
      length = random.below(length + 1);
      steps.push({ truncate: [length] });
    } else if (dice < 16) {
      const start = random.below(length);
      steps.push({ clear: [start, Math.min(length, start + 1 + random.below(5))] });
    } else if (dice < 18) {
      const value = random.chance(1, 4) ? null : "0102030405060708".slice(0, 2 + 2 * random.below(8));
      steps.push({ userData: [pick(random, ["a", "corestore/name", "é"]), value] });
    } else steps.push({ reopen: true });
  }
  return steps;
}

const KINDS: readonly [name: string, options: WriterOptions][] = [
  ["a compat log", { seed: 1 }],
  ["a log with a manifest", { seed: 2, isManifest: true }],
  ["an encrypted log", { seed: 3, encryptionKey: "07".repeat(32) }],
];

for (const [name, options] of KINDS) {
  test(`v10 files: ${name} after the same operations has the same bytes as hypercore 10's`, async () => {
    await inFolder(async (folder) => {
      const [a, b] = [join(folder, "a"), join(folder, "b")];
      for (let size = 0; size < 10; size++) {
        const step: Step = { append: [[size * size * 100, size]] };
        theirs(b, options, [step]);
        await ours(a, options, [step]);
        assertSameFiles(a, b, `${size + 1} blocks`);
      }
      const more: Step[] = [
        { append: [[5, 1], [0, 2], [70_000, 3]] },
        { userData: ["corestore/name", "0102"] },
        { userData: ["corestore/name", "0102"] },
        { userData: ["x", "03"] },
        { append: [[1, 1]] },
        { truncate: [5] },
        { append: [[9, 9]] },
        { append: [[9, 8]] },
        { userData: ["x", null] },
        { append: [[9, 7]] },
        { truncate: [0] },
        { append: [[9, 7]] },
        { state: true },
      ];
      for (const [i, step] of more.entries()) {
        const their = theirs(b, options, [step]);
        assert.deepEqual(await ours(a, options, [step]), their);
        assertSameFiles(a, b, `after step ${i}, ${JSON.stringify(step)}`);
      }
    });
  }, { skip });
}
