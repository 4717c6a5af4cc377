/** A server at the limit of its file descriptors. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { test } from "../harness.ts";

const MAX_FILES = 256;

function command(): string[] {
  const child = fileURLToPath(new URL("descriptors_child.ts", import.meta.url));
  if ("Deno" in globalThis) return [process.execPath, "run", "-A", "--quiet", child];
  return [process.execPath, ...process.execArgv.filter((flag) => /strip-types|warning/.test(flag)), child];
}

test(
  "D4: with 256 file descriptors, and with eight left, a flood of handshakes ends no server, and it is dialed afterwards",
  async () => {
    const script = `ulimit -n ${MAX_FILES} && exec "$@"`;
    const { stdout } = await promisify(execFile)("sh", ["-c", script, "sh", ...command()]);
    const report = JSON.parse(stdout);
    assert.ok(report.taken > 50 && report.taken < MAX_FILES, `${report.taken} descriptors were taken`);
    assert.deepEqual([report.forged, report.malformed], [0, 0], "the flood is valid");
  },
  { skip: process.platform === "win32" ? "needs ulimit" : undefined },
);
