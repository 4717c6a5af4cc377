/** Fuzz targets of `transports/mdns/`: messages that anybody on the link may send, one and many. */
import assert from "node:assert/strict";
import { SeededRandom } from "../../core/runtime/virtual.ts";
import { SocketAddress } from "../../encoding/address.ts";
import { MAX_PEERS_OF_SENDER, MDNS_PORT, SERVICE, TYPE } from "../../transports/mdns/constants.ts";
import { MdnsMachine, type MdnsTransmit } from "../../transports/mdns/mdns_machine.ts";
import { decodeMessage, encodeMessage, type Message } from "../../transports/mdns/message.ts";
import {
  idOf,
  parseAddresses,
  parseId,
  parseInstanceName,
  peerRecords,
  type Place,
} from "../../transports/mdns/service.ts";
import type { FuzzTarget } from "./target.ts";

const STRANGER = SocketAddress.of("192.168.1.66", MDNS_PORT);
const PLACE: Place = { family: 4, hosts: ["192.168.1.5"] };
const OWN = { publicKey: new Uint8Array(32).fill(1), addresses: ["udx:0.0.0.0:4000"] };

const records = (n: number) =>
  peerRecords(idOf(new Uint8Array(32).fill(n)), ["udx:*:4000", "tcp:1.2.3.4:5"], PLACE);
const write = (message: Partial<Message>) =>
  encodeMessage({ isResponse: false, isTruncated: false, questions: [], records: [], ...message }, 1400);
const messages = [
  write({ isResponse: true, records: records(2) }),
  write({ isResponse: true, records: [{ ...records(2)[0]!, ttl: 0 }] }),
  write({ questions: [{ name: SERVICE, type: TYPE.PTR }], records: [records(1)[0]!, records(2)[0]!] }),
  write({ isTruncated: true, questions: [{ name: SERVICE, type: TYPE.ANY }] }),
];

/** Plays a script of messages and pauses, each behind two bytes of length; the first bit of the length means a pause. */
function play(script: Uint8Array): string {
  const machine = new MdnsMachine(new SeededRandom("fuzz"), MDNS_PORT);
  let now = 0;
  machine.setPlaces(now, [PLACE], new Set(PLACE.hosts));
  machine.announce(now, OWN);
  machine.browse(now);
  let sent = 0;
  const out: MdnsTransmit = { buffer: script, length: 0, to: STRANGER, ttl: 0, place: undefined };
  for (let at = 0; at + 2 <= script.length;) {
    const size = script[at]! << 8 | script[at + 1]!;
    at += 2;
    if (size & 0x8000) {
      now += size & 0x7fff;
      machine.handleTimeout(now);
    } else {
      machine.handleDatagram(now, script.slice(at, at + size), STRANGER);
      at += size;
    }
    while (machine.pollTransmit(now, out)) sent++;
    while (machine.pollEvent() !== undefined);
  }
  assert.ok(sent <= 8 + now / 200, `${sent} messages in ${now} ms`);
  assert.ok(machine.peers().length <= MAX_PEERS_OF_SENDER);
  const { received, malformed, refused } = machine.counters;
  return [received, malformed, refused, machine.peers().length].map(Math.clz32).join();
}

const step = (bytes: Uint8Array) => [bytes.length >> 8, bytes.length & 255, ...bytes];
const pause = (ms: number) => [0x80 | ms >> 8, ms & 255];
const scripts = [
  [...messages.flatMap((message) => [...step(message), ...pause(100)])],
  [...step(messages[2]!), ...pause(300), ...step(messages[3]!), ...pause(1000), ...step(messages[1]!)],
].map((script) => Uint8Array.from(script));

const text = (input: Uint8Array) => String.fromCharCode(...input);
const ascii = (value: string) => Uint8Array.from(value, (char) => char.charCodeAt(0));
const id = idOf(OWN.publicKey);

/** Everything of `transports/mdns/` that reads what a stranger sent. */
export const targets: readonly FuzzTarget[] = [
  { name: "decodeMessage", seeds: messages, run: (input) => void decodeMessage(input) },
  { name: "MdnsMachine", seeds: scripts, run: play },
  { name: "parseId", seeds: [ascii(id)], run: (input) => void parseId(text(input)) },
  {
    name: "parseInstanceName",
    seeds: [ascii(`${id}.${SERVICE}`)],
    run: (input) => void parseInstanceName(text(input)),
  },
  {
    name: "parseAddresses",
    seeds: [ascii("v=1\na0=udx:*:4000\na1=tcp:[::1]:5")],
    run: (input) => void parseAddresses(text(input).split("\n"), STRANGER),
  },
];
