/**
 * mDNS with others: our messages read by `dns-packet`, its messages read by us, and a live `multicast-dns` in another process:
 *
 *     MdnsDiscovery  <-- multicast on loopback, a port for this test -->  multicast-dns in Node  <-- JSON lines
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { SystemClock, SystemRandom } from "../../core/runtime/system.ts";
import { SERVICE } from "../../transports/mdns/constants.ts";
import { MdnsDiscovery } from "../../transports/mdns/mod.ts";
import { decodeMessage, encodeMessage, type Message } from "../../transports/mdns/message.ts";
import { hostName, idOf, instanceName, peerRecords, pointerTo } from "../../transports/mdns/service.ts";
import { test } from "../harness.ts";
import { multicastProblem, multicastUdp } from "../transports/mdns/support.ts";

const folder = new URL("./reference/", import.meta.url);
const isInstalled = existsSync(new URL("node_modules/multicast-dns/package.json", folder));
const skip = isInstalled ? undefined : "the reference is not installed: deno task interop";
const skipLive = skip ?? await multicastProblem();
const PORT = 53_540;
const KEY = new Uint8Array(32).fill(5);
const ID = idOf(KEY);
const ADDRESSES = ["udx:*:4000", "tcp:10.0.0.1:4001"];
const PLACE = { family: 4, hosts: ["192.168.1.5", "fd00::5"] } as const;

/** As `dns-packet` has it. */
interface Packet {
  readonly type: "query" | "response";
  readonly flags?: number;
  readonly questions?: readonly { readonly name: string; readonly type: string }[];
  // deno-lint-ignore no-explicit-any
  readonly answers?: readonly any[];
}

interface DnsPacket {
  encode(packet: Packet): Uint8Array;
  decode(bytes: Uint8Array): Packet & { readonly flags: number };
}

/** The package, and the Buffer that it wants. */
async function dnsPacket(): Promise<DnsPacket> {
  const { Buffer } = await import("node:buffer");
  const { encode, decode } = createRequire(new URL("x.js", folder))("dns-packet") as DnsPacket;
  return { encode, decode: (bytes) => decode(Buffer.from(bytes)) };
}

const announcement = (): Message => ({
  isResponse: true,
  isTruncated: false,
  questions: [],
  records: peerRecords(ID, ADDRESSES, PLACE),
});

test("dns-packet reads what we announce", async () => {
  const { decode } = await dnsPacket();
  const { type, flags, answers } = decode(encodeMessage(announcement(), 1400));
  assert.equal(type, "response");
  assert.equal(flags, 0x400);
  const common = { ttl: 120, class: "IN" };
  const [name, host] = [instanceName(ID), hostName(ID)];
  assert.deepEqual(
    answers!.map(({ data, ...rest }) => ({
      ...rest,
      data: rest.type === "TXT" ? data.map((text: unknown) => String(text)) : data,
    })),
    [
      { ...common, flush: false, name: SERVICE, type: "PTR", data: name },
      {
        ...common,
        flush: true,
        name,
        type: "TXT",
        data: ["v=1", `a0=${ADDRESSES[0]}`, `a1=${ADDRESSES[1]}`],
      },
      {
        ...common,
        flush: true,
        name,
        type: "SRV",
        data: { priority: 0, weight: 0, port: 4000, target: host },
      },
      { ...common, flush: true, name: host, type: "A", data: "192.168.1.5" },
      { ...common, flush: true, name: host, type: "AAAA", data: "fd00::5" },
    ],
  );
}, { skip });

test("dns-packet reads what we ask, with known answers", async () => {
  const { decode } = await dnsPacket();
  const bytes = encodeMessage({
    isResponse: false,
    isTruncated: true,
    questions: [{ name: SERVICE, type: 12 }],
    records: [pointerTo(ID, 77)],
  }, 1400);
  const { type, flags, questions, answers } = decode(bytes);
  assert.equal(type, "query");
  assert.equal(flags, 0x200);
  assert.deepEqual(questions, [{ name: SERVICE, type: "PTR", class: "IN" }]);
  assert.deepEqual(answers, [
    { name: SERVICE, type: "PTR", ttl: 77, class: "IN", flush: false, data: instanceName(ID) },
  ]);
}, { skip });

test("we read what dns-packet writes, whatever else is in it", async () => {
  const { encode } = await dnsPacket();
  const name = instanceName(ID);
  const bytes = encode({
    type: "response",
    answers: [
      { type: "NSEC", name, ttl: 9, data: { nextDomain: name, rrtypes: ["TXT", "SRV"] } },
      { type: "PTR", name: SERVICE.toUpperCase(), ttl: 120, data: name },
      { type: "SRV", name, ttl: 120, flush: true, data: { port: 1, target: "x.local" } },
      { type: "TXT", name, ttl: 60, flush: true, data: ["v=1", "a0=udx:*:4000"] },
      { type: "CAA", name, ttl: 1, data: { flags: 0, tag: "issue", value: "x" } },
    ],
  });
  assert.deepEqual(decodeMessage(bytes).records, [
    { type: "PTR", name: SERVICE, ttl: 120, target: name },
    { type: "TXT", name, ttl: 60, strings: ["v=1", "a0=udx:*:4000"] },
  ]);
}, { skip });

/** What the other process tells. */
interface Told {
  readonly event: string;
  // deno-lint-ignore no-explicit-any
  readonly [detail: string]: any;
}

/** The other process. */
class OtherHands {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor() {
    const file = fileURLToPath(new URL("mdns_peer.mjs", folder));
    const settings = JSON.stringify({ port: PORT, interface: "127.0.0.1" });
    this.#process = spawn("node", [file, settings], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#process.stdout! })[Symbol.asyncIterator]();
  }

  tell(command: string, packet?: Packet): void {
    this.#process.stdin!.write(`${JSON.stringify({ command, packet })}\n`);
  }

  /** The next event that `matches`; others are dropped. */
  async next(matches: (told: Told) => boolean): Promise<Told> {
    while (true) {
      const { value, done } = await this.#lines.next();
      assert.ok(done !== true, "the other process ended");
      const told: Told = JSON.parse(value);
      if (matches(told)) return told;
    }
  }

  async close(): Promise<void> {
    const closed = once(this.#process, "close");
    this.#process.stdin!.end();
    await closed;
  }
}

test("a live multicast-dns sees our announcement, our answer and our farewell", async () => {
  const other = new OtherHands();
  await other.next(({ event }) => event === "ready");
  const runtime = { clock: new SystemClock(), random: new SystemRandom() };
  const discovery = new MdnsDiscovery(runtime, multicastUdp(), { port: PORT });
  await discovery.announce(new Uint8Array(32), { publicKey: KEY, addresses: ["udx:0.0.0.0:4000"] });
  const seen = await other.next(({ event }) => event === "response");
  assert.equal(seen.port, PORT);
  assert.deepEqual(
    seen.answers.map(({ type }: Told) => type),
    ["PTR", "TXT", "SRV", "A"],
  );
  other.tell("query", { type: "query", questions: [{ name: SERVICE, type: "PTR" }] });
  await other.next(({ event }) => event === "query");
  const answer = await other.next(({ event }) => event === "response");
  assert.equal(answer.answers[0].data, instanceName(ID));
  const closing = discovery.close();
  await other.next(({ event, answers }) => event === "response" && answers[0].ttl === 0);
  await Promise.all([closing, other.close()]);
}, { skip: skipLive });

test("we find a peer that a live multicast-dns announces, and tell it that we know it", async () => {
  const other = new OtherHands();
  await other.next(({ event }) => event === "ready");
  const runtime = { clock: new SystemClock(), random: new SystemRandom() };
  const discovery = new MdnsDiscovery(runtime, multicastUdp(), { port: PORT });
  const finding = discovery.peers();
  const found = finding.next();
  const query = await other.next(({ event }) => event === "query");
  assert.deepEqual(query.questions, [{ name: SERVICE, type: "PTR" }]);
  other.tell("respond", {
    type: "response",
    answers: [
      { type: "PTR", name: SERVICE, ttl: 120, data: instanceName(ID) },
      { type: "TXT", name: instanceName(ID), ttl: 120, data: ["v=1", "a0=udx:*:4000"] },
    ],
  });
  assert.deepEqual((await found).value, { publicKey: KEY, addresses: ["udx:127.0.0.1:4000"] });
  const again = await other.next(({ event, answers }) => event === "query" && answers.length > 0);
  assert.equal(again.answers[0].data, instanceName(ID));
  await Promise.all([discovery.close(), finding.return(undefined), other.close()]);
}, { skip: skipLive });
