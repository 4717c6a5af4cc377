import assert from "node:assert/strict";
import type { CryptoProvider } from "../../../core/runtime/crypto_provider.ts";
import { loadCryptoProvider } from "../../../core/crypto/provider.ts";
import { ConnectError } from "../../../core/runtime/errors.ts";
import { macrotask } from "../../../core/runtime/system.ts";
import { SeededRandom, VirtualClock } from "../../../core/runtime/virtual.ts";
import { SocketAddress } from "../../../encoding/address.ts";
import type { DatagramSocket } from "../../../transports/datagram.ts";
import { type LinkConditions, SimulatedNetwork } from "../../../transports/memory/mod.ts";
import type { Link } from "../../../transports/transport.ts";
import { decodeOpening, encodeOpening, OPENING_BYTES, OpeningKind } from "../../../transports/udx/opening.ts";
import { UdxTransport } from "../../../transports/udx/mod.ts";
import { test } from "../../harness.ts";

const ADDRESS = "udx:11.0.0.10:4000";

/** A listener and a stranger on a simulated network. */
class Rig {
  readonly clock = new VirtualClock();
  readonly links: Link[] = [];
  readonly network: SimulatedNetwork;
  readonly server: UdxTransport;
  readonly client: UdxTransport;
  readonly #random = new SeededRandom(7);

  static async make(wan: LinkConditions = { latencyMs: 1 }): Promise<Rig> {
    const rig = new Rig(await loadCryptoProvider({ prefer: "wasm" }), wan);
    await rig.server.listen((link) => rig.links.push(link), {});
    return rig;
  }

  readonly crypto: CryptoProvider;

  private constructor(crypto: CryptoProvider, wan: LinkConditions) {
    this.crypto = crypto;
    this.network = new SimulatedNetwork({ clock: this.clock, random: this.#random.fork("network"), wan });
    const runtime = { clock: this.clock, random: this.#random.fork("runtime"), crypto };
    const host = this.network.host({ name: "server", addresses: ["11.0.0.10"] });
    this.server = new UdxTransport(runtime, host, { port: 4000 });
    this.client = new UdxTransport(runtime, this.network.host({ name: "client" }));
  }

  /** Lets time pass until `promise` settles, or for `ms`. */
  async run<T>(promise: Promise<T>, ms = 60_000): Promise<T> {
    let isSettled = false;
    const settled = promise.finally(() => isSettled = true);
    settled.catch(() => {});
    await this.clock.runAsync(macrotask, { until: this.clock.now() + ms, stop: () => isSettled });
    assert.ok(isSettled, `the promise settles within ${ms} virtual ms`);
    return await settled;
  }

  pass(ms: number): void {
    this.clock.run({ until: this.clock.now() + ms });
  }

  /** A stranger who speaks only the opening exchange. */
  async stranger(name: string): Promise<Stranger> {
    const host = this.network.host({ name });
    const heard: Uint8Array[] = [];
    const socket = await host.bind({}, { onDatagram: (datagram) => heard.push(datagram.slice()) });
    return new Stranger(this, socket, heard);
  }

  async close(): Promise<void> {
    await this.run(Promise.all([this.server.close(), this.client.close()]));
  }
}

class Stranger {
  readonly #rig: Rig;
  readonly #socket: DatagramSocket;
  readonly heard: Uint8Array[];

  constructor(rig: Rig, socket: DatagramSocket, heard: Uint8Array[]) {
    this.#rig = rig;
    this.#socket = socket;
    this.heard = heard;
  }

  /** Sends an OPEN and returns the answer. */
  open(dialerId: number, cookie: Uint8Array = new Uint8Array(32), nonce = new Uint8Array(16).fill(dialerId)) {
    this.heard.length = 0;
    const question = encodeOpening({ kind: OpeningKind.Open, dialerId, listenerId: 0, nonce, cookie });
    this.#socket.send(question, SocketAddress.of("11.0.0.10", 4000));
    this.#rig.pass(10);
    assert.ok(this.heard.length <= 1, "one question has one answer");
    assert.ok((this.heard[0]?.length ?? 0) <= question.length, "no answer is longer than its question");
    return this.heard[0] === undefined ? undefined : decodeOpening(this.heard[0]);
  }
}

test("a dialed stream carries bytes both ways", async () => {
  const rig = await Rig.make();
  const link = await rig.run(rig.client.dial(ADDRESS));
  assert.equal(link.remoteAddress, ADDRESS);
  const got: string[] = [];
  const sink = (name: string) => ({
    onData: (chunk: Uint8Array) => void got.push(`${name} ${new TextDecoder().decode(chunk)}`),
    onDrain() {},
    onEnd() {},
    onClose() {},
  });
  link.duplex.attach(sink("client"));
  link.duplex.write(new TextEncoder().encode("ping"));
  rig.pass(100);
  assert.equal(rig.links.length, 1);
  rig.links[0]!.duplex.attach(sink("server"));
  rig.links[0]!.duplex.write(new TextEncoder().encode("pong"));
  rig.pass(100);
  assert.deepEqual(got, ["server ping", "client pong"]);
  await rig.close();
});

test("a dialer that waits for the listener to speak first is noticed all the same", async () => {
  const rig = await Rig.make({ latencyMs: 10, loss: [20, 100] });
  const link = await rig.run(rig.client.dial(ADDRESS));
  rig.pass(9000);
  assert.equal(rig.links.length, 1);
  link.duplex.destroy();
  await rig.close();
});

test("dialing survives the loss of a fifth of all packets", async () => {
  const rig = await Rig.make({ latencyMs: 10, loss: [12, 100] });
  for (let i = 0; i < 20; i++) {
    const link = await rig.run(rig.client.dial(ADDRESS));
    link.duplex.destroy();
  }
  await rig.close();
});

test("dialing an address where nobody listens ends in TIMEOUT after the time given", async () => {
  const rig = await Rig.make();
  const before = rig.clock.now();
  await assert.rejects(rig.run(rig.client.dial("udx:11.0.0.10:4001")), {
    name: "ConnectError",
    code: "TIMEOUT",
  });
  assert.equal(rig.clock.now() - before, 10_000);
  assert.equal(rig.client.endpoint.streamCount, 0);
  await rig.close();
});

test("an address of another form is a TypeError that shows the form", async () => {
  const rig = await Rig.make();
  for (const address of ["", "udx:", "udx:example.org:1", "udx:1.2.3.4", "udx:1.2.3.4:0", "tcp:1.2.3.4:5"]) {
    await assert.rejects(rig.client.dial(address), /udx:1\.2\.3\.4:5678/, address);
  }
  await rig.close();
});

test("an aborted dial rejects with the reason and leaves nothing", async () => {
  const rig = await Rig.make();
  const abort = new AbortController();
  const dialing = rig.client.dial("udx:11.0.0.10:4001", { signal: abort.signal });
  rig.pass(100);
  abort.abort(new Error("enough"));
  await assert.rejects(rig.run(dialing), /enough/);
  assert.equal(rig.client.endpoint.streamCount, 0);
  await assert.rejects(rig.client.dial(ADDRESS, { signal: abort.signal }), /enough/);
  await rig.close();
});

test("the same question gets the same answer, so that a lost one can be asked again", async () => {
  const rig = await Rig.make();
  const stranger = await rig.stranger("stranger");
  const first = stranger.open(5);
  assert.equal(first?.kind, OpeningKind.Accept);
  assert.deepEqual(stranger.open(5), first);
  assert.equal(rig.server.endpoint.streamCount, 1);
  assert.equal(
    stranger.open(5, undefined, new Uint8Array(16).fill(77)),
    undefined,
    "another nonce is another dialer",
  );
  await rig.close();
});

test("who is accepted and never speaks is forgotten", async () => {
  const rig = await Rig.make();
  const stranger = await rig.stranger("stranger");
  for (let id = 1; id <= 10; id++) assert.equal(stranger.open(id)?.kind, OpeningKind.Accept);
  assert.equal(rig.server.endpoint.streamCount, 10);
  rig.pass(20_000);
  assert.equal(rig.server.endpoint.streamCount, 0);
  assert.equal(rig.links.length, 0);
  await rig.close();
});

test("one address cannot hold more than its share of half-open streams", async () => {
  const rig = await Rig.make();
  const stranger = await rig.stranger("stranger");
  const kinds = new Map<number, number>();
  for (let id = 1; id <= 100; id++) {
    const { kind, cookie } = stranger.open(id)!;
    const final = kind === OpeningKind.Challenge ? stranger.open(id, cookie)!.kind : kind;
    kinds.set(final, (kinds.get(final) ?? 0) + 1);
  }
  assert.equal(kinds.get(OpeningKind.Accept), 64);
  assert.equal(kinds.get(OpeningKind.Refuse), 36);
  await rig.close();
});

test("under a flood a dialer must prove its address, and one that can still gets in", async () => {
  const rig = await Rig.make({ latencyMs: 1 });
  const flooder = await rig.stranger("flooder");
  for (let id = 1; id <= 64; id++) flooder.open(id);
  const honest = await rig.stranger("honest");
  const challenge = honest.open(9)!;
  assert.equal(challenge.kind, OpeningKind.Challenge);
  assert.equal(rig.server.endpoint.streamCount, 64, "an unproven address costs no memory");
  const forged = honest.open(9, challenge.cookie.map((byte) => byte ^ 1))!;
  assert.equal(forged.kind, OpeningKind.Challenge);
  assert.notEqual(
    flooder.open(99, challenge.cookie)?.kind,
    OpeningKind.Accept,
    "a cookie is for one address",
  );
  assert.equal(honest.open(9, challenge.cookie)!.kind, OpeningKind.Accept);
  const link = await rig.run(rig.client.dial(ADDRESS));
  assert.ok(link, "the real dialer answers the challenge by itself");
  link.duplex.destroy();
  await rig.close();
});

test("a listener's own streams outlive it, and its socket goes with the last", async () => {
  const clock = new VirtualClock();
  const random = new SeededRandom(1);
  const network = new SimulatedNetwork({ clock, random });
  const runtime = { clock, random, crypto: await loadCryptoProvider({ prefer: "wasm" }) };
  const server = new UdxTransport(runtime, network.host({ addresses: ["11.0.0.10"] }), { port: 4000 });
  const client = new UdxTransport(runtime, network.host());
  const links: Link[] = [];
  const listener = await server.listen((link) => links.push(link), {});
  const dialing = client.dial(ADDRESS);
  await clock.runAsync(macrotask, { until: 1000 });
  const link = await dialing;
  await listener[Symbol.asyncDispose]();
  assert.equal(server.endpoint.sockets.size, 1);
  let got = 0;
  const sink = {
    onData: (chunk: Uint8Array) => void (got += chunk.length),
    onDrain() {},
    onEnd() {},
    onClose() {},
  };
  links[0]!.duplex.attach(sink);
  link.duplex.attach(sink);
  link.duplex.write(new Uint8Array(1000));
  clock.run({ until: 2000 });
  assert.equal(got, 1000);
  const refused = assert.rejects(client.dial(ADDRESS), ConnectError);
  await clock.runAsync(macrotask, { until: 20_000 });
  await refused;
  link.duplex.destroy();
  await clock.runAsync(macrotask, { until: 60_000 });
  assert.equal(server.endpoint.sockets.size, 0);
  await Promise.all([client.close(), server.close()]);
});

test("an opening datagram of another length or beginning is none", () => {
  const opening = {
    kind: OpeningKind.Accept,
    dialerId: 0xffffffff,
    listenerId: 0x80000001,
    nonce: new Uint8Array(16).fill(3),
    cookie: new Uint8Array(32).fill(4),
  };
  const bytes = encodeOpening(opening);
  assert.equal(bytes.length, OPENING_BYTES);
  assert.deepEqual(decodeOpening(bytes), opening);
  assert.equal(decodeOpening(bytes.subarray(1)), undefined);
  for (let i = 0; i < 6; i++) {
    const changed = bytes.slice();
    changed[i]! ^= 1;
    assert.equal(decodeOpening(changed), undefined);
  }
});
