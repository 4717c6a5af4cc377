/**
 * What is special about a store in a file: locks, copies, room, damage, and death.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { StorageError } from "../../core/runtime/errors.ts";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import {
  type LogStorage,
  MemoryStore,
  openSqliteStore,
  type Store,
  WriteBatch,
} from "../../core/storage/mod.ts";
import { bytes, head, key, node } from "../../core/storage/testing_basics.ts";
import { toHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { killAndCheck } from "./kill.ts";
import { childCommand, SqliteChild } from "./sqlite_process.ts";
import { inFolder } from "./support.ts";
import { dump, lastBatch, makeBatch } from "./workload.ts";

const isDeno = "Deno" in globalThis;

async function putBlocks(store: Store, log: LogStorage, count: number, size: number): Promise<void> {
  const batch = new WriteBatch();
  const writer = batch.log(log).setAuth({ key: key(1), flags: 0 }).setHead(head(count));
  for (let i = 0; i < count; i++) writer.putBlock(i, bytes(i, size)).putNode(node(2 * i));
  await store.write(batch);
}

test("a store that is open in another process is refused, until that process dies", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const child = new SqliteChild(childCommand(path, 1, "hold"));
    await child.read(1);
    assert.deepEqual(child.lines, ["open"]);
    await assert.rejects(openSqliteStore(path), { name: "StorageError", code: "STORE_IN_USE" });
    await child.kill();
    const store = await openSqliteStore(path);
    const other = new SqliteChild(childCommand(path, 1, "hold"));
    await other.ended();
    assert.match(other.lines.join(), /^error STORE_IN_USE .*close it there first/);
    await store.close();
  });
});

test("a process that is killed under load loses nothing that it acknowledged", async () => {
  await killAndCheck(20, 1);
});

test("a store that was closed is one file, whose copy opens with all that it held", async () => {
  await inFolder(async (folder) => {
    const [path, copy] = [join(folder, "logs.sqlite"), join(folder, "copy.sqlite")];
    const store = await openSqliteStore(path);
    for (let n = 0; n < 50; n++) store.write(makeBatch(store, 1, n));
    const before = await dump(store);
    await store.close();
    assert.ok(!existsSync(`${path}-wal`), "the log is still there");
    copyFileSync(path, copy);
    for (const one of [copy, path]) {
      const opened = await openSqliteStore(one, { create: false });
      assert.equal(await dump(opened), before);
      await opened.close();
    }
  });
});

test("a removed log's bytes leave the file, with a thousand others in it and without", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const store = await openSqliteStore(path, { durability: "normal" });
    for (let i = 0; i < 1000; i++) {
      const discoveryKey = new Uint8Array(32).fill(i >> 8);
      discoveryKey[31] = i;
      await putBlocks(store, store.open(discoveryKey), 2, 100);
    }
    const size = () => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    await store.remove(key(200)); // which is not there, and cleans up
    const small = store.size().bytes;
    await putBlocks(store, store.open(key(200)), 300, 65_536);
    const large = size();
    assert.ok(large > 19_000_000, `it holds ${large} bytes`);
    const freed = await store.remove(key(200));
    assert.ok(freed > 18_500_000, `${freed} bytes were freed, it says`);
    assert.ok(size() < small + 200_000, `the files are ${size()} bytes long, ${small} would be right`);
    assert.equal((await store.open(key(0)).block(1))?.length, 100);
    assert.deepEqual(store.verify(), []);
    await store.close();
  });
});

test("removing a log does not hold up the program for long", async () => {
  await inFolder(async (folder) => {
    const store = await openSqliteStore(join(folder, "logs.sqlite"), { durability: "none" });
    await putBlocks(store, store.open(key(1)), 20_000, 200);
    let turns = 0;
    const removed = store.remove(key(1));
    let isDone = false;
    void removed.finally(() => isDone = true);
    while (!isDone) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
      assert.equal(await store.open(key(1)).block(0), undefined, "it can still be read");
    }
    assert.ok(turns > 10, `others had ${turns} turns meanwhile`);
    await store.close();
  });
});

test("files that are no stores, or of another version, are refused and left as they are", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "file");
    writeFileSync(path, "this is no database, but it is long enough to look like one".repeat(200));
    const before = readFileSync(path);
    await assert.rejects(openSqliteStore(path), { name: "StorageError", code: "STORE_UNKNOWN" });
    assert.deepEqual(readFileSync(path), before);
    const { DatabaseSync } = await import("node:sqlite");
    const foreign = join(folder, "foreign");
    const database = new DatabaseSync(foreign);
    database.exec("CREATE TABLE bookmarks (url TEXT)");
    database.close();
    await assert.rejects(openSqliteStore(foreign), { code: "STORE_UNKNOWN", message: /some other database/ });
    const later = join(folder, "later");
    await (await openSqliteStore(later)).close();
    const changed = new DatabaseSync(later);
    changed.exec("PRAGMA user_version = 99");
    changed.close();
    await assert.rejects(openSqliteStore(later), { code: "STORE_UNKNOWN", message: /use a later hypha/ });
    await assert.rejects(openSqliteStore(join(folder, "none", "a")), {
      code: "READ_FAILED",
      message: /folder/,
    });
    const missing = openSqliteStore(join(folder, "missing"), { create: false });
    await assert.rejects(missing, { code: "STORE_UNKNOWN", message: /There is no store/ });
    assert.ok(!existsSync(join(folder, "missing")));
  });
});

/** Flips bits of a closed store until each read of it is right, missing, or refused; tells how it went. */
async function rot(
  path: string,
  flips: number,
  seed: number,
  expected: Map<number, Uint8Array>,
): Promise<string[]> {
  const whole = readFileSync(path);
  const random = new SeededRandom(seed);
  const noticed: string[] = [];
  for (let i = 0; i < flips; i++) {
    const rotten = Uint8Array.from(whole);
    const at = random.below(rotten.length);
    rotten[at]! ^= 1 << random.below(8);
    writeFileSync(path, rotten);
    try {
      const store = await openSqliteStore(path, { durability: "none" });
      try {
        const log = store.open(key(1));
        for (const [index, value] of expected) {
          const read = await Promise.resolve().then(() => log.block(index)).catch((error: unknown) => {
            assert.ok(error instanceof StorageError, `byte ${at}: ${error}`);
            return undefined;
          });
          if (read === undefined) noticed.push(`block ${index}`);
          else assert.deepEqual(Uint8Array.from(read), value, `byte ${at}: block ${index} is read wrongly`);
        }
        const read = await Promise.resolve().then(() => log.head()).catch(() => undefined);
        if (read !== undefined) {
          assert.equal(read.length, expected.size, `byte ${at}: the head is read wrongly`);
        }
      } finally {
        await store.close().catch(() => {});
      }
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      noticed.push(error.code);
    }
  }
  return noticed;
}

test("bits that flip in the file are noticed, and never read as data", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const store = await openSqliteStore(path);
    await putBlocks(store, store.open(key(1)), 20, 3000);
    await store.close();
    const expected = new Map(Array.from({ length: 20 }, (_, i) => [i, bytes(i, 3000)]));
    const share = 20 * 3000 / statSync(path).size;
    const noticed = await rot(path, 300, 1, expected);
    // The rest is nodes, which are not read here, and bytes that are not in use.
    assert.ok(noticed.length > 300 * share * 0.8, `${noticed.length} of 300 flips were noticed`);
    assert.ok(noticed.some((what) => what.startsWith("block")));
  });
});

test("verify names what is damaged", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    let store = await openSqliteStore(path);
    await putBlocks(store, store.open(key(1)), 3, 3000);
    await store.close();
    const content = readFileSync(path);
    const at = content.indexOf(bytes(1, 3000).subarray(0, 16));
    content[at + 100]! ^= 4;
    writeFileSync(path, content);
    store = await openSqliteStore(path);
    assert.deepEqual(store.verify(), ["layer 1: block 1"]);
    const log = store.open(key(1));
    await assert.rejects(async () => await log.block(1), {
      code: "STORE_CORRUPT",
      message: /block 1 is not what/,
    });
    assert.equal((await log.block(2))?.length, 3000);
    await store.close();
    await assert.rejects(async () => store.verify(), { code: "STORE_CLOSED" });
  });
});

test("a file that was cut short is refused or read right", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const store = await openSqliteStore(path);
    await putBlocks(store, store.open(key(1)), 50, 1000);
    await store.close();
    const whole = readFileSync(path);
    for (let size = 4096; size < whole.length; size += 8192) {
      writeFileSync(path, whole.subarray(0, size));
      const opened = await openSqliteStore(path).catch((error: unknown) => error);
      if (opened instanceof StorageError) continue;
      const cut = opened as Store;
      for (let i = 0; i < 50; i++) {
        const log = await cut.open(key(1));
        const read = await Promise.resolve().then(() => log.block(i)).catch((error: unknown) => error);
        if (read instanceof Uint8Array) assert.deepEqual(Uint8Array.from(read), bytes(i, 1000));
        else assert.ok(read === undefined || read instanceof StorageError);
      }
      await cut.close().catch(() => {});
    }
  });
});

const limited = process.platform === "win32" ? "needs a shell with limits" : undefined;

test("where files can grow no more the caller is told, and what was acknowledged is there", async () => {
  for (const blocks of [200, 700, 2500, 9000]) {
    await inFolder(async (folder) => {
      const path = join(folder, "logs.sqlite");
      const [program, args] = childCommand(path, 1, "until full");
      // The limit is in units of 512 or 1024 bytes, and without the signal a write fails as on a full disk.
      const script = `trap '' XFSZ; ulimit -f ${blocks}; exec "$0" "$@"`;
      const child = new SqliteChild(["/bin/sh", ["-c", script, program, ...args]]);
      await child.ended();
      assert.match(child.lines.at(-1)!, /^error (DISK_FULL|WRITE_FAILED) /);
      const store = await openSqliteStore(path);
      const found = await lastBatch(store);
      assert.ok(found >= child.acknowledged, `${child.acknowledged} was acknowledged, ${found} is there`);
      const model = new MemoryStore();
      for (let n = 0; n <= found; n++) model.write(makeBatch(model, 1, n));
      assert.equal(await dump(store), await dump(model));
      assert.deepEqual(store.verify(), []);
      store.write(makeBatch(store, 1, found + 1));
      await store.close();
    });
  }
}, { skip: limited });

test("a file that may not be written to says so", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    await (await openSqliteStore(path)).close();
    chmodSync(path, 0o444);
    await assert.rejects(openSqliteStore(path), { name: "StorageError", message: /rights|locked|opened/ });
  });
}, {
  skip: process.getuid?.() === 0 || process.platform === "win32"
    ? "the user may write everything"
    : undefined,
});

test("a store needs to read and write its file, and nothing prompts for more", async () => {
  await inFolder(async (folder) => {
    const program = join(folder, "program.ts");
    const module = new URL("../../core/storage/mod.ts", import.meta.url).href;
    const path = join(folder, "logs.sqlite");
    writeFileSync(
      program,
      `import { MemoryStore, openSqliteStore, WriteBatch } from "${module}";
      new MemoryStore();
      if (Deno.args[0] !== undefined) {
        const store = await openSqliteStore(Deno.args[0]);
        await store.write(new WriteBatch().setRecord("a", new Uint8Array(1)));
        await store.sync();
        await store.close();
      }
      console.log("done");`,
    );
    const run = (...args: string[]) =>
      execFileSync(process.execPath, ["run", "--quiet", "--no-check", "--no-prompt", ...args], {
        encoding: "utf8",
      });
    assert.equal(run(program), "done\n");
    assert.equal(run(`--allow-read=${path}`, `--allow-write=${path}`, program, path), "done\n");
    assert.equal(run(`--allow-read=${folder}`, `--allow-write=${folder}`, program, path), "done\n");
    // From then on there may be files beside it.
    assert.throws(
      () => run(`--allow-read=${path}`, `--allow-write=${path}`, program, path),
      /READ_FAILED|grant to read and write its folder/,
    );
  });
}, { skip: isDeno ? undefined : "permissions are Deno's" });

test("what no log leads to is removed when the store is made smaller, and nothing else", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "logs.sqlite");
    const before = await openSqliteStore(path);
    await putBlocks(before, before.open(key(1)), 2000, 100);
    await putBlocks(before, before.open(key(2)), 50, 10_000);
    await putBlocks(before, before.open(key(3)), 2000, 100);
    const branch = new WriteBatch();
    branch.log(before.open(key(1))).createOverlay("draft", 1000);
    branch.log(before.open(key(1)).overlay("draft")).putBlock(1000, bytes(1, 5000)).setHead(head(1001));
    await before.write(branch);
    await before.close();
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(path);
    const forget = database.prepare("DELETE FROM named WHERE layer = 0 AND name = ? RETURNING value");
    const forgetKeys = database.prepare("DELETE FROM named WHERE layer = ? AND name = 'auth'");
    for (const n of [2, 3]) {
      const { value } = forget.get(`log:${toHex(key(n))}`) as { value: Uint8Array };
      forgetKeys.run(value[0]!); // with its keys it would be a log whose entry is lost
    }
    database.close();

    const store = await openSqliteStore(path);
    const log = store.open(key(1));
    const snapshot = await log.snapshot();
    const cut = new WriteBatch();
    cut.log(log).truncate(1500).setHead(head(1500)); // so that the snapshot has something of its own
    await store.write(cut);
    const freed = await store.shrink();
    assert.ok(freed > 500_000 + 200_000, `${freed} bytes`);
    assert.equal(await store.shrink(), 0);
    assert.deepEqual(Uint8Array.from((await log.block(1499))!), bytes(1499, 100));
    assert.deepEqual(Uint8Array.from((await log.overlay("draft").block(1000))!), bytes(1, 5000));
    assert.deepEqual(Uint8Array.from((await snapshot.block(1999))!), bytes(1999, 100));
    assert.deepEqual(store.verify(), []);
    await store.close();
  });
});
