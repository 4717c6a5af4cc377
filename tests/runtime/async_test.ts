/** The bounded queue and the signal helpers. */
import assert from "node:assert/strict";
import { abortable, AsyncQueue, throwIfAborted } from "../../core/runtime/async.ts";
import { test } from "../harness.ts";

test("async queue: items come out in order, and the loop ends after close", async () => {
  const queue = new AsyncQueue<number>(4);
  for (const item of [1, 2, 3]) assert.equal(queue.push(item), true);
  queue.close();
  assert.equal(queue.push(4), false);
  const seen: number[] = [];
  for await (const item of queue) seen.push(item);
  assert.deepEqual(seen, [1, 2, 3]);
  assert.equal((await queue.next()).done, true);
});

test("async queue: a full queue refuses and has room again once an item is taken", async () => {
  const queue = new AsyncQueue<number>(2);
  assert.deepEqual([queue.push(1), queue.push(2), queue.push(3)], [true, true, false]);
  assert.equal(queue.size, 2);
  await queue.next();
  assert.equal(queue.push(4), true);
  assert.deepEqual([(await queue.next()).value, (await queue.next()).value], [2, 4]);
});

test("async queue: a waiting consumer is served first, even at capacity 0", async () => {
  const queue = new AsyncQueue<string>(0);
  assert.equal(queue.push("nobody waits"), false);
  const [first, second] = [queue.next(), queue.next()];
  assert.equal(queue.push("a"), true);
  assert.equal(queue.push("b"), true);
  assert.deepEqual([(await first).value, (await second).value], ["a", "b"]);
});

test("async queue: closing wakes all who wait", async () => {
  const queue = new AsyncQueue<number>(1);
  const waiting = [queue.next(), queue.next()];
  queue.close();
  for (const result of await Promise.all(waiting)) assert.equal(result.done, true);
});

test("async queue: an error comes after the items and once, then the queue is done", async () => {
  const queue = new AsyncQueue<number>(2);
  queue.push(1);
  queue.close(new Error("broken"));
  queue.close(new Error("too late"));
  assert.equal((await queue.next()).value, 1);
  await assert.rejects(queue.next(), /broken/);
  assert.equal((await queue.next()).done, true);
});

test("async queue: an error rejects a waiting consumer once, then the queue is done", async () => {
  const queue = new AsyncQueue<number>(2);
  const waiting = queue.next();
  queue.close(new Error("broken"));
  await assert.rejects(waiting, /broken/);
  assert.equal((await queue.next()).done, true);
});

test("async queue: leaving the loop drops what waits and refuses more", async () => {
  const queue = new AsyncQueue<number>(4);
  queue.push(1);
  queue.push(2);
  for await (const _item of queue) break;
  assert.equal(queue.size, 0);
  assert.equal(queue.push(3), false);
  assert.equal((await queue.next()).done, true);
});

test("async queue: leaving the loop after an error ends quietly", async () => {
  const queue = new AsyncQueue<number>(4);
  queue.push(1);
  queue.close(new Error("nobody reads this"));
  await queue.return();
  assert.equal((await queue.next()).done, true);
});

test("throwIfAborted: throws the reason itself, and only when aborted", () => {
  throwIfAborted(undefined);
  const controller = new AbortController();
  throwIfAborted(controller.signal);
  const reason = new Error("stop");
  controller.abort(reason);
  assert.throws(() => throwIfAborted(controller.signal), (thrown) => thrown === reason);
});

test("abortable: settles as the promise does", async () => {
  const { signal } = new AbortController();
  assert.equal(await abortable(Promise.resolve(1), undefined), 1);
  assert.equal(await abortable(Promise.resolve(2), signal), 2);
  await assert.rejects(abortable(Promise.reject(new Error("own")), signal), /own/);
});

test("abortable: an abort wins at once, and a later failure of the work is not an unhandled rejection", async () => {
  const controller = new AbortController();
  const work = Promise.withResolvers<never>();
  const result = abortable(work.promise, controller.signal);
  const reason = new Error("stop");
  controller.abort(reason);
  await assert.rejects(result, (thrown) => thrown === reason);
  const again = abortable(work.promise, controller.signal);
  await assert.rejects(again, (thrown) => thrown === reason);
  work.reject(new Error("too late"));
  await Promise.resolve();
});
