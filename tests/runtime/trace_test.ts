/** The bounded log of what happened. */
import assert from "node:assert/strict";
import { TraceLog } from "../../core/runtime/trace.ts";
import { VirtualClock } from "../../core/runtime/virtual.ts";
import { test } from "../harness.ts";

test("trace: keeps the events with their moment, oldest first", () => {
  const clock = new VirtualClock();
  const log = new TraceLog(clock, 4);
  assert.deepEqual(log.toArray(), []);
  log.add("udx", "state", { to: "open" });
  clock.run({ until: 3 });
  log.add("udx", "rto");
  assert.deepEqual(log.toArray(), [
    { at: 0, part: "udx", what: "state", data: { to: "open" } },
    { at: 3, part: "udx", what: "rto", data: {} },
  ]);
});

test("trace: forgets the oldest beyond its capacity", () => {
  const log = new TraceLog(new VirtualClock(), 3);
  for (let count = 1; count <= 7; count++) {
    log.add("part", String(count));
    const expected = Array.from({ length: Math.min(count, 3) }, (_, i) => String(Math.max(count - 2, 1) + i));
    assert.deepEqual(log.toArray().map((event) => event.what), expected);
  }
});
