/** What is kept with a log is there again when a store on disk is opened again. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqliteStore, openV10Store, type Store } from "../../core/storage/mod.ts";
import { seed } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { newStore } from "./support.ts";

const kinds: readonly [name: string, open: (folder: string) => Promise<Store>][] = [
  ["a SQLite file", (folder) => openSqliteStore(join(folder, "logs.sqlite"))],
  ["a folder of hypercore 10", (folder) => openV10Store(folder)],
];
const [topic, other] = [seed(1), seed(2)];
const text = { valueEncoding: "utf-8" as const };

for (const [name, open] of kinds) {
  test(`marks and groups are kept in ${name}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), "hypha-reopen-"));
    try {
      const before = await newStore({}, await open(folder));
      const log = await before.get<string>({ name: "one", group: topic, ...text });
      await before.get({ name: "loner" }).then((loner) => loner.append("x"));
      await log.append(Array.from({ length: 40_000 }, (_, i) => String(i)));
      await log.startMarking();
      await log.get(1);
      await log.markBlock(32_760, 32_780);
      for await (const _ of log.createReadStream({ start: 39_990 }));
      await before.close();

      const after = await newStore({}, await open(folder));
      const notifier = after.notifyGroup(topic);
      assert.deepEqual(await Array.fromAsync(notifier.updates()), [log.key]);
      const again = await after.get<string>({ name: "one", ...text });
      assert.deepEqual(again.group, topic);
      await assert.rejects(again.setGroup(other), { code: "STORAGE_CONFLICT" });
      await again.markBlock(7); // marking goes on
      assert.deepEqual(await again.sweep(), { blocks: 40_000 - 32 });
      for (const index of [1, 7, 32_760, 32_779, 39_990, 39_999]) {
        assert.equal(await again.get(index), String(index));
      }
      await after.close();

      const last = await newStore({}, await open(folder));
      const swept = await last.get<string>({ name: "one", ...text });
      assert.deepEqual([await swept.has(1), await swept.has(2), swept.group], [true, false, topic]);
      await assert.rejects(swept.sweep(), TypeError, "the marks are gone");
      await last.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
