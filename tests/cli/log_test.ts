import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { test } from "../harness.ts";
import { type Ended, HyphaProcess, skip, withFolder, withNetwork } from "./hypha_process.ts";

/** Runs `hypha log` with a store to its end. */
async function log(store: string, args: readonly string[], input = ""): Promise<Ended> {
  return await new HyphaProcess(["log", ...args, "--store", store], { input }).ended;
}

/** Makes a log called `notes` with these lines; returns its key. */
async function makeLog(store: string, lines: readonly string[], ...args: string[]): Promise<string> {
  const { stdout, code } = await log(store, ["create", "notes", ...args]);
  assert.equal(code, 0);
  const appended = await log(store, ["append", "notes"], lines.map((line) => `${line}\n`).join(""));
  assert.equal(appended.code, 0, appended.stderr);
  return stdout.split("\n")[0]!;
}

/** A command failed, for the reason that it should. */
function assertFails({ code, stderr }: Ended, pattern: RegExp, expected = 1): void {
  assert.equal(code, expected, stderr);
  assert.match(stderr, pattern);
}

test("a log is made, appended to line by line, and read again", async () => {
  await withFolder(async (folder) => {
    const store = join(folder, "new", "store");
    const key = await makeLog(store, ["one", "", "three"]);
    assert.match(key, /^[a-z0-9]{52}$/);
    // The last line needs no end.
    const appended = await log(store, ["append", "notes", "--json"], "four\nfïve");
    const last = appended.reports.at(-1)!;
    assert.deepEqual(last, { event: "appended", key, length: 5, blocks: 2, bytes: 9 });

    assert.equal((await log(store, ["cat", "notes"])).stdout, "one\n\nthree\nfour\nfïve");
    assert.equal((await log(store, ["cat", key, "--start", "1", "--end", "3"])).stdout, "\nthree");
    assert.equal((await log(store, ["tail", "notes", "-n", "2"])).stdout, "four\nfïve");
    const { reports } = await log(store, ["tail", "notes", "-n", "1", "--json"]);
    assert.deepEqual(reports, [{ event: "block", index: 4, bytes: 5, text: "fïve" }]);

    const info = (await log(store, ["info", "notes", "--json"])).reports[0]!;
    assert(info.event === "info");
    const { discoveryKey, storeBytes, ...rest } = info;
    assert.match(discoveryKey, /^[0-9a-f]{64}$/);
    assert.ok(storeBytes > 0);
    assert.deepEqual(rest, {
      ...{ event: "info", key, name: "notes", length: 5, byteLength: 17, held: 5, contiguousLength: 5 },
      ...{ fork: 0, isWritable: true, isEncrypted: false },
    });
    assert.match((await log(store, ["info", key])).stdout, /length +5 blocks, 17 B/);
    assert.match((await log(store, ["list"])).stdout, new RegExp(`^${key}.*5 of 5 blocks.*notes$`));
    assert.deepEqual(await readdir(store), ["hypha.sqlite"]);
  });
}, { skip });

test("a file becomes blocks, and the same bytes again", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "file.bin");
    await writeFile(file, randomBytes(300_000));
    const store = join(folder, "store");
    await makeLog(store, []);
    const appended = await log(store, ["append", "notes", "--file", file, "--block-size", "70k", "--json"]);
    const last = appended.reports.at(-1)!;
    assert.equal(last.event === "appended" && last.length, 5);
    const copy = join(folder, "copy.bin");
    const cat = new HyphaProcess(["log", "cat", "notes", "--raw", "--json", "--store", store]);
    const { reports } = await cat.ended;
    const hex = reports.map((report) => report.event === "block" ? report.hex ?? "" : "").join("");
    await writeFile(copy, hex, "hex");
    assert.ok((await readFile(copy)).equals(await readFile(file)));
    assertFails(await log(store, ["append", "notes", "--file", join(folder, "missing")]), /Cannot read/);
    assertFails(await log(store, ["append", "notes", "--file", file, "--block-size", "0"]), /A block has/, 2);
  });
}, { skip });

test("what cannot be is said, with what to do instead", async () => {
  await withFolder(async (folder) => {
    const store = join(folder, "store");
    const key = await makeLog(store, ["one"]);
    assertFails(await log(store, ["create", "notes"]), /already, its key is/);
    assertFails(await log(store, ["create", key]), /cannot be a key/, 2);
    assertFails(await log(store, ["create", " notes"]), /neither a key nor a name/);
    assertFails(await log(store, ["append", "note"], "lost\n"), /no log called "note".*hypha log create/);
    assertFails(await log(store, ["cat", "note"]), /no log called "note"/);
    assertFails(await log(store, ["info", "y".repeat(52)]), /nothing of this log/);
    assertFails(await log(store, ["remove", "notes"]), /--force/, 2);
    assertFails(await log(store, ["tail", "-f", "notes"]), /only one command can use a store/, 2);

    const missing = join(folder, "missing");
    for (const command of [["append", "notes"], ["cat", "notes"], ["list"], ["info", key], ["seed"]]) {
      assertFails(await log(missing, command), /no store in .*hypha log create/);
    }
    assert.equal(existsSync(missing), false, "what only reads makes no store");
    await writeFile(missing, "not a store, but long enough to be taken for the file of one".repeat(100));
    assertFails(await log(missing, ["list"]), /is no store/);
    assertFails(await log(join(missing, "below"), ["create", "notes"]), /cannot hold a store/);
    const alone = ["--no-dht", "--host", "127.0.0.1", "--no-store"];
    assertFails(
      await new HyphaProcess(["log", "cat", key, ...alone]).ended,
      /nobody can be found: use --peer/,
      2,
    );
  });
}, { skip });

test("a store that is in use says so, and an interrupted append has stored what it said", async () => {
  await withFolder(async (folder) => {
    const store = join(folder, "store");
    await makeLog(store, []);
    const input = new PassThrough();
    const writer = new HyphaProcess(["log", "append", "notes", "--store", store, "--json"], { input });
    try {
      input.write("one\ntwo\nthr");
      const { length } = await writer.report("appended");
      assert.equal(length, 2);
      assertFails(await log(store, ["cat", "notes"]), /in use by another command.*--store/);
      writer.interrupt();
      const { code, reports } = await writer.ended;
      assert.equal(code, 130);
      assert.equal(reports.at(-1)!.event, "error");
    } finally {
      input.end();
      await writer.kill();
    }
    assert.equal((await log(store, ["cat", "notes"])).stdout, "one\ntwo");
    assert.deepEqual(await readdir(store), ["hypha.sqlite"], "it was closed in order");
  });
}, { skip });

test("a log that is removed is gone, and its name is not used for another one", async () => {
  await withFolder(async (folder) => {
    const store = join(folder, "store");
    const key = await makeLog(store, ["one"]);
    const { code, stdout } = await log(store, ["remove", "notes", "--force"]);
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^${key} is removed`));
    assertFails(await log(store, ["cat", "notes"]), /no log called/);
    assertFails(await log(store, ["create", "notes"]), /was removed.*choose another name/);
    assert.equal((await log(store, ["list"])).stdout, "");
  });
}, { skip });

test("an encrypted log is read with its key, which the store of its writer knows", async () => {
  await withFolder(async (folder) => {
    await withNetwork(async (network) => {
      const store = join(folder, "store");
      const encryptionKey = "0e".repeat(32);
      const key = await makeLog(store, ["a secret"], "--encryption-key", encryptionKey);
      assert.equal((await log(store, ["cat", "notes"])).stdout, "a secret");
      assert.match((await log(store, ["info", "notes"])).stdout, /encrypted +yes/);
      const seed = new HyphaProcess(["log", "seed", "notes", "--store", store, ...network]);
      try {
        await seed.report("seeding");
        const cat = async (...args: string[]) => {
          const { reports } = await new HyphaProcess(["log", "cat", key, "--no-store", ...args, ...network])
            .ended;
          return reports.find(({ event }) => event === "block");
        };
        const block = await cat("--encryption-key", encryptionKey);
        assert.equal(block?.event === "block" && block.text, "a secret");
        const cipher = await cat();
        assert.equal(cipher?.event === "block" && cipher.bytes, "a secret".length + 8);
      } finally {
        await seed.kill();
      }
    });
    const fresh = (await log(join(folder, "other"), ["create", "x", "--encryption-key", "--json"]))
      .reports[0]!;
    assert.match(fresh.event === "created" && fresh.encryptionKey || "", /^[0-9a-f]{64}$/);
  });
}, { skip });
