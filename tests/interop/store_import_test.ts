/**
 * Stores as corestore 6 and 7 write them, read and imported, and exported again:
 *
 *     corestore 7 --directory--> V11Store --copyStore--> MemoryStore, SQLite --> Corestore (names, appends)
 *     corestore 6 --folder--> V10Store --copyStore--> MemoryStore --copyStore--> V10Store --folder--> corestore 6
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  type CopyReport,
  copyStore,
  Corestore,
  loadCryptoProvider,
  loadSystemRuntime,
  verifyStore,
} from "../../core/mod.ts";
import {
  FaultyStore,
  MemoryStore,
  openSqliteStore,
  openV10Store,
  openV11Store,
  type Store,
  WriteBatch,
} from "../../core/storage/mod.ts";
import { fromHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { inFolder } from "../storage/support.ts";
import { checkFacts, makeCorestore, skip, type StoreFacts } from "./store_rig.ts";

const crypto = await loadCryptoProvider();

/** Makes a store, and calls `body` with where it is and what is in it. */
async function withCorestore(
  scenario: string,
  body: (path: string, facts: StoreFacts, folder: string) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    const path = join(folder, "corestore");
    await body(path, makeCorestore(scenario, path), folder);
  });
}

function verdicts({ logs, records }: CopyReport): string[] {
  return [...new Set([...logs, ...records].map(({ verdict }) => verdict))];
}

test("groups and marks of a corestore 7 come along", async () => {
  await withCorestore("7-marked", async (path, facts) => {
    await using source = await openV11Store(path);
    await checkFacts(crypto, source, facts);
    const target = new MemoryStore();
    assert.deepEqual(verdicts(await copyStore(source, target, { crypto })), ["copied"]);
    await using logs = await Corestore.open(target);
    const core = await logs.get({ name: "marked" });
    assert.deepEqual(core.group, new Uint8Array(32).fill(9));
    const listed = [];
    for await (const key of logs.notifyGroup(core.group!).updates()) listed.push(key);
    assert.deepEqual(listed, [core.key]);
    assert.deepEqual(await core.sweep(), { blocks: 33_000 - 5 });
    for (const index of [0, 5, 32_767, 32_768, 32_999]) assert.ok(await core.has(index), `block ${index}`);
    assert.equal((await logs.get({ name: "plain" })).group, undefined);
  });
});

for (const scenario of ["7-log", "7-tables", "7-compacted"]) {
  test(`a corestore 7 is imported as it is: ${scenario}`, async () => {
    await withCorestore(scenario, async (path, facts, folder) => {
      const before = filesOf(path);
      await using source = await openV11Store(path);
      await checkFacts(crypto, source, facts);
      for await (const { problem } of verifyStore(source, { crypto })) assert.equal(problem, undefined);
      for (const target of [new MemoryStore(), await openSqliteStore(join(folder, "logs.sqlite"))]) {
        const dry = await copyStore(source, target, { crypto, isDryRun: true });
        assert.deepEqual(verdicts(dry), ["copied"]);
        assert.equal(await target.record("primaryKey"), undefined);
        const report = await copyStore(source, target, { crypto });
        assert.deepEqual(report.logs.map(({ blocks }) => blocks), dry.logs.map(({ blocks }) => blocks));
        await checkFacts(crypto, target, facts);
        for await (const { problem } of verifyStore(target, { crypto })) assert.equal(problem, undefined);
        assert.deepEqual(verdicts(await copyStore(source, target, { crypto })), ["present"]);
        await target.close();
      }
      assert.equal(source.hasChanged(), false);
      assert.deepEqual(filesOf(path), before, "the source was written to");
    });
  }, { skip });
}

test("an import of 100,000 blocks is whole", async () => {
  await withCorestore("7-long", async (path, facts) => {
    await using source = await openV11Store(path);
    await using target = new MemoryStore();
    assert.deepEqual(verdicts(await copyStore(source, target, { crypto })), ["copied"]);
    await checkFacts(crypto, target, facts);
  });
}, { skip });

test("after an import names lead to the same logs, which are appended to", async () => {
  await withCorestore("7-log", async (path, facts) => {
    await using source = await openV11Store(path);
    const target = new MemoryStore();
    await copyStore(source, target, { crypto });
    await using store = await Corestore.open(target, { runtime: await loadSystemRuntime() });
    const core = await store.get({ name: "plain 1000" });
    assert.equal(core.length, 1000);
    assert.ok(facts.logs.some(({ key }) => key === hexOf(core.key)));
    await core.append(new TextEncoder().encode("after the import"));
    assert.equal(core.length, 1001);
    const encrypted = await store.get({ name: "encrypted", encryption: { key: new Uint8Array(32).fill(7) } });
    assert.equal(new TextDecoder().decode((await encrypted.get(3))!), "block 3 block 3 bloc");
    const inSpace = await store.namespace("space").get({ name: "with data" });
    assert.equal(inSpace.length, 1);
  });
}, { skip });

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Copies with a target that fails at write number `fault`; true if it did. */
async function copyWithFault(source: Store, target: Store, fault: number): Promise<boolean> {
  let writes = 0;
  const faulty = new FaultyStore(target, {
    fault: ({ type }) => type === "write" && writes++ === fault ? "EIO" : undefined,
  });
  try {
    await copyStore(source, faulty, { crypto, maxBatchBytes: 20_000 });
    return false;
  } catch (error) {
    assert.equal((error as { code?: string }).code, "WRITE_FAILED");
    return true;
  }
}

test(
  "an import that is cut off at any batch goes on where it was, and shows nothing false meanwhile",
  async () => {
    await withCorestore("7-log", async (path, facts) => {
      await using source = await openV11Store(path);
      for (let fault = 0;; fault++) {
        await using target = new MemoryStore();
        if (!await copyWithFault(source, target, fault)) break;
        assert.equal(target.record("primaryKey"), undefined);
        for await (const { problem } of verifyStore(target, { crypto })) assert.equal(problem, undefined);
        for await (const discoveryKey of target.list()) {
          const log = target.open(discoveryKey);
          const wanted = facts.logs.find((log) => log.discoveryKey === hexOf(discoveryKey))!;
          assert.equal(
            (await log.head())?.length ?? 0,
            wanted.length,
            "a log is shorter than what was signed",
          );
        }
        const { logs } = await copyStore(source, target, { crypto });
        assert.ok(logs.every(({ verdict }) => verdict === "copied" || verdict === "present"));
        await checkFacts(crypto, target, facts);
      }
    });
  },
  { skip },
);

test("logs that are copied one by one bring no primary key, and are passed over later", async () => {
  await withCorestore("7-log", async (path, facts) => {
    await using source = await openV11Store(path);
    const target = new MemoryStore();
    const short = facts.logs.find(({ length }) => length === 1000)!;
    await copyStore(source, target, { crypto, discoveryKeys: [fromHex(short.discoveryKey)] });
    assert.equal(target.record("primaryKey"), undefined, "who copies some logs gets no primary key");
    const [again] = (await copyStore(source, target, { crypto })).logs.filter(({ length }) =>
      length === 1000
    );
    assert.equal(again!.verdict, "present");
  });
}, { skip });

test("a corestore 6 is imported as it is, and exported so that corestore 6 goes on with it", async () => {
  await withCorestore("6", async (path, facts, folder) => {
    const before = bytesBelow(path);
    await using target = new MemoryStore();
    {
      await using source = await openV10Store(path, { readOnly: true });
      for await (const { problem } of verifyStore(source, { crypto })) assert.equal(problem, undefined);
      assert.deepEqual(verdicts(await copyStore(source, target, { crypto })), ["copied"]);
      await checkFacts(crypto, target, facts);
      assert.deepEqual(verdicts(await copyStore(source, target, { crypto })), ["present"]);
      const batch = new WriteBatch();
      batch.log(await source.open(new Uint8Array(32))).setUserData("a", Uint8Array.of(1));
      await assert.rejects(async () => await source.write(batch), { code: "NOT_SUPPORTED" });
    }
    assert.deepEqual(bytesBelow(path), before, "the source was written to");
    const exported = join(folder, "exported");
    {
      await using v10 = await openV10Store(exported);
      assert.deepEqual(verdicts(await copyStore(target, v10, { crypto })), ["copied"]);
    }
    const read = makeCorestore("read-6", exported, facts.logs.map(({ key }) => key));
    assert.deepEqual(read, facts);
    await using again = await openV10Store(exported);
    for await (const { problem } of verifyStore(again, { crypto })) assert.equal(problem, undefined);
    const { logs } = await copyStore(again, target, { crypto });
    assert.equal(
      logs.reduce((sum, { blocks }) => sum + blocks, 0),
      1,
      "what corestore 6 has appended comes back",
    );
  });
}, { skip });

/** All files below a folder. */
function bytesBelow(path: string): Record<string, string> {
  const names = (readdirSync(path, { recursive: true }) as string[]).filter((name) =>
    statSync(join(path, name)).isFile()
  );
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(path, name)).toString("base64")]));
}

function filesOf(path: string): Record<string, string> {
  const names = readdirSync(join(path, "db")).sort();
  return Object.fromEntries(
    names.map((name) => [name, readFileSync(join(path, "db", name)).toString("base64")]),
  );
}
