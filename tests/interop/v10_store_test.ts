/**
 * The store of hypercore 10's files beside hypercore 10: the same operations leave the same bytes, either goes on where the other
 * has stopped, and what is cut is recovered alike.
 *
 *     openV10Store  -->  folder a          hypercore 10 in Node  -->  folder b          a = b
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { discoveryKey, leafHash } from "../../core/crypto/hash.ts";
import { Hypercore } from "../../core/mod.ts";
import { defaultManifest, manifest } from "../../core/log/manifest.ts";
import { missingNodes } from "../../core/log/merkle_tree.ts";
import type { ProofRequest } from "../../core/log/proof.ts";
import { logData } from "../../core/log/proof_messages.ts";
import { verifyProof, verifySubtree } from "../../core/log/verify_proof.ts";
import { openV10Store, WriteBatch } from "../../core/storage/mod.ts";
import { encode } from "../../encoding/codec.ts";
import { hex, pattern, wasm } from "../crypto/support.ts";
import { keyPairOf, Reader, Writer } from "../log/signed_log.ts";
import { test } from "../harness.ts";
import { inFolder } from "../storage/support.ts";
import { LogWriterForTests, type State, type Step, type WriterOptions } from "../storage/v10/writer.ts";
import { recordedFolders, restore } from "../storage/v10/folders.ts";
import { skip } from "./udx_support.ts";

const script = fileURLToPath(new URL("./reference/v10_files.mjs", import.meta.url));
const FILES = ["oplog", "tree", "bitfield", "data", "header"];

/** A step of the reference, which may also be a proof to verify, in hexadecimal digits. */
type TheirStep = Step & { readonly proof?: string };
type Result = State | { readonly error: string };

/** Does the steps with hypercore 10. */
function theirs(
  folder: string,
  options: WriterOptions | { key: string },
  steps: readonly TheirStep[],
): Result[] {
  return theirsInAll([folder], options, steps)[0]!;
}

/** Does the steps with hypercore 10 in each of the folders. */
function theirsInAll(
  folders: readonly string[],
  options: WriterOptions | { key: string },
  steps: readonly TheirStep[],
): Result[][] {
  const input = JSON.stringify({ folders, ...options, steps });
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
    let [left, right]: [Uint8Array, Uint8Array] = [read(a, name), read(b, name)];
    if (name === "data" && cleared.length > 0) { // which ours ends before blocks that were cleared
      const size = Math.max(left.length, right.length);
      [left, right] = [padded(left, size), padded(right, size)];
      for (const [start, end] of cleared) for (const one of [left, right]) one.fill(0, start, end);
    }
    const at = left.findIndex((byte, i) => byte !== right[i]);
    assert.equal(left.length, right.length, `${what}: ${name} has ${left.length} bytes, not ${right.length}`);
    assert.equal(at, -1, `${what}: ${name} differs from byte ${at} on`);
  }
}

function padded(bytes: Uint8Array, size: number): Uint8Array {
  const all = new Uint8Array(size);
  all.set(bytes);
  return all;
}

const pick = <T>(random: SeededRandom, list: readonly T[]): T => list[random.below(list.length)]!;

/**
 * Random steps. No block is empty: clearing one that is fails in the reference, which has no bytes to give back. Nor is a log
 * opened again soon after blocks were cleared: see below what the reference makes of that.
 */
function randomSteps(seed: number, count: number): Step[] {
  const random = new SeededRandom(seed);
  const steps: Step[] = [];
  let [length, n] = [0, 0];
  for (let i = 0; i < count; i++) {
    const dice = random.below(20);
    if (dice < 12 || length === 0) {
      const blocks = random.chance(1, 4) ? 1 + random.below(20) : 1;
      const size = () => pick(random, [1, 5, 100, 4096, 1 + random.below(9000)]);
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
    } else if (!steps.slice(-5).some(({ clear }) => clear)) steps.push({ reopen: true });
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

/** Where the blocks were that the steps have cleared, in bytes: ours stay in the file, unless they end it. */
function clearedBytes(
  folder: string,
  options: WriterOptions,
): Promise<readonly (readonly [number, number])[]> {
  return withWriter(folder, options, async (writer) => {
    const tree = await writer.tree();
    const ranges: [number, number][] = [];
    let offset = 0;
    for (let i = 0; i < tree.length; i++) {
      const { size } = (await writer.log.node(2 * i))!;
      if (await writer.log.block(i) === undefined) ranges.push([offset, offset + size]);
      offset += size;
    }
    return [...ranges, [offset, Infinity]];
  });
}

async function withWriter<T>(
  folder: string,
  options: WriterOptions,
  body: (writer: LogWriterForTests) => Promise<T>,
): Promise<T> {
  const store = await openV10Store(folder, { layout: "single", durability: "none" });
  try {
    return await body(await LogWriterForTests.open(store, options));
  } finally {
    await store.close();
  }
}

for (let seed = 1; seed <= 12; seed++) {
  test(`v10 files: random operations of seed ${seed} leave the same bytes as hypercore 10's`, async () => {
    await inFolder(async (folder) => {
      const [a, b] = [join(folder, "a"), join(folder, "b")];
      const options: WriterOptions = { seed, isManifest: seed % 2 === 0 };
      const steps: Step[] = [...randomSteps(seed, 120), { state: true }];
      const their = theirs(b, options, steps);
      assert.deepEqual(await ours(a, options, steps), their);
      assertSameFiles(a, b, `seed ${seed}`, await clearedBytes(a, options));
    });
  }, { skip });
}

test(
  "v10 files: after blocks were cleared and the log was opened again, ours does not claim to have them",
  async () => {
    await inFolder(async (folder) => {
      const steps: Step[] = [
        { append: [[5, 1], [5, 2], [5, 3]] },
        { clear: [1, 2] },
        { reopen: true },
        { state: true },
      ];
      const [their] = theirs(join(folder, "b"), { seed: 1 }, steps) as State[];
      const [our] = await ours(join(folder, "a"), { seed: 1 }, steps) as State[];
      assert.equal(their!.blocks[1], null);
      assert.equal(
        their!.contiguousLength,
        3,
        "the reference has learnt it: test reopening after clear with the rest",
      );
      assert.deepEqual(our, { ...their, contiguousLength: 1 });
    });
  },
  { skip },
);

test("v10 files: hypercore 10 goes on in a file that ends before cleared blocks", async () => {
  await inFolder(async (folder) => {
    const [a, b] = [join(folder, "a"), join(folder, "b")];
    const blocks = (from: number, count: number): Step => ({
      append: Array.from({ length: count }, (_, i): [number, number] => [3000, from + i]),
    });
    const cut: Step[] = [blocks(0, 10), { clear: [8, 9] }, { clear: [6, 10] }, { state: true }];
    // Its own clear is of bytes behind the end; then it appends behind them, cuts the log there, and appends again.
    const rest: Step[] = [
      { state: true },
      { clear: [5, 8] },
      blocks(10, 2),
      { state: true },
      { truncate: [7] },
      { state: true },
      blocks(20, 3),
      { clear: [1, 3] },
      { state: true },
    ];
    const [before] = await ours(a, { seed: 1 }, cut);
    assert.equal(read(a, "data").length, 6 * 3000);
    const shorter = theirs(a, { seed: 1 }, rest);
    const whole = theirs(b, { seed: 1 }, [...cut, ...rest]);
    assert.deepEqual([before, ...shorter], whole);
    assert.deepEqual([read(a, "data"), read(b, "data")].map(({ length }) => length), [36_000, 36_000]);
    assert.deepEqual(read(a, "data"), read(b, "data"));
    const [after] = await ours(a, { seed: 1 }, [{ state: true }]) as State[];
    assert.deepEqual(after!.blocks, (whole.at(-1) as State).blocks);
  });
}, { skip });

test(
  "v10 files: 10,000 appends leave the same bytes as hypercore 10's, and so do as many blocks at once",
  async () => {
    await inFolder(async (folder) => {
      const [a, b] = [join(folder, "a"), join(folder, "b")];
      const single = Array.from({ length: 10_000 }, (_, i): Step => ({ append: [[i % 40, i]] }));
      theirs(b, { seed: 5 }, single);
      await ours(a, { seed: 5 }, single);
      assertSameFiles(a, b, "one at a time");
      const many: Step[] = [{
        append: Array.from({ length: 40_000 }, (_, i): [number, number] => [i % 9, i]),
      }];
      theirs(b, { seed: 5 }, many);
      await ours(a, { seed: 5 }, many);
      assertSameFiles(a, b, "and 40,000 together");
    });
  },
  { skip },
);

test(
  "v10 files: a header that outgrows its place moves to a file of its own as hypercore 10's does",
  async () => {
    await inFolder(async (folder) => {
      const [a, b] = [join(folder, "a"), join(folder, "b")];
      const random = new SeededRandom(8);
      const steps = Array.from({ length: 60 }, (_, i): Step => {
        if (i % 7 === 3) return { append: [[10, i]] };
        if (i % 13 === 5) return { reopen: true };
        return { userData: [`key ${random.below(4)}`, "ab".repeat(500 + random.below(3000))] };
      });
      const all: Step[] = [...steps, { append: [[1, 1]] }, { state: true }];
      assert.deepEqual(await ours(a, { seed: 6 }, all), theirs(b, { seed: 6 }, all));
      assert.ok(read(a, "header").length > 4096);
      assertSameFiles(a, b, "with a large header");
    });
  },
  { skip },
);

test("v10 files: ours and hypercore 10 take turns on one folder", async () => {
  await inFolder(async (folder) => {
    const [shared, alone] = [join(folder, "shared"), join(folder, "alone")];
    for (let turn = 0; turn < 8; turn++) {
      const steps: Step[] = [...randomSteps(100 + turn, 12).filter(({ clear }) => clear === undefined), {
        state: true,
      }];
      const expected = theirs(alone, { seed: 7 }, steps);
      const found = turn % 2 === 0
        ? await ours(shared, { seed: 7 }, steps)
        : theirs(shared, { seed: 7 }, steps);
      assert.deepEqual(found, expected);
      assertSameFiles(shared, alone, `turn ${turn}`);
    }
  });
}, { skip });

type Damage = readonly [name: string, damage: (oplog: Uint8Array) => Uint8Array];

/** Damages copies of a folder, and has both sides recover from it and go on. */
async function assertRecoveredAlike(
  folder: string,
  original: string,
  damages: readonly Damage[],
): Promise<void> {
  const folders = damages.map(([name, damage]) => {
    const copies = ["ours", "theirs"].map((side) => join(folder, `${name}, ${side}`));
    for (const copy of copies) {
      cpSync(original, copy, { recursive: true });
      writeFileSync(join(copy, "oplog"), damage(read(copy, "oplog")));
    }
    return copies as [string, string];
  });
  const options: WriterOptions = { seed: 9 };
  const steps: Step[] = [{ state: true }, { append: [[3, 3]] }, { reopen: true }, { state: true }];
  const results = theirsInAll(folders.map(([, their]) => their), options, steps);
  // The reference may count on blocks that its header no longer has; we do not.
  const known = (list: readonly Result[]) => list.map((one) => ({ ...one, contiguousLength: undefined }));
  for (const [i, their] of results.entries()) {
    const [our] = folders[i]!;
    if ("error" in their[0]!) {
      assert.equal(their[0].error, "OPLOG_CORRUPT", damages[i]![0]);
      await assert.rejects(ours(our, options, steps), { code: "STORE_CORRUPT" }, damages[i]![0]);
    } else assert.deepEqual(known(await ours(our, options, steps)), known(their), damages[i]![0]);
  }
}

test("v10 files: an oplog that was cut at any byte of its last entries is recovered alike", async () => {
  await inFolder(async (folder) => {
    const original = join(folder, "original");
    const grow: Step[] = [
      { append: [[10, 1]] },
      { append: [[20, 2]] },
      { userData: ["a", "0102"] },
      { append: [[30, 3], [5, 4]] },
    ];
    await ours(original, { seed: 9 }, [...grow, { truncate: [2] }, ...grow.slice(1), { append: [[7, 7]] }]);
    const { length } = read(original, "oplog");
    assert.ok(length > 8192 + 300, "there are entries that no header has taken in");
    const cuts = [0, 1, 4095, 4096, 8191, ...Array.from({ length: length - 8191 }, (_, i) => 8192 + i)];
    await assertRecoveredAlike(
      folder,
      original,
      cuts.map((cut) => [`cut at ${cut}`, (oplog) => oplog.slice(0, cut)]),
    );
  });
}, { skip });

test("v10 files: an oplog of which a header or an entry is damaged is recovered alike", async () => {
  await inFolder(async (folder) => {
    const original = join(folder, "original");
    await ours(original, { seed: 9 }, Array.from({ length: 9 }, (_, i): Step => ({ append: [[10, i]] })));
    const { length } = read(original, "oplog");
    const places = [0, 4, 5, 9, 200, 4096, 4100, 4101, 4300, 8192, 8196, 8200, 8300, length - 1];
    const flip = (oplog: Uint8Array, ...at: number[]) =>
      oplog.map((byte, i) => at.includes(i) ? byte ^ 1 : byte);
    await assertRecoveredAlike(folder, original, [
      ...places.map((at): Damage => [`damaged at ${at}`, (oplog) => flip(oplog, at)]),
      ["damaged in both places", (oplog) => flip(oplog, 9, 4200)],
      ["longer by half a frame", (oplog) => Uint8Array.from([...oplog, ...oplog.slice(8192, 8250)])],
    ]);
  });
}, { skip });

for (const recorded of recordedFolders.filter(({ name }) => name.startsWith("hypercore"))) {
  test(`v10 files: a folder of ${recorded.name} goes on as with hypercore 10.38`, async () => {
    await inFolder(async (folder) => {
      const [a, b] = [join(folder, "a"), join(folder, "b")];
      for (const copy of [a, b]) restore(recorded, copy);
      const steps: Step[] = [
        { state: true },
        { append: [[8, 8]] },
        { userData: ["more", "00"] },
        { reopen: true },
        { append: [[9, 9]] },
        { truncate: [4] },
        { append: [[7, 7], [6, 6]] },
        { state: true },
      ];
      assert.deepEqual(await ours(a, { seed: 1 }, steps), theirs(b, { seed: 1 }, steps));
      assertSameFiles(a, b, "after going on");
    });
  }, { skip });
}

test("v10 files: a log that is fetched by proofs leaves the same bytes as hypercore 10's", async () => {
  await inFolder(async (folder) => {
    const [a, b] = [join(folder, "a"), join(folder, "b")];
    const remote = new Writer(defaultManifest(keyPairOf(1).publicKey));
    const reader = new Reader(remote.verifier);
    const { key } = remote.verifier;
    const steps: TheirStep[] = [];
    const store = await openV10Store(a, { layout: "single" });
    const log = await store.open(discoveryKey(wasm, key));
    await store.write(fill((batch) => void batch.log(log).setAuth({ key, flags: 0 })));
    const fetch = async (request: ProofRequest, isManifestWanted: boolean) => {
      const { manifest: _, ...answer } = await remote.answer(request);
      const data = isManifestWanted ? { ...answer, manifest: remote.verifier.manifest } : answer;
      steps.push({ proof: hex(encode(logData, data)) });
      const verified = await verifyProof(reader.known, data);
      reader.apply(verified);
      const { tree, signature, block } = verified;
      await store.write(fill((batch) => {
        const writer = batch.log(log);
        for (const node of tree.nodes) writer.putNode(node);
        // The reference stores once more the node that it has checked the proof against.
        const { root } = verifySubtree(wasm, data);
        if (root !== undefined) writer.putNode(root);
        if (block) writer.putBlock(block.index, block.value);
        if (isManifestWanted) {
          writer.setAuth({ key, flags: 0, manifest: encode(manifest, remote.verifier.manifest) });
        }
        if (signature === undefined) return;
        const { fork, length } = tree;
        writer.setHead({ fork, length, signature, rootHash: tree.hash(), flags: 0, timestamp: 0 });
      }));
    };
    const random = new SeededRandom(3);
    for (let round = 0; round < 4; round++) {
      const start = remote.tree.length;
      remote.write(1 + random.below(30));
      await fetch({ upgrade: { start, length: remote.tree.length - start } }, round === 0);
      for (let i = 0; i < 9; i++) {
        const index = random.below(remote.tree.length);
        const nodes = await missingNodes(reader.reader, reader.tree, 2 * index);
        await fetch({ block: { index, nodes } }, false);
      }
    }
    await store.close();
    theirs(b, { key: hex(key) }, steps);
    assertSameFiles(a, b, "after proofs");
  });
}, { skip });

test("v10 files: hypercore 10 goes on with a log of a group that has marks, which stay", async () => {
  await inFolder(async (folder) => {
    const options = { keyPair: keyPairOf(4), compat: true };
    const open = async () => {
      const store = await openV10Store(folder, { layout: "single" });
      return { store, log: await Hypercore.open(store, options) };
    };
    const before = await open();
    const length = 40_000; // two pages of marks, for which the place of the header is too small
    await before.log.setGroup(pattern(32, 1));
    await before.log.append(Array.from({ length }, () => pattern(1, 0)));
    await before.log.startMarking();
    for (const index of [0, 32_767, length - 1]) await before.log.get(index);
    await before.log.close();
    await before.store.close();
    const their = theirs(folder, { seed: 4 }, [{ append: [[3, 3]] }, { reopen: true }, { state: true }]);
    const { length: theirLength, userData } = their[0] as State;
    assert.equal(theirLength, length + 1);
    assert.deepEqual(Object.keys(userData).toSorted(), ["hypha/group", "hypha/marks/0", "hypha/marks/1"]);
    const { store, log } = await open();
    assert.deepEqual(log.group, pattern(32, 1));
    await log.markBlock(length);
    assert.deepEqual(await log.sweep(), { blocks: length + 1 - 4 });
    assert.deepEqual([await log.has(0), await log.has(1), await log.has(length)], [true, false, true]);
    await log.close();
    await store.close();
    const after = theirs(folder, { seed: 4 }, [{ state: true }]);
    assert.deepEqual(Object.keys((after[0] as State).userData), ["hypha/group"]);
  });
}, { skip });

function fill(body: (batch: WriteBatch) => void): WriteBatch {
  const batch = new WriteBatch();
  body(batch);
  return batch;
}

for (const isManifest of [false, true]) {
  const name = isManifest ? "a log with a manifest" : "a compat log";
  test(
    `v10 files: what the application's log does with ${name} on a v10 store, hypercore 10 reads and continues`,
    async () => {
      await inFolder(async (folder) => {
        const options = { keyPair: keyPairOf(4), compat: !isManifest };
        const { key } = LogWriterForTests.keyOf({ seed: 4, isManifest });
        for (let round = 0; round < 3; round++) {
          const store = await openV10Store(folder, { layout: "single" });
          const log = await Hypercore.open(store, { ...options, ...(round === 0 ? {} : { key }) });
          await Promise.all(Array.from({ length: 20 }, (_, i) => log.append(pattern(i, i))));
          await log.truncate(log.length - 4);
          await log.clear(1, 3);
          await log.append([pattern(5, 5), pattern(6, round)]);
          const [length, fork, last] = [log.length, log.fork, await log.get(log.length - 1)];
          assert.deepEqual(last, pattern(6, round));
          await log.close();
          await store.close();
          const steps: Step[] = [{ state: true }, { append: [[3, 3]] }, { state: true }];
          const [before, after] = theirs(folder, { seed: 4, isManifest }, steps) as State[];
          assert.deepEqual([before!.length, before!.fork, after!.length], [length, fork, length + 1]);
          assert.deepEqual([before!.blocks[1], before!.blocks[2]], [null, null]);
          assert.equal(before!.blocks.at(-1), leafHashOf(pattern(6, round)));
        }
      });
    },
    { skip },
  );
}

const leafHashOf = (block: Uint8Array) => hex(leafHash(wasm, block)).slice(0, 16);

test(
  "v10 files: a folder with a group and marks is one that hypercore 10 reads, continues, and keeps them in",
  async () => {
    await inFolder(async (folder) => {
      const options = { keyPair: keyPairOf(4), compat: true };
      const { key } = LogWriterForTests.keyOf({ seed: 4 });
      const group = pattern(32, 7);
      const open = async (isNew: boolean) => {
        const store = await openV10Store(folder, { layout: "single" });
        const log = await Hypercore.open(store, { ...options, ...(isNew ? { group } : { key }) });
        return { log, close: () => log.close().then(() => store.close()) };
      };
      const first = await open(true);
      await first.log.append(Array.from({ length: 2000 }, (_, i) => pattern(2, i)));
      await first.log.startMarking();
      for (const index of [3, 1999]) await first.log.get(index);
      await first.log.markBlock(40, 42);
      await first.close();
      const [state] = theirs(folder, { seed: 4 }, [{ append: [[3, 3]] }, { state: true }]) as State[];
      assert.equal(state!.length, 2001);
      assert.equal(state!.userData["hypha/group"], hex(group));
      const second = await open(false);
      assert.deepEqual(second.log.group, group);
      assert.deepEqual(await second.log.sweep(), { blocks: 2001 - 4 });
      for (const index of [3, 40, 41, 1999]) assert.equal(await second.log.has(index), true);
      await second.log.append(pattern(9, 9));
      await second.close();
      const [after] = theirs(folder, { seed: 4 }, [{ state: true }]) as State[];
      assert.deepEqual([after!.length, Object.keys(after!.userData)], [2002, ["hypha/group"]]);
    });
  },
  { skip },
);
