/** Error classes and the assertion. */
import assert from "node:assert/strict";
import { assert as invariant } from "../../core/runtime/assert.ts";
import {
  AssertionError,
  ConnectError,
  HyphaError,
  ProtocolError,
  StorageError,
  toError,
} from "../../core/runtime/errors.ts";
import { test } from "../harness.ts";

test("errors: each kind carries its name, code, message and cause", () => {
  const cause = new Error("below");
  for (const Kind of [HyphaError, ProtocolError, ConnectError, StorageError]) {
    const error = new Kind("TIMEOUT", "no answer within 5 s: try again", { cause });
    assert.ok(error instanceof HyphaError && error instanceof Error);
    assert.equal(error.name, Kind.name);
    assert.equal(error.code, "TIMEOUT");
    assert.equal(error.cause, cause);
    assert.match(String(error), new RegExp(`^${Kind.name}: no answer`));
  }
});

test("errors: a broken invariant is no HyphaError, so no handler of those swallows it", () => {
  const error = new AssertionError("one and one is three");
  assert.equal(error.name, "AssertionError");
  assert.equal((error as Error) instanceof HyphaError, false);
});

test("assert: passes what holds and throws an AssertionError for what does not", () => {
  invariant(true, "holds");
  assert.throws(() => invariant(false, "does not hold"), (thrown) => {
    return thrown instanceof AssertionError && thrown.message === "does not hold";
  });
});

test("toError: keeps an error as it is and wraps anything else with its cause", () => {
  const error = new RangeError("kept");
  assert.equal(toError(error), error);
  const wrapped = toError("just text");
  assert.equal(wrapped.message, "just text");
  assert.equal(wrapped.cause, "just text");
  assert.equal(toError(undefined).message, "undefined");
});
