/** The host's clock and randomness. Nothing here says how long anything takes, only in which order it comes. */
import assert from "node:assert/strict";
import { macrotask, SystemClock, SystemRandom } from "../../core/runtime/system.ts";
import { test } from "../harness.ts";

test("system clock: monotonic time never goes back, wall time is after 2020", () => {
  const clock = new SystemClock();
  const before = clock.now();
  assert.ok(clock.now() >= before);
  assert.ok(clock.wallTime() > Date.UTC(2020, 0));
});

test("system clock: a timer fires once and never before its moment", async () => {
  const clock = new SystemClock();
  const at = clock.now() + 3.5;
  const { promise, resolve } = Promise.withResolvers<number>();
  let fired = 0;
  clock.schedule(at, () => {
    fired++;
    resolve(clock.now());
  });
  assert.ok(await promise >= at);
  await macrotask();
  assert.equal(fired, 1);
});

test("system clock: a timer that was moved later does not fire at its first moment", async () => {
  const clock = new SystemClock();
  const { promise, resolve } = Promise.withResolvers<number>();
  const timer = clock.schedule(clock.now() + 1, () => resolve(clock.now()));
  const at = clock.now() + 8;
  timer.reset(at);
  assert.ok(await promise >= at);
});

test("system clock: a timer that was moved earlier fires without its first moment", async () => {
  const clock = new SystemClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.schedule(clock.now() + 3_600_000, resolve);
  timer.reset(clock.now());
  await promise;
});

test("system clock: a cancelled timer stays silent and may be armed again", async () => {
  const clock = new SystemClock();
  const { promise, resolve } = Promise.withResolvers<void>();
  const fired: string[] = [];
  const timer = clock.schedule(clock.now(), () => fired.push("cancelled"));
  timer.cancel();
  timer.cancel();
  const again = clock.schedule(Infinity, () => {
    fired.push("armed again");
    resolve();
  });
  again.reset(clock.now() + 1);
  again.reset(Infinity);
  again.reset(clock.now() + 2);
  await promise;
  assert.deepEqual(fired, ["armed again"]);
});

test("system clock: timers further away than setTimeout can count do not fire at once", async () => {
  const clock = new SystemClock();
  let fired = 0;
  const timer = clock.schedule(clock.now() + 2 ** 40, () => fired++);
  const { promise, resolve } = Promise.withResolvers<void>();
  clock.schedule(clock.now() + 2, resolve);
  await promise;
  timer.cancel();
  assert.equal(fired, 0);
});

test("system clock: deferred callbacks run after promise chains, in order, later ones in a later turn", async () => {
  const clock = new SystemClock();
  const order: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  clock.defer(() => {
    order.push("a");
    clock.defer(() => {
      order.push("c");
      resolve();
    });
    void Promise.resolve().then(() => order.push("promise between the turns"));
  });
  clock.defer(() => order.push("b"));
  void Promise.resolve().then(() => order.push("promise"));
  await promise;
  assert.deepEqual(order, ["promise", "a", "b", "promise between the turns", "c"]);
});

test("system random: fills any length, beyond what the host gives in one call", () => {
  const random = new SystemRandom();
  for (const length of [0, 1, 65_536, 200_001]) {
    const into = new Uint8Array(length + 2).subarray(1, length + 1);
    assert.equal(random.fill(into), into);
    assert.deepEqual([new Uint8Array(into.buffer)[0], new Uint8Array(into.buffer)[length + 1]], [0, 0]);
    // The last 64 bytes are all zero with a chance of 2^-512.
    if (length >= 64) assert.ok(into.subarray(-64).some((byte) => byte !== 0));
  }
});

test("system random: words do not repeat beyond what chance explains", () => {
  const random = new SystemRandom().fork("any label");
  const words = new Set<number>();
  for (let i = 0; i < 3000; i++) words.add(random.uint32());
  assert.ok(words.size >= 2990, `${words.size} distinct words of 3000`);
  assert.equal(random.chance(0, 5), false);
  assert.equal(random.below(1), 0);
  assert.throws(() => random.below(0), RangeError);
});
