/**
 * The suite for stores, over all that there are, and the proof that it notices what is broken.
 */
import assert from "node:assert/strict";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { SystemClock } from "../../core/runtime/system.ts";
import { FaultyStore, MemoryStore, SimulatedDisk } from "../../core/storage/mod.ts";
import { type StoreUnderTest, testStore } from "../../core/storage/testing.ts";
import { test } from "../harness.ts";
import { sqliteUnderTest, v10UnderTest } from "./support.ts";

const nothing = () => Promise.resolve();

function memoryUnderTest(): Promise<StoreUnderTest> {
  return Promise.resolve({
    open: () => Promise.resolve(new MemoryStore()),
    isLasting: false,
    [Symbol.asyncDispose]: nothing,
  });
}

/** Memory with a journal; the lock is the file's business, and a simulated one has none. */
function journalUnderTest(): Promise<StoreUnderTest> {
  const disk = new SimulatedDisk({ random: new SeededRandom(1) });
  return Promise.resolve({
    open: () => Promise.resolve(new MemoryStore({ journal: disk.file("journal") })),
    isLasting: true,
    [Symbol.asyncDispose]: nothing,
  });
}

/** A store that answers everything later. */
function lateUnderTest(): Promise<StoreUnderTest> {
  const clock = new SystemClock();
  return Promise.resolve({
    open: () => Promise.resolve(new FaultyStore(new MemoryStore(), { latency: { clock, ms: 0 } })),
    isLasting: false,
    [Symbol.asyncDispose]: nothing,
  });
}

for (const { name, run } of testStore(memoryUnderTest)) test(`in memory: ${name}`, run);
for (const { name, run } of testStore(journalUnderTest)) {
  if (!name.includes("once at a time")) test(`with a journal: ${name}`, run);
}
for (const { name, run } of testStore(lateUnderTest)) {
  // Two thousand operations that each wait are too slow, and argument checks come late.
  if (!/random|no index|syncs overlap with each other/.test(name)) test(`answering late: ${name}`, run);
}
for (const durability of ["full", "normal", "none"] as const) {
  for (const { name, run } of testStore(() => sqliteUnderTest({ durability }))) {
    test(`SQLite, ${durability}: ${name}`, run);
  }
  for (const { name, run } of testStore(() => v10UnderTest({ durability, maxOpenFiles: 3 }))) {
    if (name.includes("signed log")) test(`hypercore 10's files, ${durability}: ${name}`, run);
  }
}

test("the suite of stores is not empty", () => {
  assert.ok(testStore(memoryUnderTest).length > 20);
});
