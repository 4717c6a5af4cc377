import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { filesOf, hashFolder, readIndex, storeFolder, writeFolder } from "../../cli/folder_log.ts";
import { linesOf } from "../../cli/log_write.ts";
import { parseWhich } from "../../cli/log_store.ts";
import { storeFile, storeFolder as defaultStore } from "../../cli/store_folder.ts";
import { Hypercore } from "../../core/hypercore.ts";
import { MemoryStore } from "../../core/storage/mod.ts";
import { test } from "../harness.ts";
import { skip, withFolder } from "./hypha_process.ts";

const { signal } = new AbortController();

test("a folder that became logs becomes the same folder again", async () => {
  await withFolder(async (folder) => {
    const source = join(folder, "source");
    await mkdir(join(source, "a", "b"), { recursive: true });
    await mkdir(join(source, ".hidden"));
    const large = new Uint8Array(200_000).map((_, i) => i & 0xff);
    await writeFile(join(source, "a", "b", "large"), large);
    await writeFile(join(source, "a", "empty"), "");
    await writeFile(join(source, ".hidden", "x"), "not shared");
    await writeFile(join(source, "z"), "last");
    await using index = await Hypercore.open(new MemoryStore());
    await using content = await Hypercore.open(new MemoryStore());
    const { files, blocks, bytes } = await storeFolder(source, index, content);
    assert.deepEqual([files, blocks, bytes], [3, 5, 200_004]);

    const copy = join(folder, "copy");
    const { entries } = await readIndex(index, signal);
    await writeFolder(copy, entries, content);
    assert.deepEqual(await filesOf(copy), ["a/b/large", "a/empty", "z"]);
    assert.deepEqual(new Uint8Array(await readFile(join(copy, "a", "b", "large"))), large);
    assert.deepEqual(await hashFolder(copy), await hashFolder(source));
    await writeFile(join(copy, "z"), "other");
    assert.notDeepEqual(await hashFolder(copy), await hashFolder(source));
  });
}, { skip });

test(
  "an index from a stranger cannot name files outside of the folder, nor other bytes than it says",
  async () => {
    await withFolder(async (folder) => {
      await using content = await Hypercore.open(new MemoryStore());
      await content.append("bytes");
      const entry = { path: "x", size: 5, start: 0, end: 1, sha256: "00".repeat(32) };
      await assert.rejects(writeFolder(join(folder, "out"), [entry], content), /another hash/);
      for (const path of ["../x", "/x", "a//x", "a/../../x", "a\\x", "c:x", ""]) {
        const writing = writeFolder(join(folder, "in"), [{ ...entry, path }], content);
        await assert.rejects(writing, /names a file/, path);
      }
      assert.deepEqual(await readdir(folder), ["out"]);
      await using other = await Hypercore.open(new MemoryStore());
      await other.append('{"type":"else"}');
      await assert.rejects(readIndex(other, signal), /no index/);
    });
  },
  { skip },
);

test("lines are the same however the input is cut", async () => {
  const bytes = new TextEncoder().encode("one\n\nthrée\r\nfour");
  async function* cut(size: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
  }
  for (let size = 1; size <= bytes.length; size++) {
    const lines: string[] = [];
    for await (const batch of linesOf(cut(size))) {
      for (const line of batch) lines.push(new TextDecoder().decode(line));
    }
    assert.deepEqual(lines, ["one", "", "thrée\r", "four"], `${size} bytes at a time`);
  }
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield new Uint8Array(1_000_000);
  }
  await assert.rejects(linesOf(endless()).next(), /longer than .*--file/);
}, { skip });

test("a store is named by its folder or by its file", async () => {
  assert.ok(defaultStore().length > 0);
  await withFolder(async (folder) => {
    assert.equal(storeFile(folder), join(folder, "hypha.sqlite"));
    assert.equal(storeFile(join(folder, "new")), join(folder, "new", "hypha.sqlite"));
    assert.equal(storeFile(join(folder, "new.sqlite")), join(folder, "new.sqlite"));
    await writeFile(join(folder, "old"), "");
    assert.equal(storeFile(join(folder, "old")), join(folder, "old"));
  });
}, { skip });

test("keys and names are told apart", () => {
  const hex = "0f".repeat(32);
  for (const key of [hex, "y".repeat(52), `pear://${hex}`]) assert.ok("key" in parseWhich(key), key);
  for (const name of ["notes", "my notes", "日記", "y".repeat(51), "g".repeat(64)]) {
    assert.deepEqual(parseWhich(name), { name });
  }
  for (const none of ["", " x", "x ", "a\nb", "a\u202eb", "x".repeat(201)]) {
    assert.throws(() => parseWhich(none), TypeError);
  }
}, { skip });
