import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "../harness.ts";
import { skip, withFolder } from "./hypha_process.ts";

const DEMO = fileURLToPath(new URL("../../cli/demo.ts", import.meta.url));

function demonstrate(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return promisify(execFile)(process.execPath, ["run", "-A", "--quiet", DEMO, ...args]);
}

test(
  "the demonstration shares a folder by logs: a receiver that is killed goes on, and the other one has blocks from it",
  async () => {
    await withFolder(async (folder) => {
      const large = new Uint8Array(1_000_000).map((_, i) => (i * 31 + (i >>> 9)) & 0xff);
      await mkdir(join(folder, "below", "deeper"), { recursive: true });
      await mkdir(join(folder, "node_modules"));
      await writeFile(join(folder, "below", "large.bin"), large);
      await writeFile(join(folder, "below", "deeper", "empty"), "");
      for (let i = 0; i < 30; i++) await writeFile(join(folder, `${i}.txt`), `file ${i}`);
      await writeFile(join(folder, "node_modules", "installed.js"), "not shared");
      const { stdout } = await demonstrate(folder);
      assert.match(stdout, /a private DHT of 10 nodes/);
      assert.match(stdout, /as two logs: 32 files, 1\.00 MB, 46 blocks/);
      assert.match(stdout, /the first receiver was killed when it had received \d+ blocks/);
      assert.match(stdout, /goes on from the [1-9]\d* blocks on its disk/);
      assert.match(
        stdout,
        /the second receiver has its blocks in .*: \d+ from the sender, [1-9]\d* from the first/,
      );
      assert.match(stdout, /sha256 [0-9a-f]{64} over all 32 files, at the sender and both receivers/);
      assert.match(stdout, /path: direct \(127\.0\.0\.1:\d+\)/);
      assert.match(stdout.trimEnd().split("\n").at(-1)!, /^demo ok: \d+ bytes, /);
    });
  },
  { skip },
);

test("the demonstration of what is no folder, or of an empty one, fails and says why", async () => {
  await withFolder(async (folder) => {
    for (const [path, why] of [[join(folder, "missing"), /is not a folder/], [folder, /no files/]] as const) {
      await assert.rejects(demonstrate(path), (error: Error & { code: number; stderr: string }) => {
        assert.equal(error.code, 1);
        assert.match(error.stderr, why);
        return true;
      });
    }
  });
}, { skip });
