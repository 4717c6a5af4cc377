/** The sliding maximum, against a list that remembers everything. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import { WindowedMax } from "../../../transports/udx/windowed_max.ts";
import { test } from "../../harness.ts";

test("the maximum is never less than the newest value, nor older than the window", () => {
  const random = new SeededRandom(1);
  const window = 50;
  const filter = new WindowedMax(window, 0);
  const history: [number, number][] = [];
  for (let time = 0; time < 5000; time += 1 + random.below(10)) {
    const value = random.below(1000);
    history.push([time, value]);
    const recent = history.filter(([at]) => time - at <= window);
    const got = filter.update(time, value);
    assert(got >= value);
    assert(recent.some(([, other]) => other === got), "a value of the window");
  }
});

test("a maximum is exact while it is in the window, and the next best takes over when it leaves", () => {
  const filter = new WindowedMax(10, -1);
  assert.equal(filter.value, -1);
  filter.update(0, 100);
  filter.update(3, 60);
  filter.update(6, 40);
  assert.equal(filter.value, 100);
  assert.equal(filter.update(10, 1), 100);
  assert.equal(filter.update(11, 1), 60);
  assert.equal(filter.update(30, 1), 1, "all are too old");
  filter.reset(31, 7);
  assert.equal(filter.value, 7);
});
