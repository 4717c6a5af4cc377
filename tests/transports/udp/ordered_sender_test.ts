/** The order and the TTL of sends, against a host that finishes them late and wakes the youngest first. */
import assert from "node:assert/strict";
import { SocketAddress } from "../../../encoding/address.ts";
import { OrderedSender, type RawSender } from "../../../transports/udp/ordered_sender.ts";
import { test } from "../../harness.ts";

const TO = SocketAddress.of("127.0.0.1", 9);

/** A host that, like Deno, sends what waits backwards and with the TTL that is set by then. */
class LateHost implements RawSender {
  readonly wire: string[] = [];
  fails = false;
  #ttl = 64;
  #pending: { datagram: Uint8Array; onSent: () => void }[] = [];

  send(datagram: Uint8Array, _to: SocketAddress, onSent: () => void): void {
    if (this.fails) throw new Error("no");
    this.#pending.push({ datagram, onSent });
  }

  setTtl(ttl: number): void {
    this.#ttl = ttl;
  }

  get pending(): number {
    return this.#pending.length;
  }

  turn(): void {
    const batch = this.#pending.reverse();
    this.#pending = [];
    for (const { datagram } of batch) this.wire.push(`${datagram[0]}/${this.#ttl}`);
    for (const { onSent } of batch) onSent();
  }

  finish(): void {
    for (let turns = 0; this.#pending.length > 0; turns++) {
      assert.ok(turns < 10_000);
      this.turn();
    }
  }
}

function open(): { host: LateHost; sender: OrderedSender; send: (mark: number, ttl?: number) => boolean } {
  const host = new LateHost();
  const sender = new OrderedSender(host);
  return { host, sender, send: (mark, ttl = 64) => sender.send(Uint8Array.of(mark), TO, ttl) };
}

test("the first datagram of a socket goes alone, so that the others keep their order", () => {
  const { host, send } = open();
  for (const mark of [1, 2, 3]) assert.equal(send(mark), true);
  assert.equal(host.pending, 1);
  host.turn();
  assert.deepEqual(host.wire, ["1/64"]);
  assert.equal(host.pending, 2, "from then on the host has what it needs to keep the order itself");
});

test("each datagram leaves with its own TTL, whatever is on its way", () => {
  const { host, send } = open();
  send(0);
  host.finish();
  for (const [mark, ttl] of [[1, 64], [2, 5], [3, 5], [4, 64], [5, 6]] as const) send(mark, ttl);
  host.finish();
  const ttls = host.wire.map((line) => line.split("/").map(Number)).sort(([a], [b]) => a! - b!);
  assert.deepEqual(ttls, [[0, 64], [1, 64], [2, 5], [3, 5], [4, 64], [5, 6]]);
});

test("datagrams of one TTL share a turn, and other sends go on after it", () => {
  const { host, send } = open();
  send(0);
  host.finish();
  send(1, 5);
  send(2, 5);
  assert.equal(host.pending, 2);
  send(3);
  assert.equal(host.pending, 2);
  host.turn();
  assert.equal(host.pending, 1);
});

test("what waits is a copy, bounded in number and in bytes", () => {
  const { host, sender, send } = open();
  send(0);
  const datagram = Uint8Array.of(7);
  sender.send(datagram, TO, 64);
  datagram[0] = 8;
  host.turn();
  host.turn();
  assert.deepEqual(host.wire, ["0/64", "7/64"]);
  let taken = 0;
  while (send(taken & 0xff)) taken++;
  assert.equal(taken, 256 + 1024, "256 at the host and 1024 waiting");
  host.finish();
  const large = new Uint8Array(60_000);
  taken = 0;
  sender.send(large, TO, 5);
  while (sender.send(large, TO, 6)) taken++;
  assert.equal(taken, Math.floor(2 ** 20 / large.length));
  host.finish();
  assert.equal(send(1), true, "room again");
});

test("a host that throws loses that datagram and no other", () => {
  const { host, send } = open();
  host.fails = true;
  assert.equal(send(1), false);
  host.fails = false;
  assert.equal(send(2), true);
  host.finish();
  assert.deepEqual(host.wire, ["2/64"]);
});

test("close waits for what was taken, and takes no more", () => {
  const { host, sender, send } = open();
  for (const mark of [1, 2]) send(mark);
  let isIdle = false;
  sender.close(() => isIdle = true);
  assert.equal(send(3), false);
  assert.equal(isIdle, false);
  host.finish();
  assert.equal(isIdle, true);
  assert.deepEqual(host.wire, ["1/64", "2/64"]);
  const other = open();
  other.sender.close(() => isIdle = false);
  assert.equal(isIdle, false, "at once if nothing is on its way");
});
