/** The examples of `docs/spec/` with the reference: what it reads, it writes again; what it computes is the same. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { toHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { readExamples } from "../spec/document.ts";
import { skip } from "./udx_support.ts";

const script = fileURLToPath(new URL("./reference/spec_examples.mjs", import.meta.url));

test("the reference finds the examples of the specification true", () => {
  const shown = [...readExamples()].map(([name, { bytes }]) => [name, toHex(bytes)]);
  const input = JSON.stringify(Object.fromEntries(shown));
  const { status, stdout } = spawnSync("node", [script], {
    input,
    stdio: ["pipe", "pipe", "inherit"],
    encoding: "utf8",
  });
  assert.equal(status, 0);
  const results = Object.entries(JSON.parse(stdout) as Record<string, string>);
  assert.ok(results.length >= 40, `${results.length} were looked at`);
  assert.deepEqual(results.filter(([, result]) => result !== "same"), []);
}, { skip });
