/** The cache of senders' addresses. */
import assert from "node:assert/strict";
import { SourceCache } from "../../../transports/udp/source_cache.ts";
import { test } from "../../harness.ts";

test("one sender is one object, and mapped IPv4 becomes IPv4", () => {
  const cache = new SourceCache();
  const first = cache.get("10.0.0.1", 80)!;
  const other = cache.get("10.0.0.1", 81)!;
  assert.equal(cache.get("10.0.0.1", 80), first);
  assert.equal(cache.get("10.0.0.1", 81), other);
  assert.equal(first.toString(), "10.0.0.1:80");
  assert.equal(cache.get("::ffff:10.0.0.1", 80)!.toString(), "10.0.0.1:80");
  assert.equal(cache.get("fe80::1%eth0", 80)!.toString(), "[fe80::1%eth0]:80");
  assert.equal(cache.get("what", 80), undefined);
});

test("a flood of senders does not grow the cache: old ones are made anew", () => {
  const cache = new SourceCache();
  const first = cache.get("10.0.0.1", 80)!;
  for (let port = 1; port <= 3000; port++) assert.equal(cache.get("10.0.0.2", port)!.port, port);
  const again = cache.get("10.0.0.1", 80)!;
  assert.notEqual(again, first);
  assert.ok(again.equals(first));
});
