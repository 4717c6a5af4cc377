import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "../harness.ts";
import { skip } from "./hypha_process.ts";

test(
  "the demonstration hands over a file between processes that know only a topic, and says how",
  async () => {
    const demo = fileURLToPath(new URL("../../cli/demo.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, ["run", "-A", "--quiet", demo]);
    assert.match(stdout, /a private DHT of 10 nodes/);
    assert.match(stdout, /sha256 [0-9a-f]{64} on both sides/);
    assert.match(stdout, /path: direct \(127\.0\.0\.1:\d+\), connected \d+ ms after/);
    assert.match(stdout, /demo ok: \d+ bytes/);
  },
  { skip },
);
