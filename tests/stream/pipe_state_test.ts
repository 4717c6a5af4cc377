import assert from "node:assert/strict";
import { isReadable, isWritable, nextPipeState, type PipeState } from "../../core/stream/pipe_state.ts";
import { test } from "../harness.ts";

test("pipe state: a pipe closes when both sides have ended, in either order", () => {
  assert.equal(nextPipeState(nextPipeState("open", "localEnd"), "remoteEnd"), "closed");
  assert.equal(nextPipeState(nextPipeState("open", "remoteEnd"), "localEnd"), "closed");
});

test("pipe state: repeating an input changes nothing, and closed stays closed", () => {
  for (const state of ["open", "localEnded", "remoteEnded", "closed"] satisfies PipeState[]) {
    for (const input of ["localEnd", "remoteEnd", "close"] as const) {
      const next = nextPipeState(state, input);
      assert.equal(nextPipeState(next, input), next);
      assert.equal(nextPipeState("closed", input), "closed");
    }
  }
});

test("pipe state: an end takes one direction only", () => {
  assert.deepEqual([isWritable("localEnded"), isReadable("localEnded")], [false, true]);
  assert.deepEqual([isWritable("remoteEnded"), isReadable("remoteEnded")], [true, false]);
});
