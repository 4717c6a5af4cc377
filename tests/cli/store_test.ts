/**
 * `hypha store`: a recorded corestore 7 imported, checked, counted and exported, as a user would.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "../harness.ts";
import { recordedStore } from "../storage/rocksdb/recorded.ts";
import { type Ended, HyphaProcess, skip, withFolder } from "./hypha_process.ts";

/** Runs `hypha store ARGS --json`. */
async function store(...args: string[]): Promise<Ended> {
  return await new HyphaProcess(["store", ...args, "--json"]).ended;
}

/** Reports of one kind. */
function reports(ended: Ended, event: string): Record<string, unknown>[] {
  return ended.reports.filter((report) => report.event === event) as unknown as Record<string, unknown>[];
}

/** Puts the recorded corestore into a folder, with `change` to one of its files. */
function writeRecorded(folder: string, change?: (name: string, bytes: Uint8Array) => void): string {
  const path = join(folder, "corestore");
  mkdirSync(join(path, "db"), { recursive: true });
  for (const [name, bytes] of recordedStore().files) {
    const copy = bytes.slice();
    change?.(name, copy);
    writeFileSync(join(path, "db", name), copy);
  }
  return path;
}

test(
  "a corestore 7 is tried, imported, found to be imported, counted, and exported for corestore 6",
  async () => {
    await withFolder(async (folder) => {
      const [source, file] = [writeRecorded(folder), join(folder, "hypha.sqlite")];
      const dry = await store("import", source, "--store", file, "--dry-run");
      assert.equal(dry.code, 0, dry.stderr);
      assert.ok(!existsSync(file), "a dry run has made the file");
      const imported = await store("import", source, "--store", file);
      assert.equal(imported.code, 0, imported.stderr);
      assert.deepEqual(reports(imported, "log"), reports(dry, "log"));
      const verdicts = reports(imported, "log").map(({ length, verdict }) => `${length} ${verdict}`);
      assert.deepEqual(verdicts.sort(), ["10 copied", "3 copied", "43 copied"]);
      assert.deepEqual(reports(imported, "record"), [{
        event: "record",
        name: "primaryKey",
        verdict: "copied",
      }]);
      const again = await store("import", source, "--store", file);
      assert.deepEqual([...new Set(reports(again, "log").map(({ verdict }) => verdict))], ["present"]);
      assert.equal((await store("verify", file)).code, 0);
      const [counted] = reports(await store("stat", file), "store");
      assert.deepEqual([counted!["kind"], counted!["logs"], counted!["blocks"]], [
        "sqlite",
        3,
        29 - 3 + 10 + 3,
      ]);
      const exported = await store("export", join(folder, "old"), "--store", file);
      assert.equal(exported.code, 0, exported.stderr);
      assert.deepEqual(new Uint8Array(readFileSync(join(folder, "old", "primary-key"))), primaryKey());
      assert.equal(reports(await store("stat", join(folder, "old")), "store")[0]!["kind"], "v10");
      assert.equal((await store("verify", join(folder, "old"))).code, 0);
      assert.equal(reports(await store("gc", file), "freed").length, 1);
    });
  },
  { skip },
);

function primaryKey(): Uint8Array {
  return Uint8Array.from(recordedStore().facts.primaryKey.match(/../g)!, (pair) => parseInt(pair, 16));
}

test("some logs are exported by their keys, without the primary key", async () => {
  await withFolder(async (folder) => {
    const [source, file] = [writeRecorded(folder), join(folder, "hypha.sqlite")];
    await store("import", source, "--store", file);
    const wanted = recordedStore().facts.logs.find(({ length }) => length === 10)!;
    const target = join(folder, "other.sqlite");
    const exported = await store("export", target, wanted.key, "--to", "sqlite", "--store", file);
    assert.equal(exported.code, 0, exported.stderr);
    assert.deepEqual(reports(exported, "log").map((log) => log["discoveryKey"]), [wanted.discoveryKey]);
    assert.deepEqual(reports(exported, "record"), []);
  });
}, { skip });

test("a damaged source is told of, with the file and the place, and the rest is imported", async () => {
  await withFolder(async (folder) => {
    const source = writeRecorded(folder, (name, bytes) => {
      if (name.endsWith(".blob")) bytes[bytes.length - 100]! ^= 1;
    });
    const { code, reports: all } = await store("import", source, "--store", join(folder, "hypha.sqlite"));
    assert.equal(code, 1);
    assert.ok(
      all.some((report) =>
        report.event === "log" && /\.blob is damaged at byte \d+/.test(report.reason ?? "")
      ),
    );
    assert.ok(all.some((report) => report.event === "log" && report.verdict === "copied"));
    assert.ok(all.some((report) => report.event === "error" && report.code === "STORE_CORRUPT"));
  });
}, { skip });

test("what is no store is refused, and so is a kind that is not known", async () => {
  await withFolder(async (folder) => {
    for (const path of [folder, join(folder, "nothing")]) {
      const { code, reports: all } = await store("stat", path);
      assert.equal(code, 1);
      assert.ok(all.some((report) => report.event === "error" && report.code === "STORE_UNKNOWN"));
    }
    const { code } = await store(
      "export",
      join(folder, "x"),
      "--to",
      "v11",
      "--store",
      join(folder, "nothing"),
    );
    assert.equal(code, 2);
  });
}, { skip });

test("a damaged store is repaired as far as that goes, and what is lost is told once", async () => {
  await withFolder(async (folder) => {
    const [source, file] = [writeRecorded(folder), join(folder, "hypha.sqlite")];
    assert.equal((await store("import", source, "--store", file)).code, 0);
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(file);
    database.exec(
      "UPDATE block SET sum = sum + 1 WHERE id = (SELECT max(id) FROM block)",
    );
    database.close();
    assert.equal((await store("verify", file)).code, 1);
    const dry = await store("repair", file, "--dry-run");
    assert.equal(dry.code, 1);
    const repaired = await store("repair", file);
    assert.equal(repaired.code, 1, "a log has lost blocks");
    const verdicts = reports(repaired, "repaired").map(({ verdict }) => verdict);
    assert.deepEqual(verdicts.toSorted(), ["damaged", "sound", "sound"]);
    const damaged = reports(repaired, "repaired").find(({ verdict }) => verdict === "damaged")!;
    assert.match((damaged["problems"] as string[])[0]!, /blocks are lost: open it and connect/);
    assert.equal((await store("verify", file)).code, 0);
    const again = reports(await store("repair", file), "repaired");
    assert.deepEqual([...new Set(again.map(({ verdict }) => verdict))], ["sound"]);
    const gone = reports(await store("gc", file), "freed");
    assert.equal(gone[0]!["removed"], 0);
  });
}, { skip });
