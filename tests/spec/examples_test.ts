/** The examples of `docs/spec/` are true: each is made anew from the values that its page names, and is read back. */
import assert from "node:assert/strict";
import { decode, encode } from "../../encoding/codec.ts";
import { toHex } from "../../encoding/text.ts";
import { test } from "../harness.ts";
import { readExamples } from "./document.ts";
import { examples } from "./examples.ts";

const shown = readExamples();

test("every example of the specification has somebody who makes it, and the other way round", () => {
  assert.deepEqual([...shown.keys()].toSorted(), [...examples.keys()].toSorted());
});

for (const [name, { page, bytes }] of shown) {
  test(`${page}: the example ${name} is what our codecs write, and what they read`, () => {
    const made = examples.get(name);
    assert.ok(made !== undefined, "nobody makes it");
    assert.equal(toHex(made.bytes), toHex(bytes));
    if (made.codec !== undefined) {
      assert.equal(toHex(encode(made.codec, decode(made.codec, bytes))), toHex(bytes));
    }
  });
}
