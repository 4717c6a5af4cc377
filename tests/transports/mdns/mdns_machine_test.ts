import assert from "node:assert/strict";
import { SeededRandom } from "../../../core/runtime/virtual.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import { MAX_PEERS, MAX_PEERS_OF_SENDER, SERVICE, TYPE } from "../../../transports/mdns/constants.ts";
import { MdnsMachine, type MdnsTransmit } from "../../../transports/mdns/mdns_machine.ts";
import {
  decodeMessage,
  encodeMessage,
  type Message,
  type ReadRecord,
  type ResourceRecord,
} from "../../../transports/mdns/message.ts";
import { idOf, instanceName, peerRecords, type Place, pointerTo } from "../../../transports/mdns/service.ts";
import { test } from "../../harness.ts";

const PLACE: Place = { family: 4, hosts: ["192.168.1.5"] };
const key = (n: number) => Uint8Array.from({ length: 32 }, (_, i) => i < 4 ? n >>> 8 * i : 7);
const OWN = { publicKey: key(1), addresses: ["udx:0.0.0.0:4000"] };
const OWN_ID = idOf(OWN.publicKey);
const neighbour = (n: number) => SocketAddress.v4(0xc0a80200 + n, 5353);

/** A machine without a network: what it sends is collected with its moment. */
class Bench {
  readonly machine: MdnsMachine;
  now = 10_000;

  constructor(seed = 1, places: readonly Place[] = [PLACE]) {
    this.machine = new MdnsMachine(new SeededRandom(seed), 5353);
    this.machine.setPlaces(this.now, places, new Set(places.flatMap(({ hosts }) => hosts)));
  }

  sent(): Message<ReadRecord>[] {
    const messages: Message<ReadRecord>[] = [];
    const out = { length: 0, ttl: 0, to: neighbour(1), place: undefined } as unknown as MdnsTransmit;
    while (this.machine.pollTransmit(this.now, out)) {
      messages.push(decodeMessage(out.buffer.slice(0, out.length)));
    }
    return messages;
  }

  /** Lets time pass. @returns what was sent, and when, counted from now. */
  pass(ms: number): { readonly at: number; readonly message: Message<ReadRecord> }[] {
    const [start, end] = [this.now, this.now + ms];
    const sent = [];
    while (this.machine.nextTimeout() <= end) {
      this.now = Math.max(this.now, this.machine.nextTimeout());
      this.machine.handleTimeout(this.now);
      for (const message of this.sent()) sent.push({ at: this.now - start, message });
    }
    this.now = end;
    return sent;
  }

  receive(message: Partial<Message>, from = neighbour(2)): void {
    const whole = { isResponse: false, isTruncated: false, questions: [], records: [], ...message };
    this.machine.handleDatagram(this.now, encodeMessage(whole, 9000), from);
  }

  /** Somebody announces peer `n`. */
  hear(n: number, from = neighbour(n), ttl = 120, address = `udx:10.0.0.1:${n}`): void {
    const records = peerRecords(idOf(key(n)), [address], { family: 4, hosts: [] });
    this.receive({ isResponse: true, records: records.map((record) => ({ ...record, ttl })) }, from);
  }

  ask(known: readonly ResourceRecord[] = [], extra: Partial<Message> = {}): void {
    this.receive({ questions: [{ name: SERVICE, type: TYPE.PTR }], records: known, ...extra });
  }

  events(): number {
    let count = 0;
    while (this.machine.pollEvent() !== undefined) count++;
    return count;
  }
}

function announced(): Bench {
  const bench = new Bench();
  bench.machine.announce(bench.now, OWN);
  bench.sent();
  bench.pass(10_000);
  return bench;
}

test("an announcement goes out at once and twice more, a second apart", () => {
  const bench = new Bench();
  bench.machine.announce(bench.now, OWN);
  const [first] = bench.sent();
  assert.deepEqual(first!.records, [
    { type: "PTR", name: SERVICE, ttl: 120, target: instanceName(OWN_ID) },
    { type: "TXT", name: instanceName(OWN_ID), ttl: 120, strings: ["v=1", "a0=udx:*:4000"] },
  ]);
  assert.deepEqual(bench.pass(100_000).map(({ at }) => at), [1000, 2000]);
});

test("an answer is spread over 20 to 120 ms", () => {
  const delays = new Set<number>();
  const bench = announced();
  for (let i = 0; i < 50; i++) {
    bench.ask();
    const [answer, ...others] = bench.pass(1000);
    assert.equal(others.length, 0);
    assert.ok(answer!.at >= 20 && answer!.at <= 120, `${answer!.at} ms`);
    delays.add(answer!.at);
  }
  assert.ok(delays.size > 10);
});

test("questions for the instance, its host or anything are answered, others are not", () => {
  const bench = announced();
  for (const [name, type] of [[SERVICE, 255], [instanceName(OWN_ID), 33], [`${OWN_ID}.local`, 1]] as const) {
    bench.receive({ questions: [{ name, type }] });
    assert.equal(bench.pass(1000).length, 1, name);
  }
  for (
    const [name, type] of [[SERVICE, 1], ["_http._tcp.local", 12], [instanceName(idOf(key(2))), 16]] as const
  ) {
    bench.receive({ questions: [{ name, type }] });
    assert.equal(bench.pass(1000).length, 0, name);
  }
});

test("who knows the answer gets none, unless it is about to forget it", () => {
  const bench = announced();
  bench.ask([pointerTo(OWN_ID, 60)]);
  assert.equal(bench.pass(1000).length, 0);
  bench.ask([pointerTo(OWN_ID, 59)]);
  assert.equal(bench.pass(1000).length, 1);
  bench.ask([pointerTo(idOf(key(2)), 120)]);
  assert.equal(bench.pass(1000).length, 1);
});

test("known answers that follow in a second message count, if they are the asker's", () => {
  const bench = announced();
  bench.ask([], { isTruncated: true });
  bench.receive({ records: [pointerTo(OWN_ID, 120)] });
  assert.equal(bench.pass(1000).length, 0);
  bench.ask([], { isTruncated: true });
  bench.receive({ records: [pointerTo(OWN_ID, 120)] }, neighbour(3));
  const [answer] = bench.pass(1000);
  assert.ok(answer!.at >= 400 && answer!.at <= 500, `${answer!.at} ms`);
  bench.ask([], { isTruncated: true });
  bench.ask([]);
  bench.receive({ records: [pointerTo(OWN_ID, 120)] });
  assert.equal(bench.pass(1000).length, 1, "others asked too");
});

test("a flood of questions gets four answers a second", () => {
  const bench = announced();
  let answers = 0;
  for (let i = 0; i < 10_000; i++) {
    bench.ask();
    answers += bench.pass(1).length;
  }
  assert.ok(answers > 20 && answers <= 41, `${answers} answers in ten seconds`);
});

test("questions come at once, then ever more seldom, and stop when nobody browses", () => {
  const bench = new Bench();
  bench.machine.browse(bench.now);
  const times = bench.pass(3600_000).map(({ at }) => at);
  assert.ok(times[0]! >= 20 && times[0]! <= 120);
  assert.deepEqual(
    times.map((at) => at - times[0]!).slice(0, 5),
    [0, 1000, 3000, 7000, 15_000],
  );
  assert.ok(times.length <= 12);
  bench.machine.stopBrowsing();
  assert.deepEqual(bench.pass(10_000_000), []);
});

test("a question names what is known already, own peers included", () => {
  const bench = announced();
  bench.hear(2);
  bench.hear(3, neighbour(3), 40);
  bench.machine.browse(bench.now);
  const [question] = bench.pass(200);
  const known = question!.message.records.map((record) => record.type === "PTR" && record.target);
  assert.deepEqual(known, [instanceName(OWN_ID), instanceName(idOf(key(2)))]);
});

test("a question of somebody else saves the own one, unless it knows peers that we do not", () => {
  for (const [known, questions] of [[2, 0], [3, 1]] as const) {
    const bench = new Bench();
    bench.hear(2);
    bench.machine.browse(bench.now);
    bench.ask([pointerTo(idOf(key(known)), 120)]);
    assert.equal(bench.pass(500).length, questions);
  }
});

test("a peer that stays is asked for again before its records expire", () => {
  const bench = new Bench();
  bench.machine.browse(bench.now);
  bench.pass(70_000);
  bench.hear(2);
  const times = bench.pass(119_000).map(({ at }) => at).filter((at) => at > 94_000);
  assert.ok(times.some((at) => at >= 96_000 && at < 102_000), times.join());
  assert.ok(times.length >= 3, times.join());
  bench.pass(1000);
  assert.deepEqual(bench.machine.peers(), []);
});

test("news are told once, and again only for a new address", () => {
  const bench = new Bench();
  bench.hear(2);
  assert.equal(bench.events(), 1);
  bench.hear(2);
  assert.equal(bench.events(), 0);
  bench.hear(2, neighbour(2), 120, "tcp:10.0.0.9:1");
  assert.equal(bench.events(), 1);
  assert.deepEqual(bench.machine.peers()[0]!.addresses, ["tcp:10.0.0.9:1"]);
});

test("nobody takes leave for another host", () => {
  const bench = new Bench();
  bench.hear(2);
  bench.receive({ isResponse: true, records: [pointerTo(idOf(key(2)), 0)] }, neighbour(66));
  bench.pass(5000);
  assert.equal(bench.machine.peers().length, 1);
  bench.receive({ isResponse: true, records: [pointerTo(idOf(key(2)), 0)] }, neighbour(2));
  bench.pass(999);
  assert.equal(bench.machine.peers().length, 1, "it is kept for a second");
  bench.pass(1);
  assert.equal(bench.machine.peers().length, 0);
});

test("a stranger who invents peers fills its own share of the memory and no more", () => {
  const bench = new Bench();
  for (let n = 1; n <= 1000; n++) bench.hear(n, neighbour(66));
  assert.equal(bench.machine.peers().length, MAX_PEERS_OF_SENDER);
  for (let n = 1; n <= 5000; n++) bench.hear(n, SocketAddress.v4(0x0a000000 + n, 5353));
  assert.equal(bench.machine.peers().length, MAX_PEERS);
  assert.ok(bench.machine.counters.refused > 4000);
  assert.ok(bench.events() <= MAX_PEERS);
  bench.pass(121_000);
  assert.equal(bench.machine.peers().length, 0);
  for (let n = 1; n <= 5; n++) bench.hear(n, neighbour(66));
  assert.equal(bench.machine.peers().length, 5, "what expired is no longer counted");
});

test("a peer seen from very many addresses keeps four of them, and a record holds 75 minutes at most", () => {
  const bench = new Bench();
  for (let n = 1; n <= 100; n++) bench.hear(2, neighbour(n), 0xffffffff, `udx:10.0.0.${n}:1`);
  assert.equal(bench.machine.peers()[0]!.addresses.length, 4);
  bench.pass(4500_000);
  assert.equal(bench.machine.peers().length, 0);
});

test("own records, other ports, other versions and rubbish are ignored", () => {
  const bench = announced();
  bench.hear(1);
  bench.hear(2, SocketAddress.of("192.168.1.9", 40_000));
  bench.receive({
    isResponse: true,
    records: [{
      type: "TXT",
      name: instanceName(idOf(key(2))),
      ttl: 120,
      strings: ["v=2", "a0=udx:1.2.3.4:5"],
    }],
  });
  bench.machine.handleDatagram(bench.now, new Uint8Array(11), neighbour(2));
  assert.deepEqual(bench.machine.peers(), []);
  assert.equal(bench.machine.counters.malformed, 1);
});

test("more peers than one discovery may announce are refused", () => {
  const bench = new Bench();
  for (let n = 0; n < 32; n++) bench.machine.announce(bench.now, { publicKey: key(n), addresses: ["x:1"] });
  assert.throws(() => bench.machine.announce(bench.now, { publicKey: key(99), addresses: [] }), RangeError);
});

test("the largest announcement fits one message", () => {
  const hosts = Array.from({ length: 20 }, (_, i) => `fd00:1111:2222:3333:4444:5555:6666:${7000 + i}`);
  const bench = new Bench(1, [{ family: 6, hosts }]);
  const addresses = Array.from(
    { length: 20 },
    (_, i) => `onion:${String(i).padStart(2, "0")}${"x".repeat(104)}`,
  );
  bench.machine.announce(bench.now, { publicKey: key(1), addresses });
  const [message] = bench.sent();
  const texts = message!.records.find(({ type }) => type === "TXT");
  assert.equal(texts?.type === "TXT" && texts.strings.length, 9);
});
