/** What the store of hypercore 10's files makes of files that a crash, or somebody else, left half done. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import {
  type DiskFault,
  PowerFailure,
  SimulatedDisk,
  V10Store,
  WriteBatch,
} from "../../../core/storage/mod.ts";
import { pattern, wasm } from "../../crypto/support.ts";
import { test } from "../../harness.ts";
import { MemoryLog } from "../../log/support.ts";
import { SimulatedFolder } from "./simulated_folder.ts";
import { LogWriterForTests } from "./writer.ts";

const random = new SeededRandom(1);
const block = (n: number) => pattern(20 + n, n);
const blocks = (count: number) => Array.from({ length: count }, (_, i) => block(i));

function openOn(disk: SimulatedDisk): V10Store {
  return new V10Store({
    folder: new SimulatedFolder(disk),
    crypto: wasm,
    durability: "full",
    layout: "single",
  });
}

const open = (disk: SimulatedDisk) => LogWriterForTests.open(openOn(disk), { seed: 1 });

const isPowerFailure = (error: Error) => error instanceof PowerFailure || error.cause instanceof PowerFailure;

/** A head of `length` blocks, as a peer would send it, and the nodes of its roots; nothing else of it is there. */
async function growByHead(writer: LogWriterForTests, length: number, fork: number): Promise<void> {
  const { tree } = MemoryLog.of(length, fork, block);
  const batch = new WriteBatch();
  const out = batch.log(writer.log);
  for (const root of tree.roots) out.putNode(root);
  out.setHead({
    fork,
    length,
    rootHash: new Uint8Array(32),
    signature: new Uint8Array(64),
    flags: 0,
    timestamp: 0,
  });
  await writer.store.write(batch);
}

test("v10: nodes of an older fork are not believed though a crash has left them in the file", async () => {
  let isCut = false;
  const fault = ({ type }: { type: string }): DiskFault | undefined =>
    isCut && type === "truncate" ? "power" : undefined;
  const disk = new SimulatedDisk({ random, fault });
  const writer = await open(disk);
  await writer.append(blocks(10));
  for (let i = 0; i < 4; i++) await writer.append([block(i)]);
  await writer.store.sync();
  isCut = true;
  await assert.rejects(
    writer.truncate(3),
    (error: Error) => error instanceof PowerFailure || error.cause instanceof PowerFailure,
  );
  const found = disk.afterCrash("all", { random });
  assert.ok(found.file("tree").size > 20 * 40, "the old nodes are there");
  const again = await open(found);
  assert.equal((await again.log.head())!.length, 3);
  await growByHead(again, 16, 2);
  for (const when of ["before", "after"]) {
    assert.equal((await again.log.node(15))!.size, MemoryLog.of(16, 0, block).tree.byteLength);
    for (const index of [6, 8, 9, 5, 18]) {
      assert.equal(await again.log.node(index), undefined, `node ${index}, ${when} the sync`);
    }
    assert.ok(await again.log.node(1) !== undefined);
    await again.store.sync();
  }
});

test("v10: blocks behind the length are not believed to be there when the log grows", async () => {
  const disk = new SimulatedDisk({ random });
  const writer = await open(disk);
  for (const one of blocks(9)) await writer.append([one]);
  await writer.store.close();
  // The later header is damaged, so that the earlier one counts.
  const oplog = disk.file("oplog");
  for (const at of [100, 4196]) {
    const bytes = oplog.read();
    oplog.write(at, Uint8Array.of(bytes[at]! ^ 1));
    const again = await open(disk);
    const { length } = (await again.log.head())!;
    if (length < 9) {
      await growByHead(again, 16, 0);
      assert.equal((await again.log.head())!.length, 16);
      for (let i = 0; i < 16; i++) {
        assert.deepEqual(await again.log.block(i), i < length ? block(i) : undefined, `block ${i}`);
      }
      return;
    }
    oplog.write(at, bytes.slice(at, at + 1));
  }
  assert.fail("no damage brings the earlier header back");
});

test("v10: what is behind the last entry that counts is cut off before the next is written", async () => {
  let isCut = false;
  const fault = ({ type }: { type: string }): DiskFault | undefined =>
    isCut && type === "sync" ? "power" : undefined;
  const disk = new SimulatedDisk({ random, fault });
  const writer = await open(disk);
  for (const one of blocks(2)) await writer.append([one]);
  await writer.store.close();
  const { size } = disk.file("oplog");
  disk.file("oplog").write(size, new Uint8Array(5000).fill(7));
  const again = await open(disk);
  assert.equal((await again.log.head())!.length, 2);
  assert.equal(disk.file("oplog").size, size + 5000, "reading changes nothing");
  isCut = true;
  await assert.rejects(again.do({ clear: [0, 1] }), isPowerFailure);
  const found = disk.afterCrash("all", { random });
  assert.equal(found.file("oplog").size, size + 12);
  assert.equal(await (await open(found)).log.block(0), undefined);
});

test("v10: without one of the roots a log is damaged, and says so", async () => {
  const disk = new SimulatedDisk({ random });
  const writer = await open(disk);
  await writer.append(blocks(8));
  await writer.store.close();
  disk.file("tree").write(7 * 40, new Uint8Array(40));
  await assert.rejects(open(disk), { code: "STORE_CORRUPT", message: /root 7/ });
});

test("v10: a log that was created and not finished is created anew, and nothing of before is in it", async () => {
  const disk = new SimulatedDisk({ random });
  for (const name of ["tree", "bitfield", "data"]) disk.file(name).write(0, new Uint8Array(9000).fill(0xff));
  const writer = await open(disk);
  assert.equal(await writer.log.head(), undefined);
  await growByHead(writer, 16, 0);
  for (let i = 0; i < 16; i++) assert.equal(await writer.log.block(i), undefined);
  assert.equal(await writer.log.node(2), undefined);
});
