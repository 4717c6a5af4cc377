/** `docs/spec/numbers.md` has every number that the source has, and no other. */
import assert from "node:assert/strict";
import { numbersPage } from "../../scripts/spec_numbers.ts";
import { test } from "../harness.ts";
import { readPage } from "./document.ts";

/** What the formatter leaves alone. */
const words = (text: string) => text.replaceAll(/-{2,}|\s+/g, " ").replaceAll(/ +/g, " ").trim();

test("numbers.md is what the source says; if not, run deno run -A scripts/spec_numbers.ts", async () => {
  assert.equal(words(readPage("numbers.md")), words(await numbersPage()));
});
