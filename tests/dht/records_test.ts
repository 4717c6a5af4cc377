/** What a node keeps for others: the rules of the reference, and the limits that it does not have. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { Command, MAX_VALUE_BYTES, ReplyError } from "../../dht/constants.ts";
import { FairCache } from "../../dht/fair_cache.ts";
import {
  announcement,
  type LookupReply,
  lookupReply,
  mutablePut,
  mutableValue,
  peerRecord,
} from "../../dht/messages.ts";
import { RecordStore, type RecordStoreOptions, signMutable } from "../../dht/records.ts";
import { RelayAddressCache } from "../../dht/relay_cache.ts";
import { dhtNamespaces, targetOf } from "../../dht/signables.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { decode, encode } from "../../encoding/codec.ts";
import { uint } from "../../encoding/varint.ts";
import { utf8, wasm } from "../crypto/support.ts";
import { test } from "../harness.ts";
import { announceRequest, bytes32, keyPair, moment } from "./support.ts";

const MINUTE = 60_000;
const topic = bytes32(9);
const from = SocketAddress.parse("11.0.0.1:4000");
const DONE = { error: 0, withToken: false, withCloserNodes: false };

function newStore(options: RecordStoreOptions = {}): RecordStore {
  return new RecordStore({ crypto: wasm, random: new SeededRandom("records") }, options);
}

function lookup(store: RecordStore, now = 0, target: Uint8Array = topic): LookupReply | undefined {
  const reply = store.handle(moment(now), { command: Command.Lookup, target, from });
  assert.ok(reply?.withToken && reply.withCloserNodes);
  return reply.value === undefined ? undefined : decode(lookupReply, reply.value);
}

function findPeer(store: RecordStore, now: number, target: Uint8Array) {
  const value = store.handle(moment(now), { command: Command.FindPeer, target, from })?.value;
  return value === undefined ? undefined : decode(peerRecord, value);
}

test("H4: who announces a topic is found there, with 3 relays at the most, until 20 minutes later", () => {
  const store = newStore();
  const relays = ["11.0.0.1:1", "11.0.0.2:2", "11.0.0.3:3", "11.0.0.4:4"];
  assert.equal(lookup(store), undefined);
  assert.deepEqual(store.handle(moment(0), announceRequest(keyPair(1), { target: topic, relays })), DONE);
  const peer = lookup(store, 20 * MINUTE - 1)?.peers[0];
  assert.deepEqual(peer?.publicKey, keyPair(1).publicKey);
  assert.deepEqual(peer.relayAddresses.map(String), relays.slice(0, 3));
  assert.equal(lookup(store, 20 * MINUTE), undefined);
  assert.equal(store.counts.records, 0);
});

test("H4: announcing again renews and replaces, unannouncing removes", () => {
  const store = newStore();
  store.handle(moment(0), announceRequest(keyPair(1), { target: topic }));
  const again = announceRequest(keyPair(1), { target: topic, relays: ["11.0.0.8:8"] });
  store.handle(moment(15 * MINUTE), again);
  const peers = lookup(store, 30 * MINUTE)!.peers;
  assert.deepEqual(peers.map(({ relayAddresses }) => relayAddresses.map(String)), [["11.0.0.8:8"]]);
  const goodbye = announceRequest(keyPair(1), { command: Command.Unannounce, target: topic, relays: [] });
  assert.deepEqual(store.handle(moment(30 * MINUTE), goodbye), DONE);
  assert.equal(lookup(store, 30 * MINUTE), undefined);
});

test("H4: a bump counts if it is newer and not more than a minute ahead", () => {
  const store = newStore();
  const wall = moment(0).wallTime;
  const bump = (value: number) => {
    store.handle(moment(0), announceRequest(keyPair(1), { target: topic, bump: value }));
    return lookup(store)!.bump;
  };
  assert.equal(bump(5), 5);
  assert.equal(bump(4), 5);
  assert.equal(bump(wall + 60_001), 5);
  assert.equal(bump(wall + 60_000), wall + 60_000);
});

test("H4: a reply holds 20 peers, each drawn as often as any other", () => {
  const store = newStore();
  for (let i = 0; i < 60; i++) store.handle(moment(0), announceRequest(keyPair(i), { target: topic }));
  const seen = new Map<string, number>();
  for (let i = 0; i < 600; i++) {
    const keys = lookup(store)!.peers.map(({ publicKey }) => publicKey.join());
    assert.equal(new Set(keys).size, 20);
    for (const key of keys) seen.set(key, (seen.get(key) ?? 0) + 1);
  }
  assert.equal(seen.size, 60);
  for (const count of seen.values()) assert.ok(count > 140 && count < 260, `${count} of about 200`);
});

test("H2: who announces itself is found as a peer, and handshakes go to where it announced from", () => {
  const store = newStore();
  const target = targetOf(wasm, keyPair(1).publicKey);
  assert.equal(findPeer(store, 0, target), undefined);
  store.handle(moment(0), announceRequest(keyPair(1), { from: "11.0.5.5:555" }));
  assert.deepEqual(findPeer(store, 0, target)?.publicKey, keyPair(1).publicKey);
  assert.equal(String(store.forward(0, target)?.relay), "11.0.5.5:555");
  assert.equal(lookup(store, 0, target)?.peers.length, 1, "a lookup finds it too");
  assert.equal(store.counts.records, 0);
  findPeer(store, 15 * MINUTE, target);
  assert.ok(findPeer(store, 30 * MINUTE, target), "being asked for renews it");
  const goodbye = announceRequest(keyPair(1), { command: Command.Unannounce, relays: [] });
  store.handle(moment(30 * MINUTE), goodbye);
  assert.equal(findPeer(store, 30 * MINUTE, target), undefined);
});

test("H2: a peer of this node stays, whatever is announced", () => {
  const store = newStore();
  const target = targetOf(wasm, keyPair(1).publicKey);
  store.pin(target, { publicKey: keyPair(1).publicKey, relayAddresses: [] });
  store.handle(moment(0), announceRequest(keyPair(1)));
  assert.equal(store.forward(0, target)?.relay, undefined);
  assert.ok(findPeer(store, 60 * MINUTE, target));
  store.unpin(target);
  assert.equal(findPeer(store, 60 * MINUTE, target), undefined);
});

test("H5: what hashes to the registered token renews an announcement, once, and becomes the next", () => {
  const store = newStore();
  const chain = [bytes32(1)];
  for (let i = 0; i < 3; i++) chain.unshift(targetOf(wasm, chain[0]!));
  const renew = (now: number, refresh: Uint8Array) =>
    store.handle(moment(now), {
      command: Command.Announce,
      ...{ target: topic, token: bytes32(8), from },
      value: encode(announcement, { refresh, bump: 0 }),
    });
  assert.equal(renew(0, chain[1]!), undefined);
  store.handle(moment(0), announceRequest(keyPair(1), { target: topic, refresh: chain[0]! }));
  assert.deepEqual(renew(15 * MINUTE, chain[1]!), DONE);
  assert.equal(renew(15 * MINUTE, chain[1]!), undefined, "the same token again");
  assert.deepEqual(renew(30 * MINUTE, chain[2]!), DONE);
  assert.equal(lookup(store, 45 * MINUTE)?.peers.length, 1);
  assert.equal(renew(45 * MINUTE, chain[0]!), undefined, "a token of the past");
  assert.equal(store.counts.refreshes, 1);
});

test("H5: renewing an announcement of oneself moves the way to where it came from", () => {
  const store = newStore();
  const target = targetOf(wasm, keyPair(1).publicKey);
  store.handle(moment(0), announceRequest(keyPair(1), { refresh: targetOf(wasm, bytes32(1)) }));
  const value = encode(announcement, { refresh: bytes32(1), bump: 0 });
  const elsewhere = SocketAddress.parse("11.0.6.6:66");
  const request = { command: Command.Announce, target, token: bytes32(8), from: elsewhere, value };
  assert.deepEqual(store.handle(moment(1), request), DONE);
  assert.equal(String(store.forward(1, target)?.relay), "11.0.6.6:66");
});

test("H4: an announcement that is forged, stale, for another node or malformed is met with silence", () => {
  const store = newStore();
  const good = announceRequest(keyPair(1), { target: topic });
  const value = good.value!.slice();
  value[value.length - 1]! ^= 1;
  const wrong = [
    { ...good, value },
    { ...good, token: bytes32(1) },
    { ...good, token: undefined },
    { ...good, target: bytes32(1) },
    { ...good, target: undefined },
    { ...good, target: new Uint8Array(31) },
    { ...good, value: undefined },
    { ...good, value: good.value!.subarray(0, 40) },
    { ...good, value: Uint8Array.of(0) },
    { ...good, command: Command.Unannounce },
    { ...good, command: Command.Plugin },
  ];
  for (const request of wrong) assert.equal(store.handle(moment(0), request), undefined);
  assert.equal(store.handle({ ...moment(0), nodeId: bytes32(1) }, good), undefined);
  assert.equal(lookup(store), undefined);
});

const spaces = dhtNamespaces(wasm);
const owner = keyPair(1);
const own = targetOf(wasm, owner.publicKey);

function put(store: RecordStore, seq: number, text: string | Uint8Array, now = 0) {
  const value = typeof text === "string" ? utf8(text) : text;
  const message = encode(mutablePut, signMutable(wasm, spaces, owner, { seq, value }));
  const request = { command: Command.MutablePut, target: own, token: bytes32(8), from, value: message };
  return store.handle(moment(now), request);
}

function get(store: RecordStore, seq = 0, now = 0) {
  const request = { command: Command.MutableGet, target: own, from, value: encode(uint, seq) };
  const reply = store.handle(moment(now), request)!;
  return reply.value === undefined ? undefined : decode(mutableValue, reply.value);
}

test("H6: a mutable value is replaced by a newer one only", () => {
  const store = newStore();
  assert.equal(get(store), undefined);
  assert.equal(put(store, 3, "three")?.error, 0);
  assert.deepEqual(get(store)?.value, utf8("three"));
  assert.equal(get(store, 4), undefined, "nothing that new");
  assert.equal(put(store, 3, "other")?.error, ReplyError.SeqReused);
  assert.equal(put(store, 2, "two")?.error, ReplyError.SeqTooLow);
  assert.equal(put(store, 3, "three")?.error, 0, "the same again renews");
  assert.equal(put(store, 4, "four")?.error, 0);
  assert.deepEqual(get(store, 4)?.value, utf8("four"));
});

test("H1: values are kept for 48 hours, from when they were last asked for", () => {
  const store = newStore();
  const hours = 60 * MINUTE;
  put(store, 1, "x");
  assert.ok(get(store, 0, 47 * hours));
  assert.ok(get(store, 0, 94 * hours));
  assert.equal(get(store, 0, 142 * hours), undefined);
});

test("H7: values are accepted up to the cap, and above it refused with an error", () => {
  const store = newStore();
  assert.equal(put(store, 1, new Uint8Array(MAX_VALUE_BYTES))?.error, 0);
  assert.equal(put(store, 2, new Uint8Array(MAX_VALUE_BYTES + 1))?.error, ReplyError.ValueTooLarge);
  for (const size of [MAX_VALUE_BYTES, MAX_VALUE_BYTES + 1]) {
    const value = new Uint8Array(size);
    const request = {
      command: Command.ImmutablePut,
      target: targetOf(wasm, value),
      token: bytes32(8),
      from,
      value,
    };
    const error = size > MAX_VALUE_BYTES ? ReplyError.ValueTooLarge : 0;
    assert.equal(store.handle(moment(0), request)?.error, error);
  }
});

test("H7: a value under a target that is not its hash, without a token or empty is met with silence", () => {
  const store = newStore();
  const value = utf8("hello");
  const good = {
    command: Command.ImmutablePut,
    target: targetOf(wasm, value),
    token: bytes32(8),
    from,
    value,
  };
  assert.equal(store.handle(moment(0), { ...good, target: topic }), undefined);
  assert.equal(store.handle(moment(0), { ...good, token: undefined }), undefined);
  assert.equal(store.handle(moment(0), { ...good, value: undefined }), undefined);
  assert.equal(put(store, 1, ""), undefined);
  const signed = signMutable(wasm, spaces, owner, { seq: 1, value });
  const message = encode(mutablePut, { ...signed, signature: new Uint8Array(64) });
  const forged = { command: Command.MutablePut, target: own, token: bytes32(8), from, value: message };
  assert.equal(store.handle(moment(0), forged), undefined);
  assert.equal(store.handle(moment(0), { ...forged, target: topic }), undefined);
  assert.deepEqual(store.counts.mutables + store.counts.immutables, 0);
});

test("H7: what is kept does not share the memory of the request", () => {
  const store = newStore();
  const value = utf8("hello");
  const target = targetOf(wasm, value);
  store.handle(moment(0), { command: Command.ImmutablePut, target, token: bytes32(8), from, value });
  value.fill(0);
  const kept = store.handle(moment(0), { command: Command.ImmutableGet, target, from });
  assert.deepEqual(kept?.value, utf8("hello"));
});

/** An address in the network number `subnet`. */
const inSubnet = (subnet: number, host = 1) => SocketAddress.v4(0x0b000000 + subnet * 256 + host, 1000);

test("D8: one network of 256 addresses gets a tenth of the entries and of the bytes", () => {
  const cache = new FairCache<number>({
    maxEntries: 100,
    maxBytes: 10_000,
    ageMs: Infinity,
    subnetShare: 10,
  });
  for (let i = 0; i < 1000; i++) cache.set(0, `small ${i}`, i, inSubnet(1, i % 256), 10);
  assert.deepEqual(cache.shareOf(inSubnet(1)), { entries: 10, bytes: 100 });
  for (let i = 0; i < 1000; i++) cache.set(0, `large ${i}`, i, inSubnet(2), 400);
  assert.deepEqual(cache.shareOf(inSubnet(2)), { entries: 2, bytes: 800 });
  assert.equal(cache.set(0, "huge", 0, inSubnet(3), 1001), false);
  assert.equal(cache.peek(0, "small 999"), 999, "its own oldest had to go");
  assert.equal(cache.peek(0, "small 0"), undefined);
});

test("D8: entries and bytes stay within their caps, whoever floods", () => {
  const random = new SeededRandom("flood");
  const removed = new Set<number>();
  const cache = new FairCache<number>(
    { maxEntries: 200, maxBytes: 20_000, ageMs: 5000, subnetShare: 10 },
    (value) => removed.add(value),
  );
  let bytes = 0;
  for (let i = 0; i < 20_000; i++) {
    cache.set(i, String(random.below(1000)), i, inSubnet(random.below(40)), random.below(300));
    assert.ok(cache.size <= 200 && cache.bytes <= 20_000);
    bytes = Math.max(bytes, cache.bytes);
  }
  assert.ok(bytes > 18_000, "the room is used");
  assert.equal(removed.size + cache.size, 20_000, "what is gone has been told");
  cache.expire(1e9);
  assert.equal(cache.size + cache.bytes, 0);
  assert.deepEqual(cache.shareOf(inSubnet(0)), { entries: 0, bytes: 0 });
});

test("D8: a flood from a few networks replaces its own entries and not those of others", () => {
  const cache = new FairCache<number>({
    maxEntries: 1000,
    maxBytes: Infinity,
    ageMs: Infinity,
    subnetShare: 10,
  });
  for (let i = 0; i < 200; i++) cache.set(0, `honest ${i}`, i, inSubnet(100 + i), 0);
  for (let i = 0; i < 50_000; i++) cache.set(0, `flood ${i}`, i, inSubnet(i % 12), 0);
  let left = 0;
  for (let i = 0; i < 200; i++) if (cache.peek(0, `honest ${i}`) !== undefined) left++;
  assert.equal(left, 200);
  cache.set(0, "late", 1, inSubnet(500), 0);
  assert.equal(cache.peek(0, "late"), 1, "a newcomer gets in");
});

test("D8: putting what somebody else has put does not take it over", () => {
  const cache = new FairCache<number>({
    maxEntries: 100,
    maxBytes: Infinity,
    ageMs: Infinity,
    subnetShare: 10,
  });
  cache.set(0, "value", 1, inSubnet(1), 0);
  cache.set(0, "value", 2, inSubnet(2), 0);
  for (let i = 0; i < 100; i++) cache.set(0, `flood ${i}`, i, inSubnet(2), 0);
  assert.equal(cache.peek(0, "value"), 2);
});

test("D8: the store holds no more than its options say, in all of its parts", () => {
  const store = newStore({ maxRecords: 50, maxValues: 40, maxValueStoreBytes: 4000 });
  for (let i = 0; i < 300; i++) {
    const at = `11.0.${i % 100}.1:1000`;
    const keys = keyPair(i);
    const options = { from: at, refresh: targetOf(wasm, keys.publicKey), bump: 1 + i };
    store.handle(moment(i), announceRequest(keys, options));
    store.handle(
      moment(i),
      announceRequest(keys, { ...options, target: targetOf(wasm, utf8(`topic ${i}`)) }),
    );
    const value = new Uint8Array(100).fill(i);
    new DataView(value.buffer).setUint32(0, i);
    const target = targetOf(wasm, value);
    const token = bytes32(8);
    const request = { command: Command.ImmutablePut, target, token, from: SocketAddress.parse(at), value };
    store.handle(moment(i), request);
  }
  const { records, forwards, refreshes, bumps, immutables } = store.counts;
  assert.deepEqual([records, forwards, refreshes, bumps], [50, 50, 50, 50]);
  assert.ok(immutables <= 40 && store.valueBytes <= 4000);
});

test("H12: relays are remembered of the peers that were used last", () => {
  const cache = new RelayAddressCache(3);
  const relays = Array.from({ length: 20 }, (_, i) => SocketAddress.v4(0x0b000001, i + 1));
  for (const n of [1, 2, 3]) cache.set(bytes32(n), relays);
  assert.equal(cache.get(bytes32(1)).length, 8);
  cache.set(bytes32(4), relays.slice(0, 1));
  assert.equal(cache.size, 3);
  assert.equal(cache.get(bytes32(2)).length, 0);
  assert.equal(cache.get(bytes32(1)).length, 8);
  cache.set(bytes32(1), []);
  assert.equal(cache.get(bytes32(1)).length, 0);
});
