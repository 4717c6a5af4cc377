/** The first program of the README, which is not run with the other examples since it never ends. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "../harness.ts";

const root = new URL("../../", import.meta.url);
const sample = new URL("examples/first_program.ts", root);
const skip = existsSync(sample) ? undefined : "needs the source tree";

test("the README shows the first program as it is, so that its types are checked", () => {
  const [, program] = readFileSync(sample, "utf8").split("*/\n");
  const readme = readFileSync(new URL("README.md", root), "utf8");
  assert.ok(readme.includes("```ts ignore\n" + program + "```"), "examples/first_program.ts is another");
}, { skip });
