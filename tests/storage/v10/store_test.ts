/** The store of hypercore 10's files: folders of old releases, what it refuses, its lock and its memory. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { discoveryKey } from "../../../core/crypto/hash.ts";
import { TreeBatch } from "../../../core/log/merkle_tree.ts";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import {
  openV10Store,
  PRIMARY_KEY_RECORD,
  SimulatedDisk,
  type Store,
  V10Store,
  type V10StoreOptions,
  WriteBatch,
} from "../../../core/storage/mod.ts";
import { hex, pattern, unhex, wasm } from "../../crypto/support.ts";
import { test } from "../../harness.ts";
import { inFolder } from "../support.ts";
import { recordedFolders, restore } from "./folders.ts";
import { SimulatedFolder } from "./simulated_folder.ts";
import { LogWriterForTests } from "./writer.ts";

/** A store that is closed afterwards. */
async function inStore<T>(
  folder: string,
  body: (store: V10Store) => Promise<T>,
  options: V10StoreOptions = {},
): Promise<T> {
  const store = await openV10Store(folder, options);
  try {
    return await body(store);
  } finally {
    await store.close();
  }
}

const block = (n: number) => pattern(40 + n, n);

for (const recorded of recordedFolders) {
  test(`v10: a folder of ${recorded.name} is read, written to, and read again`, async () => {
    await inFolder(async (folder) => {
      restore(recorded, folder);
      for (let round = 0; round < 2; round++) {
        await inStore(folder, async (store) => {
          assert.deepEqual(store.verify(), []);
          const found: string[] = [];
          for await (const key of store.list()) found.push(hex(key));
          assert.deepEqual(found.toSorted(), recorded.logs.map((log) => log.discoveryKey).toSorted());
          for (const wanted of recorded.logs) {
            const log = await store.open(unhex(wanted.discoveryKey));
            assert.equal(hex((await log.auth())!.key), wanted.key);
            const head = (await log.head())!;
            assert.deepEqual([head.length, head.fork], [wanted.length, wanted.fork]);
            assert.equal(hex(head.rootHash), wanted.treeHash);
            const blocks = await Promise.all(wanted.blocks.map((_, i) => log.block(i)));
            assert.deepEqual(blocks.map((one) => one === undefined ? null : hex(one)), wanted.blocks);
          }
          const batch = new WriteBatch();
          for (const { discoveryKey } of recorded.logs) {
            batch.log(await store.open(unhex(discoveryKey))).setUserData("seen", Uint8Array.of(round + 1));
          }
          await store.write(batch);
        });
      }
    });
  });
}

test("v10: a log of the first releases goes on with its signatures, and is written as later ones are", async () => {
  await inFolder(async (folder) => {
    restore(recordedFolders[1]!, folder);
    const state = async () => {
      return await inStore(folder, async (store) => {
        const writer = await LogWriterForTests.open(store, { seed: 1 });
        const head = (await writer.log.head())!;
        const tree = new TreeBatch(wasm, await writer.tree());
        assert.ok(writer.verifier.verify(tree, head.signature), "its signature is right");
        await writer.append([block(1)]);
        return head.length;
      });
    };
    const length = await state();
    for (let i = 1; i < 6; i++) assert.equal(await state(), length + i);
    assert.equal(readFileSync(join(folder, "oplog"))[8], 1);
  });
});

test("v10: a header or an entry that is not whole is told, since the log is then what it was before", async () => {
  const [recorded] = recordedFolders;
  for (const at of [10, 4096 + 10]) {
    await inFolder(async (folder) => {
      restore(recorded!, folder);
      await inStore(folder, async (store) => {
        // One batch after the other, so that both places for headers are in use.
        for (let n = 0; n < 9; n++) {
          const batch = new WriteBatch();
          batch.log(await store.open(unhex(recorded!.logs[0]!.discoveryKey))).setUserData(
            "n",
            Uint8Array.of(n),
          );
          await store.write(batch);
          await store.sync();
        }
      });
      const path = join(folder, Object.keys(recorded!.files).find((name) => name.endsWith("oplog"))!);
      const bytes = readFileSync(path);
      bytes[at]! ^= 1;
      writeFileSync(path, bytes);
      const problems = await inStore(folder, (store) => Promise.resolve(store.verify()));
      assert.ok(problems.length === 1 && /oplog is not whole/.test(problems[0]!), problems.join());
    });
  }
});

test("v10: logs lie where a corestore looks for them, and the primary key with them", async () => {
  await inFolder(async (folder) => {
    const { key } = LogWriterForTests.keyOf({ seed: 1 });
    const name = hex(discoveryKey(wasm, key));
    await inStore(folder, async (store) => {
      assert.equal(await store.record(PRIMARY_KEY_RECORD), undefined);
      assert.deepEqual(await store.recordNames(""), []);
      store.write(new WriteBatch().setRecord(PRIMARY_KEY_RECORD, new Uint8Array(32).fill(9)));
      const writer = await LogWriterForTests.open(store, { seed: 1 });
      await writer.append([block(1)]);
      assert.deepEqual(await store.recordNames("prim"), [PRIMARY_KEY_RECORD]);
    });
    assert.deepEqual([...readFileSync(join(folder, "primary-key"))], Array(32).fill(9));
    const path = join(folder, "cores", name.slice(0, 2), name.slice(2, 4), name);
    assert.deepEqual(readdirSync(path).toSorted(), ["bitfield", "data", "oplog", "tree"]);
    await inStore(folder, async (store) => {
      assert.deepEqual(await store.record(PRIMARY_KEY_RECORD), new Uint8Array(32).fill(9));
      assert.ok((await store.size()).bytes > 8192);
      assert.ok(await store.remove(unhex(name)) > 8192);
      assert.ok(!existsSync(path));
    });
  });
});

test("v10: a folder of one log holds that one, and is told from a corestore", async () => {
  await inFolder(async (folder) => {
    const single = join(folder, "single");
    await inStore(single, async (store) => {
      await (await LogWriterForTests.open(store, { seed: 1 })).append([block(1)]);
      await assert.rejects(LogWriterForTests.open(store, { seed: 2 }), { code: "NOT_SUPPORTED" });
    }, { layout: "single" });
    await inStore(single, async (store) => {
      const writer = await LogWriterForTests.open(store, { seed: 1 });
      assert.equal((await writer.state()).length, 1);
      const other = await store.open(new Uint8Array(32));
      assert.equal(await other.exists(), false);
      assert.equal(await store.record(PRIMARY_KEY_RECORD), undefined);
    });
    await assert.rejects(openV10Store(single, { layout: "corestore" }), { code: "STORE_UNKNOWN" });
    mkdirSync(join(folder, "many", "cores"), { recursive: true });
    await assert.rejects(openV10Store(join(folder, "many"), { layout: "single" }), { code: "STORE_UNKNOWN" });
    await assert.rejects(openV10Store(join(folder, "none"), { create: false }), { code: "STORE_UNKNOWN" });
    assert.ok(!existsSync(join(folder, "none")));
  });
});

test("v10: opening a log that is not there, or only reading one, writes nothing", async () => {
  await inFolder(async (folder) => {
    await inStore(folder, async (store) => {
      for (let i = 0; i < 50; i++) {
        const log = await store.open(new Uint8Array(32).fill(i));
        assert.equal(await log.exists(), false);
        assert.equal(
          await log.head() ?? await log.hints() ?? await log.block(0) ?? await log.node(0),
          undefined,
        );
        (await log.snapshot())[Symbol.dispose]();
      }
      assert.deepEqual(readdirSync(folder), ["hypha.lock"]);
      assert.equal(statSync(join(folder, "hypha.lock")).size, 0);
    });
  });
});

test("v10: what the files cannot hold is refused with advice, and nothing of the batch is written", async () => {
  const disk = new SimulatedDisk({ random: new SeededRandom(1) });
  const store: Store = new V10Store({
    folder: new SimulatedFolder(disk),
    crypto: wasm,
    durability: "none",
    layout: "corestore",
  });
  const writer = await LogWriterForTests.open(store, { seed: 1 });
  await writer.append([block(0), block(1), block(2)]);
  const { log } = writer;
  const before = JSON.stringify(await writer.state());
  const { key } = LogWriterForTests.keyOf({ seed: 1 });
  const head = (await log.head())!;
  const refused: Record<string, (batch: WriteBatch) => void> = {
    "records": (batch) => void batch.setRecord("seed", key),
    "overlays": (batch) => void batch.log(log).createOverlay("x", 1),
    "writing to overlays": (batch) => void batch.log(log.overlay("x")).setUserData("a", key),
    "encryption keys": (batch) => void batch.log(log).setAuth({ key, flags: 0, encryptionKey: key }),
    "its own user data": (batch) => void batch.log(log).setUserData("hypha/flags", key),
    "flags of heads": (batch) => void batch.log(log).setHead({ ...head, flags: 1 }),
    "late manifests": (batch) =>
      void batch.log(log).setAuth({ key, flags: 0, manifest: Uint8Array.of(2, 0) }),
    "recovery": (batch) =>
      void batch.log(log).setHints({ contiguousLength: 0, remoteContiguousLength: 0, recovering: true }),
    "empty user data": (batch) => void batch.log(log).setUserData("a", new Uint8Array(0)),
    "blocks behind the end": (batch) => void batch.log(log).putBlock(9, key),
    "cuts without a head": (batch) => void batch.log(log).truncate(1),
    "heads that shrink": (batch) => void batch.log(log).setHead({ ...head, length: 1 }),
    "heads without their nodes": (batch) => void batch.log(log).setHead({ ...head, length: 9 }),
  };
  for (const [what, fill] of Object.entries(refused)) {
    const batch = new WriteBatch();
    batch.log(log).setUserData("written", key);
    fill(batch);
    await assert.rejects(async () => await store.write(batch), { code: "NOT_SUPPORTED" }, what);
    assert.equal(JSON.stringify(await writer.state()), before, what);
  }
  const other = await store.open(new Uint8Array(32));
  const put = (fill: (batch: WriteBatch) => void) => async () => {
    const batch = new WriteBatch();
    fill(batch);
    await store.write(batch);
  };
  await assert.rejects(put((batch) => void batch.log(other).setUserData("a", key)), {
    code: "NOT_SUPPORTED",
  });
  await assert.rejects(
    put((batch) => void batch.log(log).setAuth({ key: block(1).slice(0, 32), flags: 0 })),
    TypeError,
  );
  await assert.rejects(put((batch) => void batch.log(log).putBlock(0, block(5))), RangeError);
  await writer.append([block(3)]);
  assert.equal((await writer.state()).length, 4);
});

test("v10: flags of a log last, and are not shown as user data", async () => {
  await inFolder(async (folder) => {
    for (const flags of [0, 5, 5, 70_000, 0]) {
      await inStore(folder, async (store) => {
        const { log, keyPair } = await LogWriterForTests.open(store, { seed: 1 });
        const batch = new WriteBatch();
        batch.log(log).setAuth({ ...(await log.auth())!, keyPair, flags }).setUserData("u", Uint8Array.of(1));
        await store.write(batch);
      });
      await inStore(folder, async (store) => {
        const { log } = await LogWriterForTests.open(store, { seed: 1 });
        assert.equal((await log.auth())!.flags, flags);
        assert.deepEqual(await log.userDataKeys(""), ["u"]);
        assert.equal(await log.userData("hypha/flags"), undefined);
      });
    }
  });
});

test("v10: a batch over two logs of which one cannot be written changes neither", async () => {
  await inFolder(async (folder) => {
    await inStore(folder, async (store) => {
      const [a, b] = [
        await LogWriterForTests.open(store, { seed: 1 }),
        await LogWriterForTests.open(store, { seed: 2 }),
      ];
      const batch = new WriteBatch();
      batch.log(a.log).setUserData("u", Uint8Array.of(1));
      batch.log(b.log).truncate(0);
      await assert.rejects(async () => await store.write(batch), { code: "NOT_SUPPORTED" });
      assert.equal(await a.log.userData("u"), undefined);
    });
  });
});

test("v10: many batches that nobody syncs do not pile up in memory", async () => {
  await inFolder(async (folder) => {
    await inStore(folder, async (store) => {
      const writer = await LogWriterForTests.open(store, { seed: 1 });
      for (let i = 0; i < 4; i++) await writer.append(Array.from({ length: 20_000 }, () => Uint8Array.of(i)));
      assert.ok(statSync(join(folder, "tree")).size > 40 * 80_000, "they are on their way to the disk");
    }, { layout: "single" });
  });
});

test("v10: a second process is told that the store is in use, until the first is gone, however it ends", async () => {
  await inFolder(async (folder) => {
    const script = fileURLToPath(new URL("./hold_child.ts", import.meta.url));
    const isDeno = process.versions["deno"] !== undefined;
    const flags = isDeno
      ? ["run", "-A", "--quiet", "--no-check"]
      : process.execArgv.filter((flag) => !/^--test/.test(flag));
    const child = spawn(process.execPath, [...flags, script, folder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = new Promise((resolve) => child.once("exit", resolve));
    const lines = createInterface({ input: child.stdout });
    const ended = new Promise((resolve) => lines.once("close", resolve));
    await new Promise<void>((resolve) => lines.once("line", () => resolve()));
    await assert.rejects(openV10Store(folder), { code: "STORE_IN_USE" });
    child.kill("SIGKILL");
    await Promise.all([exited, ended]);
    await inStore(folder, async (store) => {
      assert.equal((await (await LogWriterForTests.open(store, { seed: 1 })).state()).length, 1);
    });
  });
});
