/** The messages of the blind relay against the reference's bytes, its quotas against the clock. */
import assert from "node:assert/strict";
import { relayPair, RelayQuotas, relayUnpair, TokenBucket } from "../../dht/relay.ts";
import { decodeExact, encode } from "../../encoding/codec.ts";
import { fromHex, toHex } from "../../encoding/text.ts";
import { readVectors } from "../crypto/support.ts";
import { test } from "../harness.ts";

interface RelayVectors {
  readonly pair: readonly {
    readonly value: { isInitiator: boolean; token: string; streamId: number; seq: number };
    readonly bytes: string;
  }[];
  readonly unpair: readonly { readonly value: { token: string }; readonly bytes: string }[];
}

const vectors = readVectors<RelayVectors>("blind_relay.json");

test("B3 pair and unpair are the reference's bytes, and are read back", () => {
  for (const { value, bytes } of vectors.pair) {
    const message = { ...value, token: fromHex(value.token) };
    assert.equal(toHex(encode(relayPair, message)), bytes);
    assert.deepEqual(decodeExact(relayPair, fromHex(bytes)), message);
  }
  for (const { value, bytes } of vectors.unpair) {
    const message = { token: fromHex(value.token) };
    assert.equal(toHex(encode(relayUnpair, message)), bytes);
    assert.deepEqual(decodeExact(relayUnpair, fromHex(bytes)), message);
  }
});

test("B3 a bucket gives what it has, fills with time, and does not overflow", () => {
  const bucket = new TokenBucket(10, 20);
  assert.ok(bucket.has(0, 20));
  bucket.take(20);
  assert.ok(!bucket.has(0, 1));
  assert.ok(!bucket.has(99, 1));
  assert.ok(bucket.has(100, 1));
  assert.ok(!bucket.has(1_000_000, 21));
  assert.ok(bucket.has(1_000_000, 20));
  assert.ok(bucket.has(999_999, 20), "a clock that goes back takes nothing away");
});

test("B3 quotas remember the bytes of keys that come and go, and forget the oldest of very many", () => {
  const quotas = new RelayQuotas({ maxSessionsPerHost: 2, maxBytesPerKey: 1000, periodMs: 1000 });
  const key = (n: number) => Uint8Array.of(n >> 16, n >> 8, n);
  const first = quotas.openSession(0, key(0), "11.0.0.1")!;
  assert.equal(quotas.send(0, first, 600), "pass");
  quotas.closeSession(first, "11.0.0.1");
  assert.equal(quotas.openSession(10, key(0), undefined), first);
  assert.equal(quotas.send(10, first, 600), "spent");
  assert.equal(quotas.send(1000, first, 600), "pass", "the next period");
  assert.ok(quotas.openSession(0, key(1), "11.0.0.1"));
  assert.ok(quotas.openSession(0, key(2), "11.0.0.1"));
  assert.equal(quotas.openSession(0, key(3), "11.0.0.1"), undefined, "too many from one address");
  for (let n = 10; n < 20_000; n++) quotas.closeSession(quotas.openSession(0, key(n), undefined)!, undefined);
  assert.ok(quotas.accounts < 8200, `${quotas.accounts} keys`);
  assert.equal(quotas.sessions, 3);
  assert.throws(() => new RelayQuotas({ maxLinks: -1 }), RangeError);
});
