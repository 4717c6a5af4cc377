/** The example of a log that is followed over a swarm, run as two processes in a private DHT. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { PrivateDht } from "../../cli/private_dht.ts";
import { test } from "../harness.ts";
import { skip, withFolder } from "./hypha_process.ts";

const root = new URL("../../", import.meta.url);
const sample = new URL("examples/shared_notes.ts", root);

test("the example of shared notes shows a reader what the writer has typed and types", async () => {
  await withFolder(async (folder) => {
    await using dht = await PrivateDht.open();
    const children: ChildProcess[] = [];
    const start = (...args: string[]) => {
      const config = fileURLToPath(new URL("deno.json", root));
      const child = spawn(
        process.execPath,
        ["run", "-A", "--quiet", "--config", config, fileURLToPath(sample), ...args],
        { stdio: ["pipe", "pipe", "inherit"], env: { ...process.env, BOOTSTRAP: dht.bootstrap } },
      );
      children.push(child);
      const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
      return { input: child.stdin!, next: async (): Promise<string> => String((await lines.next()).value) };
    };
    try {
      const writer = start(join(folder, "writer.sqlite"));
      const key = await writer.next();
      assert.match(key, /^[a-z0-9]{52}$/);
      writer.input.write("first\nsecond\n");
      const reader = start(join(folder, "reader.sqlite"), key);
      assert.deepEqual([await reader.next(), await reader.next()], ["first", "second"]);
      writer.input.write("third\n");
      assert.equal(await reader.next(), "third");
    } finally {
      for (const child of children) child.kill("SIGKILL");
      await Promise.all(children.map((child) => new Promise((resolve) => child.once("close", resolve))));
    }
  });
}, { skip });
